//! Thinking blocks in the middle form, there and back.
//!
//! The carrier is `reasoning_details` as `OpenRouter` documents it (seen
//! 2026-11-22): objects with an index, so that SDKs merge them well. Each is
//! written once and whole.

use crate::json::{Kind, Raw};

/// Marks details as Anthropic's; those of other vendors are not theirs to read.
const FORMAT: &str = "anthropic-claude-v1";

/// A thinking block as a detail: text and signature stand between quotes.
pub(in crate::dialect) fn write_text(index: u32, text: &[u8], signature: &[u8], out: &mut Vec<u8>) {
    open(index, "reasoning.text", out);
    for (name, value) in [(&b"text"[..], text), (b"signature", signature)] {
        member(name, value, out);
    }
    out.push(b'}');
}

/// A block that only Anthropic can read.
pub(in crate::dialect) fn write_encrypted(index: u32, data: &[u8], out: &mut Vec<u8>) {
    open(index, "reasoning.encrypted", out);
    member(b"data", data, out);
    out.push(b'}');
}

fn open(index: u32, kind: &str, out: &mut Vec<u8>) {
    let head = format!(r#"{{"index":{index},"type":"{kind}","format":"{FORMAT}""#);
    out.extend_from_slice(head.as_bytes());
}

fn member(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [b",\"", name, b"\":\"", value, b"\""] {
        out.extend_from_slice(part);
    }
}

/// A thinking block that a caller sent back; strings with their quotes.
#[derive(Debug, Clone, Copy)]
pub(in crate::dialect) enum Thought<'b> {
    /// Readable; only of use with its signature.
    Text { text: Option<Raw<'b>>, signature: Raw<'b> },
    /// Not readable.
    Encrypted { data: Raw<'b> },
}

/// What an assistant's message carries, in order: `reasoning_details`, or what
/// `LiteLLM` calls `thinking_blocks`. Reasoning without a signature is left out: the
/// model would refuse it, and does not need it.
pub(in crate::dialect) fn read<'b>(message: &Raw<'b>) -> Vec<Thought<'b>> {
    let carried = |name: &[u8]| message.get(name).filter(|list| list.kind == Kind::Array);
    let list = carried(b"reasoning_details").or_else(|| carried(b"thinking_blocks"));
    list.into_iter().flat_map(|list| list.elements().flatten()).filter_map(|one| thought(&one)).collect()
}

fn thought<'b>(one: &Raw<'b>) -> Option<Thought<'b>> {
    let foreign =
        one.get(b"format").and_then(|format| format.as_str()).is_some_and(|format| format != FORMAT);
    let text = |name: &[u8]| one.get(name).filter(|value| value.inner().is_some_and(|text| !text.is_empty()));
    match one.get(b"type")?.as_str()?.as_ref() {
        _ if foreign => None,
        "reasoning.text" => Some(Thought::Text { text: text(b"text"), signature: text(b"signature")? }),
        "thinking" => Some(Thought::Text { text: text(b"thinking"), signature: text(b"signature")? }),
        "reasoning.encrypted" | "redacted_thinking" => Some(Thought::Encrypted { data: text(b"data")? }),
        _ => None,
    }
}
