//! The main story: the official clients, two real upstreams, and one of these
//! dies in the middle of everything.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed};
use crate::support::clients::{Client, Seen};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{Answer, Events};
use crate::support::keys;
use crate::support::process::until;
use crate::support::upstream::{ANSWER, Llama, TOOL};

const KEY: &str = "sk-app";

#[test]
fn clients_do_not_notice_that_an_upstream_dies() -> Fallible<()> {
    let (mut cheap, dear) = (Llama::start()?, Llama::start()?);
    let gateway = Gateway::start(&config(&cheap, &dear))?;
    for client in [Client::Python, Client::Node] {
        every_step_holds(&client.tell(&gateway.base_url(), KEY, "tiny")?)?;
    }
    assert_eq!(ask(&gateway)?.must("x-merit-provider")?, "cheap");

    let witness = while_callers_keep_calling(&gateway, || cheap.kill())?;
    tells_why(&gateway, &witness)?;
    for client in [Client::Python, Client::Node] {
        every_step_holds(&client.tell(&gateway.base_url(), KEY, "tiny")?)?;
    }
    assert_eq!(gateway.state()?.pointer("/degraded"), Some(&json!(["cheap/tiny"])));
    assert_ne!(circuit(&gateway)?, 0, "the circuit of the dead one is open, or half-open for a probe");

    cheap.restart()?;
    until("traffic returns to the upstream that is back", || {
        Ok(ask(&gateway)?.must("x-merit-provider")? == "cheap")
    })?;
    assert_eq!(gateway.state()?.pointer("/degraded"), Some(&json!([])));
    assert_eq!(circuit(&gateway)?, 0, "closed again");
    Ok(())
}

fn circuit(gateway: &Gateway) -> Fallible<u64> {
    gateway.count("merit_circuit_state", &["provider=\"cheap\""])
}

fn config(cheap: &Llama, dear: &Llama) -> String {
    let mut text = keys::configured(&[("app", "")]);
    // The circuit of the dead one is tried again soon: the story waits for it.
    text.push_str(
        "[router]\nobjective = \"cheapest\"\n[router.breaker]\nopen = \"300ms\"\nopen_max = \"1s\"\n",
    );
    // Writing to a string cannot fail.
    for (name, llama, usd) in [("cheap", cheap, 1.0), ("dear", dear, 50.0)] {
        let url = llama.base_url();
        let _ = writeln!(
            text,
            "[providers.{name}]\nbase_url = \"{url}\"\n[[providers.{name}.models]]\nname = \"tiny\"\n\
             context = 2048\nquality = 0.5\nprice = {{ input = {usd:?}, output = {usd:?} }}"
        );
    }
    text
}

fn bearer() -> String {
    format!("Bearer {KEY}")
}

fn ask(gateway: &Gateway) -> Fallible<Answer> {
    let answer = gateway.chat_as(&[("authorization", &bearer())], &chat("tiny"))?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(answer)
}

/// Callers call, plainly and for streams, before, while and after `disturb`.
/// Gives an answer for which somebody had to step in.
fn while_callers_keep_calling(gateway: &Gateway, disturb: impl FnOnce() -> Fallible<()>) -> Fallible<Answer> {
    let (answered, disturbed) = (AtomicU32::new(0), AtomicBool::new(false));
    let calling = || -> Result<Option<Answer>, String> {
        let mut witness = None;
        for turn in 0_u32.. {
            let over = disturbed.load(Relaxed);
            let answer = match turn % 2 {
                0 => ask(gateway),
                _ => stream(gateway),
            };
            let answer = answer.map_err(|error| error.to_string())?;
            answered.fetch_add(1, Relaxed);
            if witness.is_none() && answer.header("x-merit-fallback").is_some() {
                witness = Some(answer);
            }
            if over {
                break;
            }
        }
        Ok(witness)
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(calling)).collect();
        let result = until("callers are being answered", || Ok(answered.load(Relaxed) >= 6))
            .and_then(|()| disturb())
            .and_then(|()| {
                let before = answered.load(Relaxed);
                until("callers are answered afterwards", || Ok(answered.load(Relaxed) >= before + 6))
            });
        disturbed.store(true, Relaxed);
        let mut witness = None;
        for caller in callers {
            witness = caller.join().map_err(|_| "a caller panicked")??.or(witness);
        }
        result.and(witness.ok_or_else(|| "nobody had to step in".into()))
    })
}

/// A stream must be whole, or, when it had begun on the upstream that died,
/// end with an error that says so.
fn stream(gateway: &Gateway) -> Fallible<Answer> {
    let mut events =
        Events::open(gateway.api, CHAT, &[("authorization", &bearer())], streamed("tiny").to_string())?;
    assert_eq!(events.answer.status, 200, "{}", events.answer.head);
    let (mut text, mut last) = (String::new(), String::new());
    while let Some(event) = events.next()? {
        if let Ok(chunk) = serde_json::from_str::<Value>(&event)
            && let Some(piece) = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str)
        {
            text.push_str(piece);
        }
        last = event;
    }
    match last.as_str() {
        "[DONE]" => assert_eq!(text, ANSWER),
        error => {
            let error: Value = serde_json::from_str(error)?;
            let code = error.pointer("/error/code").and_then(Value::as_str);
            assert_eq!(code, Some("upstream_protocol"), "{error}");
            assert!(!text.is_empty(), "it had not begun: {error}");
        }
    }
    Ok(events.answer)
}

