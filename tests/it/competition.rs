//! Providers compete: on price, on speed, across models, within what the caller
//! allows, and the caller is charged to the nano-dollar.

use std::collections::BTreeMap;

use merit::sim::{Entry, ProviderSpec};
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::Events;
use crate::support::market::{Market, pace};

fn with_objective(model: &str, objective: &str) -> Value {
    with(chat(model), "merit", json!({ "objective": objective }))
}

/// Who wins how many of so many requests.
fn winners(gateway: &Gateway, count: u32, body: &Value) -> Fallible<BTreeMap<String, u32>> {
    let mut winners = BTreeMap::new();
    for _ in 0..count {
        let answer = gateway.chat(body)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        *winners.entry(answer.must("x-merit-provider")?.to_owned()).or_default() += 1;
    }
    Ok(winners)
}

/// The same for streams, from which the time to the first token is learnt.
fn stream_winners(gateway: &Gateway, count: u32, body: &Value) -> Fallible<BTreeMap<String, u32>> {
    let mut winners = BTreeMap::new();
    let body = with(body.clone(), "stream", json!(true));
    for _ in 0..count {
        let stream = Events::open(gateway.api, CHAT, &[], body.to_string())?;
        *winners.entry(stream.answer.must("x-merit-provider")?.to_owned()).or_default() += 1;
        assert_eq!(stream.rest()?.last().map(String::as_str), Some("[DONE]"));
    }
    Ok(winners)
}

/// Nine in ten: now and then somebody else is asked, to learn.
fn wins(winners: &BTreeMap<String, u32>, name: &str) {
    let all: u32 = winners.values().sum();
    let own = winners.get(name).copied().unwrap_or_default();
    assert!(own * 10 >= all * 9, "{name} should win: {winners:?}");
}

#[test]
fn the_cheapest_and_the_fastest_win_where_that_is_wanted() -> Fallible<()> {
    let slow = ProviderSpec { timing: pace(300.0, 500.0), ..ProviderSpec::named("slow") };
    let quick = ProviderSpec { timing: pace(2.0, 2000.0), ..ProviderSpec::named("quick") };
    let market =
        Market::start(vec![slow.model("small", 0.1, 0.2, 0.8), quick.model("small", 1.0, 2.0, 0.8)])?;
    let gateway = Gateway::start(&market.config())?;
    wins(&winners(&gateway, 5, &with_objective("small", "cheapest"))?, "slow");
    // It learns how fast they are from whoever is asked.
    for name in ["slow", "quick"] {
        stream_winners(&gateway, 8, &with(chat("small"), "provider", json!({ "only": [name] })))?;
    }
    wins(&stream_winners(&gateway, 20, &with_objective("small", "fastest"))?, "quick");
    wins(&winners(&gateway, 20, &chat("small:nitro"))?, "quick");
    wins(&winners(&gateway, 5, &chat("small:floor"))?, "slow");
    for (sort, winner) in [("price", "slow"), ("latency", "quick")] {
        let sorted = with(chat("small"), "provider", json!({ "sort": sort }));
        wins(&winners(&gateway, 5, &sorted)?, winner);
    }
    Ok(())
}

#[test]
fn a_refused_key_costs_one_attempt_however_many_models_it_is_for() -> Fallible<()> {
    let cheap = ProviderSpec { key: Some("the-right-key".to_owned()), ..ProviderSpec::named("cheap") };
    let names = ["a", "b", "c", "d", "e"];
    let cheap = names.iter().fold(cheap, |spec, name| spec.model(name, 0.1, 0.2, 0.8));
    let market = Market::start(vec![cheap, ProviderSpec::named("dear").model("z", 50.0, 50.0, 0.5)])?;
    let config = market.config().replace("the-right-key", "another-key-altogether");
    let route = "[[routes]]\nname = \"auto\"\nmodels = [\"a\", \"b\", \"c\", \"d\", \"e\", \"z\"]\n";
    let gateway = Gateway::start(&format!("{config}{route}"))?;
    let answer = gateway.chat_as(&[], &with_objective("auto", "cheapest"))?;
    assert_eq!(answer.must("x-merit-provider")?, "dear");
    assert_eq!(answer.must("x-merit-attempts")?, "2", "the key was refused once, and that was enough");
    let resting = gateway.state()?.pointer("/degraded").and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(resting, names.len(), "all endpoints of that key rest");
    let answer = gateway.chat_as(&[], &with_objective("auto", "cheapest"))?;
    assert_eq!(answer.must("x-merit-attempts")?, "1");
    Ok(())
}

