//! Writes a canonical stream, for the dialects that have to be translated.
//!
//! Text goes from one JSON string into another, so it is carried over as it is
//! written there, escapes and all, and never decoded. What is the same on every
//! chunk is written once and copied.

use std::io::Write;

use bytes::Bytes;
use serde_json::{Value, json};

use super::openai::hide;
use super::{Style, Tail};
use crate::outcome::FinishReason;
use crate::units::Usage;

/// What ends every stream.
pub(super) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Writes the chunks of one stream, for one choice at a time: the first, unless
/// it is turned to another.
#[derive(Debug)]
pub(super) struct Chunks {
    /// `data: {"id":…,"object":…,"created":…,"model":…,"choices":[`
    head: Vec<u8>,
    /// What closes a chunk that does not state usage.
    end: &'static [u8],
    /// Whether the upstream's own words must not be shown.
    hides: bool,
    /// The index of the choice that is written.
    choice: usize,
}

impl Chunks {
    /// For an answer of that id and model, both as they stand between quotes.
    pub(super) fn new(id: &[u8], model: &[u8], style: &Style) -> Self {
        let mut head = b"data: {\"id\":".to_vec();
        let id = [b"\"", id, b"\""].concat();
        match style.hides_upstream() {
            true => head.extend_from_slice(&hide::id(&id)),
            false => head.extend_from_slice(&id),
        }
        head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        // Writing to memory cannot fail.
        let _infallible = write!(head, "{},\"model\":", style.created);
        match &style.model {
            Some(model) => head.extend_from_slice(Value::from(model.as_ref()).to_string().as_bytes()),
            None => parts(&mut head, &[b"\"", model, b"\""]),
        }
        head.extend_from_slice(b",\"choices\":[");
        let end: &[u8] = if style.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        Chunks { head, end, hides: style.hides_upstream(), choice: 0 }
    }

    /// What follows is of the choice at `index`.
    pub(super) fn turn_to(&mut self, index: usize) {
        self.choice = index;
    }

    /// A chunk whose delta consists of `delta`, the members between the braces.
    pub(super) fn delta(&self, delta: &[&[u8]], out: &mut Vec<u8>) {
        self.open(out);
        parts(out, delta);
        out.extend_from_slice(b"},\"finish_reason\":null}");
        out.extend_from_slice(self.end);
    }

    fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        // Writing to memory cannot fail.
        let _infallible = write!(out, "{{\"index\":{},\"delta\":{{", self.choice);
    }

    /// The first chunk of a choice: who speaks.
    pub(super) fn role(&self, out: &mut Vec<u8>) {
        self.delta(&[br#""role":"assistant","content":"""#], out);
    }

    /// More of a text: `member` is `content`, `reasoning_content` or `refusal`,
    /// `text` stands between quotes.
    pub(super) fn text(&self, member: &str, text: &[u8], out: &mut Vec<u8>) {
        self.delta(&[b"\"", member.as_bytes(), b"\":\"", text, b"\""], out);
    }

    /// Log probabilities of what was said, as the object that the choice has.
    pub(super) fn logprobs(&self, logprobs: &str, out: &mut Vec<u8>) {
        self.open(out);
        let parted: [&[u8]; 3] =
            [br#""content":""},"logprobs":"#, logprobs.as_bytes(), b",\"finish_reason\":null}"];
        parts(out, &parted);
        out.extend_from_slice(self.end);
    }

    /// A tool call begins; id and name stand between quotes.
    pub(super) fn call(&self, index: u32, id: &[u8], name: &[u8], out: &mut Vec<u8>) {
        let index = index.to_string();
        let delta: [&[u8]; 7] = [
            b"\"tool_calls\":[{\"index\":",
            index.as_bytes(),
            b",\"id\":\"",
            id,
            b"\",\"type\":\"function\",\"function\":{\"name\":\"",
            name,
            b"\",\"arguments\":\"\"}}]",
        ];
        self.delta(&delta, out);
    }

    /// More of a tool call's arguments, which stand between quotes.
    pub(super) fn arguments(&self, index: u32, text: &[u8], out: &mut Vec<u8>) {
        let index = index.to_string();
        let delta: [&[u8]; 5] = [
            b"\"tool_calls\":[{\"index\":",
            index.as_bytes(),
            b",\"function\":{\"arguments\":\"",
            text,
            b"\"}}]",
        ];
        self.delta(&delta, out);
    }

    /// Why it ended, in our word and, between quotes, the upstream's, which only
    /// those are told who may know the upstream.
    pub(super) fn finish(&self, reason: FinishReason, native: &[u8], out: &mut Vec<u8>) {
        self.open(out);
        out.extend_from_slice(b"}");
        if !native.is_empty() && !self.hides {
            parts(out, &[b",\"native_finish_reason\":\"", native, b"\""]);
        }
        parts(out, &[b",\"finish_reason\":\"", word(reason).as_bytes(), b"\"}"]);
        out.extend_from_slice(self.end);
    }

    /// What it consumed: the last chunk.
    pub(super) fn usage(&self, usage: &Usage, tail: &Tail, out: &mut Vec<u8>) {
        let parsed = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref()?).ok();
        let mut stated = state(usage);
        if let (Some(cost), Some(members)) =
            (parsed(&tail.cost).filter(Value::is_number), stated.as_object_mut())
        {
            members.insert("cost".to_owned(), cost);
        }
        out.extend_from_slice(&self.head);
        // Writing to memory cannot fail.
        let _infallible = write!(out, "],\"usage\":{stated}");
        if let Some(merit) = parsed(&tail.merit).filter(Value::is_object) {
            let _infallible = write!(out, ",\"merit\":{merit}");
        }
        out.extend_from_slice(b"}\n\n");
    }
}

fn parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A usage object in the canonical form.
pub(super) fn state(usage: &Usage) -> Value {
    let mut stated = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input,
            "cache_write_tokens": usage.cache_write_5m.saturating_add(usage.cache_write_1h),
        },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    });
    if let (true, Some(members)) = (usage.estimated, stated.as_object_mut()) {
        members.insert("estimated".to_owned(), true.into());
    }
    stated
}

