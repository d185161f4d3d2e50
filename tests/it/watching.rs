//! What operators watch: metrics with labels that cannot run away, one log line
//! a request, and no secret in any of it.

use std::collections::BTreeSet;

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{self, Events};
use crate::support::market::Market;
use crate::support::process::until;

/// What the traffic below must have left in the metrics. Families of parts that
/// are not built yet (hedges, plans, budgets, stores) have no samples.
const METRICS: [&str; 31] = [
    "merit_requests_total",
    "merit_request_duration_seconds",
    "merit_time_to_first_token_seconds",
    "merit_inter_token_seconds",
    "merit_overhead_seconds",
    "merit_attempts_total",
    "merit_retries_total",
    "merit_fallbacks_total",
    "merit_circuit_state",
    "merit_endpoint_score_usd",
    "merit_endpoint_quality",
    "merit_price_usd_per_mtok",
    "merit_decision_seconds",
    "merit_regret_usd_total",
    "merit_exploration_total",
    "merit_tokens_total",
    "merit_cost_usd_total",
    "merit_reservations_open",
    "merit_usage_estimated_total",
    "merit_unpriced_requests_total",
    "merit_streams_truncated_total",
    "merit_inflight",
    "merit_shed_total",
    "merit_ledger_append_seconds",
    "merit_config_reload_total",
    "merit_config_generation",
    "merit_panics_total",
    "merit_build_info",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
];

/// What every request's log line has.
const FIELDS: [&str; 15] = [
    "ts",
    "level",
    "request_id",
    "key",
    "route",
    "stream",
    "outcome",
    "status",
    "attempts",
    "total_ms",
    "overhead_ms",
    "tokens_in",
    "tokens_out",
    "usage_estimated",
    "generation",
];

fn two() -> Fallible<Market> {
    Market::start(vec![
        ProviderSpec::named("one").model("small", 1.0, 2.0, 0.8),
        ProviderSpec::named("two").model("small", 30.0, 60.0, 0.8),
    ])
}

/// Some of everything; gives the request ids.
fn traffic(gateway: &Gateway, market: &Market) -> Fallible<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    let mut seen = |answer: &http::Answer| -> Fallible<()> {
        ids.insert(answer.must("x-request-id")?.to_owned());
        Ok(())
    };
    for _ in 0..3 {
        seen(&gateway.chat(&chat("small"))?)?;
        let stream = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
        seen(&stream.answer)?;
        stream.rest()?;
    }
    // A reset of a fresh connection is tried again, a failure is somebody else's turn.
    for behaviour in ["rate-limit-ms", "status-500", "reset", "cut-after-preamble"] {
        market.provider("one")?.next(&[behaviour])?;
        seen(&gateway.chat(&chat("small"))?)?;
    }
    market.provider("two")?.set("status-500")?;
    market.provider("one")?.set("status-500")?;
    seen(&gateway.chat(&chat("small"))?)?;
    for provider in ["one", "two"] {
        market.provider(provider)?.set("normal")?;
    }
    for number in 0..20 {
        seen(&gateway.chat(&chat(&format!("unheard-of-{number}")))?)?;
    }
    seen(&http::send(gateway.api, "POST", CHAT, &[], "not JSON")?)?;
    Ok(ids)
}

#[test]
fn metrics_are_whole_and_their_labels_are_closed() -> Fallible<()> {
    let market = two()?;
    let gateway = Gateway::start(&market.config())?;
    let ids = traffic(&gateway, &market)?;
    until(
        "every request is counted",
        || Ok(gateway.count("merit_requests_total", &[])? >= ids.len() as u64),
    )?;
    let text = http::get(gateway.admin, "/metrics")?.body;
    for name in METRICS {
        let sampled = text
            .lines()
            .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_'])));
        assert!(sampled, "{name} has no samples:\n{text}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
    }
    assert!(!text.contains("unheard-of"), "callers make labels:\n{text}");
    assert_eq!(gateway.count("merit_requests_total", &["route=\"_other\""])?, 21);
    assert_eq!(gateway.count("merit_requests_total", &["outcome=\"client_error\""])?, 21);
    assert_eq!(gateway.count("merit_inflight", &[])?, 0);
    assert_eq!(gateway.count("merit_reservations_open", &[])?, 0);
    let sent = gateway.count("merit_attempts_total", &[])?;
    assert_eq!(sent, market.entries().len() as u64, "every attempt is counted, once");
    Ok(())
}

#[test]
fn every_request_has_one_line_in_the_log() -> Fallible<()> {
    let market = two()?;
    let gateway = Gateway::start(&market.config())?;
    let ids = traffic(&gateway, &market)?;
    let lines = || -> Vec<Value> {
        let log = gateway.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line.get("msg") == Some(&json!("request"))).collect()
    };
    until("every request is logged", || Ok(lines().len() >= ids.len()))?;
    let lines = lines();
    let logged: Vec<&str> =
        lines.iter().filter_map(|line| line.get("request_id").and_then(Value::as_str)).collect();
    assert_eq!(logged.len(), ids.len(), "{logged:?}");
    assert_eq!(logged.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), ids);
    for line in &lines {
        for field in FIELDS {
            assert!(line.get(field).is_some(), "no {field}: {line}");
        }
        let ok = line.get("outcome") == Some(&json!("ok"));
        for field in ["provider", "model", "cost_usd"] {
            assert_eq!(line.get(field).is_some(), ok, "{field}: {line}");
        }
    }
    for line in gateway.log().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "a line that is not JSON: {line}");
    }
    Ok(())
}

#[test]
fn a_providers_key_appears_nowhere() -> Fallible<()> {
    const KEY: &str = "sk-planted-0123456789abcdef";
    let spec = ProviderSpec { key: Some(KEY.into()), ..ProviderSpec::named("sim") };
    let market = Market::start(vec![spec.model("small", 1.0, 2.0, 0.8)])?;
    let quiet =
        "[router.breaker]\nconsecutive_failures = 1000\nfailure_ratio = 1.0\n[log]\nlevel = \"debug\"\n";
    let mut gateway = Gateway::start(&format!("{}{quiet}", market.config()))?;
    let sim = market.provider("sim")?;
    let mut read = vec![gateway.chat(&chat("small"))?];
    for behaviour in [
        "echo-key-error",
        "echo-key-error?status=400",
        "echo-key-error?status=500",
        "normal?quirks=echo-key-header",
    ] {
        sim.set(behaviour)?;
        read.push(gateway.chat(&chat("small"))?);
        read.push(gateway.chat(&streamed("small"))?);
    }
    for id in read.clone().iter().filter_map(|answer| answer.header("x-request-id")) {
        read.push(http::get(gateway.admin, &format!("/admin/v1/decisions/{id}"))?);
    }
    for path in
        ["/metrics", "/readyz?verbose", "/admin/v1/providers", "/admin/v1/prices", "/admin/v1/decisions"]
    {
        read.push(http::get(gateway.admin, path)?);
    }
    read.push(http::send(gateway.admin, "POST", "/admin/v1/explain", &[], chat("small").to_string())?);
    assert!(market.entries().iter().all(|entry| entry.credential.is_some()), "the key was never sent");
    for answer in &read {
        assert!(!format!("{}{}", answer.head, answer.body).contains(KEY), "{}{}", answer.head, answer.body);
    }
    let log = gateway.whole_log()?;
    assert!(log.contains("request_id") && !log.contains(KEY), "{log}");
    Ok(())
}
