//! From Anthropic's blocks to the chunks of a canonical stream.

use super::event::Block;
use super::usage::Figures;
use super::{ANSWER_TOOL, finish, reasoning};
use crate::dialect::chunks::{Chunks, is_sound};
use crate::dialect::{Style, Tail, Watch};
use crate::json::{Kind, Raw};
use crate::outcome::Failure;

/// Longest thinking that is kept until its signature comes. No model thinks
/// nearly as much; what does can be shown but not be sent back.
const MOST_THINKING: usize = 4 * 1024 * 1024;

/// Blocks and deltas whose texts are for callers.
const READ: [&[u8]; 8] = [
    b"text",
    b"text_delta",
    b"thinking",
    b"thinking_delta",
    b"signature_delta",
    b"redacted_thinking",
    b"tool_use",
    b"input_json_delta",
];

/// What cannot be carried over; the event is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialect) struct Malformed;

/// The block that is being said.
#[derive(Debug)]
enum Open {
    /// Text, or what has nothing to close.
    Plain,
    /// Thinking so far, and its signature.
    Thinking { text: Vec<u8>, signature: Vec<u8> },
    /// A tool call. `input` is what its start had; `said` whether more came.
    Call { index: u32, said: bool, input: Vec<u8> },
    /// The answer as the arguments of our own tool.
    Answer { said: bool, input: Vec<u8> },
    /// What callers have no use for: tools that the provider runs itself.
    Hidden,
}

/// What is around the text in a delta. Nearly all of a stream is the same event
/// again with another text, which then need not be parsed.
#[derive(Debug)]
struct Mould {
    before: Vec<u8>,
    after: Vec<u8>,
    /// What the text becomes.
    member: &'static str,
}

/// A stream's state and what writes it.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Translator {
    chunks: Option<Chunks>,
    /// The message's id.
    id: Vec<u8>,
    open: Option<Open>,
    /// Of the block that is open.
    mould: Option<Mould>,
    calls: u32,
    thoughts: u32,
    figures: Figures,
    /// Whether the figures are the final ones.
    settled: bool,
    /// The upstream's reason and explanation, between quotes.
    stop: Vec<u8>,
    explanation: Vec<u8>,
    pub(in crate::dialect) watch: Watch,
}

impl Translator {
    /// Whether a message has begun.
    pub(in crate::dialect) fn has_begun(&self) -> bool {
        self.chunks.is_some()
    }

    /// `message_start`.
    pub(in crate::dialect) fn begin(
        &mut self,
        message: &Raw<'_>,
        style: &Style,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let text = |name: &[u8]| message.get(name).and_then(|value| value.inner()).unwrap_or_default();
        let (id, model) = (text(b"id"), text(b"model"));
        sound(&[id, model])?;
        let made = id.is_empty().then(|| made_id("chatcmpl-", message.text, 0));
        self.begin_as(made.as_deref().map_or(id, str::as_bytes), model, style, out);
        if let Some(usage) = message.get(b"usage") {
            self.figures.take(&usage);
            self.consumed();
        }
        Ok(())
    }

    /// A message begins that has this id and model, as they stand between quotes.
    pub(in crate::dialect) fn begin_as(&mut self, id: &[u8], model: &[u8], style: &Style, out: &mut Vec<u8>) {
        self.id = id.to_vec();
        let chunks = Chunks::new(id, model, style);
        chunks.role(out);
        self.chunks = Some(chunks);
    }

    /// `content_block_start`, or a whole block.
    pub(in crate::dialect) fn open(&mut self, block: &Block<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.close(out)?;
        sound(&block.texts())?;
        let opened = match block.kind {
            b"text" => Open::Plain,
            b"thinking" => Open::Thinking { text: Vec::new(), signature: Vec::new() },
            b"redacted_thinking" => {
                self.thought(out, |index, out| reasoning::write_encrypted(index, block.data, out))?;
                Open::Plain
            }
            b"tool_use" if block.name == ANSWER_TOOL.as_bytes() => {
                Open::Answer { said: false, input: whole_input(block.input) }
            }
            b"tool_use" => self.open_call(block, out)?,
            _ => Open::Hidden,
        };
        self.open = Some(opened);
        self.say(block, out)
    }

    fn open_call(&mut self, block: &Block<'_>, out: &mut Vec<u8>) -> Result<Open, Malformed> {
        let chunks = self.chunks.as_ref().ok_or(Malformed)?;
        let index = self.calls;
        let made = block.id.is_empty().then(|| made_id("call_", &self.id, index));
        chunks.call(index, made.as_deref().map_or(block.id, str::as_bytes), block.name, out);
        self.calls += 1;
        self.watch.content_events += 1;
        Ok(Open::Call { index, said: false, input: whole_input(block.input) })
    }

