//! What a model said comes back to it as it was.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::request::ChatRequest;

fn encoded(request: &Value, upstream: &str) -> Value {
    let request = ChatRequest::read(request.to_string().into()).unwrap();
    let encoded = Anthropic.encode(&request, &endpoint(upstream)).unwrap();
    serde_json::from_slice(&encoded.body.concat()).unwrap()
}

/// What is in a message of the assistant, in the order that the API wants.
fn blocks() -> impl Strategy<Value = Vec<Value>> {
    let text = || "[ -~é🌍\n\t]{1,8}";
    let thought = prop_oneof![
        (text(), "[A-Za-z0-9+/]{1,8}")
            .prop_map(|(t, s)| json!({"type": "thinking", "thinking": t, "signature": s})),
        "[A-Za-z0-9+/]{1,8}".prop_map(|d| json!({"type": "redacted_thinking", "data": d})),
    ];
    let thoughts = prop::collection::vec(thought, 0..3);
    let said = prop::option::of(text().prop_map(|t| json!({"type": "text", "text": t})));
    let call =
        ("[a-z_]{1,8}", text()).prop_map(|(name, value)| (name, json!({"a": value, "b": [1, null, {}]})));
    (thoughts, said, prop::collection::vec(call, 1..4)).prop_map(|(thoughts, said, calls)| {
        let calls = calls.into_iter().enumerate().map(|(index, (name, input))| {
            json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": input})
        });
        thoughts.into_iter().chain(said).chain(calls).collect()
    })
}

proptest! {
    #[test]
    fn an_assistants_turn_survives_the_round_trip(blocks in blocks()) {
        let answer = json!({"id": "msg_1", "type": "message", "model": "m", "content": blocks, "stop_reason": "tool_use"});
        let reply = Anthropic.reply(answer.to_string().into(), &Style::default()).unwrap();
        let reply: Value = serde_json::from_slice(&reply.body).unwrap();
        let message = &reply["choices"][0]["message"];
        let mut messages = vec![json!({"role": "user", "content": "x"}), message.clone()];
        for call in message["tool_calls"].as_array().unwrap() {
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "y"}));
        }
        let sent = encoded(&json!({"model": "m", "messages": messages}), "claude-sonnet-4-5");
        prop_assert_eq!(&sent["messages"][1]["content"], &json!(blocks));
        let results = sent["messages"][2]["content"].as_array().unwrap();
        prop_assert_eq!(results.len(), message["tool_calls"].as_array().unwrap().len());
    }
}

#[test]
fn long_texts_and_images_are_not_copied() {
    let long = "x".repeat(4096);
    let image = format!("data:image/png;base64,{}", "A".repeat(8192));
    let parts = json!([{"type": "text", "text": long}, {"type": "image_url", "image_url": {"url": image}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": parts}]}).to_string();
    let request = ChatRequest::read(body.into()).unwrap();
    let pieces = Anthropic.encode(&request, &endpoint("claude-sonnet-4-5")).unwrap().body;
    let source = request.body.as_ptr_range();
    let borrowed: usize =
        pieces.iter().filter(|piece| source.contains(&piece.as_ptr())).map(Bytes::len).sum();
    assert!(borrowed >= 4096 + 8192, "{borrowed}");
    let said: Value = serde_json::from_slice(&pieces.concat()).unwrap();
    let content = &said["messages"][0]["content"];
    assert_eq!(content[0]["text"].as_str().map(str::len), Some(4096));
    assert_eq!(content[1]["source"]["data"].as_str().map(str::len), Some(8192));
}

#[test]
fn an_endpoints_own_limit_wins_over_the_table() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9000});
    let request = ChatRequest::read(body.to_string().into()).unwrap();
    let mut endpoint = endpoint("claude-sonnet-4-5");
    endpoint.max_output = Some(5000);
    let encoded = Anthropic.encode(&request, &endpoint).unwrap();
    let said: Value = serde_json::from_slice(&encoded.body.concat()).unwrap();
    assert_eq!(said["max_tokens"], 5000);
    assert_eq!(encoded.warnings, ["max_tokens was lowered to 5000"]);
}
