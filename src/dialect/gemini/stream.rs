//! Follows one stream and writes what callers get for it.
//!
//! A stream has no marker of its own for its end: it has ended when every
//! candidate had a finish reason and the connection closes. A finish reason alone
//! is not the end, for some models put one on every event. So what ends a choice
//! is written last.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::choice::{Choice, Ending, carried, id, image, inner, quoted};
use super::event::{Answer, Candidate, Part};
use super::{failure, finish, logprobs, usage};
use crate::dialect::chunks::{self, Chunks, is_sound};
use crate::dialect::sse::{Event, MOST_EVENT, Splitter};
use crate::dialect::{Decoder, Progress, Style, Tail, Watch};
use crate::json::{Kind, Raw, document};
use crate::outcome::Failure;

/// Unreadable events that are left out before the stream counts as broken. One
/// damaged event must not cost a whole answer; a stream of them is no answer.
const MOST_MALFORMED: u32 = 8;
/// Most choices in one stream; Google's own limit is 8.
const MOST_CHOICES: usize = 128;
/// Most calls of one choice. No model makes so many.
const MOST_CALLS: usize = 1024;

/// A decoder for one stream.
#[derive(Debug)]
pub(super) struct Stream {
    splitter: Splitter,
    style: Style,
    /// Set by the first event that is understood.
    chunks: Option<Chunks>,
    /// The answer's id, between quotes.
    id: Vec<u8>,
    choices: Vec<Choice>,
    watch: Watch,
    /// What goes to the caller next.
    written: Vec<u8>,
    ended: bool,
    /// Events that are ready before any input: those of a whole answer.
    ready: Vec<Bytes>,
}

impl Stream {
    /// Before the first byte.
    pub(super) fn new(style: &Style) -> Self {
        Stream {
            splitter: Splitter::new(MOST_EVENT),
            style: style.clone(),
            chunks: None,
            id: Vec::new(),
            choices: Vec::new(),
            watch: Watch::default(),
            written: Vec::new(),
            ended: false,
            ready: Vec::new(),
        }
    }

    /// What goes to the caller for what has been read until now.
    pub(super) fn take(&mut self, out: &mut Vec<Bytes>) {
        if !self.written.is_empty() {
            out.push(std::mem::take(&mut self.written).into());
        }
    }

    /// The events so far go to the caller when the input ends.
    pub(super) fn hold(&mut self) {
        let mut ready = Vec::new();
        self.take(&mut ready);
        self.ready = ready;
    }

