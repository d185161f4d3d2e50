//! Converse's events and blocks, in the words of Messages.
//!
//! Nearly all of a stream are deltas, which are taken apart in one pass.

use crate::dialect::anthropic::event::Block;
use crate::json::{Cursor, JsonError, Kind, Raw};

/// A delta: the index of its block, and what is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta<'t> {
    pub(super) index: u64,
    pub(super) block: Block<'t>,
}

impl<'t> Delta<'t> {
    /// The payload of `contentBlockDelta`.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub(super) fn read(payload: &'t [u8]) -> Result<Self, JsonError> {
        let mut delta = Delta { index: 0, block: Block::default() };
        let mut cursor = Cursor::new(payload);
        cursor.members(|key, cursor| {
            if key.raw == b"delta" {
                return cursor.members(|key, cursor| {
                    let value = cursor.value()?;
                    said(key.raw, &value, &mut delta.block);
                    Ok::<(), JsonError>(())
                });
            }
            let value = cursor.value()?;
            if key.raw == b"contentBlockIndex" {
                delta.index = value.as_u64().unwrap_or(0);
            }
            Ok(())
        })?;
        cursor.end()?;
        Ok(delta)
    }
}

/// One member of a delta. What nobody reads (citations, parts of results) leaves
/// the block without a kind.
fn said<'t>(name: &[u8], value: &Raw<'t>, block: &mut Block<'t>) {
    match name {
        b"text" => {
            block.kind = b"text_delta";
            block.text = value.inner().unwrap_or_default();
        }
        b"toolUse" => {
            block.kind = b"input_json_delta";
            block.partial_json = text(value, b"input");
        }
        b"reasoningContent" => {
            let redacted = text(value, b"redactedContent");
            block.kind = if redacted.is_empty() { b"thinking_delta" } else { b"redacted_thinking" };
            block.data = redacted;
            block.thinking = text(value, b"text");
            block.signature = text(value, b"signature");
        }
        _ => {}
    }
}

/// What a `contentBlockStart` begins; `None` when only its deltas will tell, as
/// with texts.
pub(super) fn start<'t>(payload: &Raw<'t>) -> (u64, Option<Block<'t>>) {
    let index = payload.get(b"contentBlockIndex").and_then(|index| index.as_u64()).unwrap_or(0);
    let begun = payload.get(b"start");
    let call = begun.and_then(|start| start.get(b"toolUse"));
    let other = begun.is_some_and(|start| start.members().next().is_some());
    (index, call.map(|call| tool(&call)).or_else(|| other.then(Block::default)))
}

/// The block that a delta without a start belongs to.
pub(super) fn implied<'t>(delta: &Block<'t>) -> Option<Block<'t>> {
    let kind: &[u8] = match delta.kind {
        b"text_delta" => b"text",
        b"thinking_delta" => b"thinking",
        b"redacted_thinking" => return Some(*delta),
        _ => return None,
    };
    Some(Block { kind, ..Block::default() })
}

/// A call of a tool. Those that the platform runs itself are none of the caller's.
fn tool<'t>(call: &Raw<'t>) -> Block<'t> {
    if text(call, b"type") == b"server_tool_use" {
        return Block { kind: b"server_tool_use", ..Block::default() };
    }
    Block {
        kind: b"tool_use",
        id: text(call, b"toolUseId"),
        name: text(call, b"name"),
        input: call.get(b"input"),
        ..Block::default()
    }
}

/// The blocks that one element of a whole message's `content` is: one, but for
/// texts with citations, which come in pieces.
pub(super) fn blocks<'t>(element: &Raw<'t>) -> Vec<Block<'t>> {
    let spoken = |text: &'t [u8]| Block { kind: b"text", text, ..Block::default() };
    for (key, value) in element.members().flatten() {
        match key.raw {
            b"text" => return vec![spoken(value.inner().unwrap_or_default())],
            b"toolUse" => return vec![tool(&value)],
            b"citationsContent" => {
                let pieces = value.get(b"content");
                let pieces = pieces.into_iter().flat_map(|pieces| pieces.elements().flatten());
                return pieces.map(|piece| spoken(text(&piece, b"text"))).collect();
            }
            b"reasoningContent" => return vec![thought(&value)],
            _ => {}
        }
    }
    Vec::new()
}

fn thought<'t>(reasoning: &Raw<'t>) -> Block<'t> {
    match reasoning.get(b"reasoningText") {
        Some(said) => Block {
            kind: b"thinking",
            thinking: text(&said, b"text"),
            signature: text(&said, b"signature"),
            ..Block::default()
        },
        None => Block {
            kind: b"redacted_thinking",
            data: text(reasoning, b"redactedContent"),
            ..Block::default()
        },
    }
}

/// A member that is a string, as between its quotes; empty when it is none.
pub(super) fn text<'t>(object: &Raw<'t>, name: &[u8]) -> &'t [u8] {
    object
        .get(name)
        .filter(|value| value.kind == Kind::String)
        .and_then(|text| text.inner())
        .unwrap_or_default()
}
