//! What the blocks of a whole message say, as a message of the middle form.

use super::event::Block;
use super::translate::{inside_string, made_id};
use super::{ANSWER_TOOL, reasoning};
use crate::json::Kind;

/// A message being put together; texts are JSON text.
#[derive(Debug)]
pub(in crate::dialect) struct Said<'m> {
    /// The message's id.
    id: &'m [u8],
    content: Vec<u8>,
    /// Whether there was a block of text, be it empty.
    speaks: bool,
    thinking: Vec<u8>,
    /// Elements of `reasoning_details`, and how many.
    details: Vec<u8>,
    thoughts: u32,
    /// Elements of `tool_calls`, and how many.
    calls: Vec<u8>,
    called: u32,
    /// Bytes of the calls' arguments.
    arguments: usize,
}

impl<'m> Said<'m> {
    /// Nothing, of the message of that id.
    pub(in crate::dialect) fn new(id: &'m [u8]) -> Self {
        Said {
            id,
            content: Vec::new(),
            speaks: false,
            thinking: Vec::new(),
            details: Vec::new(),
            thoughts: 0,
            calls: Vec::new(),
            called: 0,
            arguments: 0,
        }
    }

    /// Adds a block whose texts are sound.
    pub(in crate::dialect) fn block(&mut self, block: &Block<'_>) {
        match block.kind {
            b"text" => {
                self.content.extend_from_slice(block.text);
                self.speaks = true;
            }
            b"thinking" => {
                self.thinking.extend_from_slice(block.thinking);
                if !block.signature.is_empty() {
                    self.detail(|index, out| {
                        reasoning::write_text(index, block.thinking, block.signature, out);
                    });
                }
            }
            b"redacted_thinking" => {
                self.detail(|index, out| reasoning::write_encrypted(index, block.data, out));
            }
            b"tool_use" => {
                let input = block.input.filter(|input| input.kind == Kind::Object);
                let input = inside_string(input.map_or(b"{}", |input| input.text));
                if block.name == ANSWER_TOOL.as_bytes() {
                    self.content.extend_from_slice(&input);
                    self.speaks = true;
                } else {
                    self.call(block, &input);
                }
            }
            _ => {}
        }
    }

    fn detail(&mut self, write: impl FnOnce(u32, &mut Vec<u8>)) {
        separate(&mut self.details);
        write(self.thoughts, &mut self.details);
        self.thoughts += 1;
    }

    fn call(&mut self, block: &Block<'_>, input: &[u8]) {
        separate(&mut self.calls);
        let made = block.id.is_empty().then(|| made_id("call_", self.id, self.called));
        let call: [&[u8]; 7] = [
            b"{\"id\":\"",
            made.as_deref().map_or(block.id, str::as_bytes),
            b"\",\"type\":\"function\",\"function\":{\"name\":\"",
            block.name,
            b"\",\"arguments\":\"",
            input,
            b"\"}}",
        ];
        self.calls.extend_from_slice(&call.concat());
        self.called += 1;
        self.arguments += input.len();
    }

    /// Whether the caller's tools were called.
    pub(in crate::dialect) fn has_calls(&self) -> bool {
        self.called > 0
    }

    /// Bytes of generated text.
    pub(in crate::dialect) fn length(&self) -> usize {
        self.content.len() + self.thinking.len() + self.arguments
    }

    /// Writes the message; `refusal` stands between quotes.
    pub(in crate::dialect) fn write(&self, refusal: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
        text_or_null(&self.content, self.speaks, out);
        out.extend_from_slice(b",\"refusal\":");
        text_or_null(refusal, !refusal.is_empty(), out);
        if !self.thinking.is_empty() {
            out.extend_from_slice(b",\"reasoning_content\":");
            text_or_null(&self.thinking, true, out);
        }
        for (name, list) in [(&b"reasoning_details"[..], &self.details), (b"tool_calls", &self.calls)] {
            if !list.is_empty() {
                out.extend_from_slice(&[b",\"", name, b"\":[", list, b"]"].concat());
            }
        }
        out.push(b'}');
    }
}

fn separate(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

fn text_or_null(text: &[u8], given: bool, out: &mut Vec<u8>) {
    if given {
        out.extend_from_slice(&[b"\"", text, b"\""].concat());
    } else {
        out.extend_from_slice(b"null");
    }
}
