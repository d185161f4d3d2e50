//! Understands whole answers, by way of the stream they would have been.

use bytes::Bytes;

use super::stream::Stream;
use crate::dialect::chunks;
use crate::dialect::openai::gather;
use crate::dialect::{Decoder, Progress, Reply, Style};
use crate::json::{Kind, document};
use crate::outcome::Failure;

const NOT_JSON: Failure = Failure::Protocol { detail: "an answer that is not JSON" };

/// An answer that was not streamed.
pub(super) fn of_answer(body: &Bytes, style: &Style) -> Result<Reply, Failure> {
    let mut stream = streamed(body, &without_usage(style))?;
    let mut out = Vec::new();
    stream.end_of_input(&mut out)?;
    put_together(&stream, out)
}

/// A whole stream as one answer.
pub(super) fn of_stream(whole: Bytes, style: &Style) -> Result<Reply, Failure> {
    let mut stream = Stream::new(&without_usage(style));
    let mut out = Vec::new();
    if stream.feed(whole, &mut out)? == Progress::More {
        stream.end_of_input(&mut out)?;
    }
    put_together(&stream, out)
}

/// The stream that a whole answer would have been. An array of answers is what
/// Google sends to those who ask for a stream, but not for its events.
pub(super) fn streamed(body: &Bytes, style: &Style) -> Result<Stream, Failure> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    if text.first() == Some(&b'<') {
        return Err(Failure::Protocol { detail: "HTML instead of an answer" });
    }
    simdutf8::basic::from_utf8(text).map_err(|_| NOT_JSON)?;
    let whole = document(text).map_err(|_| NOT_JSON)?;
    let mut stream = Stream::new(style);
    match whole.kind {
        Kind::Array => {
            for answer in whole.elements().filter_map(Result::ok) {
                stream.answer(answer.text)?;
            }
        }
        _ => stream.answer(text)?,
    }
    stream.is_whole()?;
    stream.hold();
    Ok(stream)
}

/// Usage is a member of a whole answer, and not of the pieces it is made of.
fn without_usage(style: &Style) -> Style {
    Style { include_usage: false, ..style.clone() }
}

fn put_together(stream: &Stream, events: Vec<Bytes>) -> Result<Reply, Failure> {
    let watch = stream.watch();
    let reply = gather::put_together(events, watch.usage.as_ref().map(chunks::state))?;
    Ok(Reply {
        usage: watch.usage,
        usage_implausible: watch.usage_implausible,
        finish: watch.finish,
        ..reply
    })
}
