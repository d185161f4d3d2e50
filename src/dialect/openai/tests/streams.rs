//! Canonical streams, ends good and bad, and what is watched.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::canonical::judge;
use super::*;
use crate::outcome::FinishReason;

fn chunk(choices: &Value) -> String {
    let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "up", "choices": choices, "usage": null});
    format!("data: {chunk}\n\n")
}

fn say(delta: &Value, finish: &Value) -> String {
    chunk(&json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]))
}

fn role() -> String {
    say(&json!({"role": "assistant", "content": "", "refusal": null}), &Value::Null)
}

fn text(text: &str) -> String {
    say(&json!({"content": text}), &Value::Null)
}

fn stop() -> String {
    say(&json!({}), &json!("stop"))
}

const USAGE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn simple() -> String {
    format!("{}{}{}{}{USAGE}{DONE}", role(), text("Hel"), text("lo"), stop())
}

#[test]
fn a_canonical_stream_passes_as_one_slice() {
    let source = Bytes::from([role(), text("Hello"), stop()].concat());
    let mut out = Vec::new();
    let mut decoder = OpenAi.stream(&with_usage());
    decoder.feed(source.clone(), &mut out).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].as_ptr(), source.as_ptr());
    assert_eq!(out[0], source);
}

#[test]
fn usage_comes_last_with_its_cost_and_only_if_asked_for() {
    let told = whole(&simple(), &with_usage());
    let usage = judge(told.text(), true).unwrap().usage.unwrap();
    assert_eq!((&usage["prompt_tokens"], &usage["cost"]), (&json!(3), &json!(0.000_123)));
    assert!(told.text().contains(r#""merit":{"attempts":1}"#));
    let told = whole(&simple(), &Style::default());
    assert_eq!(judge(told.text(), false).unwrap().usage, None);
    assert_eq!(told.watch.usage.map(|usage| (usage.input, usage.output)), Some((3, 2)));
}

#[test]
fn usage_that_is_not_stated_is_the_estimate_and_says_so() {
    let told = whole(&format!("{}{}{}{DONE}", role(), text("x"), stop()), &with_usage());
    let usage = judge(told.text(), true).unwrap().usage.unwrap();
    assert_eq!((&usage["prompt_tokens"], &usage["estimated"]), (&json!(10), &json!(true)));
    assert_eq!(told.watch.usage, None);
}

#[test]
fn usage_that_cannot_be_true_is_not_believed() {
    let lie = USAGE.replace("\"completion_tokens\":2", "\"completion_tokens\":99999999999999");
    let told = whole(&format!("{}{}{}{lie}{DONE}", role(), text("x"), stop()), &with_usage());
    assert_eq!((told.watch.usage, told.watch.usage_implausible), (None, true));
    assert_eq!(judge(told.text(), true).unwrap().usage.unwrap()["completion_tokens"], 5);
}

#[test]
fn callers_see_the_model_they_asked_for() {
    let style = Style { model: Some("ours".into()), include_usage: true, ..Style::default() };
    let told = whole(&simple(), &style);
    judge(told.text(), true).unwrap();
    assert!(!told.text().contains("\"up\""));
    assert_eq!(told.text().matches(r#""model":"ours""#).count(), 5);
}

#[test]
fn the_end_must_be_proper() {
    let begun = [role(), text("x")].concat();
    let ended = format!("{begun}{}", stop());
    let result = |text: &str| whole(text, &with_usage()).result;
    assert_eq!(result(&ended), Ok(()));
    assert_eq!(result(&format!("{ended}{DONE}{DONE}garbage")), Ok(()));
    assert_eq!(result(&begun), Err(Failure::Truncated));
    assert_eq!(result(&format!("{begun}{DONE}")), Err(Failure::Truncated));
    assert_eq!(result(DONE), Err(Failure::Truncated));
    assert_eq!(result(""), Err(Failure::Truncated));
    assert_eq!(result(USAGE), Err(Failure::Truncated));
    // The last event is cut before its blank line: not an event.
    assert_eq!(result(ended.trim_end()), Err(Failure::Truncated));
    let two = chunk(
        &json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}, {"index": 1, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
    );
    assert_eq!(result(&format!("{two}{}{DONE}", stop())), Err(Failure::Truncated));
}

#[test]
fn errors_inside_a_stream_are_failures() {
    let result = |event: &str| whole(&format!("{}{event}", role()), &with_usage()).result.unwrap_err();
    assert_eq!(
        result("data: {\"error\":{\"message\":\"x\",\"code\":502}}\n\n"),
        Failure::Server { status: 502 }
    );
    let busy = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    assert_eq!(result(busy), Failure::Overloaded { retry_after: None });
    assert_eq!(result(&say(&json!({}), &json!("error"))), Failure::Server { status: 500 });
    assert_eq!(
        result("data: {\"object\":\"error\",\"message\":\"x\",\"code\":429}\n\n"),
        Failure::RateLimited { retry_after: None }
    );
}

#[test]
fn one_damaged_event_does_not_cost_the_answer() {
    let bad = "data: {\"id\": oops}\n\n";
    let told = whole(&format!("{}{bad}{}data: \u{1}\n\n{}{DONE}", role(), text("ok"), stop()), &with_usage());
    assert_eq!(judge(told.text(), true).unwrap().choices[&0].text, "ok");
    assert_eq!(told.watch.malformed, 2);
    let told = whole(&format!("{}{}", role(), bad.repeat(20)), &with_usage());
    assert!(matches!(told.result, Err(Failure::Protocol { .. })));
}

#[test]
fn strings_that_no_parser_takes_are_repaired() {
    let raw = |inner: &str| text("WORD").replace("WORD", inner);
    let events = [
        role(),
        text("a"),
        raw("b\u{1}\tc"),
        raw("\\d \\\" \\u00e4"),
        raw("\\ud83d"),
        raw("bad\" quote"),
        text("e"),
        stop(),
    ];
    for told in
        [whole(&events.concat(), &with_usage()), decode(events.concat().as_bytes().chunks(3), &with_usage())]
    {
        // Half a surrogate pair is JSON, so it passes; this judge's parser takes whole ones only.
        let text = told.text().replace("\\ud83d", "?");
        assert_eq!(judge(&text, true).unwrap().choices[&0].text, "ab\u{1}\tc\\d \" ä?e");
        assert_eq!(told.watch.malformed, 1);
    }
}

#[test]
fn giant_events_pass_up_to_the_limit() {
    let large = whole(&format!("{}{}{}{DONE}", role(), text(&"x".repeat(1_100_000)), stop()), &with_usage());
    assert_eq!(large.result, Ok(()));
    assert_eq!(large.watch.output_bytes, 1_100_000);
    let endless = format!("data: {}", "x".repeat(9 * 1024 * 1024));
    let told = decode(endless.as_bytes().chunks(16 * 1024), &with_usage());
    assert!(matches!(told.result, Err(Failure::Protocol { .. })));
}

#[test]
fn endless_tool_calls_are_no_answer() {
    let call = |index: usize| {
        let open = json!({"index": index, "id": format!("id{index}"), "type": "function", "function": {"name": "f", "arguments": ""}});
        say(&json!({"tool_calls": [open]}), &Value::Null)
    };
    let result = |count: usize| {
        let calls: String = (0..count).map(call).collect();
        whole(&format!("{}{calls}{}", role(), stop()), &with_usage()).result
    };
    assert_eq!(result(1_024), Ok(()));
    assert!(matches!(result(1_025), Err(Failure::Protocol { .. })));
}

#[test]
fn watches_what_goes_by() {
    let call = json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]});
    let part = json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]});
    let events = [
        role(),
        say(&json!({"reasoning_content": "hmm"}), &Value::Null),
        say(&json!({"refusal": "no"}), &Value::Null),
        say(&call, &Value::Null),
        say(&part, &Value::Null),
        say(&json!({}), &json!("tool_calls")),
    ];
    let told = whole(&events.concat(), &with_usage());
    assert_eq!((told.watch.content_events, told.watch.output_bytes), (4, 7));
    assert_eq!(told.watch.finish, Some(FinishReason::ToolCalls));
    assert_eq!(whole(&role(), &with_usage()).watch.content_events, 0);
}

