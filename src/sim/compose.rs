//! From what is to be said to what is done with the socket: [`compose`] makes
//! the [`Script`] of one answer. No I/O; the same input gives the same script.

mod damage;
mod head;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::behaviour::{Behaviour, Junk, LineEnd, Shape};
use super::quirks::Quirk;
use super::script::{Framing, Kind, Script, Step};
use super::speech::{Ask, Complaint, Event, Speech, Tale};

/// Everything an answer is made of.
#[derive(Debug)]
pub(super) struct Brief<'a> {
    /// The dialect.
    pub speech: &'static dyn Speech,
    /// What was asked.
    pub ask: &'a Ask,
    /// What is answered.
    pub tale: &'a Tale,
    /// How.
    pub behaviour: &'a Behaviour,
    /// Time to the first byte.
    pub first: Duration,
    /// Time between events.
    pub gaps: Gaps,
    /// The caller's credential, for behaviours that give it away.
    pub credential: Option<&'a str>,
}

/// The pauses between events, drawn one after the other.
#[derive(Debug, Clone)]
pub(super) struct Gaps {
    /// The mean pause.
    pub mean: Duration,
    /// A pause lies evenly within this part of the mean on either side; 0 to 1.
    pub jitter: f64,
    /// Where the draws come from.
    pub rng: fastrand::Rng,
}

impl Gaps {
    fn draw(&mut self) -> Duration {
        let factor = (1.0 + self.jitter * (2.0 * self.rng.f64() - 1.0)).max(0.0);
        Duration::try_from_secs_f64(self.mean.as_secs_f64() * factor).unwrap_or(Duration::MAX)
    }
}

/// The script of one answer.
#[must_use]
pub(super) fn compose(mut brief: Brief<'_>) -> Script {
    let behaviour = brief.behaviour;
    let mut script = Script {
        slice: behaviour.slice,
        drip: behaviour.drip,
        burst: behaviour.has(Quirk::Burst),
        ..Script::default()
    };
    if let Some(steps) = &behaviour.script {
        script.framing = Framing::Close;
        script.steps.clone_from(steps);
        return script;
    }
    let streamed = is_stream(&brief);
    let (mut body, wait) = if streamed { stream(&mut brief) } else { whole(&mut brief) };
    damage::inject(&mut body, &brief, streamed);
    if behaviour.pad > 0 {
        body.insert(0, Step::Fill { byte: b' ', count: behaviour.pad });
    }
    if behaviour.has(Quirk::Gzip) {
        body = vec![gzip(&body)];
    }
    let endless = body.iter().any(|step| matches!(step, Step::Forever { .. }));
    script.framing = behaviour.framing.unwrap_or(if streamed || endless || behaviour.has(Quirk::Trailers) {
        Framing::Chunked
    } else {
        Framing::Length
    });
    let head = head::head(&brief, script.framing, streamed, head::length(&body));
    script.close = head.close;
    script.steps = assemble(head, body, wait, &brief);
    damage::cut_and_stall(&mut script.steps, behaviour);
    script
}

fn is_stream(brief: &Brief<'_>) -> bool {
    match brief.behaviour.shape {
        Shape::AsAsked => brief.ask.stream && brief.behaviour.status() == 200,
        Shape::Stream => true,
        _ => false,
    }
}

/// Puts head, body and the time to the first byte in order.
fn assemble(head: head::Head, body: Vec<Step>, wait: Duration, brief: &Brief<'_>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(body.len() + 4);
    steps.extend(head.early.map(Step::Raw));
    let pause = Step::Wait(wait);
    if brief.behaviour.has(Quirk::EarlyHead) {
        steps.extend([Step::Raw(head.bytes), pause]);
    } else {
        steps.extend([pause, Step::Raw(head.bytes)]);
    }
    steps.extend(body);
    let trailers =
        if brief.behaviour.has(Quirk::Trailers) { "x-checksum: none\r\nx-trailer: late\r\n" } else { "" };
    steps.push(Step::EndBody { trailers });
    steps
}

/// The body of a stream, pauses included, and the wait before it.
fn stream(brief: &mut Brief<'_>) -> (Vec<Step>, Duration) {
    let mut events = brief.speech.events(brief.ask, brief.tale, brief.behaviour);
    if let (true, Some(key)) = (brief.behaviour.has(Quirk::EchoKeyBody), brief.credential)
        && let Some(event) = events.iter_mut().find(|event| event.kind == Kind::Content)
    {
        event.data = give_away(&event.data, key);
    }
    let mut steps = Vec::with_capacity(2 * events.len());
    steps.extend(prelude(brief.behaviour));
    let mut begun = false;
    for event in &events {
        if event.kind == Kind::Content && std::mem::replace(&mut begun, true) && !brief.gaps.mean.is_zero() {
            steps.push(Step::Wait(brief.gaps.draw()));
        }
        steps.push(step(event, brief.speech, brief.behaviour));
    }
    (steps, brief.first)
}

fn prelude(behaviour: &Behaviour) -> Option<Step> {
    let mut bytes = String::new();
    if behaviour.has(Quirk::Bom) {
        bytes.push('\u{feff}');
    }
    if behaviour.has(Quirk::LeadingBlank) {
        bytes.push_str("\n\n");
    }
    (!bytes.is_empty()).then(|| Step::Body { bytes: bytes.into(), kind: Kind::Other, words: 0 })
}

/// Puts a credential into the first text that an answer has.
fn give_away(text: &str, key: &str) -> String {
    let first = ["\"content\":\"", "\"text\":\"", "\"thinking\":\"", "\"partial_json\":\""];
    let found = first.iter().find(|member| text.contains(*member));
    found.map_or_else(|| text.to_owned(), |member| text.replacen(member, &format!("{member}{key} "), 1))
}