#[test]
fn a_route_lets_models_compete() -> Fallible<()> {
    let market = Market::start(vec![
        ProviderSpec::named("one").model("small", 0.1, 0.2, 0.3),
        ProviderSpec::named("two").model("large", 5.0, 10.0, 0.95),
    ])?;
    let route = "[[routes]]\nname = \"auto\"\nmodels = [\"small\", \"large\"]\nobjective = \"cheapest\"\n";
    let gateway = Gateway::start(&format!("{}{route}", market.config()))?;
    wins(&winners(&gateway, 10, &chat("auto"))?, "one");
    wins(&winners(&gateway, 10, &with_objective("auto", "best"))?, "two");
    let header = [("x-merit-objective", "best")];
    let answer = gateway.chat_as(&header, &chat("auto"))?;
    let decision = gateway.decision(&answer)?;
    assert_eq!(decision.get("route"), Some(&json!("auto")), "{decision}");
    assert_eq!(decision.pointer("/decision/objective/name"), Some(&json!("best")), "{decision}");
    let candidates = decision.pointer("/decision/candidates").and_then(Value::as_array).ok_or("none")?;
    assert_eq!(candidates.len(), 2, "{decision}");
    for candidate in candidates {
        let score = candidate.get("score").and_then(Value::as_object).ok_or("no score")?;
        let usd = |name: &str| score.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let terms: f64 = score.keys().filter(|name| *name != "total").map(|name| usd(name)).sum();
        assert!((terms - usd("total")).abs() < 1e-9, "the terms do not add up: {candidate}");
    }
    Ok(())
}

#[test]
fn what_the_caller_does_not_allow_is_not_used() -> Fallible<()> {
    let market = Market::start(vec![
        ProviderSpec::named("one").model("small", 1.0, 2.0, 0.8),
        ProviderSpec::named("two").model("small", 3.0, 6.0, 0.8),
    ])?;
    let gateway = Gateway::start(&market.config())?;
    let asking = |merit: Value| with(chat("small"), "merit", merit);
    let none = gateway.chat(&asking(json!({ "max_price": { "input": 0.5 } })))?;
    assert_eq!((none.status, none.error_code()?.as_str()), (422, "no_candidate"), "{}", none.body);
    let told = none.json()?;
    let rejects = told.pointer("/merit/rejects").and_then(Value::as_array).ok_or("no rejects")?;
    let mut seen: Vec<_> =
        rejects.iter().map(|reject| (reject["endpoint"].clone(), reject["code"].clone())).collect();
    seen.sort_by_key(|(endpoint, _)| endpoint.to_string());
    let expected = ["one/small", "two/small"].map(|endpoint| (json!(endpoint), json!("max_price")));
    assert_eq!(seen, expected, "{told}");

    let two = ["only", "order"].map(|member| {
        let fallbacks = member == "only";
        json!({ member: ["two"], "allow_fallbacks": fallbacks })
    });
    for merit in two.into_iter().chain([json!({ "ignore": ["one"] })]) {
        assert_eq!(gateway.chat(&asking(merit.clone()))?.must("x-merit-provider")?, "two", "{merit}");
    }
    wins(&winners(&gateway, 10, &asking(json!({ "max_price": { "output": 2.0 } })))?, "one");
    let broke = gateway.chat_as(&[("x-merit-max-cost-usd", "0.000000001")], &chat("small"))?;
    assert_eq!((broke.status, broke.error_code()?.as_str()), (422, "no_candidate"), "{}", broke.body);
    assert!(broke.body.contains("max_cost"), "{}", broke.body);
    assert_eq!(gateway.chat_as(&[("x-merit-max-cost-usd", "much")], &chat("small"))?.status, 400);
    Ok(())
}

