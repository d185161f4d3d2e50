//! What holds for every stream.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A Gemini event with these parts.
fn event(parts: &Value, rest: &Value) -> String {
    let mut answer = json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
        "modelVersion": "gemini-x", "responseId": "abc"});
    if let (Some(candidate), Some(rest)) = (answer["candidates"][0].as_object_mut(), rest.as_object()) {
        candidate.extend(rest.clone());
    }
    format!("data: {answer}\r\n\r\n")
}

fn stop() -> String {
    event(&json!([]), &json!({"finishReason": "STOP"}))
}

#[test]
fn a_stream_is_watched() {
    let parts = json!([{"text": "hm", "thought": true}, {"text": "hello"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]);
    let usage =
        json!({"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 3}});
    let text = event(&parts, &json!({})) + &stop() + &format!("data: {usage}\r\n\r\n");
    let told = whole(&text, &with_usage());
    assert_eq!(told.result, Ok(()));
    assert_eq!((told.watch.content_events, told.watch.output_bytes), (3, 2 + 5 + 7));
    assert_eq!(told.watch.finish, Some(crate::outcome::FinishReason::ToolCalls));
    let usage = told.watch.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.reasoning), (9, 7, 3));
    let said = judge(&told.text, true).unwrap();
    assert_eq!(said.choices[&0].reasoning, "hm");
    let stated = said.usage.unwrap();
    assert_eq!((&stated["completion_tokens"], &stated["cost"]), (&json!(7), &json!(0.000_123)));
}

#[test]
fn what_is_missing_is_estimated_and_said() {
    let told = whole(&(event(&json!([{"text": "hi"}]), &json!({})) + &stop()), &with_usage());
    let said = judge(&told.text, true).unwrap();
    assert_eq!(said.usage.unwrap()["estimated"], true);
    let quiet = whole(&(event(&json!([{"text": "hi"}]), &json!({})) + &stop()), &Style::default());
    assert_eq!(judge(&quiet.text, false).unwrap().choices[&0].text, "hi");
}

#[test]
fn callers_see_the_model_they_may_see() {
    let style = Style { model: Some("our \"model\"".into()), include_usage: false, ..Style::default() };
    let text = event(&json!([{"text": "hi"}]), &json!({})) + &stop();
    let told = whole(&text, &style);
    assert!(!told.text.contains("gemini-x") && told.text.contains(r#""model":"our \"model\"""#));
    let filtered = event(&json!([{"text": "hi"}]), &json!({"finishReason": "SAFETY"}));
    let told = whole(&filtered, &style);
    assert!(!told.text.contains("abc") && !told.text.contains("SAFETY"), "{}", told.text);
    assert!(whole(&filtered, &with_usage()).text.contains(r#""native_finish_reason":"SAFETY""#));
    let reply = Gemini.stream_as_reply(text.into(), &style).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap()["model"], "our \"model\"");
}

#[test]
fn a_whole_answer_becomes_a_stream_and_a_stream_a_whole_answer() {
    let parts =
        json!([{"text": "a"}, {"functionCall": {"name": "f", "id": "x"}, "thoughtSignature": "c2ln"}]);
    let answer =
        json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "modelVersion": "m"});
    let mut decoder = Gemini.reply_as_stream(answer.to_string().into(), &with_usage()).unwrap();
    let mut out = Vec::new();
    decoder.end_of_input(&mut out).unwrap();
    decoder.close(&tail(), &mut out);
    let said = judge(std::str::from_utf8(&out.concat()).unwrap(), true).unwrap();
    assert_eq!(said.choices[&0].calls, [("x".to_owned(), "f".to_owned(), "{}".to_owned())]);
    assert_eq!(decoder.watch().content_events, 2);

    let text = event(&parts, &json!({})) + &stop();
    let reply = Gemini.stream_as_reply(text.into(), &Style::default()).unwrap();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let call = json!({"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2ln"}}});
    let message = &body["choices"][0]["message"];
    assert_eq!((&message["content"], &message["tool_calls"]), (&json!("a"), &json!([call])));
    assert_eq!(
        (&body["choices"][0]["finish_reason"], &body["object"]),
        (&json!("tool_calls"), &json!("chat.completion"))
    );
    assert_eq!((reply.usage, reply.finish), (None, Some(crate::outcome::FinishReason::ToolCalls)));
}

