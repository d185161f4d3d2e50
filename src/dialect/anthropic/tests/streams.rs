//! Properties of streams, and what is watched.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::golden::GOLDEN;
use super::*;
use crate::dialect::openai::tests::canonical::{Choice, judge};
use crate::outcome::FinishReason;

/// A piece of an answer.
#[derive(Debug, Clone)]
enum Piece {
    Text(Vec<String>),
    Thinking(Vec<String>, String),
    Call(String, Vec<String>),
    Search,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let texts = || prop::collection::vec("[ -~é🌍\n\t]{0,6}", 0..4);
    let piece = prop_oneof![
        texts().prop_map(Piece::Text),
        (texts(), "[A-Za-z0-9+/]{1,8}").prop_map(|(texts, signature)| Piece::Thinking(texts, signature)),
        ("[a-z_]{1,8}", any::<prop::sample::Index>()).prop_map(|(name, cut)| {
            let arguments = json!({"of": name, "quote": "\"\\"}).to_string();
            let (before, after) = arguments.split_at(cut.index(arguments.len()));
            Piece::Call(name, vec![before.to_owned(), after.to_owned()])
        }),
        "[a-z_]{1,8}".prop_map(|name| Piece::Call(name, Vec::new())),
        Just(Piece::Search),
    ];
    prop::collection::vec(piece, 0..5)
}

fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

fn stream(pieces: &[Piece], stop: &str) -> String {
    let start = json!({"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}});
    let mut text = event(&json!({"type": "message_start", "message": start}));
    for (index, piece) in pieces.iter().enumerate() {
        let (block, deltas) = match piece {
            Piece::Text(texts) => {
                let delta = |text: &String| json!({"type": "text_delta", "text": text});
                (json!({"type": "text", "text": ""}), texts.iter().map(delta).collect::<Vec<Value>>())
            }
            Piece::Thinking(texts, signature) => {
                let delta = |text: &String| json!({"type": "thinking_delta", "thinking": text});
                let mut deltas: Vec<Value> = texts.iter().map(delta).collect();
                deltas.push(json!({"type": "signature_delta", "signature": signature}));
                (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
            }
            Piece::Call(name, parts) => {
                let delta = |part: &String| json!({"type": "input_json_delta", "partial_json": part});
                let block =
                    json!({"type": "tool_use", "id": format!("toolu_{index}"), "name": name, "input": {}});
                (block, parts.iter().map(delta).collect())
            }
            Piece::Search => {
                (json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}), vec![])
            }
        };
        text += &event(&json!({"type": "content_block_start", "index": index, "content_block": block}));
        for delta in deltas {
            text += &event(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        text += &event(&json!({"type": "content_block_stop", "index": index}));
    }
    text += &event(
        &json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}}),
    );
    text + &event(&json!({"type": "message_stop"}))
}

/// What the caller must have understood.
fn meant(pieces: &[Piece]) -> Choice {
    let mut meant = Choice::default();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(texts) => meant.text += &texts.concat(),
            Piece::Thinking(texts, _) => meant.reasoning += &texts.concat(),
            Piece::Call(name, parts) => {
                let arguments = if parts.is_empty() { "{}".to_owned() } else { parts.concat() };
                meant.calls.push((format!("toolu_{index}"), name.clone(), arguments));
            }
            Piece::Search => {}
        }
    }
    let called = !meant.calls.is_empty();
    meant.finish = Some(if called { "tool_calls" } else { "stop" }.to_owned());
    meant
}