    /// `content_block_delta`, or what the start of a block already has.
    pub(in crate::dialect) fn say(&mut self, block: &Block<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        sound(&block.texts())?;
        if matches!(self.open, Some(Open::Hidden)) || !READ.contains(&block.kind) {
            return Ok(());
        }
        let chunks = self.chunks.as_ref().ok_or(Malformed)?;
        for (member, text) in [("content", block.text), ("reasoning_content", block.thinking)] {
            if !text.is_empty() {
                chunks.text(member, text, out);
                self.watch.content_events += 1;
                self.watch.output_bytes += text.len() as u64;
            }
        }
        match self.open.as_mut() {
            Some(Open::Thinking { text, signature }) => {
                if text.len() <= MOST_THINKING {
                    text.extend_from_slice(block.thinking);
                }
                signature.extend_from_slice(block.signature);
                if signature.len() > MOST_THINKING {
                    return Err(Malformed);
                }
            }
            Some(Open::Call { index, said, .. }) if !block.partial_json.is_empty() => {
                *said = true;
                chunks.arguments(*index, block.partial_json, out);
                self.heard(block.partial_json);
            }
            Some(Open::Answer { said, .. }) if !block.partial_json.is_empty() => {
                *said = true;
                // A string of JSON inside JSON is what content is as well.
                chunks.text("content", block.partial_json, out);
                self.heard(block.partial_json);
            }
            _ => {}
        }
        if !self.settled {
            self.consumed();
        }
        Ok(())
    }

    /// Takes the mould of a delta, `data`, that was nothing but a text.
    pub(in crate::dialect) fn cast(&mut self, data: &[u8], block: &Block<'_>) {
        let member = match (block.text, block.thinking) {
            (text, b"") if !text.is_empty() => "content",
            (b"", thinking) if !thinking.is_empty() => "reasoning_content",
            _ => return,
        };
        let alone = block.signature.is_empty() && block.partial_json.is_empty();
        let read = READ.contains(&block.kind) && !matches!(self.open, Some(Open::Hidden));
        if self.mould.is_some() || !alone || !read {
            return;
        }
        let end = block.at + block.text.len() + block.thinking.len();
        let (before, after) = (data.get(..block.at), data.get(end..));
        self.mould = before.zip(after).map(|(before, after)| Mould {
            before: before.to_vec(),
            after: after.to_vec(),
            member,
        });
    }

    /// A delta that fits the mould; tells whether it did. Texts that could end
    /// their string early, or need a look for another reason, do not.
    pub(in crate::dialect) fn repeat(&mut self, data: &[u8], out: &mut Vec<u8>) -> bool {
        let (Some(mould), Some(chunks)) = (&self.mould, &self.chunks) else { return false };
        let rest = data.strip_prefix(&*mould.before);
        let Some(text) = rest.and_then(|rest| rest.strip_suffix(&*mould.after)) else { return false };
        let plain = text.iter().all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\');
        if text.is_empty() || !plain || simdutf8::basic::from_utf8(text).is_err() {
            return false;
        }
        chunks.text(mould.member, text, out);
        if let Some(Open::Thinking { text: kept, .. }) = &mut self.open
            && mould.member == "reasoning_content"
            && kept.len() <= MOST_THINKING
        {
            kept.extend_from_slice(text);
        }
        self.heard(text);
        if !self.settled {
            self.consumed();
        }
        true
    }

    fn heard(&mut self, text: &[u8]) {
        self.watch.content_events += 1;
        self.watch.output_bytes += text.len() as u64;
    }

