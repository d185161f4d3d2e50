//! Follows one stream: passes on what is canonical, rebuilds what is not, and
//! knows whether it has properly ended.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::form::Form;
use super::look::{Look, look};
use super::mend::{self, Mended};
use super::sink::Sink;
use super::state::{Choice, State};
use super::{failure, hide, usage};
use crate::dialect::sse::{Event, MOST_EVENT, Plain, Splitter};
use crate::dialect::{Decoder, Progress, Style, Tail, Watch, splice};
use crate::json::strings;
use crate::outcome::Failure;

/// Unreadable events that are left out before the stream counts as broken. One
/// damaged event must not cost a whole answer; a stream of them is no answer.
const MOST_MALFORMED: u32 = 8;
/// Chunks without choices held until the first with some; Azure sends one.
const MOST_PREAMBLE: usize = 4;

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// A decoder for one stream.
#[derive(Debug)]
pub(super) struct Stream {
    splitter: Splitter,
    style: Style,
    state: State,
    watch: Watch,
    ended: bool,
    /// The form of the last chunk.
    form: Option<Form>,
    /// Chunks without choices that came before the first with some.
    preamble: Vec<Map<String, Value>>,
    /// The last `usage`, mended, and what stood beside it.
    usage: Option<Value>,
    beside_usage: Map<String, Value>,
    /// Events that are ready before any input: those of a whole answer.
    ready: Vec<Bytes>,
}

impl Stream {
    /// Before the first byte.
    pub(super) fn new(style: &Style) -> Self {
        Stream {
            splitter: Splitter::new(MOST_EVENT),
            style: style.clone(),
            state: State::default(),
            watch: Watch::default(),
            ended: false,
            form: None,
            preamble: Vec::new(),
            usage: None,
            beside_usage: Map::new(),
            ready: Vec::new(),
        }
    }

    /// The stream that a whole answer would have been. A message has the form
    /// of one big delta, so it takes the way of a chunk that deviates.
    ///
    /// # Errors
    /// As for such a chunk.
    pub(super) fn of_reply(reply: Map<String, Value>, style: &Style) -> Result<Self, Failure> {
        let mut stream = Self::new(style);
        let mut out = Vec::new();
        let mut sink = Sink::new(Bytes::new(), &mut out);
        stream.rebuild(reply, &[], &mut sink)?;
        sink.flush();
        stream.ready = out;
        Ok(stream)
    }

    /// The last `usage` the upstream stated, as this caller may see it.
    pub(super) fn usage(&self) -> Option<Map<String, Value>> {
        let mut usage = self.usage.as_ref()?.as_object()?.clone();
        if self.style.hides_upstream() {
            hide::usage(&mut usage);
        }
        Some(usage)
    }

