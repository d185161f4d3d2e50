//! Decisions are recorded whole: each can be asked about, decided again with the
//! same result, and replayed by another objective.

use std::fs;

use merit::market::Decision;
use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::command::merit;
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::Events;
use crate::support::market::{Market, pace};
use crate::support::process::until;

/// Where the gateway exports to, in its folder.
const EXPORT: &str = "decisions.jsonl";

/// Requests of several kinds; gives their number.
fn traffic(gateway: &Gateway) -> Fallible<usize> {
    let ways = [
        json!({}),
        json!({ "objective": "fastest" }),
        json!({ "objective": "cheapest" }),
        json!({ "sort": "price" }),
        json!({ "order": ["dear"] }),
        json!({ "only": ["middle"] }),
        json!({ "order": ["dear"], "allow_fallbacks": false }),
        json!({ "allow_fallbacks": false }),
        json!({ "ignore": ["middle"], "max_price": { "input": 2.0 } }),
    ];
    let mut count = 0;
    for round in 0..4 {
        for way in &ways {
            let body = with(streamed("small"), "merit", way.clone());
            let body = if round % 2 == 0 { with(body, "n", json!(1)) } else { body };
            Events::open(gateway.api, CHAT, &[], body.to_string())?.rest()?;
            count += 1;
        }
    }
    Ok(count)
}

fn started() -> Fallible<(Market, Gateway)> {
    let provider =
        |name: &str, ms: f64| ProviderSpec { timing: pace(ms, 500.0), ..ProviderSpec::named(name) };
    let market = Market::start(vec![
        provider("cheap", 120.0).model("small", 0.5, 1.0, 0.8),
        provider("middle", 40.0).model("small", 1.0, 2.0, 0.8),
        provider("dear", 1.0).model("small", 3.0, 6.0, 0.8),
    ])?;
    let gateway = Gateway::start(&format!("[decisions]\nexport = \"{EXPORT}\"\n{}", market.config()))?;
    Ok((market, gateway))
}

#[test]
fn recorded_decisions_are_decided_again_with_the_same_order() -> Fallible<()> {
    let (market, mut gateway) = started()?;
    let count = traffic(&gateway)?;
    gateway.whole_log()?;
    let text = fs::read_to_string(gateway.folder().join(EXPORT))?;
    assert_eq!(text.lines().count(), count);
    for line in text.lines() {
        let record: Value = serde_json::from_str(line)?;
        let decision: Decision =
            serde_json::from_value(record.get("decision").ok_or("no decision")?.clone())?;
        let again = decision.clone().again(&decision.objective);
        assert_eq!(again.order, decision.order, "{line}");
        assert_eq!(again, decision, "{line}");
    }

    let replay = |more: &[&str]| {
        let mut arguments = vec!["replay", "decisions", EXPORT];
        arguments.extend(more);
        merit(gateway.folder(), &[], &arguments)
    };
    let same: Value = serde_json::from_str(&replay(&["--json"])?.out)?;
    assert_eq!(same.get("decisions"), Some(&json!(count)), "{same}");
    assert_eq!(same.get("reproduced"), Some(&json!(count)), "{same}");
    assert_eq!(same.get("moved_pct"), Some(&json!(0.0)), "{same}");
    let unweighted = same.get("effective_sample_size").and_then(Value::as_f64).ok_or("no size")?;
    assert!((unweighted - f64::from(u32::try_from(count)?)).abs() < 1e-6, "{same}");
    let nothing = same.pointer("/observed/latency_s/difference").and_then(Value::as_f64).ok_or("none")?;
    assert!(nothing.abs() < 1e-9, "{same}");
    let share = |report: &Value, endpoint: &str| {
        let rows = report.get("endpoints").and_then(Value::as_array).cloned().unwrap_or_default();
        let row = rows.into_iter().find(|row| row.get("endpoint") == Some(&json!(endpoint)));
        row.and_then(|row| row.get("after_pct").and_then(Value::as_f64)).unwrap_or_default()
    };
    let hasty: Value = serde_json::from_str(&replay(&["--usd-per-second", "1", "--json"])?.out)?;
    assert!(share(&hasty, "dear/small") > share(&same, "dear/small"), "{hasty}");
    assert!(
        hasty.pointer("/expected/cost_usd_per_1k/difference").and_then(Value::as_f64) > Some(0.0),
        "{hasty}"
    );
    assert!(hasty.get("ms_per_request").and_then(Value::as_f64) < Some(0.0), "{hasty}");
    let told = replay(&["--objective", "fastest"])?;
    assert!(told.out.contains("moves ") && told.out.contains(" a day"), "{told:?}");

    // A configuration in which the dear one costs next to nothing.
    let cheaper = market.config().replace("input = 3.0, output = 6.0", "input = 0.01, output = 0.01");
    gateway.put("cheaper.toml", &cheaper)?;
    let moved: Value = serde_json::from_str(&replay(&["--config", "cheaper.toml", "--json"])?.out)?;
    assert!(share(&moved, "dear/small") > 50.0, "{moved}");
    Ok(())
}