/// `OpenAI`'s word for a reason.
pub(super) fn word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::FunctionCall => "function_call",
    }
}

/// Whether what stands between the quotes of a JSON string can be carried over
/// as it is: no raw control characters, and only escapes that JSON has. Halves
/// of surrogate pairs may be apart: upstreams split a text anywhere.
pub(super) fn is_sound(text: &[u8]) -> bool {
    if text.iter().any(|byte| *byte < 0x20) {
        return false;
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let length = match rest.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = rest.get(at + 2..at + 6).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return false;
                }
                6
            }
            _ => return false,
        };
        rest = rest.get(at + length..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&Chunks, &mut Vec<u8>)) -> Value {
        let style = Style { model: None, include_usage: true, ..Style::default() };
        let mut out = Vec::new();
        write(&Chunks::new(b"a\\u0041", b"m", &style), &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        serde_json::from_str(text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap()).unwrap()
    }

    #[test]
    fn ids_and_reasons_do_not_tell_whose_they_are() {
        let style = Style { model: Some("ours".into()), ..Style::default() };
        let chunks = Chunks::new(b"msg_bdrk_1", b"claude", &style);
        let mut out = Vec::new();
        chunks.finish(FinishReason::Stop, b"end_turn", &mut out);
        let chunk: Value = serde_json::from_slice(&out[6..]).unwrap();
        assert_eq!(chunk["id"].as_str().map(str::len), Some(33));
        assert_eq!(chunk["model"], "ours");
        assert_eq!(chunk["choices"][0], json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    }

    #[test]
    fn a_chunk_has_all_that_a_chunk_must_have() {
        let chunk = written(|chunks, out| chunks.text("content", br#"x\"y"#, out));
        let expected = json!({
            "id": "aA", "object": "chat.completion.chunk", "created": 0, "model": "m",
            "choices": [{"index": 0, "delta": {"content": "x\"y"}, "finish_reason": null}], "usage": null,
        });
        assert_eq!(chunk, expected);
    }

    #[test]
    fn every_choice_has_its_own_chunks() {
        let mut chunks = Chunks::new(b"a", b"m", &Style::default());
        chunks.turn_to(2);
        let mut out = Vec::new();
        chunks.finish(FinishReason::Length, b"MAX", &mut out);
        let choice = r#"{"index":2,"delta":{},"native_finish_reason":"MAX","finish_reason":"length"}"#;
        assert!(std::str::from_utf8(&out).unwrap().contains(choice));
    }

    #[test]
    fn usage_comes_with_what_is_added_to_it() {
        let usage = Usage { input: 9, cached_input: 2, cache_write_1h: 3, output: 4, ..Usage::default() };
        let tail = Tail {
            usage: None,
            cost: Some("0.000123".to_owned()),
            merit: Some(r#"{"attempts":1}"#.to_owned()),
        };
        let chunk = written(|chunks, out| chunks.usage(&usage, &tail, out));
        assert_eq!(chunk["choices"], json!([]));
        assert_eq!(chunk["merit"], json!({"attempts": 1}));
        let details = json!({"cached_tokens": 2, "cache_write_tokens": 3});
        assert_eq!(
            (&chunk["usage"]["prompt_tokens_details"], &chunk["usage"]["total_tokens"]),
            (&details, &json!(13))
        );
        assert_eq!(chunk["usage"]["cost"].to_string(), "0.000123");
    }

    proptest! {
        #[test]
        fn what_is_sound_is_a_json_string(text in r#"[ -~\n]{0,3}(\\["\\/bfnrtux]|\\u[0-9a-f]{3,4}|[a-zé"\x01]){0,6}"#) {
            let quoted = format!("\"{text}\"");
            // A quote inside ends the string early; upstream text never has one.
            prop_assume!(crate::json::document(quoted.as_bytes()).is_ok());
            let parsed = serde_json::from_str::<&serde_json::value::RawValue>(&quoted).is_ok();
            prop_assert_eq!(is_sound(text.as_bytes()), parsed, "{}", text);
        }
    }
}
