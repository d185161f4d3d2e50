//! Understands an answer that was not streamed.

use bytes::Bytes;

use super::event::Block;
use super::said::Said;
use super::stream::Stream;
use super::translate::{inside_string, made_id};
use super::usage::Figures;
use super::{failure, finish};
use crate::dialect::chunks::{is_sound, state, word};
use crate::dialect::openai::{OpenAi, hide};
use crate::dialect::{Codec, Decoder, Progress, Reply, Style, Tail};
use crate::json::{self, Kind, Raw};
use crate::outcome::{Failure, FinishReason};

/// The message that a body is.
///
/// # Errors
/// The failure that the body reports, or [`Failure::Protocol`].
pub(in crate::dialect) fn message(body: &Bytes) -> Result<Raw<'_>, Failure> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    if text.first() == Some(&b'<') {
        return Err(Failure::Protocol { detail: "HTML instead of an answer" });
    }
    let valid = simdutf8::basic::from_utf8(text).ok().and_then(|_| json::document(text).ok());
    let message = valid.ok_or(Failure::Protocol { detail: "an answer that is not JSON" })?;
    let is = |name: &[u8]| message.get(b"type").is_some_and(|kind| kind.inner() == Some(name));
    if is(b"error") || message.get(b"error").is_some_and(|error| error.kind != Kind::Null) {
        return Err(failure::in_band(text));
    }
    match message.get(b"content").map(|content| content.kind) {
        Some(Kind::Array) => Ok(message),
        _ => Err(Failure::Protocol { detail: "an answer without content" }),
    }
}

/// Reads a complete answer and says it in the middle form.
///
/// # Errors
/// The failure that the body reports, or [`Failure::Protocol`].
pub(in crate::dialect) fn read(body: &Bytes, style: &Style) -> Result<Reply, Failure> {
    let message = message(body)?;
    let text = |object: Raw<'_>, name: &[u8]| -> Vec<u8> {
        object.get(name).and_then(|value| value.inner()).unwrap_or_default().to_vec()
    };
    let (stop, model) = (text(message, b"stop_reason"), text(message, b"model"));
    let refusal =
        message.get(b"stop_details").map(|details| text(details, b"explanation")).unwrap_or_default();
    let mut id = text(message, b"id");
    sound(&[&stop, &refusal, &id, &model])?;
    if id.is_empty() {
        id = made_id("chatcmpl-", body, 0).into_bytes();
    }
    let mut said = Said::new(&id);
    for block in message.get(b"content").into_iter().flat_map(|blocks| blocks.elements().flatten()) {
        let block = Block::read(&block);
        sound(&block.texts())?;
        said.block(&block);
    }
    let mut figures = Figures::default();
    if let Some(usage) = message.get(b"usage") {
        figures.take(&usage);
    }
    Ok(write(&Whole { id: &id, model: &model, said: &said, stop: &stop, refusal: &refusal, figures }, style))
}

/// An answer taken apart; texts stand as between their quotes.
#[derive(Debug)]
pub(in crate::dialect) struct Whole<'a> {
    pub(in crate::dialect) id: &'a [u8],
    pub(in crate::dialect) model: &'a [u8],
    pub(in crate::dialect) said: &'a Said<'a>,
    /// The upstream's word for why it ended.
    pub(in crate::dialect) stop: &'a [u8],
    pub(in crate::dialect) refusal: &'a [u8],
    pub(in crate::dialect) figures: Figures,
}

/// Says an answer in the middle form.
pub(in crate::dialect) fn write(whole: &Whole<'_>, style: &Style) -> Reply {
    let Whole { id, model, said, stop, refusal, figures } = whole;
    let usage = figures.usage();
    let reason = finish::understand(&String::from_utf8_lossy(stop), said.has_calls());
    let shown = style.model.as_ref().map_or_else(|| model.to_vec(), |model| inside_string(model.as_bytes()));
    let mut out = Vec::with_capacity(said.length() + 512);
    let created = style.created.to_string();
    let id = [b"\"", *id, b"\""].concat();
    let hidden = style.hides_upstream().then(|| hide::id(&id));
    let head: [&[u8]; 7] = [
        b"{\"id\":",
        hidden.as_deref().unwrap_or(&id),
        b",\"object\":\"chat.completion\",\"created\":",
        created.as_bytes(),
        b",\"model\":\"",
        &shown,
        b"\",",
    ];
    out.extend_from_slice(&head.concat());
    out.extend_from_slice(b"\"choices\":[{\"index\":0,\"message\":");
    said.write(refusal, &mut out);
    ending(reason, if hidden.is_some() { b"" } else { stop }, &mut out);
    if let Some(usage) = &usage {
        out.extend_from_slice(b",\"usage\":");
        out.extend_from_slice(state(usage).to_string().as_bytes());
    }
    out.push(b'}');
    Reply {
        body: out.into(),
        usage,
        usage_implausible: figures.is_implausible(),
        finish: Some(reason),
        output_bytes: (said.length() + refusal.len()) as u64,
        reported_cost_usd: None,
    }
}

/// What stands behind the message in its choice, and closes that. `native` is
/// the upstream's own word; empty when it is not told.
fn ending(reason: FinishReason, native: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"logprobs\":null");
    if !native.is_empty() {
        out.extend_from_slice(&[b",\"native_finish_reason\":\"", native, b"\""].concat());
    }
    out.extend_from_slice(&[b",\"finish_reason\":\"", word(reason).as_bytes(), b"\"}]"].concat());
}

/// Puts a stream together again to the complete answer it would have been: in
/// the middle form, where that is already known how.
///
/// # Errors
/// What the stream reports; [`Failure::Truncated`] when it has no proper end.
pub(in crate::dialect) fn gather(whole: Bytes, style: &Style) -> Result<Reply, Failure> {
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
