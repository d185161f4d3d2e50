//! Properties of streams, and what is watched.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::golden::GOLDEN;
use super::*;
use crate::dialect::openai::tests::canonical::{Choice, judge};
use crate::outcome::FinishReason;
use crate::request::ChatRequest;

/// A piece of an answer.
#[derive(Debug, Clone)]
enum Piece {
    Text(Vec<String>),
    Thinking(Vec<String>, String),
    Call(String, Vec<String>),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let texts = || prop::collection::vec("[ -~é🌍\n\t]{0,6}", 1..4);
    let piece = prop_oneof![
        texts().prop_map(Piece::Text),
        (texts(), "[A-Za-z0-9+/]{1,8}").prop_map(|(texts, signature)| Piece::Thinking(texts, signature)),
        ("[a-z_]{1,8}", any::<prop::sample::Index>()).prop_map(|(name, cut)| {
            let arguments = json!({"of": name, "quote": "\"\\"}).to_string();
            let (before, after) = arguments.split_at(cut.index(arguments.len()));
            Piece::Call(name, vec![before.to_owned(), after.to_owned()])
        }),
        "[a-z_]{1,8}".prop_map(|name| Piece::Call(name, Vec::new())),
    ];
    prop::collection::vec(piece, 0..5)
}

/// As Converse streams it: only calls are announced.
fn stream(pieces: &[Piece], stop: &str) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut event = |name: &str, payload: Value| {
        stream.extend_from_slice(&event_stream::event(name, payload.to_string().as_bytes()));
    };
    event("messageStart", json!({"role": "assistant", "p": "abc"}));
    for (index, piece) in pieces.iter().enumerate() {
        let deltas: Vec<Value> = match piece {
            Piece::Text(texts) => texts.iter().map(|text| json!({ "text": text })).collect(),
            Piece::Thinking(texts, signature) => {
                let texts = texts.iter().map(|text| json!({"reasoningContent": {"text": text}}));
                texts.chain([json!({"reasoningContent": {"signature": signature}})]).collect()
            }
            Piece::Call(name, parts) => {
                let start = json!({"toolUse": {"toolUseId": format!("tooluse_{index}"), "name": name}});
                event("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
                parts.iter().map(|part| json!({"toolUse": {"input": part}})).collect()
            }
        };
        for delta in deltas {
            event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta, "p": "abcd"}));
        }
        event("contentBlockStop", json!({"contentBlockIndex": index}));
    }
    event("messageStop", json!({"stopReason": stop}));
    event("metadata", json!({"usage": {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12}}));
    stream
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
                meant.calls.push((format!("tooluse_{index}"), name.clone(), arguments));
            }
        }
    }
    let called = !meant.calls.is_empty();
    meant.finish = Some(if called { "tool_calls" } else { "stop" }.to_owned());
    meant
}

