//! What a provider does with one request, as a set of knobs.
//!
//! A behaviour is written as text, the same everywhere: in a scenario, in the
//! model name of a request (`fault/cut-after-3?how=rst`), over HTTP and in
//! tests. It is a name from [`FAULTS`](super::faults::FAULTS), which is itself
//! nothing but knobs, and further knobs after `?`; or knobs alone. Knobs are
//! orthogonal, so that faults nobody has named yet can be put together.

mod values;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::faults;
use super::quirks::{self, Quirk};
use super::script::{self, Framing, Step};
use values::{
    FRAMINGS, HEAD_FAULTS, HOWS, LINE_ENDS, MOST_FILL, STATEMENTS, answer, injection, one_of, point,
    retry_after, shape, size,
};

/// A place in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before the first byte.
    Start,
    /// After the head.
    Head,
    /// After the events without content.
    Preamble,
    /// After so many events with content.
    Events(u32),
    /// After so many bytes of the body.
    Bytes(usize),
    /// Between the bytes of one UTF-8 character.
    MidChar,
    /// Inside the JSON of an event with content.
    MidJson,
    /// Before the terminal marker.
    End,
}

/// How an answer is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum How {
    /// The connection is closed in order.
    #[default]
    Fin,
    /// The connection is reset.
    Rst,
    /// The body ends in order, as its framing demands; only the rest is missing.
    End,
}

/// What ends a line of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnd {
    /// `\n`.
    #[default]
    Lf,
    /// `\r\n`.
    CrLf,
    /// `\r`.
    Cr,
}

/// Something put into a stream that does not belong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Junk {
    /// An event whose JSON is broken.
    Malformed,
    /// An event whose bytes are not UTF-8.
    NotUtf8,
    /// A message whose checksum is wrong; where there are none, as malformed.
    Checksum,
    /// A well-formed event with so many bytes of text.
    Big(usize),
    /// So many bytes without a line end.
    Giant(u64),
    /// Comments for ever, one every so often.
    Pings(Duration),
    /// An in-band error event.
    Error,
    /// An in-band error as OpenRouter words it: error, choices and finish reason in one chunk.
    ErrorChunk,
}

/// What the answer consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// Text; tool calls when the request insists on them.
    #[default]
    Text,
    /// So many tool calls.
    Tools(u32),
    /// Reasoning, then text.
    Reasoning,
    /// A refusal.
    Refusal,
}

/// What form the body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// What the request asked for.
    #[default]
    AsAsked,
    /// A JSON answer, also when a stream was asked for.
    Json,
    /// A stream, also when none was asked for.
    Stream,
    /// A web page.
    Html,
    /// A line of plain text.
    Plain,
    /// No body at all.
    Empty,
    /// Bytes that are nothing; deterministic.
    Garbage,
    /// JSON that stops in the middle although the framing is whole.
    Truncated,
    /// JSON with so many nested arrays.
    Deep(usize),
    /// A JSON answer with `NaN` where a number belongs.
    NotANumber,
    /// A JSON answer whose `choices` come twice.
    Duplicate,
    /// A JSON error with status 200.
    Error,
}

/// What usage is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Statement {
    /// The truth.
    #[default]
    Honest,
    /// None.
    Missing,
    /// `null`.
    Null,
    /// -1.
    Negative,
    /// 2^63.
    Huge,
    /// `1e308`.
    Float,
    /// Text instead of numbers.
    Text,
}

/// How a provider says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// `retry-after: 2`.
    Seconds(u64),
    /// `retry-after` with the date so many seconds from now.
    Date(u64),
    /// `retry-after-ms: 1500`.
    Millis(u64),
    /// `x-ratelimit-remaining-requests: 0` and when that changes, in seconds.
    NoneLeft(u64),
    /// `x-ratelimit-reset-requests: 6m0s`, here in seconds.
    Reset(u64),
}

