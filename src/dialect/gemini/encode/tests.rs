use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn encoded(body: &Value, upstream: &str, quirks: &[Quirk]) -> (Value, Vec<String>) {
    let request = ChatRequest::read(body.to_string().into()).unwrap();
    let encoded = encode_for(&request, upstream, None, quirks).unwrap();
    (serde_json::from_slice(&encoded.body.concat()).unwrap(), encoded.warnings)
}

#[test]
fn long_texts_and_images_are_not_copied() {
    let (text, image) = ("x".repeat(100_000), format!("data:image/png;base64,{}", "A".repeat(100_000)));
    let content = json!([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
    let request = ChatRequest::read(body.to_string().into()).unwrap();
    let encoded = encode_for(&request, "gemini-2.5-flash", None, &[]).unwrap();
    let own = request.body.as_ptr_range();
    let slices = encoded.body.iter().filter(|piece| own.contains(&piece.as_ptr()));
    assert_eq!(slices.map(bytes::Bytes::len).collect::<Vec<_>>(), [100_000, 100_000]);
}

#[test]
fn a_model_is_one_segment_of_the_path() {
    assert_eq!(path("gemini-2.5-pro", false), "/models/gemini-2.5-pro:generateContent");
    assert_eq!(path("models/gemini-2.5-pro", true), "/models/gemini-2.5-pro:streamGenerateContent?alt=sse");
    assert_eq!(path("a/../b?c#d:e é", false), "/models/a%2F..%2Fb%3Fc%23d%3Ae%20%C3%A9:generateContent");
}

#[test]
fn vertex_gets_no_ids() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "1"}]});
    let ids = |quirks: &[Quirk]| {
        let sent = encoded(&body, "gemini-2.5-pro", quirks).0;
        ["/contents/1/parts/0/functionCall/id", "/contents/2/parts/0/functionResponse/id"]
            .map(|path| sent.pointer(path).cloned())
    };
    assert_eq!(ids(&[]), [Some(json!("a")), Some(json!("a"))]);
    assert_eq!(ids(&[Quirk::NoCallIds]), [None, None]);
}

#[test]
fn a_limit_keeps_to_the_models() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 100});
    let request = ChatRequest::read(body.to_string().into()).unwrap();
    let encoded = encode_for(&request, "gemini-2.5-pro", Some(64), &[]).unwrap();
    let sent: Value = serde_json::from_slice(&encoded.body.concat()).unwrap();
    assert_eq!(sent["generationConfig"], json!({"maxOutputTokens": 64}));
    assert_eq!(encoded.warnings.len(), 1);
}

/// Messages as agents send them, and as they should not.
fn message() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\ü ]{0,8}";
    let id = prop::sample::select(vec!["a", "b", "c"]);
    let calls = prop::collection::vec((id.clone(), text), 0..3).prop_map(|calls| {
        calls
            .iter()
            .map(|(id, text)| json!({"id": id, "type": "function", "function": {"name": format!("f{id}"), "arguments": text}}))
            .collect::<Vec<_>>()
    });
    prop_oneof![
        (prop::sample::select(vec!["user", "system", "developer"]), text)
            .prop_map(|(role, text)| json!({"role": role, "content": text})),
        (text, calls)
            .prop_map(|(text, calls)| json!({"role": "assistant", "content": text, "tool_calls": calls})),
        (id, text).prop_map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text})),
    ]
}

proptest! {
    /// What Google refuses a conversation for.
    #[test]
    fn every_call_has_its_result_beside_it(messages in prop::collection::vec(message(), 1..10)) {
        let sent = encoded(&json!({"model": "m", "messages": messages}), "gemini-3-pro", &[]).0;
        let turns = sent["contents"].as_array().unwrap();
        let parts = |turn: &Value, name: &str| -> Vec<Value> {
            let parts = turn["parts"].as_array().unwrap();
            parts.iter().filter_map(|part| part.get(name)).map(|part| part["name"].clone()).collect()
        };
        for (at, turn) in turns.iter().enumerate() {
            prop_assert!(!turn["parts"].as_array().unwrap().is_empty());
            let (calls, results) = (parts(turn, "functionCall"), parts(turn, "functionResponse"));
            prop_assert!(turn["role"] == "model" || calls.is_empty());
            prop_assert!(turn["role"] == "user" || results.is_empty());
            if !calls.is_empty() {
                prop_assert_eq!(&parts(&turns[at + 1], "functionResponse"), &calls);
                let first = turn["parts"].as_array().unwrap().iter().find(|part| part.get("functionCall").is_some());
                prop_assert!(first.unwrap()["thoughtSignature"].is_string());
            }
            if !results.is_empty() {
                prop_assert_eq!(&parts(&turns[at - 1], "functionCall"), &results);
            }
        }
    }
}
