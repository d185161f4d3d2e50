//! Puts a stream together again to the complete answer it would have been.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::reply;
use super::stream::Stream;
use crate::dialect::sse::Splitter;
use crate::dialect::{Decoder, Progress, Reply, Style, Watch};
use crate::outcome::Failure;

/// Reads a whole stream as one answer.
///
/// # Errors
/// What the stream reports; [`Failure::Truncated`] when it has no proper end.
pub(super) fn read(whole: Bytes, style: &Style) -> Result<Reply, Failure> {
    let style = Style { include_usage: false, ..style.clone() };
    let mut stream = Stream::new(&style);
    let mut out = Vec::new();
    if stream.feed(whole, &mut out)? == Progress::More {
        stream.end_of_input(&mut out)?;
    }
    let reply = put_together(out, stream.usage().map(Into::into))?;
    let Watch { usage, usage_implausible, reported_cost_usd, .. } = *stream.watch();
    Ok(Reply { usage, usage_implausible, reported_cost_usd, ..reply })
}

/// The answer that canonical `events`, without what ends them, would have been.
///
/// # Errors
/// As for such an answer.
pub(in crate::dialect) fn put_together(events: Vec<Bytes>, usage: Option<Value>) -> Result<Reply, Failure> {
    let mut answer = Value::Object(Map::new());
    // Ours, and in memory already: no limit is needed.
    let mut splitter = Splitter::new(usize::MAX);
    for piece in events {
        splitter.push(piece);
        while let Ok(Some(event)) = splitter.next() {
            // Half a character, written as an escape, passes in a stream but
            // not in a whole: nothing of it may get lost unseen.
            let chunk = serde_json::from_slice(&event.data);
            let chunk = chunk.map_err(|_| Failure::Protocol { detail: "a text that cannot be read" })?;
            merge(&mut answer, chunk, "", "");
        }
    }
    let Value::Object(mut answer) = answer else { return Err(Failure::Truncated) };
    answer.insert("object".to_owned(), "chat.completion".into());
    if let Some(Value::Array(choices)) = answer.get_mut("choices") {
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            let message = choice.shift_remove("delta").unwrap_or_default();
            choice.insert("message".to_owned(), message);
        }
    }
    if let Some(usage) = usage {
        answer.insert("usage".to_owned(), usage);
    }
    let mended = reply::canonical(&Value::Object(answer).to_string().into())?;
    Ok(reply::of(mended))
}

/// Texts that come in pieces, by the member they stand in and their own name.
/// Every other text is said again as a whole, if it is said again.
const CONTINUED: [(&str, &str); 13] = [
    ("delta", "content"),
    ("delta", "refusal"),
    ("delta", "reasoning"),
    ("delta", "reasoning_content"),
    ("function", "arguments"),
    ("function_call", "arguments"),
    ("custom", "input"),
    ("audio", "data"),
    ("audio", "transcript"),
    // Reasoning as OpenRouter and LiteLLM pass it on: what is lost of it makes
    // its signature worthless.
    ("reasoning_details", "text"),
    ("reasoning_details", "summary"),
    ("thinking_blocks", "thinking"),
    ("thinking_blocks", "text"),
];

/// Merges a chunk as SDKs do: texts that come in pieces are continued, lists are
/// merged by `index` (those of `logprobs` are continued), anything else is the
/// last word. `name` is that of the member, `within` that of what it stands in.
fn merge(into: &mut Value, from: Value, within: &str, name: &str) {
    match (into, from) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) if CONTINUED.contains(&(within, name)) => {
            text.push_str(&more);
        }
        (Value::Object(members), Value::Object(more)) => {
            for (member, value) in more {
                match members.get_mut(&member) {
                    Some(known) => merge(known, value, name, &member),
                    None => {
                        members.insert(member, value);
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(more)) => merge_lists(items, more, within, name),
        (into, from) => *into = from,
    }
}

fn merge_lists(items: &mut Vec<Value>, more: Vec<Value>, within: &str, name: &str) {
    let is_numbered = |items: &[Value]| items.iter().all(|item| item.get("index").is_some_and(Value::is_u64));
    if within == "logprobs" {
        items.extend(more);
    } else if is_numbered(items) && is_numbered(&more) {
        for value in more {
            let index = value.get("index").cloned();
            match items.iter_mut().find(|item| item.get("index") == index.as_ref()) {
                Some(item) => merge(item, value, within, name),
                None => items.push(value),
            }
        }
    } else {
        *items = more;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(chunks: impl IntoIterator<Item = Value>) -> Value {
        let mut answer = Value::Object(Map::new());
        chunks.into_iter().for_each(|chunk| merge(&mut answer, chunk, "", ""));
        answer
    }

    #[test]
    fn only_texts_that_come_in_pieces_are_continued() {
        let chunk = |text: &str| {
            json!({"provider": "X", "service_tier": "default", "choices": [{"index": 0, "delta": {
                "role": "assistant", "content": text, "reasoning": text, "content_type": "text",
                "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": text}}],
                "reasoning_details": [{"index": 0, "format": "x-v1", "text": text}],
            }}]})
        };
        let answer = merged([chunk("Hel"), chunk("lo")]);
        assert_eq!(answer, chunk("Hello"));
    }

    #[test]
    fn lists_are_continued_only_where_they_come_in_pieces() {
        let chunk = |token: &str| {
            json!({"citations": ["https://a", "https://b"],
                "choices": [{"index": 0, "logprobs": {"content": [{"token": token}], "refusal": null}}]})
        };
        let answer = merged([chunk("a"), chunk("b")]);
        assert_eq!(answer["citations"], json!(["https://a", "https://b"]));
        let tokens = &answer["choices"][0]["logprobs"]["content"];
        assert_eq!(*tokens, json!([{"token": "a"}, {"token": "b"}]));
    }
}
