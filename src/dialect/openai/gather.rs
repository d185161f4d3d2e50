//! Puts a stream together again to the complete answer it would have been.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::reply;
use super::stream::Stream;
use crate::dialect::sse::{MOST_EVENT, Splitter};
use crate::dialect::{Decoder, Progress, Reply, Style};
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
    let mut answer = Value::Object(Map::new());
    let mut splitter = Splitter::new(MOST_EVENT);
    for piece in out {
        splitter.push(piece);
        while let Ok(Some(event)) = splitter.next() {
            if let Ok(chunk) = serde_json::from_slice(&event.data) {
                merge(&mut answer, chunk, "");
            }
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
    if let Some(usage) = stream.usage() {
        answer.insert("usage".to_owned(), usage.clone());
    }
    let mended = reply::canonical(&Value::Object(answer).to_string().into())?;
    Ok(reply::of(mended))
}

/// Members whose text is not continued but said again.
const WHOLE: [&str; 8] =
    ["id", "object", "model", "role", "type", "name", "finish_reason", "system_fingerprint"];

/// Merges a chunk as SDKs do: texts are continued, lists are merged by `index`
/// or extended, anything else is the last word.
fn merge(into: &mut Value, from: Value, name: &str) {
    match (into, from) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) if !WHOLE.contains(&name) => text.push_str(&more),
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                match members.get_mut(&name) {
                    Some(member) => merge(member, value, &name),
                    None => {
                        members.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(more)) => {
            for value in more {
                let index = value.get("index").filter(|index| index.is_u64());
                match items.iter_mut().find(|item| index.is_some() && item.get("index") == index) {
                    Some(item) => merge(item, value, ""),
                    None => items.push(value),
                }
            }
        }
        (into, from) => *into = from,
    }
}
