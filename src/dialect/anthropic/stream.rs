//! Follows one stream of events.

use bytes::Bytes;

use super::event::{Block, Event};
use super::translate::{Malformed, Translator};
use super::{failure, reply};
use crate::dialect::chunks::DONE;
use crate::dialect::sse::{self, MOST_EVENT, Splitter};
use crate::dialect::{Decoder, Progress, Style, Tail, Watch};
use crate::outcome::Failure;

/// Unreadable events that are left out before the stream counts as broken. One
/// damaged event must not cost a whole answer; a stream of them is no answer.
const MOST_MALFORMED: u32 = 8;

/// A decoder for one stream.
#[derive(Debug)]
pub(in crate::dialect) struct Stream {
    splitter: Splitter,
    style: Style,
    translator: Translator,
    ended: bool,
    /// What is ready before any input: the chunks of a whole answer.
    ready: Vec<u8>,
}

impl Stream {
    /// Before the first byte.
    pub(in crate::dialect) fn new(style: &Style) -> Self {
        Stream {
            splitter: Splitter::new(MOST_EVENT),
            style: style.clone(),
            translator: Translator::default(),
            ended: false,
            ready: Vec::new(),
        }
    }

    /// The stream that a whole answer would have been.
    ///
    /// # Errors
    /// As for reading the answer.
    pub(in crate::dialect) fn of_reply(body: &Bytes, style: &Style) -> Result<Self, Failure> {
        const BROKEN: fn(Malformed) -> Failure =
            |_| Failure::Protocol { detail: "an answer with text that is not JSON" };
        let message = reply::message(body)?;
        let mut stream = Self::new(style);
        let mut out = Vec::new();
        let told = &mut stream.translator;
        told.begin(&message, style, &mut out).map_err(BROKEN)?;
        for block in message.get(b"content").into_iter().flat_map(|blocks| blocks.elements().flatten()) {
            told.open(&Block::read(&block), &mut out).map_err(BROKEN)?;
        }
        told.ending(Some(message), message.get(b"usage")).map_err(BROKEN)?;
        told.end(&mut out)?;
        stream.ready = out;
        stream.ended = true;
        Ok(stream)
    }

    /// An event's data that came without lines around it.
    pub(in crate::dialect) fn data(&mut self, data: Bytes, out: &mut Vec<u8>) -> Result<Progress, Failure> {
        self.event(&sse::Event { data, name: Bytes::new(), plain: None }, out)
    }

    fn event(&mut self, event: &sse::Event, out: &mut Vec<u8>) -> Result<Progress, Failure> {
        let data = event.data.trim_ascii();
        if data.is_empty() || event.name != b"error"[..] && self.translator.repeat(data, out) {
            return Ok(Progress::More);
        }
        if data == b"[DONE]" {
            // Not of this dialect; an upstream that ends so has not ended well.
            return Err(Failure::Truncated);
        }
        if simdutf8::basic::from_utf8(data).is_err() {
            return self.malformed();
        }
        let Ok(seen) = Event::read(data) else { return self.malformed() };
        let kind = seen.kind.and_then(|kind| kind.inner()).unwrap_or(&event.name);
        if kind == b"error" || seen.error {
            return Err(failure::in_band(data));
        }
        match self.translate(kind, &seen, data, out) {
            Ok(progress) => progress,
            Err(Malformed) => self.malformed(),
        }
    }

    fn translate(
        &mut self,
        kind: &[u8],
        seen: &Event<'_>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Result<Progress, Failure>, Malformed> {
        let told = &mut self.translator;
        match kind {
            b"content_block_delta" => {
                let block = Block::read(&seen.delta.ok_or(Malformed)?);
                told.say(&block, out)?;
                // The kind must be part of what is compared.
                if seen.kind.is_some() {
                    told.cast(data, &block);
                }
            }
            b"content_block_start" => told.open(&Block::read(&seen.block.ok_or(Malformed)?), out)?,
            b"content_block_stop" => told.close(out)?,
            b"message_start" if told.has_begun() => {
                // Two answers in one stream: a gateway between has changed
                // upstreams, and what was said does not belong together.
                return Ok(Err(Failure::Protocol { detail: "a second message inside a stream" }));
            }
            b"message_start" => told.begin(&seen.message.ok_or(Malformed)?, &self.style, out)?,
            b"message_delta" => told.ending(seen.delta, seen.usage)?,
            // The end of an answer that did not say why it ended: it was cut.
            b"message_stop" if !told.has_stopped() => return Ok(Err(Failure::Truncated)),
            b"message_stop" => {
                return Ok(told.end(out).map(|()| {
                    self.ended = true;
                    Progress::Ended
                }));
            }
            // `ping`, and whatever the format will have one day.
            _ => {}
        }
        Ok(Ok(Progress::More))
    }

    /// An event that cannot be read is left out.
    fn malformed(&mut self) -> Result<Progress, Failure> {
        let malformed = &mut self.translator.watch.malformed;
        *malformed += 1;
        match *malformed > MOST_MALFORMED {
            true => Err(Failure::Protocol { detail: "too many events that cannot be read" }),
            false => Ok(Progress::More),
        }
    }
}

impl Decoder for Stream {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<Progress, Failure> {
        if self.ended {
            return Ok(Progress::Ended);
        }
        self.splitter.push(chunk);
        let mut written = Vec::new();
        let result = loop {
            match self.splitter.next() {
                Ok(None) => break Ok(Progress::More),
                Err(_) => break Err(Failure::Protocol { detail: "an event over 8 MiB" }),
                Ok(Some(event)) => match self.event(&event, &mut written) {
                    Ok(Progress::More) => {}
                    other => break other,
                },
            }
        };
        if !written.is_empty() {
            out.push(written.into());
        }
        result
    }

    fn end_of_input(&mut self, out: &mut Vec<Bytes>) -> Result<(), Failure> {
        if !self.ready.is_empty() {
            out.push(std::mem::take(&mut self.ready).into());
        }
        if self.ended { Ok(()) } else { Err(Failure::Truncated) }
    }

    fn close(&mut self, tail: &Tail, out: &mut Vec<Bytes>) {
        if self.style.include_usage {
            let mut written = Vec::new();
            self.translator.usage(tail, &mut written);
            out.push(written.into());
        }
        out.push(DONE);
    }

    fn watch(&self) -> &Watch {
        &self.translator.watch
    }
}