#[test]
fn what_is_no_record_is_refused_with_its_line() -> Fallible<()> {
    let (_market, mut gateway) = started()?;
    traffic(&gateway)?;
    gateway.whole_log()?;
    let text = fs::read_to_string(gateway.folder().join(EXPORT))?;
    let mut lines: Vec<&str> = text.lines().take(3).collect();
    lines.insert(2, "{\"at_unix_ms\":1,");
    gateway.put("cut.jsonl", &lines.join("\n"))?;
    gateway.put("empty.jsonl", "")?;
    gateway.put("other.jsonl", "{\"status\": 200}\n")?;
    let negative = text.replacen("\"cost_usd\":0.", "\"cost_usd\":-0.", 1);
    gateway.put("negative.jsonl", &negative)?;
    for (file, place) in [
        ("cut.jsonl", "cut.jsonl: line 3: "),
        ("empty.jsonl", "empty.jsonl: no decision in it"),
        ("other.jsonl", "other.jsonl: line 1: "),
        ("negative.jsonl", "negative.jsonl: line 1: "),
        ("missing.jsonl", "missing.jsonl: "),
    ] {
        let ran = merit(gateway.folder(), &[], &["replay", "decisions", file])?;
        assert_eq!(ran.code, 64, "{ran:?}");
        assert!(ran.err.contains(place), "{file}: {ran:?}");
    }
    let unknown = merit(gateway.folder(), &[], &["replay", "decisions", EXPORT, "--objective", "nicest"])?;
    assert!(unknown.code == 64 && unknown.err.contains("nicest"), "{unknown:?}");
    Ok(())
}

#[test]
fn a_decision_tells_all_that_it_rests_on() -> Fallible<()> {
    let (_market, gateway) = started()?;
    traffic(&gateway)?;
    let told = gateway.decision(&gateway.chat(&chat("small"))?)?;
    let decision = told.get("decision").ok_or("no decision")?;
    let candidates = decision.get("candidates").and_then(Value::as_array).ok_or("no candidates")?;
    assert_eq!(candidates.len(), 3, "{decision}");
    let of = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_f64);
    let shares: f64 = candidates.iter().filter_map(|one| of(one, "/propensity")).sum();
    assert!((shares - 1.0).abs() < 1e-6, "propensities sum to {shares}: {decision}");
    for candidate in candidates {
        let terms = candidate.get("terms").and_then(Value::as_array).ok_or("no terms")?;
        let waiting = terms.iter().find(|term| term.get("term") == Some(&json!("waiting"))).ok_or("none")?;
        assert!(of(waiting, "/samples") > Some(0.0), "{waiting}");
        assert!(of(waiting, "/age_seconds") >= Some(0.0), "{waiting}");
        assert!(of(waiting, "/interval/0") <= of(waiting, "/usd"), "{waiting}");
        let sum: f64 = terms.iter().filter_map(|term| of(term, "/usd")).sum();
        assert!((sum - of(candidate, "/score/total").unwrap_or_default()).abs() < 1e-8, "{candidate}");
    }
    let flips = decision.get("flips").and_then(Value::as_array).ok_or("no flips")?;
    assert!(flips.iter().any(|flip| flip.get("what") == Some(&json!("price_of_best"))), "{decision}");
    Ok(())
}

#[test]
fn decisions_and_explorations_are_counted() -> Fallible<()> {
    let (_market, gateway) = started()?;
    let count = traffic(&gateway)? as u64;
    until("every decision is timed", || Ok(gateway.count("merit_decision_seconds_count", &[])? == count))?;
    assert!(gateway.metric("merit_decision_seconds_sum", &[])? > 0.0);
    // As many explorations as decisions say that they explored.
    let explored = || -> Fallible<u64> {
        let newest = crate::support::http::get(gateway.admin, "/admin/v1/decisions?limit=1000")?.json()?;
        let data = newest.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        let of = |record: &&Value| record.pointer("/decision/explored") == Some(&json!(true));
        Ok(data.iter().filter(of).count() as u64)
    };
    until("explorations are counted", || Ok(gateway.count("merit_exploration_total", &[])? == explored()?))
}