    /// `content_block_stop`; also where it is missing.
    pub(in crate::dialect) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.mould = None;
        let Some(chunks) = self.chunks.as_ref() else { return Ok(()) };
        match self.open.take() {
            Some(Open::Thinking { text, signature })
                if !signature.is_empty() && text.len() <= MOST_THINKING =>
            {
                self.thought(out, |index, out| reasoning::write_text(index, &text, &signature, out))?;
            }
            Some(Open::Call { index, said: false, input }) => {
                chunks.arguments(index, &input, out);
                self.heard(&input);
            }
            Some(Open::Answer { said: false, input }) => {
                chunks.text("content", &input, out);
                self.heard(&input);
            }
            _ => {}
        }
        Ok(())
    }

    /// A detail of reasoning. It is no content: nobody can read it.
    fn thought(&mut self, out: &mut Vec<u8>, write: impl FnOnce(u32, &mut Vec<u8>)) -> Result<(), Malformed> {
        let chunks = self.chunks.as_ref().ok_or(Malformed)?;
        let mut detail = Vec::new();
        write(self.thoughts, &mut detail);
        chunks.delta(&[b"\"reasoning_details\":[", &detail, b"]"], out);
        self.thoughts += 1;
        Ok(())
    }

    /// The members of `message_delta`; a whole message has the same.
    pub(in crate::dialect) fn ending(
        &mut self,
        delta: Option<Raw<'_>>,
        usage: Option<Raw<'_>>,
    ) -> Result<(), Malformed> {
        let text = |object: Option<Raw<'_>>, name: &[u8]| {
            let value = object.and_then(|object| object.get(name));
            value.and_then(|value| value.inner()).unwrap_or_default().to_vec()
        };
        let stop = text(delta, b"stop_reason");
        let explanation = text(delta.and_then(|delta| delta.get(b"stop_details")), b"explanation");
        sound(&[&stop, &explanation])?;
        if !stop.is_empty() {
            (self.stop, self.explanation) = (stop, explanation);
        }
        if let Some(usage) = usage {
            self.settle(&usage);
        }
        Ok(())
    }

    /// Why it ends, as it stands between quotes.
    pub(in crate::dialect) fn stopped(&mut self, stop: &[u8]) -> Result<(), Malformed> {
        sound(&[stop])?;
        self.stop = stop.to_vec();
        Ok(())
    }

    /// The final figures.
    pub(in crate::dialect) fn settle(&mut self, usage: &Raw<'_>) {
        if usage.kind == Kind::Object {
            self.figures.take(usage);
            self.settled = true;
            self.consumed();
        }
    }

    /// Whether the final figures are known.
    pub(in crate::dialect) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether the upstream has said why the answer ends.
    pub(in crate::dialect) fn has_stopped(&self) -> bool {
        !self.stop.is_empty()
    }

    /// `message_stop`: what ends the answer.
    ///
    /// # Errors
    /// When nothing had begun.
    pub(in crate::dialect) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        if self.close(out).is_err() {
            return Err(Failure::Protocol { detail: "a block that cannot be closed" });
        }
        let chunks = self.chunks.as_ref().ok_or(Failure::Truncated)?;
        if !self.explanation.is_empty() {
            chunks.text("refusal", &self.explanation, out);
            self.watch.content_events += 1;
            self.watch.output_bytes += self.explanation.len() as u64;
        }
        let reason = finish::understand(&String::from_utf8_lossy(&self.stop), self.calls > 0);
        chunks.finish(reason, &self.stop, out);
        self.watch.finish = Some(reason);
        Ok(())
    }

    /// The chunk that states what was consumed.
    pub(in crate::dialect) fn usage(&self, tail: &Tail, out: &mut Vec<u8>) {
        if let (Some(chunks), Some(usage)) = (&self.chunks, self.watch.usage.or(tail.usage)) {
            chunks.usage(&usage, tail, out);
        }
    }

    /// What was consumed so far. Before the end only the input is known for
    /// certain: of a stream that breaks off, the output is an estimate.
    fn consumed(&mut self) {
        self.watch.usage_implausible = self.figures.is_implausible();
        self.watch.usage = self.figures.usage().map(|mut usage| {
            if !self.settled {
                usage.output = usage.output.max(self.watch.output_bytes.div_ceil(BYTES_PER_TOKEN));
                usage.estimated = true;
            }
            usage
        });
    }
}

/// Bytes of text in a token, as the estimate for missing usage has it.
const BYTES_PER_TOKEN: u64 = 4;

/// The arguments that a block's start has, as they stand in a string. Nearly all
/// upstreams begin with an empty object and let the arguments follow; those of a
/// tool without any never come.
fn whole_input(input: Option<Raw<'_>>) -> Vec<u8> {
    let text = input.filter(|input| input.kind == Kind::Object).map_or(&b"{}"[..], |input| input.text);
    inside_string(text)
}

/// An id for what has none: 24 hex digits of a digest of its surroundings.
pub(in crate::dialect) fn made_id(prefix: &str, seed: &[u8], index: u32) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(seed).update(&index.to_le_bytes());
    let digest = hasher.finalize().to_hex();
    format!("{prefix}{}", digest.get(..24).unwrap_or_default())
}

/// A text as it stands between the quotes of a JSON string.
pub(in crate::dialect) fn inside_string(text: &[u8]) -> Vec<u8> {
    let quoted = serde_json::Value::from(String::from_utf8_lossy(text)).to_string().into_bytes();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_vec()
}

fn sound(texts: &[&[u8]]) -> Result<(), Malformed> {
    if texts.iter().all(|text| is_sound(text)) { Ok(()) } else { Err(Malformed) }
}
