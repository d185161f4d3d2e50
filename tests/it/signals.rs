//! Answers teach who gives good ones: by their form, by what callers say of them,
//! and by asking again.

use std::collections::BTreeMap;

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{self, Answer, Events};
use crate::support::keys::configured;
use crate::support::market::{Market, pace};
use crate::support::process::until;

const FEEDBACK: &str = "/v1/feedback";

/// Three providers of one model at nearly the same price and speed.
fn three() -> Fallible<Market> {
    let provider = |name: &str, price: f64| {
        let spec = ProviderSpec { timing: pace(3.0, 2000.0), ..ProviderSpec::named(name) };
        spec.model("small", price, 2.0 * price, 0.8)
    };
    Market::start(vec![provider("one", 0.1), provider("two", 0.1001), provider("three", 0.1002)])
}

/// A request for JSON of a schema, each for another city.
fn structured(number: u32) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"], "additionalProperties": false});
    let format =
        json!({ "type": "json_schema", "json_schema": { "name": "trip", "strict": true, "schema": schema } });
    let messages = json!([{ "role": "user", "content": format!("A trip to city {number}") }]);
    with(with(chat("small"), "response_format", format), "messages", messages)
}

/// One that offers a tool and insists on its being called.
fn calling(number: u32) -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"]});
    let tools = json!([{ "type": "function", "function": { "name": "forecast", "parameters": parameters } }]);
    let messages = json!([{ "role": "user", "content": format!("Call for city {number}") }]);
    let body = with(with(chat("small"), "tools", tools), "messages", messages);
    with(body, "tool_choice", json!("required"))
}

/// Sends it, as a stream if so wanted; says who answered.
fn asked(gateway: &Gateway, body: &Value, stream: bool) -> Fallible<String> {
    if stream {
        let body = with(body.clone(), "stream", json!(true));
        let events = Events::open(gateway.api, CHAT, &[], body.to_string())?;
        assert_eq!(events.answer.status, 200);
        let provider = events.answer.must("x-merit-provider")?.to_owned();
        assert_eq!(events.rest()?.last().map(String::as_str), Some("[DONE]"));
        return Ok(provider);
    }
    let answer = gateway.chat(body)?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(answer.must("x-merit-provider")?.to_owned())
}

/// Makes the request of that number.
type Asking = fn(u32) -> Value;

type Shares = BTreeMap<String, u32>;

fn shares(gateway: &Gateway, numbers: std::ops::Range<u32>, body: fn(u32) -> Value) -> Fallible<Shares> {
    let mut shares = Shares::new();
    for number in numbers {
        *shares.entry(asked(gateway, &body(number), number % 2 == 0)?).or_default() += 1;
    }
    Ok(shares)
}

fn found(gateway: &Gateway, signal: &str) -> Fallible<u64> {
    gateway.count("merit_answer_signals_total", &[&format!("signal=\"{signal}\"")])
}

/// A provider that silently degrades loses its share within 200 requests, and no
/// caller gets an error.
fn loses_its_share(fault: &str, body: fn(u32) -> Value, form: &str, signal: &str) -> Fallible<()> {
    let market = three()?;
    let gateway = Gateway::start(&market.config())?;
    let before = shares(&gateway, 0..90, body)?;
    let (favourite, _) = before.iter().max_by_key(|(_, count)| **count).ok_or("nobody asked")?;
    assert_eq!(found(&gateway, signal)?, 0, "all are sound: {before:?}");
    market.provider(favourite)?.set(fault)?;
    let during = shares(&gateway, 1000..1200, body)?;
    let own = during.get(favourite).copied().unwrap_or_default();
    assert!(own < 20, "{favourite} keeps {own} of 200: {before:?} then {during:?}");
    assert!(found(&gateway, signal)? > 0);
    let label = format!("provider=\"{favourite}\"");
    let demand = format!("demand=\"{form}\"");
    let unusable = gateway.metric("merit_endpoint_unusable_share", &[&label, &demand])?;
    assert!(unusable > 0.02, "{unusable}");
    let quality = gateway.metric("merit_endpoint_quality", &[&label])?;
    assert!(quality < 0.79, "{quality}");
    // Who insists on it is served by it all the same, and then it is plain to see.
    for number in 3000..3010 {
        let insisting = with(body(number), "provider", json!({ "only": [favourite] }));
        assert_eq!(asked(&gateway, &insisting, false)?, *favourite);
    }
    let identity = json!(format!("{favourite}/small"));
    until("the alarm", || Ok(gateway.state()?.get("drifting") == Some(&json!([identity]))))?;
    assert!(gateway.metric("merit_endpoint_drifting", &[&label])? > 0.5);
    assert_eq!(gateway.count("merit_quality_alarms_total", &[&label, "kind=\"unsound\""])?, 1);
    let listed = http::get(gateway.admin, "/admin/v1/providers")?.json()?;
    let listed = listed.get("data").and_then(Value::as_array).ok_or("no list")?;
    let drifting: Vec<_> = listed.iter().filter(|one| one["drifting"] == json!(true)).collect();
    assert_eq!(drifting.iter().map(|one| &one["endpoint"]).collect::<Vec<_>>(), [&identity]);
    assert!(gateway.log().contains("of no use more often"), "{}", gateway.log());
    Ok(())
}