    /// A whole answer needs no finish reason: it is complete as it is.
    ///
    /// # Errors
    /// When there is no answer in it.
    pub(super) fn is_whole(&mut self) -> Result<(), Failure> {
        if self.choices.is_empty() || self.watch.malformed > 0 {
            return Err(Failure::Protocol { detail: "an answer without candidates" });
        }
        for choice in self.choices.iter_mut().filter(|choice| choice.seen) {
            choice.ending.get_or_insert_with(|| Ending { word: "STOP".to_owned(), blocked: false });
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<Progress, Failure> {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            return Ok(Progress::More);
        }
        // Not Google's, but what proxies add.
        if data == b"[DONE]" {
            return self.terminal().map(|()| Progress::Ended);
        }
        if simdutf8::basic::from_utf8(data).is_err() {
            return self.malformed().map(|()| Progress::More);
        }
        self.answer(data).map(|()| Progress::More)
    }

    /// One answer, whole or a piece of one, in UTF-8.
    ///
    /// # Errors
    /// The failure that it reports, or what cannot be passed on.
    pub(super) fn answer(&mut self, text: &[u8]) -> Result<(), Failure> {
        let answer = document(text).ok();
        let Some(answer) = answer.as_ref().and_then(Answer::of) else { return self.malformed() };
        if let Some(error) = answer.error {
            let error: Value = serde_json::from_slice(error.text).unwrap_or_default();
            return Err(failure::in_band(&error));
        }
        if self.chunks.is_none() {
            self.begin(&answer, text);
        }
        if let Some(stated) = answer.usage.as_ref().and_then(usage::read) {
            match stated.is_plausible() {
                true => self.watch.usage = Some(stated),
                false => self.watch.usage_implausible = true,
            }
        }
        let mut candidates =
            answer.candidates.iter().flat_map(Raw::elements).filter_map(Result::ok).peekable();
        if let (Some(reason), None) = (answer.blocked, candidates.peek()) {
            self.open(0)?;
            return self.finished(0, &reason, true);
        }
        candidates.try_for_each(|candidate| self.candidate(&Candidate::of(&candidate)))
    }

    fn begin(&mut self, answer: &Answer<'_>, text: &[u8]) {
        let digest = blake3::hash(text).to_hex();
        let made_up = digest.get(..24).unwrap_or_default().as_bytes();
        let id = inner(answer.id.as_ref()).unwrap_or(made_up);
        self.id = [b"chatcmpl-", id].concat();
        let model = inner(answer.model.as_ref()).unwrap_or_default();
        self.chunks = Some(Chunks::new(&self.id, model, &self.style));
    }

    /// An event that cannot be read is left out.
    fn malformed(&mut self) -> Result<(), Failure> {
        self.watch.malformed += 1;
        match self.watch.malformed > MOST_MALFORMED {
            true => Err(Failure::Protocol { detail: "too many events that cannot be read" }),
            false => Ok(()),
        }
    }

    /// Opens the choice at `index`, and all before it, and turns to it.
    fn open(&mut self, index: u64) -> Result<usize, Failure> {
        const ABSURD: Failure = Failure::Protocol { detail: "a candidate with an absurd index" };
        let index = usize::try_from(index).ok().filter(|index| *index < MOST_CHOICES).ok_or(ABSURD)?;
        let chunks = self.chunks.as_mut().ok_or(ABSURD)?;
        while self.choices.len() <= index {
            chunks.turn_to(self.choices.len());
            chunks.role(&mut self.written);
            self.choices.push(Choice::default());
        }
        chunks.turn_to(index);
        if let Some(choice) = self.choices.get_mut(index) {
            choice.seen = true;
        }
        Ok(index)
    }

    fn candidate(&mut self, candidate: &Candidate<'_>) -> Result<(), Failure> {
        let index = self.open(candidate.index)?;
        for part in candidate.parts.iter().flat_map(Raw::elements).filter_map(Result::ok) {
            self.part(index, &Part::of(&part))?;
        }
        if let (Some(said), Some(chunks)) =
            (candidate.logprobs.as_ref().and_then(logprobs::read), &self.chunks)
        {
            chunks.logprobs(&said, &mut self.written);
        }
        match &candidate.finish {
            Some(reason) => self.finished(index, reason, false),
            None => Ok(()),
        }
    }

    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), Failure> {
        let signature = part.signature.filter(|text| is_sound(text));
        if let Some(call) = &part.call {
            return self.call(index, call, signature);
        }
        let (Some(chunks), Some(choice)) = (&self.chunks, self.choices.get_mut(index)) else { return Ok(()) };
        if let Some(signature) = signature {
            choice.signature = Some(signature.to_vec());
        }
        if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            if !is_sound(text) {
                return self.malformed();
            }
            let member = if part.thought { "reasoning_content" } else { "content" };
            chunks.text(member, text, &mut self.written);
            self.watch.content_events += 1;
            self.watch.output_bytes += text.len() as u64;
        }
        if let Some([kind, data]) = part.data.as_ref().and_then(image) {
            let at = choice.images.to_string();
            choice.images += 1;
            let image: [&[u8]; 7] = [
                br#""images":[{"index":"#,
                at.as_bytes(),
                br#","type":"image_url","image_url":{"url":"data:"#,
                kind,
                b";base64,",
                data,
                br#""}}]"#,
            ];
            chunks.delta(&image, &mut self.written);
            self.watch.content_events += 1;
        }
        Ok(())
    }

    /// A tool call, which comes whole.
    fn call(&mut self, index: usize, call: &Raw<'_>, signature: Option<&[u8]>) -> Result<(), Failure> {
        let (Some(chunks), Some(choice)) = (&self.chunks, self.choices.get_mut(index)) else { return Ok(()) };
        let Some(name) = inner(call.get(b"name").as_ref()) else {
            return Err(Failure::Protocol { detail: "a tool call without a name" });
        };
        let arguments = call.get(b"args").filter(|arguments| arguments.kind != Kind::Null);
        // Answers that are not streamed are indented, arguments and all.
        let arguments =
            arguments.map_or(Ok(Value::Object(Map::new())), |text| serde_json::from_slice(text.text));
        let (Ok(arguments), None) = (arguments, call.get(b"partialArgs")) else {
            return Err(Failure::Protocol { detail: "arguments of a tool call that cannot be read" });
        };
        let arguments = arguments.to_string();
        if choice.calls.len() >= MOST_CALLS {
            return Err(Failure::Protocol { detail: "too many tool calls" });
        }
        let at = u32::try_from(choice.calls.len()).unwrap_or(u32::MAX);
        let id = id(call, &choice.calls).unwrap_or_else(|| {
            let digest = blake3::hash(&[&self.id, format!("/{index}/{at}").as_bytes()].concat()).to_hex();
            format!("call_{}", digest.get(..24).unwrap_or_default())
        });
        chunks.call(at, id.as_bytes(), name, &mut self.written);
        let said = quoted(&arguments);
        let number = at.to_string();
        let signed = carried(signature);
        let delta: [&[u8]; 6] = [
            br#""tool_calls":[{"index":"#,
            number.as_bytes(),
            br#","function":{"arguments":"#,
            said.as_bytes(),
            b"}",
            &[signed.as_slice(), b"}]"].concat(),
        ];
        chunks.delta(&delta, &mut self.written);
        choice.calls.push(id);
        self.watch.content_events += 1;
        self.watch.output_bytes += arguments.len() as u64;
        Ok(())
    }

    /// A reason why a candidate ended, which need not be the last.
    fn finished(&mut self, index: usize, reason: &Raw<'_>, blocked: bool) -> Result<(), Failure> {
        let word = reason.as_str().filter(|_| reason.inner().is_some_and(is_sound)).unwrap_or_default();
        let Some(choice) = self.choices.get_mut(index) else { return Ok(()) };
        let ending = Ending { word: word.into_owned(), blocked };
        self.watch.finish = Some(ending.reason(!choice.calls.is_empty())?);
        choice.ending = Some(ending);
        Ok(())
    }

    /// Whether the stream may end here; writes what ends its choices.
    fn terminal(&mut self) -> Result<(), Failure> {
        let mut seen = self.choices.iter().filter(|choice| choice.seen).peekable();
        let complete = seen.peek().is_some() && seen.all(|choice| choice.ending.is_some());
        let Some(chunks) = self.chunks.as_mut().filter(|_| complete && !self.ended) else {
            return if self.ended { Ok(()) } else { Err(Failure::Truncated) };
        };
        for (index, choice) in self.choices.iter().enumerate() {
            let Some(ending) = &choice.ending else { continue };
            chunks.turn_to(index);
            if choice.signature.is_some() {
                let signed = carried(choice.signature.as_deref());
                chunks.delta(&[br#""content":"""#, &signed], &mut self.written);
            }
            let reason = ending.reason(!choice.calls.is_empty())?;
            self.watch.finish = Some(reason);
            let native = if finish::is_plain(&ending.word) { String::new() } else { quoted(&ending.word) };
            let native = native.trim_matches('"').as_bytes();
            chunks.finish(reason, native, &mut self.written);
        }
        self.ended = true;
        Ok(())
    }
}

impl Decoder for Stream {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<Progress, Failure> {
        if self.ended {
            return Ok(Progress::Ended);
        }
        self.splitter.push(chunk);
        let result = loop {
            match self.splitter.next() {
                Ok(None) => break Ok(Progress::More),
                Err(_) => break Err(Failure::Protocol { detail: "an event over 8 MiB" }),
                Ok(Some(event)) => match self.event(&event) {
                    Ok(Progress::More) => {}
                    other => break other,
                },
            }
        };
        self.take(out);
        result
    }

    fn end_of_input(&mut self, out: &mut Vec<Bytes>) -> Result<(), Failure> {
        out.append(&mut self.ready);
        let result = self.terminal();
        self.take(out);
        result
    }

    fn close(&mut self, tail: &Tail, out: &mut Vec<Bytes>) {
        let usage = self.watch.usage.or(tail.usage).filter(|_| self.style.include_usage);
        if let (Some(chunks), Some(usage)) = (&self.chunks, usage) {
            chunks.usage(&usage, tail, &mut self.written);
            self.take(out);
        }
        out.push(chunks::DONE);
    }

    fn watch(&self) -> &Watch {
        &self.watch
    }
}