/// Pico-dollars a token: prices with as many digits as there can be.
const INPUT: u64 = 123_457;
const OUTPUT: u64 = 7_654_321;

/// What an answer costs, in nano-dollars, rounded once and half up.
fn nano_usd(entry: &Entry) -> u64 {
    let pico = entry.consumed.prompt_tokens * INPUT + entry.consumed.completion_tokens * OUTPUT;
    (pico + 500) / 1000
}

fn exact_market() -> Fallible<Market> {
    Market::start(vec![ProviderSpec::named("sim").model("small", 0.123_457, 7.654_321, 0.8)])
}

#[test]
fn the_charge_is_exact_to_the_nano_dollar() -> Fallible<()> {
    let market = exact_market()?;
    let gateway = Gateway::start(&market.config())?;
    for words in [1, 2, 3, 7, 40] {
        let messages = json!([{ "role": "user", "content": "word ".repeat(words) }]);
        let body = with(with(chat("small"), "messages", messages), "max_tokens", json!(words));
        let answer = gateway.chat(&body)?;
        let entries = market.entries();
        let entry = entries.last().ok_or("nothing asked")?;
        let cost = format!("0.{:09}", nano_usd(entry));
        assert_eq!(answer.must("x-merit-cost-usd")?, cost, "{entry:?}");
        let decision = gateway.decision(&answer)?;
        assert_eq!(decision.get("cost_usd"), Some(&json!(cost)), "{decision}");
        assert_eq!(decision.get("tokens_in"), Some(&json!(entry.consumed.prompt_tokens)), "{decision}");
        assert_eq!(decision.get("tokens_out"), Some(&json!(entry.consumed.completion_tokens)), "{decision}");
        assert_eq!(decision.get("usage_estimated"), Some(&json!(false)), "{decision}");
    }
    let nano: u64 = market.entries().iter().map(nano_usd).sum();
    let usd = gateway.metric("merit_cost_usd_total", &["provider=\"sim\""])?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let expected = nano as f64 / 1e9;
    assert!((usd - expected).abs() < 1e-12, "{usd} is not {expected}");
    Ok(())
}

#[test]
fn a_streams_usage_is_told_to_those_who_ask() -> Fallible<()> {
    let market = exact_market()?;
    let gateway = Gateway::start(&market.config())?;
    let body = streamed("small");
    let silent = Events::open(gateway.api, CHAT, &[], body.to_string())?.rest()?;
    assert!(!silent.concat().contains("usage"), "{silent:?}");

    let body = with(body, "stream_options", json!({ "include_usage": true }));
    let stream = Events::open(gateway.api, CHAT, &[], body.to_string())?;
    let id = stream.answer.must("x-request-id")?.to_owned();
    let events = stream.rest()?;
    let [before @ .., last, done] = events.as_slice() else { return Err("too few events".into()) };
    assert_eq!(done, "[DONE]");
    let last: Value = serde_json::from_str(last)?;
    let entries = market.entries();
    let entry = entries.last().ok_or("nothing asked")?;
    let cost = format!("0.{:09}", nano_usd(entry));
    assert_eq!(last.get("choices"), Some(&json!([])), "{last}");
    assert_eq!(last.pointer("/usage/prompt_tokens"), Some(&json!(entry.consumed.prompt_tokens)), "{last}");
    let told = last.pointer("/usage/cost").ok_or("no cost")?.to_string();
    assert_eq!(told.parse::<f64>()?.to_bits(), cost.parse::<f64>()?.to_bits(), "{last}");
    let merit = last.get("merit").ok_or("no merit")?;
    assert_eq!(merit.get("request_id"), Some(&json!(id)), "{merit}");
    assert_eq!(merit.get("provider"), Some(&json!("sim")), "{merit}");
    assert_eq!(merit.get("cost_usd"), Some(&json!(cost)), "{merit}");
    assert_eq!(merit.get("attempts"), Some(&json!(1)), "{merit}");
    let with_usage = |event: &&String| {
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        event.get("usage").is_some_and(|usage| !usage.is_null()) || event.get("merit").is_some()
    };
    assert_eq!(before.iter().filter(with_usage).count(), 0, "{events:?}");
    Ok(())
}