#[test]
fn who_breaks_schemas_loses_its_share() -> Fallible<()> {
    loses_its_share("quirks=schema-broken", structured, "structured", "schema_mismatch")
}

#[test]
fn who_ignores_schemas_loses_its_share() -> Fallible<()> {
    loses_its_share("quirks=schema-ignored", structured, "structured", "not_json")
}

#[test]
fn who_calls_tools_wrongly_loses_its_share() -> Fallible<()> {
    loses_its_share("quirks=tool-mistyped", calling, "tools", "tool_schema_mismatch")
}

#[test]
fn every_kind_of_bad_answer_is_found_streamed_or_not() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = Gateway::start(&market.config())?;
    let (call, json, plain): (Asking, Asking, Asking) = (calling, structured, |n| {
        with(chat("small"), "messages", json!([{ "role": "user", "content": n.to_string() }]))
    });
    let kinds = [
        ("normal", json, "sound"),
        ("normal", call, "sound"),
        ("normal", plain, "sound"),
        ("quirks=schema-broken", json, "schema_mismatch"),
        ("quirks=schema-ignored", json, "not_json"),
        ("quirks=tool-unknown", call, "tool_unknown"),
        ("quirks=tool-broken", call, "tool_not_json"),
        ("quirks=tool-mistyped", call, "tool_schema_mismatch"),
        ("answer=refusal", plain, "refused"),
        ("answer=refusal", json, "refused"),
    ];
    let mut number = 0;
    for (fault, body, signal) in kinds {
        for stream in [false, true] {
            market.provider("sim")?.set(fault)?;
            let before = found(&gateway, signal)?;
            number += 1;
            asked(&gateway, &body(number), stream)?;
            let what = format!("{fault} {signal} stream={stream}");
            until(&what, || Ok(found(&gateway, signal)? == before + 1))?;
        }
    }
    Ok(())
}

#[test]
fn who_has_to_ask_again_was_not_content() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = Gateway::start(&market.config())?;
    for stream in [false, true, true] {
        asked(&gateway, &chat("small"), stream)?;
    }
    until("all three are looked at", || Ok(found(&gateway, "sound")? == 3))?;
    assert_eq!(found(&gateway, "asked_again")?, 1, "the first repetition, and no other");
    Ok(())
}

fn says(gateway: &Gateway, headers: &[(&str, &str)], body: &str) -> Fallible<Answer> {
    http::send(gateway.api, "POST", FEEDBACK, headers, body)
}

fn score(id: &str, score: &Value) -> String {
    json!({ "request_id": id, "score": score, "comment": "x" }).to_string()
}

