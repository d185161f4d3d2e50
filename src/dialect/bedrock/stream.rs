//! Follows one stream of messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::event::{self, Delta};
use super::{failure, reply};
use crate::dialect::anthropic::stream::Stream as Messages;
use crate::dialect::anthropic::translate::{Malformed, Translator, inside_string, made_id};
use crate::dialect::chunks::DONE;
use crate::dialect::event_stream::{Kind, Message, Splitter};
use crate::dialect::sse::MOST_EVENT;
use crate::dialect::{Decoder, Progress, Style, Tail, Watch};
use crate::json::{self, Raw};
use crate::outcome::Failure;

/// Unreadable events that are left out before the stream counts as broken.
const MOST_MALFORMED: u32 = 8;

/// A decoder for one stream.
#[derive(Debug)]
pub(super) struct Stream {
    splitter: Splitter,
    style: Style,
    told: Told,
    /// What is ready before any input: the chunks of a whole answer.
    ready: Vec<u8>,
}

/// Who tells it.
#[derive(Debug)]
enum Told {
    Converse(Box<Converse>),
    /// Claude in its own words, from `InvokeModelWithResponseStream`.
    Messages(Box<Messages>),
}

/// A stream of Converse.
#[derive(Debug, Default)]
struct Converse {
    translator: Translator,
    /// The index of the block that is open.
    open: Option<u64>,
    /// Whether `messageStop` has come.
    stopped: bool,
}

impl Stream {
    /// Before the first byte.
    pub(super) fn new(style: &Style) -> Self {
        Stream {
            splitter: Splitter::new(MOST_EVENT),
            style: style.clone(),
            told: Told::Converse(Box::default()),
            ready: Vec::new(),
        }
    }

    fn message(&mut self, message: &Message, out: &mut Vec<u8>) -> Result<Progress, Failure> {
        if message.kind != Kind::Event {
            return Err(failure::in_band(&message.name, &message.payload));
        }
        if message.name == b"chunk"[..] {
            return self.chunk(&message.payload, out);
        }
        match &mut self.told {
            Told::Converse(converse) => converse.event(message, &self.style, out),
            Told::Messages(_) => Ok(Progress::More),
        }
    }

    /// An event of Anthropic's, in base64.
    fn chunk(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Progress, Failure> {
        if let Told::Converse(converse) = &self.told {
            if converse.translator.has_begun() {
                return Err(Failure::Protocol { detail: "two kinds of answers in one stream" });
            }
            self.told = Told::Messages(Box::new(Messages::new(&self.style)));
        }
        let Told::Messages(messages) = &mut self.told else { return Ok(Progress::More) };
        let bytes = json::document(payload).ok().and_then(|payload| payload.get(b"bytes")?.as_str());
        let data = bytes.and_then(|bytes| STANDARD.decode(bytes.as_bytes()).ok());
        // What cannot be decoded counts as any event that cannot be read.
        messages.data(data.map_or(Bytes::from_static(b"?"), Bytes::from), out)
    }
}

impl Converse {
    fn event(&mut self, message: &Message, style: &Style, out: &mut Vec<u8>) -> Result<Progress, Failure> {
        if self.stopped && message.name != b"metadata"[..] {
            return Ok(Progress::More);
        }
        if let Ok(progress) = self.translate(message, style, out) {
            return progress;
        }
        let malformed = &mut self.translator.watch.malformed;
        *malformed += 1;
        match *malformed > MOST_MALFORMED {
            true => Err(Failure::Protocol { detail: "too many events that cannot be read" }),
            false => Ok(Progress::More),
        }
    }

    fn translate(
        &mut self,
        message: &Message,
        style: &Style,
        out: &mut Vec<u8>,
    ) -> Result<Result<Progress, Failure>, Malformed> {
        let payload = &*message.payload;
        if simdutf8::basic::from_utf8(payload).is_err() {
            return Err(Malformed);
        }
        let document = || json::document(payload).map_err(|_| Malformed);
        match &*message.name {
            b"contentBlockDelta" => {
                let delta = Delta::read(payload).map_err(|_| Malformed)?;
                self.begin(style, out);
                self.say(&delta, out)?;
            }
            b"messageStart" if self.translator.has_begun() => {
                return Ok(Err(Failure::Protocol { detail: "a second message inside a stream" }));
            }
            b"messageStart" => self.begin(style, out),
            b"contentBlockStart" => {
                self.begin(style, out);
                let (index, block) = event::start(&document()?);
                if let Some(block) = block {
                    self.translator.open(&block, out)?;
                    self.open = Some(index);
                }
            }
            b"contentBlockStop" => {
                self.open = None;
                self.translator.close(out)?;
            }
            b"messageStop" => {
                self.begin(style, out);
                return self.stop(&document()?, out);
            }
            b"metadata" => {
                if let Some(usage) = document()?.get(b"usage") {
                    self.translator.settle(&usage);
                }
                if self.stopped {
                    return Ok(Ok(Progress::Ended));
                }
            }
            // Whatever the format will have one day.
            _ => {}
        }
        Ok(Ok(Progress::More))
    }