fn step(event: &Event, speech: &dyn Speech, behaviour: &Behaviour) -> Step {
    let bytes = speech.frame(event.data.as_bytes());
    let bytes = bytes.unwrap_or_else(|| lines(speech.event_name(&event.data), &event.data, behaviour));
    Step::Body { bytes, kind: event.kind, words: event.words }
}

/// The lines of one event.
fn lines(name: Option<&str>, data: &str, behaviour: &Behaviour) -> Bytes {
    let end = match behaviour.line_end {
        LineEnd::Lf => "\n",
        LineEnd::CrLf => "\r\n",
        LineEnd::Cr => "\r",
    };
    let field = if behaviour.has(Quirk::NoSpace) { "data:" } else { "data: " };
    let mut text = String::with_capacity(data.len() + 32);
    if behaviour.has(Quirk::Comments) {
        text.extend([": PROCESSING", end, end]);
    }
    let strange = behaviour.has(Quirk::EventNames);
    if let Some(name) = name.or(strange.then_some("message")) {
        text.extend(["event: ", name, end]);
    }
    if strange {
        text.extend(["id: 1", end, "retry: 1000", end]);
    }
    match data.strip_prefix('{').filter(|_| behaviour.has(Quirk::SplitData)) {
        Some(rest) => text.extend([field, "{", end, field, rest, end, end]),
        None => text.extend([field, data, end, end]),
    }
    text.into()
}

/// The body of an answer that is not streamed, and the wait before it: a proper
/// answer takes as long as its stream would have taken, an error a quarter of
/// the time to the first byte.
fn whole(brief: &mut Brief<'_>) -> (Vec<Step>, Duration) {
    let body = whole_body(brief);
    let proper = brief.behaviour.status() == 200;
    let wait = match brief.behaviour.delay {
        _ if proper => {
            let words = u32::try_from(brief.tale.consumed.completion_tokens).unwrap_or(u32::MAX);
            brief.first.saturating_add(brief.gaps.draw().saturating_mul(words.saturating_sub(1)))
        }
        Some(delay) => delay,
        None => brief.first / 4,
    };
    let mut steps = Vec::new();
    steps.extend(prelude(brief.behaviour));
    if !body.is_empty() {
        let kind = if proper { Kind::Whole } else { Kind::Other };
        let words =
            if proper { u32::try_from(brief.tale.consumed.completion_tokens).unwrap_or(0) } else { 0 };
        steps.push(Step::Body { bytes: body, kind, words });
    }
    (steps, wait)
}

fn whole_body(brief: &Brief<'_>) -> Bytes {
    let status = brief.behaviour.status();
    let answer = || {
        if status != 200 || brief.has_error() {
            return error_body(brief);
        }
        let mut body = brief.speech.whole(brief.ask, brief.tale, brief.behaviour).to_string();
        if let (true, Some(key)) = (brief.behaviour.has(Quirk::EchoKeyBody), brief.credential) {
            body = give_away(&body, key);
        }
        body
    };
    match brief.behaviour.shape {
        Shape::AsAsked | Shape::Json | Shape::Stream => answer().into(),
        Shape::Html => format!(
            "<!DOCTYPE html>\n<html><head><title>{status}</title></head><body><h1>Error {status}</h1>\
             <p>The simulated web server is between us.</p></body></html>\n"
        )
        .into(),
        Shape::Plain => "upstream connect error or disconnect\n".into(),
        Shape::Empty => Bytes::new(),
        Shape::Garbage => fastrand_bytes(brief.tale.number),
        Shape::Truncated => {
            let mut body = Bytes::from(answer());
            body.split_to(body.len() / 2)
        }
        Shape::Deep(depth) => format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into(),
        Shape::NotANumber => answer().replacen('{', "{\"_\":NaN,", 1).into(),
        Shape::Duplicate => answer().replacen('{', "{\"choices\":[],\"content\":[],", 1).into(),
        Shape::Error => error_body(brief).into(),
    }
}

impl Brief<'_> {
    /// Whether an error is to appear in an answer that has no place for events.
    fn has_error(&self) -> bool {
        self.behaviour.inject.iter().any(|(junk, _)| matches!(junk, Junk::Error | Junk::ErrorChunk))
    }
}

fn error_body(brief: &Brief<'_>) -> String {
    let status = brief.behaviour.status();
    let mut message = match status {
        401 => "incorrect API key provided".to_owned(),
        429 => "you have sent too many requests".to_owned(),
        503 | 529 => "the server is overloaded".to_owned(),
        status => format!("simulated failure with status {status}"),
    };
    if let (true, Some(key)) = (brief.behaviour.has(Quirk::EchoKeyBody), brief.credential) {
        message = format!("{message}: {key}");
    }
    let status = if status == 200 { 502 } else { status };
    let complaint = Complaint { status, code: brief.behaviour.code.as_deref(), message: &message };
    brief.speech.error(complaint, brief.behaviour).to_string()
}

/// 512 bytes that are nothing, the same for the same number. By the first no
/// reader can take them for the beginning of something.
fn fastrand_bytes(seed: u64) -> Bytes {
    let mut bytes = vec![0; 512];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    if let Some(first) = bytes.first_mut() {
        *first = 0x01;
    }
    bytes.into()
}

/// A body compressed as one piece.
fn gzip(body: &[Step]) -> Step {
    let mut plain = BytesMut::new();
    let mut all_words = 0;
    for step in body {
        if let Step::Body { bytes, words, .. } = step {
            plain.extend_from_slice(bytes);
            all_words += words;
        }
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to a vector cannot fail; were it to, an empty body would show it.
    let bytes = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default();
    Step::Body { bytes: bytes.into(), kind: Kind::Whole, words: all_words }
}
