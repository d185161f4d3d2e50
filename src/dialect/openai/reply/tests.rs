use proptest::prelude::*;
use serde_json::json;

use super::*;

fn body(value: &Value) -> Bytes {
    value.to_string().into()
}

fn good() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, "x_extra": {"a": 1.50}
    })
}

fn mended(value: &Value) -> Value {
    serde_json::from_slice(&read(&body(value), &Style::default()).unwrap().body).unwrap()
}

#[test]
fn a_canonical_answer_goes_out_as_it_came() {
    let source = body(&good());
    let reply = read(&source, &Style::default()).unwrap();
    assert_eq!(reply.body.as_ptr(), source.as_ptr());
    assert_eq!(reply.body, source);
    assert_eq!((reply.output_bytes, reply.finish), (5, Some(FinishReason::Stop)));
    assert_eq!(reply.usage.map(|usage| (usage.input, usage.output)), Some((3, 2)));
}

#[test]
fn only_what_tells_of_the_upstream_is_changed() {
    let style = Style { model: Some("ours".into()), include_usage: false, ..Style::default() };
    let source = body(&good());
    let reply = read(&source, &style).unwrap();
    let text = String::from_utf8(source.to_vec()).unwrap().replace("\"up\"", "\"ours\"");
    let id = serde_json::from_slice::<Value>(&reply.body).unwrap()["id"].as_str().unwrap().to_owned();
    assert_ne!(id, "chatcmpl-1");
    assert_eq!(id.len(), "chatcmpl-".len() + 24);
    let expected = text.replace("chatcmpl-1", &id).replace(",\"x_extra\":{\"a\":1.5}", "");
    assert_eq!(reply.body, expected.as_bytes());
    let mut deviating = good();
    deviating["choices"][0]["message"] = json!({"content": "hello"});
    let again: Value = serde_json::from_slice(&read(&body(&deviating), &style).unwrap().body).unwrap();
    assert_eq!((&again["model"], &again["id"]), (&json!("ours"), &json!(id)));
}

#[test]
fn what_the_upstream_charges_is_shown_to_those_who_may_see_the_upstream() {
    let mut source = good();
    source["usage"]["cost"] = json!(0.5);
    let style = Style { model: Some("ours".into()), include_usage: false, ..Style::default() };
    for (style, shown) in [(Style::default(), true), (style, false)] {
        let reply = read(&body(&source), &style).unwrap();
        assert_eq!(reply.reported_cost_usd, Some(0.5));
        assert_eq!(String::from_utf8(reply.body.to_vec()).unwrap().contains("cost"), shown);
    }
}

#[test]
fn blank_lines_and_byte_order_marks_are_left_out() {
    let text = format!("\u{feff}\n\n \r\n{}\n", good());
    assert_eq!(read(&text.into(), &Style::default()).unwrap().body, body(&good()));
}

#[test]
fn strings_that_no_parser_takes_are_repaired() {
    for (inner, said) in [("a\nb", "a\nb"), ("\\x", "\\x"), ("\u{7}", "\u{7}")] {
        let source = good().to_string().replace("hello", inner);
        let reply = read(&source.into(), &Style::default()).unwrap();
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], said);
        assert_eq!(reply.usage.map(|usage| usage.input), Some(3));
    }
    let pretty: Bytes = serde_json::to_string_pretty(&good()).unwrap().into();
    assert_eq!(read(&pretty, &Style::default()).unwrap().body.as_ptr(), pretty.as_ptr());
}

#[test]
fn missing_members_are_added() {
    let bare = json!({"choices": [{"message": {"content": "x"}}]});
    let reply = mended(&bare);
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(
        (&reply["object"], &reply["created"], &reply["model"]),
        (&json!("chat.completion"), &json!(0), &json!(""))
    );
    let choice = &reply["choices"][0];
    assert_eq!(
        (&choice["index"], &choice["finish_reason"], &choice["logprobs"]),
        (&json!(0), &json!("stop"), &Value::Null)
    );
    assert_eq!(choice["message"], json!({"content": "x", "role": "assistant", "refusal": null}));
}

#[test]
fn other_spellings_are_understood() {
    let mut source = good();
    source["choices"][0]["finish_reason"] = json!("eos");
    source["choices"][0]["message"]["reasoning"] = json!("hm");
    source["choices"][0]["message"]["tool_calls"] =
        json!([{"function": {"name": "f", "arguments": {"a": 1}}}]);
    let reply = mended(&source);
    let choice = &reply["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["native_finish_reason"]),
        (&json!("tool_calls"), &json!("eos"))
    );
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert!(call["id"].as_str().unwrap().starts_with("call_") && call.get("index").is_none());
    assert_eq!(reply["x_extra"], json!({"a": 1.5}));
}

#[test]
fn errors_with_status_200_are_failures() {
    let failure = |value: Value| read(&body(&value), &Style::default()).unwrap_err();
    assert_eq!(failure(json!({"error": {"message": "x", "code": 502}})), Failure::Server { status: 502 });
    assert_eq!(failure(json!({"error": "x", "choices": []})), Failure::Server { status: 500 });
    assert_eq!(failure(json!([{"error": {"code": 429}}])), Failure::RateLimited { retry_after: None });
    let mut busy = good();
    busy["choices"][0]["finish_reason"] = json!("insufficient_system_resource");
    assert_eq!(failure(busy), Failure::Overloaded { retry_after: None });
    let mut null = good();
    null["error"] = Value::Null;
    assert!(mended(&null).get("error").is_none());
}

#[test]
fn what_is_no_answer_is_a_protocol_failure() {
    for text in [
        "<html></html>",
        "",
        "null",
        "[]",
        "{}",
        r#"{"choices":[]}"#,
        r#"{"choices":[1]}"#,
        r#"{"choices":[{"#,
    ] {
        let failure = read(&Bytes::from_static(text.as_bytes()), &Style::default()).unwrap_err();
        assert!(matches!(failure, Failure::Protocol { .. }), "{text}");
    }
}

proptest! {
    /// The quick look and the rebuild must say the same of every answer.
    #[test]
    fn both_ways_agree(content in ".{0,20}", finish in prop::sample::select(vec!["stop", "length", "tool_calls"]), cost in 0.0..1.0_f64) {
        let mut source = good();
        source["choices"][0]["message"]["content"] = content.into();
        source["choices"][0]["finish_reason"] = finish.into();
        source["usage"]["cost"] = cost.into();
        let source = body(&source);
        let quick = read(&source, &Style::default()).unwrap();
        let rebuilt = of(canonical(&source).unwrap());
        prop_assert_eq!(&quick.body, &rebuilt.body);
        prop_assert_eq!((quick.usage, quick.finish, quick.reported_cost_usd), (rebuilt.usage, rebuilt.finish, rebuilt.reported_cost_usd));
    }

    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&text.into(), &Style::default()).is_ok();
    }
}