    fn event(&mut self, event: &Event, sink: &mut Sink<'_>) -> Result<Progress, Failure> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            return self.terminal().map(|()| Progress::Ended);
        }
        if data.is_empty() {
            return Ok(Progress::More);
        }
        if event.name == b"error"[..] {
            let value: Value = serde_json::from_slice(data).unwrap_or_default();
            return Err(failure::in_band(value.get("error").unwrap_or(&value)));
        }
        if simdutf8::basic::from_utf8(data).is_err() {
            return self.malformed();
        }
        if self.pass_alike(event, sink) {
            return Ok(Progress::More);
        }
        self.form = None;
        if let Ok(found) = look(&event.data, &self.state, &self.style)
            && strings::are_valid(&event.data)
        {
            self.pass(event, found, sink);
            return Ok(Progress::More);
        }
        match serde_json::from_slice(data).or_else(|_| serde_json::from_slice(&strings::repaired(data))) {
            Ok(Value::Object(chunk)) => self.rebuild(chunk, data, sink),
            _ => self.malformed(),
        }
    }

    /// An event that cannot be read is left out.
    fn malformed(&mut self) -> Result<Progress, Failure> {
        self.watch.malformed += 1;
        match self.watch.malformed > MOST_MALFORMED {
            true => Err(Failure::Protocol { detail: "too many events that cannot be read" }),
            false => Ok(Progress::More),
        }
    }

    /// Passes an event on that has the form of the last one.
    fn pass_alike(&mut self, event: &Event, sink: &mut Sink<'_>) -> bool {
        let Some(form) = &self.form else { return false };
        let Some(text) = form.text(&event.data) else { return false };
        self.watch.content_events += u32::from(!text.is_empty() || form.is_call());
        self.watch.output_bytes += text.len() as u64;
        match form.is_untouched() {
            true => pass_bytes(event, sink),
            false => sink.event(|out| form.write(&event.data, text, out)),
        }
        true
    }

    /// Passes a canonical event on.
    fn pass(&mut self, event: &Event, found: Look, sink: &mut Sink<'_>) {
        if found.envelope.is_some() {
            self.state.envelope = found.envelope;
            self.begin(sink);
        }
        if found.opens {
            self.state.choices.push(Choice::default());
        }
        if let Some(choice) = self.state.choices.get_mut(found.index) {
            choice.seen = true;
            choice.finished = found.finish.is_some();
            if let Some(id) = found.call {
                choice.calls.opened(id);
            }
        }
        self.watch.content_events += u32::from(found.content);
        self.watch.output_bytes += found.text;
        self.watch.finish = found.finish.or(self.watch.finish);
        match found.edits.is_empty() {
            true => pass_bytes(event, sink),
            false => sink.event(|out| splice::write(&event.data, &found.edits, out)),
        }
        let (call, edits) = (found.is_call, found.edits);
        self.form = found.said.map(|text| Form::new(event.data.clone(), text, call, edits));
    }

    /// Rebuilds an event that deviates.
    fn rebuild(
        &mut self,
        chunk: Map<String, Value>,
        seed: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<Progress, Failure> {
        let fresh = self.state.envelope.is_none();
        let Some(mended) = mend::mend(chunk, &mut self.state, &self.style, seed)? else {
            return self.malformed();
        };
        let Mended { chunks, usage, held, carried, finish } = mended;
        self.watch.content_events += u32::from(carried.content);
        self.watch.output_bytes += carried.text;
        self.watch.finish = finish.or(self.watch.finish);
        let states_usage = usage.is_some();
        if let Some(usage) = usage {
            self.consumed(usage);
        }
        if fresh && self.state.envelope.is_some() {
            self.begin(sink);
        }
        for chunk in chunks {
            write(chunk, sink);
        }
        match (held, &self.state.envelope) {
            (None, _) => {}
            (Some(chunk), _) if states_usage => self.beside_usage = chunk,
            (Some(chunk), Some(envelope)) => {
                write(mend::complete(chunk, Vec::new(), envelope, &self.style), sink);
            }
            (Some(chunk), None) if self.preamble.len() < MOST_PREAMBLE => self.preamble.push(chunk),
            (Some(_), None) => return self.malformed(),
        }
        Ok(Progress::More)
    }

    /// What was held until it was known what all chunks have in common.
    fn begin(&mut self, sink: &mut Sink<'_>) {
        let Some(envelope) = &self.state.envelope else { return };
        for chunk in self.preamble.drain(..) {
            write(mend::complete(chunk, Vec::new(), envelope, &self.style), sink);
        }
    }

    /// Takes over what the upstream says it consumed; the last word counts.
    fn consumed(&mut self, mut stated: Value) {
        usage::mend(&mut stated);
        let read = usage::read(&stated);
        self.watch.usage_implausible |= read.implausible;
        self.watch.reported_cost_usd = read.cost_usd.or(self.watch.reported_cost_usd);
        if read.usage.is_some() {
            self.watch.usage = read.usage;
            self.usage = Some(stated);
        }
    }

    /// Whether the stream may end here.
    fn terminal(&mut self) -> Result<(), Failure> {
        self.ended = self.state.is_complete();
        if self.ended { Ok(()) } else { Err(Failure::Truncated) }
    }

    /// The chunk that states the consumption.
    fn usage_chunk(&self, tail: &Tail) -> Option<Map<String, Value>> {
        let envelope = self.state.envelope.as_ref()?;
        let estimate = || tail.usage.as_ref().map(usage::write);
        let mut usage = self.usage().or_else(estimate)?;
        usage::hide_cost(&mut usage);
        let parsed = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref()?).ok();
        if let Some(cost) = parsed(&tail.cost).filter(Value::is_number) {
            usage.insert("cost".to_owned(), cost);
        }
        let mut chunk = mend::complete(self.beside_usage.clone(), Vec::new(), envelope, &self.style);
        chunk.insert("usage".to_owned(), usage.into());
        if let Some(merit) = parsed(&tail.merit).filter(Value::is_object) {
            chunk.insert("merit".to_owned(), merit);
        }
        Some(chunk)
    }
}

fn write(chunk: Map<String, Value>, sink: &mut Sink<'_>) {
    let text = Value::Object(chunk).to_string();
    sink.event(|out| out.extend_from_slice(text.as_bytes()));
}

/// Passes an event's data on unchanged; its very bytes where they have the usual
/// frame.
fn pass_bytes(event: &Event, sink: &mut Sink<'_>) {
    match &event.plain {
        Some(Plain::Chunk(range)) => sink.pass(range.clone()),
        Some(Plain::Joined(bytes)) => sink.pass_bytes(bytes.clone()),
        None => sink.event(|out| out.extend_from_slice(&event.data)),
    }
}

impl Decoder for Stream {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<Progress, Failure> {
        if self.ended {
            return Ok(Progress::Ended);
        }
        self.splitter.push(chunk);
        let mut sink = Sink::new(self.splitter.chunk().clone(), out);
        let result = loop {
            match self.splitter.next() {
                Ok(None) => break Ok(Progress::More),
                Err(_) => break Err(Failure::Protocol { detail: "an event over 8 MiB" }),
                Ok(Some(event)) => match self.event(&event, &mut sink) {
                    Ok(Progress::More) => {}
                    other => break other,
                },
            }
        };
        sink.flush();
        self.splitter.forget();
        result
    }

    fn end_of_input(&mut self, out: &mut Vec<Bytes>) -> Result<(), Failure> {
        out.append(&mut self.ready);
        self.terminal()
    }

    fn close(&mut self, tail: &Tail, out: &mut Vec<Bytes>) {
        if self.style.include_usage
            && let Some(chunk) = self.usage_chunk(tail)
        {
            let mut sink = Sink::new(Bytes::new(), out);
            write(chunk, &mut sink);
            sink.flush();
        }
        out.push(DONE);
    }

    fn watch(&self) -> &Watch {
        &self.watch
    }
}
