use std::io::Write as _;

use super::*;

fn settings(endpoints: usize) -> Settings {
    Settings { endpoints, ttl: Duration::from_secs(300), usd_per_second: 2e-4, seed: 1 }
}

/// Forty conversations of ten turns, taking turns, ten requests a second.
fn conversations() -> Vec<Request> {
    let line = |number: u64| {
        let (turn, conversation) = (number / 40, number % 40);
        let blocks: Vec<u64> = (0..=turn * 3).map(|block| conversation * 1000 + block).collect();
        let length = blocks.len() * 512;
        format!(
            r#"{{"timestamp":{},"input_length":{length},"output_length":100,"hash_ids":{blocks:?}}}"#,
            number * 100
        )
    };
    read(&(0..400).map(line).collect::<Vec<_>>().join("\n")).unwrap()
}

fn read(text: &str) -> Result<Vec<Request>, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let read = trace::read(file.path(), 512);
    read.map_err(|problem| problem.to_string().replace(&format!("{}: ", file.path().display()), ""))
}

fn named<'f>(figures: &'f [Figures], name: &str) -> &'f Figures {
    figures.iter().find(|figures| figures.name == name).unwrap()
}

#[test]
fn our_rule_finds_what_one_endpoint_would_and_spreads_all_the_same() {
    let figures = replay(&conversations(), &settings(8), |_| {});
    let [ours, one, random] = ["merit", rules::ONE, "random"].map(|name| named(&figures, name));
    assert!(ours.relative_to_one_pct > 95.0, "{ours:?}");
    assert!(random.relative_to_one_pct < 50.0, "{random:?}");
    assert!(ours.usd_per_1k < 0.7 * random.usd_per_1k && ours.loss_usd_per_1k < random.loss_usd_per_1k);
    assert!(ours.busiest_pct < 60.0 && (one.busiest_pct - 100.0).abs() < 1e-9, "{ours:?}");
}

#[test]
fn with_one_endpoint_all_rules_are_the_same() {
    let figures = replay(&conversations(), &settings(1), |_| {});
    for rule in &figures {
        assert!((rule.relative_to_one_pct - 100.0).abs() < 1e-9 && rule.loss_usd_per_1k > 0.0, "{rule:?}");
    }
}

#[test]
fn a_cache_that_keeps_nothing_is_worth_nothing() {
    let figures = replay(&conversations(), &Settings { ttl: Duration::ZERO, ..settings(4) }, |_| {});
    assert!(figures.iter().all(|rule| rule.hit_share_pct < 1e-9));
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let one = replay(&conversations(), &settings(4), |_| {});
    assert_eq!(one, replay(&conversations(), &settings(4), |_| {}));
}

#[test]
fn bad_traces_are_refused_with_row_and_column() {
    let good = r#"{"timestamp":5,"input_length":600,"output_length":4,"hash_ids":[1,2]}"#;
    let with = |from: &str, to: &str| read(&format!("{good}\n{}", good.replacen(from, to, 1))).unwrap_err();
    assert_eq!(with("\"timestamp\":5,", ""), "row 2: column timestamp: missing");
    assert_eq!(with(":5,", ":-5,"), "row 2: column timestamp: not a number of milliseconds");
    assert_eq!(
        with(":5,", ":4,"),
        "row 2: column timestamp: 0.004 is before 0.005 s: times must not go backwards"
    );
    assert_eq!(with("600", "-1"), "row 2: column input_length: -1 is not a number of tokens");
    assert_eq!(
        with("600", "5000"),
        "row 2: column hash_ids: 2 blocks of 512 tokens do not make a prompt of 5000"
    );
    assert_eq!(with("[1,2]", "[1,-2]"), "row 2: column hash_ids: a number of a block is not a whole number");
    assert_eq!(with("[1,2]", "7"), "row 2: column hash_ids: not a list");
    assert!(with("{", "").starts_with("row 2: not a JSON object"), "{}", with("{", ""));
    assert_eq!(read("\n").unwrap_err(), "no request in it");
}

#[test]
fn a_truncated_trace_is_refused() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let good = r#"{"timestamp":5,"input_length":600,"output_length":4,"hash_ids":[1,2]}"#;
    for _ in 0..500 {
        writeln!(encoder, "{good}").unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes[..bytes.len() - 12]).unwrap();
    let problem = trace::read(file.path(), 512).unwrap_err().to_string();
    assert!(problem.contains("truncated") && problem.contains("row "), "{problem}");
}
