//! A caller who may not see the upstream does not see it anywhere.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::canonical::judge;
use super::*;

fn hidden() -> Style {
    Style { model: Some("ours".into()), include_usage: true, ..Style::default() }
}

/// Members that tell of the upstream, each with a word that must not come out.
fn telling() -> Map<String, Value> {
    let names =
        ["provider", "system_fingerprint", "x_groq", "timings", "native_finish_reason", "some\"thing"];
    let told = names.map(|name| (name.to_owned(), json!({"is": format!("LEAK {name}")})));
    told.into_iter().collect()
}

fn with(mut object: Value, more: &Map<String, Value>) -> Value {
    object.as_object_mut().unwrap().extend(more.clone());
    object
}

fn usage() -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.77,
        "cost_details": {"LEAK": 1}, "cost_in_usd_ticks": 77, "is_LEAK": false,
        "prompt_tokens_details": {"cached_tokens": 1}})
}

fn chunk(choices: &Value) -> Value {
    with(
        json!({"id": "gen-LEAK", "object": "chat.completion.chunk", "created": 5, "model": "LEAK/m",
            "service_tier": "default", "choices": choices}),
        &telling(),
    )
}

fn say(delta: &Value, finish: &Value) -> Value {
    chunk(&json!([with(json!({"index": 0, "delta": delta, "finish_reason": finish}), &telling())]))
}

fn events(chunks: &[Value]) -> String {
    let events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    events.concat()
}

/// A stream with usage beside the last choice, by each of the two ways.
fn stream(deviates: bool) -> String {
    let mut role = json!({"role": "assistant", "content": ""});
    if deviates {
        role["content"] = json!([]);
    }
    let end = if deviates { "eos" } else { "stop" };
    let chunks = [
        chunk(&json!([])),
        say(&role, &Value::Null),
        say(&json!({"content": "Hel"}), &Value::Null),
        say(&json!({"content": "lo"}), &Value::Null),
        say(&json!({}), &end.into()),
        with(chunk(&json!([])), json!({"usage": usage()}).as_object().unwrap()),
    ];
    events(&chunks) + "data: [DONE]\n\n"
}

fn answer(finish: &str) -> Value {
    let message = json!({"role": "assistant", "content": "Hello", "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish});
    with(
        json!({"id": "gen-LEAK", "object": "chat.completion", "created": 1, "model": "LEAK/m",
            "choices": [with(choice, &telling())], "usage": usage(), "service_tier": "default"}),
        &telling(),
    )
}

fn ensure_hidden(text: &str) {
    assert!(!text.contains("LEAK") && !text.contains("77"), "{text}");
    for name in telling().keys().map(String::as_str).chain(["is_byok", "cost_in_usd_ticks"]) {
        assert!(!text.contains(&format!("{}:", json!(name))), "{name} in {text}");
    }
}

#[test]
fn in_a_stream() {
    for deviates in [false, true] {
        let told = whole(&stream(deviates), &hidden());
        ensure_hidden(told.text());
        let said = judge(told.text(), true).unwrap();
        assert_eq!(said.choices[&0].text, "Hello");
        let usage = said.usage.unwrap();
        assert_eq!(
            (&usage["prompt_tokens_details"]["cached_tokens"], &usage["cost"]),
            (&json!(1), &json!(0.000_123))
        );
        assert_eq!(told.watch.reported_cost_usd, Some(0.77));
        let chunks = told.text().matches("data: {").count();
        assert_eq!(told.text().matches(r#""id":"chatcmpl-"#).count(), chunks);
        assert_eq!(told.text().matches(r#""model":"ours""#).count(), chunks);
        assert!(told.text().contains(r#""service_tier":"default""#));
    }
}

#[test]
fn in_an_answer() {
    for (finish, pretty) in [("stop", false), ("stop", true), ("eos", false)] {
        let source = answer(finish);
        let source = if pretty { format!("{source:#}") } else { source.to_string() };
        let reply = OpenAi.reply(source.into(), &hidden()).unwrap();
        let text = std::str::from_utf8(&reply.body).unwrap();
        ensure_hidden(text);
        let told: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&told["model"], &told["service_tier"]), (&json!("ours"), &json!("default")));
        assert!(told["id"].as_str().unwrap().starts_with("chatcmpl-"));
        assert_eq!(told["choices"][0]["message"]["content"], "Hello");
        assert_eq!(told["usage"]["total_tokens"], 5);
        assert_eq!(reply.reported_cost_usd, Some(0.77));
    }
}

#[test]
fn where_the_other_form_came() {
    let reply = OpenAi.stream_as_reply(stream(false).into(), &hidden()).unwrap();
    ensure_hidden(std::str::from_utf8(&reply.body).unwrap());
    assert_eq!((reply.reported_cost_usd, reply.usage.map(|usage| usage.input)), (Some(0.77), Some(3)));
    let mut decoder = OpenAi.reply_as_stream(answer("stop").to_string().into(), &hidden()).unwrap();
    let mut out = Vec::new();
    decoder.end_of_input(&mut out).unwrap();
    decoder.close(&tail(), &mut out);
    let out = out.concat();
    let text = std::str::from_utf8(&out).unwrap();
    ensure_hidden(text);
    assert_eq!(judge(text, true).unwrap().choices[&0].text, "Hello");
}

#[test]
fn usage_in_other_words_is_said_in_openais() {
    let mut source = answer("stop");
    source["usage"] = json!({"total_tokens": 5, "input_tokens": 3, "output_tokens": 2});
    let reply = OpenAi.reply(source.to_string().into(), &hidden()).unwrap();
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        (&told["usage"]["prompt_tokens"], &told["usage"]["completion_tokens"]),
        (&json!(3), &json!(2))
    );
}

proptest! {
    /// Wherever the members stand, cutting and rebuilding leave the same.
    #[test]
    fn both_ways_leave_the_same(order in Just((0..16_usize).collect::<Vec<_>>()).prop_shuffle(), size in 1..99_usize) {
        let shuffled = |object: &Value| {
            let members: Vec<_> = object.as_object().unwrap().iter().collect();
            let places = order.iter().filter_map(|place| members.get(*place).copied());
            Value::Object(places.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        let source = shuffled(&answer("stop"));
        let quick = OpenAi.reply(source.to_string().into(), &hidden()).unwrap();
        let slow = OpenAi.reply(source.to_string().replace("\"stop\"", "\"eos\"").into(), &hidden()).unwrap();
        let value = |reply: &[u8]| serde_json::from_slice::<Value>(reply).unwrap();
        prop_assert_eq!(value(&quick.body), value(&slow.body));
        let chunks: Vec<Value> = [("Hel", Value::Null), ("lo", Value::Null), ("", json!("stop"))]
            .iter().map(|(text, finish)| shuffled(&say(&json!({"content": text}), finish))).collect();
        let opening = say(&json!({"role": "assistant", "content": ""}), &Value::Null);
        let source = events(&[opening]) + &events(&chunks);
        let told = decode(source.as_bytes().chunks(size), &hidden());
        ensure_hidden(told.text());
        prop_assert_eq!(&judge(told.text(), true).unwrap().choices[&0].text, "Hello");
    }
}