proptest! {
    #[test]
    fn callers_get_what_was_said_however_it_is_cut(pieces in pieces(), size in 1..200_usize, usage in any::<bool>()) {
        let source = stream(&pieces, "end_turn");
        let style = Style { model: Some("shown".into()), include_usage: usage, ..named() };
        let told = decode(&Bedrock, [source.as_slice()], &style);
        prop_assert_eq!(&told.result, &Ok(()));
        let said = judge(told.text(), usage).unwrap();
        prop_assert_eq!(said.choices.into_values().collect::<Vec<_>>(), vec![meant(&pieces)]);
        prop_assert_eq!(decode(&Bedrock, source.chunks(size), &style).bytes, told.bytes);
        prop_assert_eq!(told.watch.usage.map(|usage| (usage.input, usage.output, usage.estimated)), Some((3, 9, false)));
    }

    #[test]
    fn a_stream_that_is_cut_before_its_stop_never_ends_well(pieces in pieces(), at in any::<prop::sample::Index>()) {
        let whole = stream(&pieces, "end_turn");
        let metadata = event_stream::event("metadata", br#"{"usage":{"inputTokens":3,"outputTokens":9,"totalTokens":12}}"#).len();
        let told = decode(&Bedrock, [&whole[..at.index(whole.len() - metadata)]], &named());
        prop_assert_eq!(told.result, Err(Failure::Truncated));
        prop_assert!(!told.bytes.ends_with(b"[DONE]\n\n"));
    }

    #[test]
    fn any_damage_is_noticed(pieces in pieces(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut source = stream(&pieces, "end_turn");
        let at = at.index(source.len());
        source[at] ^= 1 << bit;
        let told = decode(&Bedrock, [source.as_slice()], &named());
        // Behind the stop, only the figures are lost with it.
        prop_assert!(told.result.is_err());
        prop_assert_eq!(decode(&Bedrock, source.chunks(3), &named()).bytes, told.bytes);
    }

    #[test]
    fn a_whole_answer_and_its_stream_are_the_same(pieces in pieces()) {
        let gathered = Bedrock.stream_as_reply(stream(&pieces, "tool_use").into(), &named()).unwrap();
        let content: Vec<Value> = pieces.iter().enumerate().map(|(index, piece)| match piece {
            Piece::Text(texts) => json!({"text": texts.concat()}),
            Piece::Thinking(texts, signature) => json!({"reasoningContent": {"reasoningText": {"text": texts.concat(), "signature": signature}}}),
            Piece::Call(name, parts) => {
                let input: Value = if parts.is_empty() { json!({}) } else { serde_json::from_str(&parts.concat()).unwrap() };
                json!({"toolUse": {"toolUseId": format!("tooluse_{index}"), "name": name, "input": input}})
            }
        }).collect();
        let answer = json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use",
            "usage": {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12}});
        let read = Bedrock.reply(answer.to_string().into(), &named()).unwrap();
        let parse = |body: &[u8]| -> Value { serde_json::from_slice(body).unwrap() };
        let (gathered_body, read_body) = (parse(&gathered.body), parse(&read.body));
        for pointer in ["/id", "/model", "/usage", "/choices/0/message/tool_calls", "/choices/0/finish_reason"] {
            prop_assert_eq!(gathered_body.pointer(pointer), read_body.pointer(pointer), "{}", pointer);
        }
        for name in ["content", "reasoning_content"] {
            let text = |body: &Value| body["choices"][0]["message"][name].as_str().unwrap_or_default().to_owned();
            prop_assert_eq!(text(&gathered_body), text(&read_body));
        }
        prop_assert_eq!((gathered.usage, gathered.finish), (read.usage, read.finish));

        // And as a stream made of it.
        let mut decoder = Bedrock.reply_as_stream(answer.to_string().into(), &named()).unwrap();
        let mut out = Vec::new();
        decoder.end_of_input(&mut out).unwrap();
        decoder.close(&Tail::default(), &mut out);
        let said = judge(std::str::from_utf8(&out.concat()).unwrap(), true).unwrap();
        prop_assert_eq!(said.choices.into_values().collect::<Vec<_>>(), vec![meant(&pieces)]);
    }

    #[test]
    fn reasoning_goes_back_as_it_came(text in "[ -~é\n]{1,20}", signature in "[A-Za-z0-9+/]{1,20}", redacted in "[A-Za-z0-9+/]{4}") {
        let content = json!([
            {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}},
            {"reasoningContent": {"redactedContent": redacted}},
            {"text": "so"},
        ]);
        let answer = json!({"output": {"message": {"content": content}}, "stopReason": "end_turn"});
        let reply = Bedrock.reply(answer.to_string().into(), &named()).unwrap();
        let reply: Value = serde_json::from_slice(&reply.body).unwrap();
        let user = json!({"role": "user", "content": "x"});
        let body = json!({"model": "m", "messages": [user, reply["choices"][0]["message"], user]});
        let request = ChatRequest::read(body.to_string().into()).unwrap();
        let encoded = super::super::encode_for(&request, "amazon.nova-2-lite-v1:0", None).unwrap();
        let sent: Value = serde_json::from_slice(&encoded.body.concat()).unwrap();
        prop_assert_eq!(&sent["messages"][1]["content"], &content);
    }
}

#[test]
fn the_last_word_on_usage_is_waited_for() {
    let source = framed(&GOLDEN.read("text", ".upstream.events"));
    let told = decode(&Bedrock, [source.as_slice()], &named());
    assert_eq!(told.watch.finish, Some(FinishReason::Stop));
    assert_eq!(told.watch.usage.map(|usage| usage.output), Some(9));
    // A stop without figures is a good end all the same.
    let stop = source.windows(8).position(|window| window == b"metadata").unwrap();
    let cut = source[..stop].iter().rposition(|byte| *byte == b'}').unwrap() + 5;
    let told = decode(&Bedrock, [&source[..cut]], &named());
    assert_eq!((told.result, told.watch.usage), (Ok(()), None));
}

#[test]
fn a_stream_of_damage_is_no_answer() {
    let source = framed(&"contentBlockDelta {\"delta\":\n".repeat(9));
    let told = decode(&Bedrock, [source.as_slice()], &named());
    assert_eq!(told.result.unwrap_err().label(), "protocol");
    assert_eq!(told.watch.malformed, 9);
}

#[test]
fn an_answer_without_names_of_its_own_has_ours() {
    let answer = r#"{"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn"}"#;
    let of = |style: &Style| -> Value {
        serde_json::from_slice(&Bedrock.reply(answer.into(), style).unwrap().body).unwrap()
    };
    let told = of(&named());
    assert_eq!(told["model"], "amazon.nova-pro-v1:0");
    assert!(told["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_ne!(told["id"], of(&Style { id: "another".into(), ..named() })["id"]);
    assert_eq!(of(&Style { model: Some("ours".into()), ..named() })["model"], "ours");
}