#[test]
fn an_end_without_a_reason_is_none() {
    let source = stream(&[Piece::Text(vec!["Hel".to_owned()])], "end_turn");
    let source = source.replace(r#""stop_reason":"end_turn""#, r#""stop_reason":null"#);
    assert!(source.contains(r#""stop_reason":null"#) && source.contains("message_stop"));
    let told = decode(&Anthropic, [source.as_bytes()], &with_usage());
    assert_eq!(told.result, Err(Failure::Truncated));
    assert!(!told.bytes.ends_with(b"[DONE]\n\n"));
}

proptest! {
    #[test]
    fn callers_get_what_was_said_however_it_is_cut(pieces in pieces(), size in 1..200_usize, usage in any::<bool>()) {
        let source = stream(&pieces, "end_turn");
        let style = Style { model: Some("shown".into()), include_usage: usage, ..Style::default() };
        let told = decode(&Anthropic, [source.as_bytes()], &style);
        prop_assert_eq!(&told.result, &Ok(()));
        let said = judge(told.text(), usage).unwrap();
        prop_assert_eq!(said.choices.into_values().collect::<Vec<_>>(), vec![meant(&pieces)]);
        prop_assert_eq!(decode(&Anthropic, source.as_bytes().chunks(size), &style).bytes, told.bytes);
        prop_assert_eq!(told.watch.usage.map(|usage| (usage.input, usage.output, usage.estimated)), Some((3, 9, false)));
    }

    #[test]
    fn a_stream_that_is_cut_never_ends_well(pieces in pieces(), part in 0.0..1.0_f64) {
        let source = stream(&pieces, "end_turn");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a test's length")]
        let length = ((source.len() - 1) as f64 * part) as usize;
        let told = decode(&Anthropic, [&source.as_bytes()[..length]], &with_usage());
        prop_assert_eq!(told.result, Err(Failure::Truncated));
        prop_assert!(!told.bytes.ends_with(b"[DONE]\n\n"));
    }

    #[test]
    fn damage_never_panics_nor_leaves_the_form(
        pieces in pieces(), at in any::<prop::sample::Index>(), junk in prop::collection::vec(any::<u8>(), 0..6), cut in 0..20_usize,
    ) {
        let mut source = stream(&pieces, "tool_use").into_bytes();
        let at = at.index(source.len());
        let end = (at + cut).min(source.len());
        source.splice(at..end, junk);
        let told = decode(&Anthropic, [source.as_slice()], &with_usage());
        // Damage inside a string is another text; but the form always holds.
        if told.result.is_ok() && simdutf8::basic::from_utf8(&told.bytes).is_ok() {
            prop_assert!(judge(told.text(), true).is_ok(), "{}", told.text());
        }
        prop_assert_eq!(decode(&Anthropic, source.chunks(3), &with_usage()).bytes, told.bytes);
    }

    #[test]
    fn a_whole_answer_and_its_stream_are_the_same(pieces in pieces()) {
        let whole = Anthropic.stream_as_reply(stream(&pieces, "tool_use").into(), &Style::default()).unwrap();
        let whole: Value = serde_json::from_slice(&whole.body).unwrap();
        let message = &whole["choices"][0]["message"];
        let meant = meant(&pieces);
        prop_assert_eq!(message["content"].as_str().unwrap_or_default(), meant.text);
        prop_assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), meant.reasoning);
        let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
        prop_assert_eq!(calls, meant.calls.len());
        prop_assert_eq!(&whole["usage"]["completion_tokens"], &json!(9));
    }
}

/// Answers that were not streamed although a stream was asked for.
#[test]
fn a_whole_answer_can_be_streamed() {
    for name in
        ["text", "two-texts", "thinking-and-tools", "answer-tool", "refusal-without-content", "server-tool"]
    {
        let body = Bytes::from(GOLDEN.read(name, ".upstream.json"));
        let reply = Anthropic.reply(body.clone(), &Style::default()).unwrap();
        let mut decoder = Anthropic.reply_as_stream(body, &with_usage()).unwrap();
        let mut out = Vec::new();
        decoder.end_of_input(&mut out).unwrap();
        decoder.close(&Tail::default(), &mut out);
        let text = String::from_utf8(out.concat()).unwrap();
        let said = judge(&text, true).unwrap();
        let whole: Value = serde_json::from_slice(&reply.body).unwrap();
        let (choice, message) = (&said.choices[&0], &whole["choices"][0]["message"]);
        assert_eq!(choice.text, message["content"].as_str().unwrap_or_default(), "{name}");
        assert_eq!(choice.finish.as_deref(), whole["choices"][0]["finish_reason"].as_str(), "{name}");
        assert_eq!(said.usage.as_ref(), whole.get("usage"), "{name}");
        let watch = decoder.watch();
        assert_eq!(
            (watch.usage, watch.finish, watch.output_bytes),
            (reply.usage, reply.finish, reply.output_bytes)
        );
    }
}

#[test]
fn content_is_told_from_preamble() {
    let count = |name: &str| {
        decode(&Anthropic, [GOLDEN.read(name, ".upstream.sse").as_bytes()], &with_usage())
            .watch
            .content_events
    };
    assert_eq!(count("error-first"), 0);
    assert_eq!(count("text"), 2);
    assert_eq!(count("refusal-without-content"), 1);
    assert_eq!(count("tool-input-at-once"), 2);
    // A signature alone is nothing that anybody could read.
    assert_eq!(count("thinking-omitted"), 1);
}

#[test]
fn of_a_stream_that_breaks_off_the_input_is_known_and_the_output_estimated() {
    let told = decode(&Anthropic, [GOLDEN.read("cut", ".upstream.sse").as_bytes()], &with_usage());
    let usage = told.watch.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.estimated), (12, 1, true));
    assert_eq!(told.watch.finish, None);
    let told = decode(&Anthropic, [GOLDEN.read("limit", ".upstream.sse").as_bytes()], &with_usage());
    assert_eq!(told.watch.finish, Some(FinishReason::Length));
    assert!(!told.watch.usage.unwrap().estimated);
}

#[test]
fn figures_that_cannot_be_true_are_not_believed() {
    let watch =
        decode(&Anthropic, [GOLDEN.read("usage-hostile", ".upstream.sse").as_bytes()], &with_usage()).watch;
    assert_eq!((watch.usage, watch.usage_implausible), (None, true));
    let reply =
        Anthropic.reply(GOLDEN.read("usage-hostile", ".upstream.json").into(), &Style::default()).unwrap();
    assert_eq!((reply.usage, reply.usage_implausible), (None, true));
}

#[test]
fn a_stream_of_damage_is_no_answer() {
    let told = decode(&Anthropic, ["data: {\"type\":\n\n".repeat(9).as_bytes()], &with_usage());
    assert_eq!(told.result.unwrap_err().label(), "protocol");
    assert_eq!(told.watch.malformed, 9);
}