/// The decision of an answer that needed a fallback says what happened.
fn tells_why(gateway: &Gateway, witness: &Answer) -> Fallible<()> {
    let id = witness.must("x-request-id")?;
    let key = bearer();
    let path = format!("/v1/decisions/{id}");
    let decision =
        crate::support::http::get_as(gateway.api, &path, &[("authorization", key.as_str())])?.json()?;
    let attempts = decision.get("attempts").and_then(Value::as_array).ok_or("no attempts")?;
    let (last, before) = attempts.split_last().ok_or("no attempts")?;
    assert_eq!(last.get("endpoint"), Some(&json!("dear/tiny")), "{decision}");
    assert_eq!(last.get("result"), Some(&json!("ok")), "{decision}");
    assert!(!before.is_empty(), "{decision}");
    for attempt in before {
        assert_eq!(attempt.get("endpoint"), Some(&json!("cheap/tiny")), "{decision}");
        let result = attempt.get("result").and_then(Value::as_str).unwrap_or_default();
        assert!(["connect", "closed", "truncated"].contains(&result), "{decision}");
    }
    assert_eq!(decision.pointer("/decision/winner"), Some(&json!("cheap/tiny")), "{decision}");
    assert_eq!(decision.get("provider"), Some(&json!("dear")), "{decision}");
    assert!(witness.must("x-merit-fallback")?.starts_with("cheap/tiny>dear/tiny:"), "{}", witness.head);
    Ok(())
}

/// Everything the official clients do, done through the gateway.
fn every_step_holds(seen: &Seen) -> Fallible<()> {
    assert_eq!(seen.failed(), Vec::<String>::new());
    assert_eq!(seen.step("models")?.get("ids"), Some(&json!(["tiny"])));
    for step in ["complete", "headers", "stream", "stream_with_usage", "stream_helper"] {
        assert_eq!(seen.content(step)?, ANSWER, "{step}");
    }
    for step in ["complete", "stream_helper"] {
        assert_eq!(seen.step(step)?.get("finish_reason"), Some(&json!("stop")), "{step}");
    }
    let headers = seen.step("headers")?.get("headers").ok_or("no headers")?;
    for name in ["x-request-id", "x-merit-provider", "x-merit-model", "x-merit-cost-usd", "x-merit-decision"]
    {
        assert!(headers.get(name).is_some(), "{name}: {headers}");
    }
    for (step, usages) in [("stream", 0), ("stream_with_usage", 1)] {
        let stream = seen.step(step)?;
        assert_eq!(stream.get("usages").and_then(Value::as_array).map(Vec::len), Some(usages), "{stream}");
        assert_eq!(stream.get("finish_reasons"), Some(&json!(["stop"])), "{stream}");
        assert_eq!(stream.get("roles"), Some(&json!(["assistant"])), "{stream}");
        assert_eq!(stream.get("ids"), Some(&json!(1)), "{stream}");
    }
    let helper = seen.step("stream_helper")?;
    let events = helper.get("events").and_then(Value::as_array).ok_or("no events")?;
    for event in ["content.delta", "content.done"] {
        assert!(events.contains(&json!(event)), "{helper}");
    }
    for step in ["tools", "tools_streamed"] {
        let step = seen.step(step)?;
        assert_eq!(step.pointer("/calls/0/name"), Some(&json!(TOOL)), "{step}");
        assert_eq!(step.pointer("/calls/0/arguments"), Some(&json!({ "ok": true, "c": "x" })), "{step}");
        assert_eq!(step.pointer("/finish_reason"), Some(&json!("tool_calls")), "{step}");
    }
    errors_are_understood(seen)
}

fn errors_are_understood(seen: &Seen) -> Fallible<()> {
    for (step, status, code, param) in [
        ("wrong_model", 404, "model_not_found", json!("model")),
        ("wrong_key", 401, "invalid_api_key", Value::Null),
        ("bad_request", 400, "invalid_request", json!("messages")),
    ] {
        let error = seen.step(step)?;
        assert_eq!(error.get("status"), Some(&json!(status)), "{error}");
        assert_eq!(error.get("code"), Some(&json!(code)), "{error}");
        assert_eq!(error.get("param"), Some(&param), "{error}");
        assert!(error.get("request_id").is_some_and(Value::is_string), "{error}");
    }
    let near = seen.step("wrong_model")?.get("message").and_then(Value::as_str).unwrap_or_default();
    assert!(near.contains("did you mean \"tiny\"?"), "{near}");
    Ok(())
}