#[test]
fn feedback_teaches_who_is_worse() -> Fallible<()> {
    let market = three()?;
    let gateway = Gateway::start(&market.config())?;
    let believed = || gateway.metric("merit_endpoint_quality", &["provider=\"one\""]);
    let before = believed()?;
    for number in 0..20 {
        let body = with(structured(number), "provider", json!({ "only": ["one"] }));
        let answer = gateway.chat(&body)?;
        let learnt = says(&gateway, &[], &score(answer.must("x-request-id")?, &json!(0)))?;
        assert_eq!(learnt.status, 200, "{}", learnt.body);
        let learnt = learnt.json()?;
        assert_eq!((&learnt["learnt"], &learnt["provider"]), (&json!(true), &json!("one")), "{learnt}");
    }
    assert!(believed()? < before - 0.2, "{} then {}", before, believed()?);
    // The others are known to do better: else the model could be at fault.
    for number in 20..30 {
        let body = with(structured(number), "provider", json!({ "ignore": ["one"] }));
        let answer = gateway.chat(&body)?;
        says(&gateway, &[], &score(answer.must("x-request-id")?, &json!(1)))?.json()?;
    }
    let one = gateway.metric("merit_endpoint_quality", &["provider=\"one\""])?;
    let two = gateway.metric("merit_endpoint_quality", &["provider=\"two\""])?;
    assert!(one < two, "{one} {two}: the one that was judged is the worse");
    assert_eq!(gateway.count("merit_judgements_total", &["source=\"feedback\""])?, 30);
    let after = shares(&gateway, 2000..2020, structured)?;
    assert_eq!(after.get("one"), None, "{after:?}");
    Ok(())
}

#[test]
fn feedback_that_makes_no_sense_is_refused() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = Gateway::start(&market.config())?;
    let answer = gateway.chat(&chat("small"))?;
    let id = answer.must("x-request-id")?;
    for bad in [json!(1.5), json!(-0.1), json!("0.5"), json!(null), json!(true)] {
        let refused = says(&gateway, &[], &score(id, &bad))?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (400, "invalid_request"), "{bad}");
        assert_eq!(refused.json()?.pointer("/error/param"), Some(&json!("score")), "{bad}");
    }
    let whole = format!("{{\"request_id\":\"{id}\",\"score\":NaN}}");
    for bad in ["", "[]", "{", whole.as_str(), "{\"score\":1}"] {
        assert_eq!(says(&gateway, &[], bad)?.status, 400, "{bad}");
    }
    for unknown in ["0193b6a0-0000-7000-8000-000000000001", "no id at all"] {
        let refused = says(&gateway, &[], &score(unknown, &json!(1)))?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (404, "not_found"), "{unknown}");
    }
    let large = format!("{{\"comment\":\"{}\"}}", "x".repeat(100_000));
    let refused = says(&gateway, &[], &large)?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (413, "request_too_large"));
    assert_eq!(http::get(gateway.api, FEEDBACK)?.status, 405);

    let good = says(&gateway, &[], &score(id, &json!(0.75)))?;
    assert_eq!((good.status, &good.json()?["learnt"]), (200, &json!(true)), "{}", good.body);
    for path in ["/feedback", "/v1/feedback/", "/feedback/"] {
        let again = http::send(gateway.api, "POST", path, &[], score(id, &json!(0.75)))?;
        assert_eq!((again.status, &again.json()?["learnt"]), (200, &json!(false)), "{path}: {}", again.body);
    }
    let other = says(&gateway, &[], &score(id, &json!(0.25)))?;
    assert_eq!((other.status, other.error_code()?.as_str()), (409, "conflict"), "{}", other.body);
    assert_eq!(gateway.count("merit_judgements_total", &["source=\"feedback\""])?, 1);
    assert_eq!(gateway.decision(&answer)?.get("feedback"), Some(&json!(0.75)));

    market.provider("sim")?.set("status=400")?;
    let failed = gateway.chat(&chat("small"))?;
    assert_ne!(failed.status, 200);
    let nothing = says(&gateway, &[], &score(failed.must("x-request-id")?, &json!(0)))?;
    assert_eq!((nothing.status, nothing.error_code()?.as_str()), (409, "conflict"), "{}", nothing.body);
    Ok(())
}

