//! What a caller demands is kept or refused with a reason for each endpoint; what
//! it merely prefers excludes nobody.

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::gateway::Gateway;
use crate::support::http::Answer;
use crate::support::market::{Market, pace};

/// The code of each endpoint that was rejected.
fn codes(answer: &Answer) -> Fallible<Vec<String>> {
    let body = answer.json()?;
    let rejects = body.pointer("/merit/rejects").and_then(Value::as_array).ok_or("no rejects")?;
    Ok(rejects.iter().filter_map(|reject| reject.get("code")?.as_str()).map(ToOwned::to_owned).collect())
}

fn asking(member: &str, value: &Value) -> Value {
    with(chat("small"), "merit", json!({ member: value }))
}

#[test]
fn data_policy_and_region_are_kept() -> Fallible<()> {
    let market = Market::start(
        ["anywhere", "careful"].map(|name| ProviderSpec::named(name).model("small", 1.0, 2.0, 0.8)).into(),
    )?;
    let promised = "name = \"small\"\nregion = \"eu-west-1\"\nretention = false\ntraining = false";
    let (anywhere, careful) = market
        .config()
        .rsplit_once("name = \"small\"")
        .map_or_else(Default::default, |(before, after)| (before.to_owned(), format!("{promised}{after}")));
    let gateway = Gateway::start(&format!("{anywhere}{careful}"))?;
    for (member, value) in [
        ("zdr", json!(true)),
        ("no_training", json!(true)),
        ("region", json!("eu")),
        ("data_collection", json!("deny")),
    ] {
        for _ in 0..4 {
            let answer = gateway.chat(&asking(member, &value))?;
            assert_eq!(answer.must("x-merit-provider")?, "careful", "{member}");
        }
    }
    let openrouter = with(chat("small"), "provider", json!({ "data_collection": "deny", "zdr": true }));
    let answer = gateway.chat(&openrouter)?;
    assert_eq!(answer.must("x-merit-provider")?, "careful");
    assert_eq!(answer.header("x-merit-warnings"), None, "it is understood");
    let refused = gateway.chat(&asking("region", &json!("us")))?;
    assert_eq!((refused.status, codes(&refused)?), (422, vec!["region".to_owned(), "region".to_owned()]));
    Ok(())
}

#[test]
fn what_cannot_be_kept_is_infeasible_and_says_why() -> Fallible<()> {
    let slow = ProviderSpec { timing: pace(400.0, 1000.0), ..ProviderSpec::named("slow") };
    let quick = ProviderSpec { timing: pace(1.0, 5000.0), ..ProviderSpec::named("quick") };
    let market =
        Market::start(vec![slow.model("small", 0.1, 0.2, 0.9), quick.model("small", 5.0, 9.0, 0.6)])?;
    let gateway = Gateway::start(&market.config())?;
    for name in ["slow", "quick"] {
        let only = with(chat("small"), "provider", json!({ "only": [name] }));
        for _ in 0..6 {
            assert_eq!(gateway.chat(&with(only.clone(), "stream", json!(true)))?.status, 200);
        }
    }
    let timely = json!({ "objective": "cheapest", "ttft": { "ms": 200, "probability": 0.5 } });
    let answer = gateway.chat(&with(chat("small"), "merit", timely))?;
    assert_eq!(answer.must("x-merit-provider")?, "quick", "the cheapest that is in time");
    let both = json!({ "ttft": { "ms": 200, "probability": 0.5 }, "min_quality": 0.8 });
    let refused = gateway.chat(&with(chat("small"), "merit", both))?;
    let body = refused.json()?;
    assert_eq!(refused.status, 422, "{body}");
    assert_eq!(body.pointer("/error/code"), Some(&json!("no_candidate")));
    assert_eq!(body.pointer("/merit/infeasible"), Some(&json!(true)));
    let message = body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    assert!(message.starts_with("infeasible") && message.contains("min_quality at 1"), "{message}");
    assert_eq!(codes(&refused)?, ["min_quality", "ttft"]);

    let hurried = gateway.chat(&asking("deadline_ms", &json!(1)))?;
    assert_eq!((hurried.status, codes(&hurried)?), (422, vec!["deadline".to_owned(); 2]));
    let unhurried = gateway.chat(&asking("deadline_ms", &json!(60_000)))?;
    assert_eq!(unhurried.must("x-merit-provider")?, "slow");

    let preferred = json!({ "preferred_max_latency": { "p50": 0.2 }, "objective": "cheapest" });
    let answer = gateway.chat(&with(chat("small"), "merit", preferred))?;
    assert_eq!(answer.must("x-merit-provider")?, "quick");
    let decision = gateway.decision(&answer)?;
    let candidates = decision.pointer("/decision/candidates").and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(candidates, 2, "the slow one is behind, not out: {decision}");
    Ok(())
}