/// What is wrong with the response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// Two content lengths that differ.
    TwoLengths,
    /// A content length beside chunked.
    LengthAndChunked,
    /// A negative content length.
    NegativeLength,
    /// A header line continued on the next one.
    Fold,
    /// Bytes that no header may have.
    Illegal,
    /// A status line that is none.
    BadStatus,
}

/// One behaviour. Build it from text: `"status-500".parse()`.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Behaviour {
    /// The text it was made from.
    pub name: String,
    /// Time to the first byte; `None` leaves it to the provider's timing.
    pub delay: Option<Duration>,
    /// Time between events; `None` leaves it to the provider's timing.
    pub gap: Option<Duration>,
    /// At most so many bytes per write.
    pub slice: Option<usize>,
    /// Pause between slices.
    pub drip: Duration,
    /// Where the provider falls silent with the connection open.
    pub stall: Option<Point>,
    /// Where the connection ends.
    pub cut: Option<Point>,
    /// How it ends there.
    pub how: How,
    /// How the end of the body is known; `None`: chunked for streams, length for others.
    pub framing: Option<Framing>,
    /// Line ends of streams.
    pub line_end: LineEnd,
    /// What is put into the body, and where.
    pub inject: Vec<(Junk, Point)>,
    /// What is answered.
    pub answer: Answer,
    /// In what form.
    pub shape: Shape,
    /// So many words instead of the canned text's own number.
    pub words: Option<usize>,
    /// So many blanks before the body.
    pub pad: u64,
    /// The usage stated.
    pub usage: Statement,
    /// The HTTP status; 0 means 200.
    pub status: u16,
    /// When to come back.
    pub retry_after: Option<RetryAfter>,
    /// The error's code instead of the status's usual one.
    pub code: Option<String>,
    /// The content type instead of the right one.
    pub content_type: Option<String>,
    /// What is added to the declared content length.
    pub length_error: i64,
    /// So many superfluous headers.
    pub extra_headers: usize,
    /// Bytes in the value of each of them; 0 means 10.
    pub header_bytes: usize,
    /// Where a redirect points.
    pub location: Option<String>,
    /// An interim status before the head: 100, 103.
    pub early: Option<u16>,
    /// What is wrong with the head.
    pub head: Option<HeadFault>,
    /// Exactly these steps instead of an answer.
    pub script: Option<Vec<Step>>,
    /// Small deviations.
    pub quirks: Vec<Quirk>,
    /// Answer from a prebuilt buffer without timing and without a journal entry.
    pub bench: bool,
}

/// Why a text is no behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBehaviour(pub String);

impl fmt::Display for BadBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "behaviour: {}", self.0)
    }
}

impl std::error::Error for BadBehaviour {}