#[test]
fn nobody_judges_what_somebody_else_was_answered() -> Fallible<()> {
    let market = Market::of_one()?;
    let keys = configured(&[("app", ""), ("spy", ""), ("blind", "expose = \"none\"")]);
    let gateway = Gateway::start(&format!("{keys}{}", market.config()))?;
    let (app, spy) = ([("authorization", "Bearer sk-app")], [("authorization", "Bearer sk-spy")]);
    let answer = gateway.chat_as(&app, &chat("small"))?;
    let judgement = score(answer.must("x-request-id")?, &json!(0));
    let (foreign, nobody) = (says(&gateway, &spy, &judgement)?, says(&gateway, &[], &judgement)?);
    assert_eq!((foreign.status, foreign.error_code()?.as_str()), (404, "not_found"));
    assert_eq!((nobody.status, nobody.error_code()?.as_str()), (401, "invalid_api_key"));
    assert_eq!(says(&gateway, &app, &judgement)?.status, 200);

    let blind = [("authorization", "Bearer sk-blind")];
    let answer = gateway.chat_as(&blind, &chat("small"))?;
    let told = says(&gateway, &blind, &score(answer.must("x-request-id")?, &json!(1)))?;
    assert_eq!(told.status, 200);
    assert!(!told.body.contains("sim") && !told.body.contains("quality"), "{}", told.body);
    Ok(())
}

/// A market of one provider, and a judge whose every verdict is `verdict`.
fn judged(verdict: &str, judge: &str) -> Fallible<(Market, Gateway)> {
    let market = Market::start(vec![
        ProviderSpec::named("sim").model("small", 1.0, 2.0, 0.8),
        ProviderSpec::named("court").model("judge", 1.0, 2.0, 0.9),
    ])?;
    let message = json!({ "role": "assistant", "content": verdict, "refusal": null });
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 });
    let answer = json!({ "id": "v", "object": "chat.completion", "created": 1, "model": "judge",
        "choices": [choice], "usage": usage });
    let text = answer.to_string();
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    let escaped = whole.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "\\r").replace('\n', "\\n");
    market.provider("court")?.set(&format!("[send \"{escaped}\", fin]"))?;
    let config = format!("{}[judge]\nmodel = \"judge\"\nshare = 1.0\n{judge}", market.config());
    let gateway = Gateway::start(&config)?;
    Ok((market, gateway))
}

fn verdicts(gateway: &Gateway, result: &str) -> Fallible<u64> {
    gateway.count("merit_judge_total", &[&format!("result=\"{result}\"")])
}

#[test]
fn a_judge_teaches_what_its_verdicts_say() -> Fallible<()> {
    let (market, gateway) = judged("{\"score\": 0}", "")?;
    let believed = || gateway.metric("merit_endpoint_quality", &["provider=\"sim\""]);
    let before = believed()?;
    for number in 0..6 {
        asked(&gateway, &structured(number), number % 2 == 0)?;
    }
    until("all are judged", || Ok(verdicts(&gateway, "judged")? == 6))?;
    assert!(believed()? < before - 0.1, "{before} then {}", believed()?);
    let court = market.provider("court")?;
    assert_eq!(court.requests(), 6, "its own answers are not judged");
    assert!(gateway.metric("merit_cost_usd_total", &["provider=\"court\""])? > 0.0);
    let log = gateway.log();
    assert!(log.contains("(judge)"), "{log}");
    Ok(())
}

#[test]
fn a_judge_who_makes_no_sense_or_costs_too_much_teaches_nothing() -> Fallible<()> {
    let (market, gateway) = judged("I like it", "")?;
    asked(&gateway, &chat("small"), false)?;
    until("it is read", || Ok(verdicts(&gateway, "unreadable")? == 1))?;
    market.provider("court")?.set("status=500")?;
    asked(&gateway, &structured(1), true)?;
    until("it has failed", || Ok(verdicts(&gateway, "failed")? == 1))?;
    assert_eq!(gateway.count("merit_judgements_total", &[])?, 0);

    let (market, gateway) = judged("{\"score\": 0}", "max_usd_per_day = 0.0000001\n")?;
    asked(&gateway, &chat("small"), false)?;
    until("it is too dear", || Ok(verdicts(&gateway, "over_budget")? == 1))?;
    assert_eq!(market.provider("court")?.requests(), 0);
    Ok(())
}