#[test]
fn whoever_insists_on_its_parameters_gets_nobody_who_drops_them() -> Fallible<()> {
    let claude =
        ProviderSpec { dialect: merit::catalog::Dialect::Anthropic, ..ProviderSpec::named("claude") };
    let market = Market::start(vec![
        claude.model("small", 0.1, 0.2, 0.9),
        ProviderSpec::named("plain").model("small", 5.0, 9.0, 0.6),
    ])?;
    let gateway = Gateway::start(&market.config())?;
    let seeded = with(chat("small"), "seed", json!(7));
    let insists = with(seeded.clone(), "provider", json!({ "require_parameters": true }));
    assert_eq!(gateway.chat(&insists)?.must("x-merit-provider")?, "plain");
    assert_eq!(gateway.chat(&seeded)?.must("x-merit-provider")?, "claude");
    let alone = with(seeded, "provider", json!({ "require_parameters": true, "only": ["claude"] }));
    assert_eq!(codes(&gateway.chat(&alone)?)?, ["parameters", "not_allowed"]);
    Ok(())
}

#[test]
fn a_deadline_ends_attempts_and_is_not_held_against_who_was_asked() -> Fallible<()> {
    let market = Market::start(vec![ProviderSpec::named("sim").model("small", 1.0, 2.0, 0.8)])?;
    let gateway = Gateway::start(&market.config())?;
    let hurried = asking("deadline_ms", &json!(300));
    market.provider("sim")?.set("delay=20s")?;
    for body in [hurried.clone(), with(hurried.clone(), "stream", json!(true))] {
        let began = tokio::time::Instant::now();
        let answer = gateway.chat(&body)?;
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
        let error = answer.json()?;
        assert_eq!((answer.status, &error["error"]["code"]), (504, &json!("upstream_timeout")));
        let decision = gateway.decision(&answer)?;
        assert_eq!(decision.pointer("/attempts/0/result"), Some(&json!("out_of_time")), "{decision}");
    }
    // A stream that has begun ends with an error of its own.
    let gateway = Gateway::start(&market.config())?;
    market.provider("sim")?.set("gap=200ms&words=100")?;
    let streamed = gateway.chat(&with(asking("deadline_ms", &json!(1500)), "stream", json!(true)))?;
    assert_eq!(streamed.status, 200);
    assert!(streamed.body.contains("upstream_timeout"), "{}", streamed.body);
    assert!(!streamed.body.contains("[DONE]"), "{}", streamed.body);
    market.provider("sim")?.set("normal")?;
    assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    Ok(())
}

#[test]
fn who_says_that_nothing_is_left_is_spared_but_not_when_there_is_nobody_else() -> Fallible<()> {
    let market = Market::start(vec![
        ProviderSpec::named("cheap").model("small", 0.1, 0.2, 0.8),
        ProviderSpec::named("dear").model("small", 5.0, 9.0, 0.8),
    ])?;
    let gateway = Gateway::start(&market.config())?;
    let cheapest = asking("objective", &json!("cheapest"));
    assert_eq!(gateway.chat(&cheapest)?.must("x-merit-provider")?, "cheap");
    market.provider("cheap")?.set("retry-after=none-left:30")?;
    assert_eq!(gateway.chat(&cheapest)?.must("x-merit-provider")?, "cheap", "it has just said so");
    let spared = gateway.chat(&cheapest)?;
    assert_eq!(spared.must("x-merit-provider")?, "dear");
    let decision = gateway.decision(&spared)?;
    assert_eq!(decision.pointer("/decision/rejects/0/code"), Some(&json!("headroom")), "{decision}");
    // Nobody has refused anything: where no other is left, it is asked all the same.
    let only = with(cheapest, "provider", json!({ "only": ["cheap"] }));
    for _ in 0..3 {
        assert_eq!(gateway.chat(&only)?.must("x-merit-provider")?, "cheap");
    }
    Ok(())
}