    /// Some models leave `messageStart` out.
    fn begin(&mut self, style: &Style, out: &mut Vec<u8>) {
        if !self.translator.has_begun() {
            begin(&mut self.translator, style, out);
        }
    }

    fn say(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if delta.block.kind.is_empty() {
            return Ok(());
        }
        // Only calls of tools are announced; all other blocks begin by themselves.
        if self.open != Some(delta.index) || delta.block.kind == b"redacted_thinking" {
            let block = event::implied(&delta.block).ok_or(Malformed)?;
            self.translator.open(&block, out)?;
            self.open = Some(delta.index);
            if block.kind == b"redacted_thinking" {
                return Ok(());
            }
        }
        self.translator.say(&delta.block, out)
    }

    fn stop(&mut self, payload: &Raw<'_>, out: &mut Vec<u8>) -> Result<Result<Progress, Failure>, Malformed> {
        let reason = event::text(payload, b"stopReason");
        if reason.is_empty() {
            return Ok(Err(Failure::Truncated));
        }
        if let Some(failure) = reply::spoiled(reason) {
            return Ok(Err(failure));
        }
        self.translator.stopped(reason)?;
        Ok(self.translator.end(out).map(|()| {
            self.stopped = true;
            // Usage mostly comes behind the stop; some models have it before.
            if self.translator.is_settled() { Progress::Ended } else { Progress::More }
        }))
    }

    /// A whole answer, as its stream would have been.
    fn whole(&mut self, answer: &Raw<'_>, style: &Style, out: &mut Vec<u8>) -> Result<(), Failure> {
        const BROKEN: fn(Malformed) -> Failure =
            |_| Failure::Protocol { detail: "an answer with text that is not JSON" };
        self.begin(style, out);
        for element in reply::content(answer) {
            for block in event::blocks(&element) {
                self.translator.open(&block, out).map_err(BROKEN)?;
            }
        }
        if let Some(usage) = answer.get(b"usage") {
            self.translator.settle(&usage);
        }
        self.stop(answer, out).map_err(BROKEN)??;
        self.stopped = true;
        Ok(())
    }
}

/// Begins an answer, which has neither an id nor the model's name.
fn begin(translator: &mut Translator, style: &Style, out: &mut Vec<u8>) {
    let (id, model) = (id(style), model(style));
    translator.begin_as(&id, &model, style, out);
}

/// An id, made of the request's.
pub(super) fn id(style: &Style) -> Vec<u8> {
    made_id("chatcmpl-", style.id.as_bytes(), 0).into_bytes()
}

/// The model's name, as it stands between quotes.
pub(super) fn model(style: &Style) -> Vec<u8> {
    inside_string(style.upstream.as_bytes())
}

/// The stream that a whole answer would have been.
///
/// # Errors
/// As for reading the answer.
pub(super) fn of_reply(body: &Bytes, style: &Style) -> Result<Box<dyn Decoder>, Failure> {
    let answer = match reply::answer(body)? {
        reply::Answer::Messages => return Ok(Box::new(Messages::of_reply(body, style)?)),
        reply::Answer::Converse(answer) => answer,
    };
    let mut stream = Stream::new(style);
    let mut converse: Box<Converse> = Box::default();
    converse.whole(&answer, style, &mut stream.ready)?;
    stream.told = Told::Converse(converse);
    Ok(Box::new(stream))
}

impl Decoder for Stream {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<Progress, Failure> {
        self.splitter.push(chunk);
        let mut written = Vec::new();
        let result = loop {
            match self.splitter.next() {
                Ok(None) => break Ok(Progress::More),
                Err(broken) => break Err(Failure::Protocol { detail: broken.detail() }),
                Ok(Some(message)) => match self.message(&message, &mut written) {
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
        match &mut self.told {
            Told::Converse(converse) if converse.stopped => Ok(()),
            Told::Converse(_) => Err(Failure::Truncated),
            Told::Messages(messages) => messages.end_of_input(out),
        }
    }

    fn close(&mut self, tail: &Tail, out: &mut Vec<Bytes>) {
        match &mut self.told {
            Told::Messages(messages) => messages.close(tail, out),
            Told::Converse(converse) => {
                if self.style.include_usage {
                    let mut written = Vec::new();
                    converse.translator.usage(tail, &mut written);
                    out.push(written.into());
                }
                out.push(DONE);
            }
        }
    }

    fn watch(&self) -> &Watch {
        match &self.told {
            Told::Converse(converse) => &converse.translator.watch,
            Told::Messages(messages) => messages.watch(),
        }
    }
}