#[test]
fn a_whole_answer_becomes_a_stream() {
    let answer = json!({
        "id": "c1", "object": "chat.completion", "created": 5, "model": "up",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "hi", "reasoning_content": "hm",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    });
    let mut decoder = OpenAi.reply_as_stream(answer.to_string().into(), &with_usage()).unwrap();
    let mut out = Vec::new();
    decoder.end_of_input(&mut out).unwrap();
    decoder.close(&tail(), &mut out);
    let said = judge(std::str::from_utf8(&out.concat()).unwrap(), true).unwrap();
    let choice = &said.choices[&0];
    assert_eq!((choice.text.as_str(), choice.reasoning.as_str()), ("hi", "hm"));
    assert_eq!(choice.calls, [("a".to_owned(), "f".to_owned(), "{}".to_owned())]);
    assert_eq!(said.usage.unwrap()["prompt_tokens"], 3);
    assert_eq!(decoder.watch().content_events, 1);
    let error = OpenAi.reply_as_stream(Bytes::from_static(b"{\"error\":{\"code\":503}}"), &with_usage());
    assert_eq!(error.unwrap_err(), Failure::Overloaded { retry_after: None });
}

#[test]
fn a_stream_becomes_a_whole_answer() {
    let reply = OpenAi.stream_as_reply(simple().into(), &Style::default()).unwrap();
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "Hello", "refusal": null})
    );
    assert_eq!(
        (&answer["object"], &answer["choices"][0]["finish_reason"]),
        (&json!("chat.completion"), &json!("stop"))
    );
    assert_eq!(answer["usage"]["total_tokens"], 5);
    assert_eq!(reply.usage.map(|usage| usage.output), Some(2));
    let half = text("WORD").replace("WORD", "\\ud83d lost?");
    let halves = OpenAi.stream_as_reply([role(), half, stop()].concat().into(), &Style::default());
    assert!(matches!(halves, Err(Failure::Protocol { .. })));
    let cut = OpenAi.stream_as_reply(role().into(), &Style::default());
    assert_eq!(cut.unwrap_err(), Failure::Truncated);
}

