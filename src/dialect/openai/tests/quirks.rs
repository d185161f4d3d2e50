//! Streams with any mix of known deviations still come out canonical, and say
//! the same.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::canonical::judge;
use super::*;

/// What an upstream wants to say with one choice.
#[derive(Debug, Clone)]
struct Script {
    reasoning: Vec<String>,
    text: Vec<String>,
    /// Pieces of the arguments of each call.
    calls: Vec<Vec<String>>,
}

/// How it deviates. Each is a row of the quirks seen in the wild.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent deviation")]
struct Quirks {
    role_repeated: bool,
    role_missing: bool,
    nulls: bool,
    reasoning_as_reasoning: bool,
    content_in_parts: bool,
    first_index: Option<u64>,
    id_repeated: bool,
    call_whole: bool,
    end_with_content: bool,
    end_word: &'static str,
    finish_missing: bool,
    error_null: bool,
    usage_on_end: bool,
    preamble: bool,
    empty_after_usage: bool,
    other_ids: bool,
    list_extension: bool,
    typed: bool,
    done: bool,
    crlf: bool,
    comments: bool,
}

fn script() -> impl Strategy<Value = Script> {
    let words = || prop::collection::vec("[a-zü \\\\\"\n]{1,8}", 0..4);
    (words(), words(), prop::collection::vec(words(), 0..3)).prop_map(|(reasoning, text, calls)| Script {
        reasoning,
        text,
        calls,
    })
}

fn quirks() -> impl Strategy<Value = Quirks> {
    let end = prop::sample::select(vec!["stop", "eos", "COMPLETE", "model_length", "tool_calls", "whatever"]);
    let index = prop::option::of(0..3_u64);
    (any::<[bool; 18]>(), end, index).prop_map(|(b, end_word, first_index)| Quirks {
        role_repeated: b[0],
        role_missing: b[1],
        nulls: b[2],
        reasoning_as_reasoning: b[3],
        content_in_parts: b[4],
        first_index,
        id_repeated: b[5],
        // A delta without an index can only be told by its id.
        call_whole: b[6],
        end_with_content: b[7],
        end_word,
        finish_missing: b[8],
        error_null: b[9],
        usage_on_end: b[10],
        preamble: b[11],
        empty_after_usage: b[12],
        other_ids: b[13],
        list_extension: b[14],
        typed: b[17],
        done: b[15],
        crlf: b[16],
        comments: b[16],
    })
}

/// The deltas of a script, each as the quirks have it.
fn deltas(script: &Script, quirks: &Quirks) -> Vec<Map<String, Value>> {
    let mut deltas = Vec::new();
    let mut add = |delta: Value| deltas.push(delta.as_object().unwrap().clone());
    add(json!({"content": ""}));
    for piece in &script.reasoning {
        let name = if quirks.reasoning_as_reasoning { "reasoning" } else { "reasoning_content" };
        add(match quirks.content_in_parts {
            true => json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}),
            false => json!({name: piece}),
        });
    }
    for piece in &script.text {
        add(match quirks.content_in_parts {
            true => json!({"content": [{"type": "text", "text": piece}]}),
            false => json!({"content": piece}),
        });
    }
    for (position, parts) in script.calls.iter().enumerate() {
        let whole = quirks.call_whole || quirks.first_index.is_none();
        let id = format!("id{position}");
        let pieces = if whole { vec![parts.concat()] } else { [vec![String::new()], parts.clone()].concat() };
        for (number, piece) in pieces.into_iter().enumerate() {
            let mut call = json!({"function": {"arguments": piece}});
            if let Some(first) = quirks.first_index {
                call["index"] = (first + position as u64).into();
            }
            if number == 0 || quirks.id_repeated {
                call["id"] = id.clone().into();
                call["function"]["name"] = "f".into();
            }
            if quirks.typed {
                call["type"] = "function".into();
            }
            add(json!({"tool_calls": [call]}));
        }
    }
    let last = deltas.len() - 1;
    for (position, delta) in deltas.iter_mut().enumerate() {
        match position {
            0 if quirks.role_missing => {}
            0 => drop(delta.insert("role".to_owned(), "assistant".into())),
            _ if quirks.nulls => drop(delta.insert("role".to_owned(), Value::Null)),
            _ if quirks.role_repeated => drop(delta.insert("role".to_owned(), "assistant".into())),
            _ => {}
        }
        if quirks.nulls {
            delta.entry("content").or_insert(Value::Null);
            delta.entry("tool_calls").or_insert(Value::Null);
        }
        if quirks.list_extension && position == last {
            delta.insert("thinking_blocks".to_owned(), json!([{"type": "thinking"}]));
        }
    }
    deltas
}