impl Behaviour {
    /// Whether it has this quirk.
    #[must_use]
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.status == 0 { 200 } else { self.status }
    }

    /// Exactly these steps, instead of an answer.
    ///
    /// # Errors
    /// [`script::BadScript`] when the text is no script.
    pub fn script(text: &str) -> Result<Self, script::BadScript> {
        Ok(Behaviour { name: "script".to_owned(), script: Some(script::parse(text)?), ..Self::default() })
    }

    fn apply(&mut self, knobs: &str) -> Result<(), BadBehaviour> {
        knobs.split('&').filter(|knob| !knob.is_empty()).try_for_each(|knob| {
            let (key, value) = knob.split_once('=').unwrap_or((knob, ""));
            self.turn(key, value).ok_or_else(|| BadBehaviour(format!("`{knob}` is no knob, or not so")))
        })
    }

    /// Turns one knob; `None` when there is none of that name or value.
    fn turn(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "delay" => self.delay = Some(script::duration(value)?),
            "gap" => self.gap = Some(script::duration(value)?),
            "slice" => self.slice = Some(value.parse().ok().filter(|size| *size > 0)?),
            "drip" => self.drip = script::duration(value)?,
            "stall" => self.stall = Some(point(value)?),
            "cut" => self.cut = Some(point(value)?),
            "how" => self.how = one_of(value, HOWS)?,
            "framing" => self.framing = Some(one_of(value, FRAMINGS)?),
            "eol" => self.line_end = one_of(value, LINE_ENDS)?,
            "inject" => self.inject.push(injection(value)?),
            "words" => self.words = Some(size(value)?),
            "answer" => self.answer = answer(value)?,
            "bench" => self.bench = value.is_empty().then_some(true)?,
            "quirks" => value.split('+').try_for_each(|word| {
                self.quirks.push(quirks::quirk(word)?);
                Some(())
            })?,
            _ => return self.turn_head(key, value),
        }
        Some(())
    }

    /// The knobs of status, head and body as a whole.
    fn turn_head(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "shape" => self.shape = shape(value)?,
            "pad" => self.pad = value.parse().ok().filter(|pad| *pad <= MOST_FILL)?,
            "usage" => self.usage = one_of(value, STATEMENTS)?,
            "status" => self.status = value.parse().ok().filter(|status| (200..=999).contains(status))?,
            "retry-after" => self.retry_after = Some(retry_after(value)?),
            "code" => self.code = Some(value.to_owned()),
            "type" => self.content_type = Some(value.to_owned()),
            "length-error" => self.length_error = value.parse().ok()?,
            "headers" => self.extra_headers = size(value)?,
            "header-bytes" => self.header_bytes = size(value)?,
            "location" => self.location = Some(value.to_owned()),
            "early" => self.early = Some(value.parse().ok().filter(|status| (100..200).contains(status))?),
            "head" => self.head = Some(one_of(value, HEAD_FAULTS)?),
            "script" => self.script = Some(script::parse(value).ok()?),
            _ => return None,
        }
        Some(())
    }
}

impl TryFrom<String> for Behaviour {
    type Error = BadBehaviour;

    fn try_from(text: String) -> Result<Self, BadBehaviour> {
        text.parse()
    }
}

impl FromStr for Behaviour {
    type Err = BadBehaviour;

    fn from_str(text: &str) -> Result<Self, BadBehaviour> {
        let text = text.strip_prefix("fault/").unwrap_or(text);
        if text.starts_with('[') {
            return Behaviour::script(text).map_err(|error| BadBehaviour(error.to_string()));
        }
        let (name, knobs) = text.split_once('?').unwrap_or((text, ""));
        let mut behaviour = Behaviour { name: text.to_owned(), ..Behaviour::default() };
        match faults::knobs(name) {
            Some(own) => behaviour.apply(&own)?,
            None if name.contains('=') => return behaviour.apply(text).map(|()| behaviour),
            None => return Err(BadBehaviour(format!("there is none called `{name}`"))),
        }
        behaviour.apply(knobs)?;
        Ok(behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_after_a_name_come_on_top() {
        let behaviour: Behaviour = "fault/cut-after-3?how=rst&quirks=bom+comments".parse().unwrap();
        assert_eq!(behaviour.cut, Some(Point::Events(3)));
        assert!(behaviour.how == How::Rst && behaviour.has(Quirk::Bom) && behaviour.has(Quirk::Comments));
        assert_eq!(behaviour.name, "cut-after-3?how=rst&quirks=bom+comments");
    }

    #[test]
    fn knobs_stand_alone() {
        let behaviour: Behaviour = "status=503&retry-after=ms:20".parse().unwrap();
        assert_eq!((behaviour.status(), behaviour.retry_after), (503, Some(RetryAfter::Millis(20))));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "nonsense",
            "normal?nonsense=1",
            "normal?slice=0",
            "status=99",
            "cut=where",
            "quirks=odd",
            "[x]",
            "deep-99999999999",
            "delay=99999999999s",
            "rate-limit-99999999999",
        ] {
            assert!(text.parse::<Behaviour>().is_err(), "{text}");
        }
    }
}
