use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::market::replay;
use super::world::Recipe;
use super::*;

const HEADER: &str = "day,model,variant,endpoint_id,status,p_in,p_out,ttft_p50,ttft_p75,ttft_p90,ttft_p95,ttft_p99,tps_p50,tps_p75,tps_p90,tps_p95,tps_p99,req30m";

/// A row of an endpoint whose median answer takes `ttft` ms and then `tps`
/// tokens per second.
fn row(day: u32, endpoint: &str, price: &str, ttft: f64, tps: f64) -> String {
    let times = [1.0, 1.3, 1.7, 2.0, 3.0].map(|factor| format!("{}", ttft * factor)).join(",");
    let speeds = [1.0, 1.1, 1.2, 1.3, 1.5].map(|factor| format!("{}", tps * factor)).join(",");
    format!("2026-08-{day:02},m,standard,{endpoint},0,{price},{price},{times},{speeds},100")
}

/// Three days of four endpoints: cheap and slow, dear and fast, neither, and one
/// that is worse than another in everything.
fn market() -> String {
    let mut rows = vec![HEADER.to_owned()];
    for day in 1..=3 {
        rows.push(row(day, "cheap", "1e-7", 4000.0, 15.0));
        rows.push(row(day, "fast", "2e-6", 300.0, 150.0));
        rows.push(row(day, "middle", "6e-7", 950.0, 60.0));
        rows.push(row(day, "poor", "3e-6", 5000.0, 10.0));
    }
    rows.join("\n")
}

fn requests() -> String {
    let arrivals = (0..400).map(|n| format!("{},{},{}", n * 900, 200 + 7 * (n % 50), 20 + 3 * (n % 40)));
    format!("t_ms,in_tok,out_tok\n{}", arrivals.collect::<Vec<_>>().join("\n"))
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn figures(usd_per_second: f64, seed: u64) -> Vec<Figures> {
    let folder = tempfile::tempdir().unwrap();
    let history = history::read(&file(folder.path(), "endpoints.csv.gz", &gzipped(&market()))).unwrap();
    let trace = trace::read(&[file(folder.path(), "trace.csv", requests().as_bytes())]).unwrap();
    let recipe = Recipe { requests: 150, waves: 0.5, seed };
    replay(
        &history,
        &trace,
        &Settings { usd_per_second, published: false, only_merit: false, recipe },
        |_, _| {},
    )
}

fn of<'f>(figures: &'f [Figures], name: &str) -> &'f Figures {
    figures.iter().find(|figures| figures.name == name).unwrap()
}

#[test]
fn beats_every_other_rule_and_costs_little_more_than_the_oracle() {
    for (usd_per_second, most) in [(2e-5, 8.0), (2e-4, 8.0), (2e-3, 40.0)] {
        let figures = figures(usd_per_second, 1);
        assert_eq!(figures.len(), 12, "every rule is there once");
        let merit = of(&figures, "merit").regret_pct;
        assert!(merit < most, "{usd_per_second}: {merit} %");
        for name in ["random", "round robin", "OpenRouter 1/price²", "P2C Peak-EWMA"] {
            let rival = of(&figures, name).regret_pct;
            assert!(rival > 1.5 * merit.max(1.0), "{usd_per_second}: {name} {rival} %, merit {merit} %");
        }
    }
}

#[test]
fn what_a_second_is_worth_decides_between_cheap_and_fast() {
    let (patient, hasty) = (figures(1e-6, 1), figures(1e-2, 1));
    let (patient, hasty) = (of(&patient, "merit"), of(&hasty, "merit"));
    assert!(patient.cost_usd_per_1k < hasty.cost_usd_per_1k / 3.0, "{patient:?} {hasty:?}");
    assert!(hasty.latency_s < patient.latency_s / 3.0, "{patient:?} {hasty:?}");
}

#[test]
fn the_same_seed_is_the_same_replay() {
    assert_eq!(figures(2e-4, 3), figures(2e-4, 3));
    assert_ne!(figures(2e-4, 3), figures(2e-4, 4));
}

/// What reading `endpoints` as a table of endpoints complains of.
fn complaint(endpoints: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "e.csv", endpoints);
    let problem = history::read(&file).unwrap_err();
    problem.to_string().replace(&format!("{}: ", file.display()), "")
}

#[test]
fn bad_endpoints_are_refused_with_row_and_column() {
    let with = |from: &str, to: &str| complaint(market().replacen(from, to, 1).as_bytes());
    assert_eq!(with("tps_p95", "tps_95"), "column tps_p95: there is no such column");
    assert_eq!(with("1e-7", "-1e-7"), "row 2: column p_in: -0.0000001 is negative");
    assert_eq!(with("2e-6", "NaN"), "row 3: column p_in: NaN is not a finite number");
    assert_eq!(with("950", "fast"), "row 4: column ttft_p50: \"fast\" is not a number");
    assert_eq!(with("6e-7", ""), "row 4: column p_in: missing");
    assert_eq!(with("2026-08-02", "2026-08-09"), "row 7: column day: 2026-08-02 comes after a later day");
    assert_eq!(with("fast", "cheap"), "row 3: column endpoint_id: listed twice on this day");
    assert_eq!(with(",100\n", "\n"), "row 2: 17 fields, but the header has 18");
    assert_eq!(complaint(b""), "empty: a header row is needed");
    assert!(complaint(HEADER.as_bytes()).starts_with("no model has 4 endpoints"));
}

#[test]
fn truncated_gzip_is_refused() {
    let whole = gzipped(&market());
    let cut = complaint(whole.get(..whole.len() / 2).unwrap());
    assert!(cut.contains("it is truncated") && cut.starts_with("row "), "{cut}");
}

#[test]
fn bad_traces_are_refused_with_row_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = |text: &str| {
        let file = file(folder.path(), "t.csv", text.as_bytes());
        let problem = trace::read(std::slice::from_ref(&file)).unwrap_err().to_string();
        problem.replace(&format!("{}: ", file.display()), "")
    };
    assert_eq!(
        complaint("t_ms,in_tok,out_tok\n5,1,1\n4,1,1\n"),
        "row 3: column t_ms: 4 is before 5: times must not go backwards"
    );
    assert_eq!(complaint("t_ms,in_tok\n5,1\n"), "column out_tok: there is no such column");
    assert_eq!(complaint("t_ms,in_tok,out_tok\n5,-1,1\n"), "row 2: column in_tok: -1 is negative");
    assert_eq!(complaint("t_ms,in_tok,out_tok\n"), "no request in it");
    let missing = trace::read(&[folder.path().join("none.csv")]).unwrap_err();
    assert!(missing.to_string().contains("none.csv"), "{missing}");
}