fn render(script: &Script, quirks: &Quirks) -> String {
    let mut chunks = Vec::new();
    if quirks.preamble {
        chunks.push(json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [1]}));
    }
    let deltas = deltas(script, quirks);
    let last = deltas.len() - 1;
    for (position, delta) in deltas.into_iter().enumerate() {
        let ends = position == last && quirks.end_with_content;
        let mut choice = json!({"index": 0, "delta": delta});
        match (ends, quirks.finish_missing) {
            (true, _) => choice["finish_reason"] = quirks.end_word.into(),
            (false, true) => {}
            (false, false) => choice["finish_reason"] = Value::Null,
        }
        chunks.push(json!({"id": "c1", "choices": [choice]}));
    }
    if !quirks.end_with_content {
        chunks.push(
            json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": quirks.end_word}]}),
        );
    }
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    match quirks.usage_on_end {
        true => chunks.last_mut().unwrap()["usage"] = usage,
        false => chunks.push(json!({"id": "c1", "choices": [], "usage": usage})),
    }
    if quirks.empty_after_usage {
        chunks.push(json!({"id": "c1", "choices": []}));
    }
    let line = if quirks.crlf { "\r\n" } else { "\n" };
    let mut stream = String::new();
    for (position, chunk) in chunks.iter_mut().enumerate() {
        for (name, value) in
            [("object", json!("chat.completion.chunk")), ("created", json!(5)), ("model", json!("up"))]
        {
            chunk.as_object_mut().unwrap().entry(name).or_insert(value);
        }
        if quirks.other_ids && position > 1 {
            chunk["id"] = format!("c{position}").into();
        }
        if quirks.error_null {
            chunk["error"] = Value::Null;
        }
        if quirks.comments {
            stream.extend([": PROCESSING", line, line, "event: message", line]);
        }
        stream.extend(["data: ", &chunk.to_string(), line, line]);
    }
    if quirks.done {
        stream.extend(["data: [DONE]", line, line]);
    }
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_mix_of_deviations_comes_out_canonical(script in script(), quirks in quirks(), include_usage in any::<bool>(), size in 1..300_usize) {
        let source = render(&script, &quirks);
        let style = Style { model: None, include_usage, ..Style::default() };
        let told = whole(&source, &style);
        prop_assert_eq!(&told.result, &Ok(()));
        let said = judge(told.text(), include_usage);
        prop_assert!(said.is_ok(), "{:?}\n{}\n{}", said, source, told.text());
        let said = said.unwrap();
        let choice = &said.choices[&0];
        prop_assert_eq!(&choice.text, &script.text.concat());
        prop_assert_eq!(&choice.reasoning, &script.reasoning.concat());
        let arguments: Vec<&str> = choice.calls.iter().map(|call| call.2.as_str()).collect();
        let expected: Vec<String> = script.calls.iter().map(|parts| parts.concat()).collect();
        prop_assert_eq!(arguments, expected);
        prop_assert_eq!(told.watch.usage.map(|usage| usage.input), Some(3));
        prop_assert_eq!(told.watch.malformed, 0);
        // Where the borders are makes no difference.
        let pieces = decode(source.as_bytes().chunks(size), &style);
        prop_assert_eq!(pieces.text(), told.text());
        prop_assert_eq!(pieces.watch.content_events, told.watch.content_events);
    }
}