/// Deltas of a canonical stream with text, reasoning and tool calls.
fn canonical_stream() -> impl Strategy<Value = String> {
    let content = prop_oneof![
        "[^\\x00-\\x1f]{0,12}".prop_map(|text| json!({"content": text})),
        "[a-zü\\\\\"]{0,12}".prop_map(|text| json!({"reasoning_content": text})),
        Just(json!({"content": null})),
        Just(json!({"content": "x", "custom": {"deep": [1, 2.50]}})),
    ];
    let arguments = prop::collection::vec("[a-z\"{}:]{0,8}", 0..4);
    let calls = prop::collection::vec(arguments, 0..3);
    (prop::collection::vec(content, 0..8), calls, any::<bool>()).prop_map(|(contents, calls, done)| {
        let mut events = vec![role()];
        events.extend(contents.iter().map(|delta| say(delta, &Value::Null)));
        for (index, parts) in calls.iter().enumerate() {
            let open = json!({"index": index, "id": format!("id{index}"), "type": "function", "function": {"name": "f", "arguments": ""}});
            events.push(say(&json!({"tool_calls": [open]}), &Value::Null));
            for part in parts {
                let more = json!({"index": index, "function": {"arguments": part}});
                events.push(say(&json!({"tool_calls": [more]}), &Value::Null));
            }
        }
        events.push(stop());
        if done {
            events.push(DONE.to_owned());
        }
        events.concat()
    })
}

proptest! {
    #[test]
    fn a_canonical_stream_comes_out_as_it_came_at_every_border(source in canonical_stream(), size in 1..200_usize, at in any::<prop::sample::Index>()) {
        let expected = source.strip_suffix(DONE).unwrap_or(&source);
        let split = source.as_bytes().split_at(at.index(source.len()));
        for told in [
            whole(&source, &with_usage()),
            decode(source.as_bytes().chunks(size), &with_usage()),
            decode([split.0, split.1], &with_usage()),
        ] {
            prop_assert_eq!(&told.result, &Ok(()));
            prop_assert!(told.text().starts_with(expected), "{}", told.text());
            let verdict = judge(told.text(), true);
            prop_assert!(verdict.is_ok(), "{:?}", verdict);
        }
        prop_assert!(whole(&source, &with_usage()).pieces <= 3);
    }

    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let framed = [b"data: ".as_slice(), &text, b"\n\n"].concat();
        let told = decode([text.as_slice(), framed.as_slice()], &with_usage());
        prop_assert!(told.result.is_err());
    }
}
