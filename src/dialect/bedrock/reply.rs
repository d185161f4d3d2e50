//! Understands an answer that was not streamed.

use bytes::Bytes;

use super::event::{self, text};
use super::failure;
use super::stream::{Stream, id, model};
use crate::dialect::anthropic::reply::{self as messages, Whole};
use crate::dialect::anthropic::said::Said;
use crate::dialect::anthropic::usage::Figures;
use crate::dialect::chunks::is_sound;
use crate::dialect::openai::OpenAi;
use crate::dialect::{Codec, Decoder, Progress, Reply, Style, Tail};
use crate::json::{self, Kind, Raw};
use crate::outcome::Failure;

/// Whose answer a body is.
#[derive(Debug)]
pub(super) enum Answer<'b> {
    Converse(Raw<'b>),
    /// Claude's, from `InvokeModel`.
    Messages,
}

/// # Errors
/// The failure that the body reports, or [`Failure::Protocol`].
pub(super) fn answer(body: &Bytes) -> Result<Answer<'_>, Failure> {
    let trimmed = body.trim_ascii();
    if trimmed.first() == Some(&b'<') {
        return Err(Failure::Protocol { detail: "HTML instead of an answer" });
    }
    let valid = simdutf8::basic::from_utf8(trimmed).ok().and_then(|_| json::document(trimmed).ok());
    let answer = valid.ok_or(Failure::Protocol { detail: "an answer that is not JSON" })?;
    let is = |name: &[u8], kind| answer.get(name).is_some_and(|value| value.kind == kind);
    if is(b"output", Kind::Object) {
        return Ok(Answer::Converse(answer));
    }
    if is(b"content", Kind::Array) || is(b"error", Kind::Object) {
        return Ok(Answer::Messages);
    }
    if is(b"message", Kind::String) || is(b"Output", Kind::Object) {
        return Err(failure::in_band(b"", trimmed));
    }
    Err(Failure::Protocol { detail: "an answer without output" })
}

/// The elements of the message that Converse gave.
pub(super) fn content<'b>(answer: &Raw<'b>) -> impl Iterator<Item = Raw<'b>> + use<'b> {
    let message = answer.get(b"output").and_then(|output| output.get(b"message"));
    let content = message.and_then(|message| message.get(b"content"));
    content.into_iter().flat_map(|content| content.elements().flatten())
}

/// What a stop reason says that no answer has: the model wrote what nobody could
/// read. Another try may succeed.
pub(super) fn spoiled(reason: &[u8]) -> Option<Failure> {
    let spoiled = matches!(reason, b"malformed_model_output" | b"malformed_tool_use");
    spoiled.then_some(Failure::Protocol { detail: "the model's output could not be read" })
}

/// Reads a complete answer and says it in the middle form.
///
/// # Errors
/// The failure that the body reports, or [`Failure::Protocol`].
pub(super) fn read(body: &Bytes, style: &Style) -> Result<Reply, Failure> {
    let answer = match answer(body)? {
        Answer::Messages => return messages::read(body, style),
        Answer::Converse(answer) => answer,
    };
    let stop = text(&answer, b"stopReason");
    if stop.is_empty() {
        return Err(Failure::Protocol { detail: "an answer that does not say why it ended" });
    }
    if let Some(failure) = spoiled(stop) {
        return Err(failure);
    }
    sound(&[stop])?;
    let id = id(style);
    let mut said = Said::new(&id);
    for element in content(&answer) {
        for block in event::blocks(&element) {
            sound(&block.texts())?;
            said.block(&block);
        }
    }
    let mut figures = Figures::default();
    if let Some(usage) = answer.get(b"usage") {
        figures.take(&usage);
    }
    let whole = Whole { id: &id, model: &model(style), said: &said, stop, refusal: b"", figures };
    Ok(messages::write(&whole, style))
}

/// Puts a stream together again to the complete answer it would have been.
///
/// # Errors
/// What the stream reports; [`Failure::Truncated`] when it has no proper end.
pub(super) fn gather(whole: Bytes, style: &Style) -> Result<Reply, Failure> {
    let mut stream = Stream::new(&Style { include_usage: true, ..style.clone() });
    let mut out = Vec::new();
    if stream.feed(whole, &mut out)? == Progress::More {
        stream.end_of_input(&mut out)?;
    }
    stream.close(&Tail::default(), &mut out);
    let reply = OpenAi.stream_as_reply(out.concat().into(), style)?;
    let watch = stream.watch();
    Ok(Reply { usage: watch.usage, usage_implausible: watch.usage_implausible, ..reply })
}

fn sound(texts: &[&[u8]]) -> Result<(), Failure> {
    match texts.iter().all(|text| is_sound(text)) {
        true => Ok(()),
        false => Err(Failure::Protocol { detail: "an answer with text that is not JSON" }),
    }
}