/// Half of a surrogate pair: streams may be cut between the halves, but a whole
/// answer with one half cannot be read by anybody.
#[test]
fn half_a_character_never_costs_a_text_unseen() {
    let text = event(&json!([{"text": "HALF"}]), &json!({})).replace("HALF", "a\\ud83d");
    let told = whole(&(text.clone() + &stop()), &with_usage());
    assert!(told.text.contains(r#""content":"a\ud83d""#), "{}", told.text);
    let reply = Gemini.stream_as_reply((text + &stop()).into(), &with_usage());
    assert!(matches!(reply, Err(Failure::Protocol { .. })));
}

#[test]
fn more_than_fits_is_refused() {
    let call = json!({"functionCall": {"name": "f"}});
    let calls = Value::Array(vec![call; 1_025]);
    assert!(matches!(whole(&event(&calls, &json!({})), &with_usage()).result, Err(Failure::Protocol { .. })));
    let far = event(&json!([]), &json!({"index": 128}));
    assert!(matches!(whole(&far, &with_usage()).result, Err(Failure::Protocol { .. })));
    let junk = "data: {\r\n\r\n".repeat(9);
    assert!(matches!(whole(&junk, &with_usage()).result, Err(Failure::Protocol { .. })));
    let parted = json!([{"functionCall": {"name": "f", "willContinue": true, "partialArgs": []}}]);
    assert!(matches!(
        whole(&event(&parted, &json!({})), &with_usage()).result,
        Err(Failure::Protocol { .. })
    ));
}

/// What a model may say, in parts.
fn part() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[^\\x00-\\x1f]{0,12}".prop_map(|text| json!({"text": text})),
        "[a-zü\\\\\"\\n]{0,12}".prop_map(|text| json!({"text": text, "thought": true})),
        ("[a-z]{1,6}", "[a-z\"\\\\é]{0,6}")
            .prop_map(|(name, text)| json!({"functionCall": {"name": name, "args": {"a": text}}})),
        "[a-z0-9]{1,8}"
            .prop_map(|id| json!({"functionCall": {"name": "f", "id": id}, "thoughtSignature": "c2ln"})),
        Just(json!({"text": "", "thoughtSignature": "dGV4dA=="})),
        Just(json!({"executableCode": {"code": "x"}})),
    ]
}

/// What the parts say, told in another way than the decoder does.
fn spoken(events: &[Vec<Value>], thought: bool) -> String {
    let parts = events.iter().flatten().filter(|part| (part["thought"] == true) == thought);
    parts.filter_map(|part| part["text"].as_str()).collect()
}

proptest! {
    #[test]
    fn everything_said_arrives_whatever_the_borders(
        events in prop::collection::vec(prop::collection::vec(part(), 0..3), 1..6),
        size in 1..300_usize,
    ) {
        let text: String = events.iter().map(|parts| event(&json!(parts), &json!({}))).collect::<String>() + &stop();
        let told = whole(&text, &with_usage());
        prop_assert_eq!(&told.result, &Ok(()));
        prop_assert_eq!(&decode(text.as_bytes().chunks(size), &with_usage()).text, &told.text);
        let said = judge(&told.text, true);
        prop_assert!(said.is_ok(), "{:?}", said);
        let said = said.unwrap();
        let choice = &said.choices[&0];
        prop_assert_eq!(&choice.text, &spoken(&events, false));
        prop_assert_eq!(&choice.reasoning, &spoken(&events, true));
        let calls: Vec<&Value> = events.iter().flatten().filter_map(|part| part.get("functionCall")).collect();
        prop_assert_eq!(choice.calls.len(), calls.len());
        for (said, call) in choice.calls.iter().zip(&calls) {
            prop_assert_eq!(&said.1, &call["name"]);
            let arguments: Value = serde_json::from_str(&said.2).unwrap();
            prop_assert_eq!(arguments, call.get("args").cloned().unwrap_or_else(|| json!({})));
        }
        let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
        prop_assert_eq!(choice.finish.as_deref(), Some(reason));
        let reply = Gemini.stream_as_reply(text.into(), &Style::default()).unwrap();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        prop_assert_eq!(body["choices"][0]["message"]["content"].as_str(), Some(choice.text.as_str()));
    }

    #[test]
    fn garbage_never_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let framed = [b"data: ".as_slice(), &text, b"\n\n"].concat();
        let told = decode([text.as_slice(), framed.as_slice()], &with_usage());
        prop_assert!(told.result.is_err());
        prop_assert!(Gemini.reply(text.clone().into(), &with_usage()).is_err());
        prop_assert!(Gemini.reply_as_stream(text.into(), &with_usage()).is_err());
    }
}
