//! Faults as edits of a list of steps.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Brief, lines, step};
use crate::sim::behaviour::{Behaviour, How, Junk, Point};
use crate::sim::script::{Kind, Step};

/// Puts the behaviour's junk into a body.
pub(super) fn inject(body: &mut Vec<Step>, brief: &Brief<'_>, streamed: bool) {
    for (junk, at) in &brief.behaviour.inject {
        if !streamed && matches!(junk, Junk::Error | Junk::ErrorChunk) {
            continue; // the whole body is the error then
        }
        let index = split(body, *at);
        body.insert(index, junk_step(*junk, brief, streamed));
    }
}

fn junk_step(junk: Junk, brief: &Brief<'_>, streamed: bool) -> Step {
    const BROKEN: &str = "{\"id\":\"broken\",\"choices\":[{\"index\":0,";
    let other = |bytes: Bytes| Step::Body { bytes, kind: Kind::Other, words: 0 };
    let framed = brief.speech.frame(BROKEN.as_bytes()).filter(|_| streamed);
    match junk {
        Junk::Malformed => other(framed.unwrap_or_else(|| lines(None, BROKEN, brief.behaviour))),
        Junk::Checksum => match framed {
            Some(frame) => other(damaged(&frame)),
            None => other(lines(None, BROKEN, brief.behaviour)),
        },
        Junk::NotUtf8 if framed.is_some() => {
            other(brief.speech.frame(b"{\"delta\":{\"text\":\"\xff\xfe\"}}").unwrap_or_default())
        }
        Junk::NotUtf8 => {
            let mut bytes = BytesMut::from("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
            bytes.put_slice(b"\xff\xfe\"},\"finish_reason\":null}]}\n\n");
            other(bytes.freeze())
        }
        Junk::Big(bytes) if streamed => {
            step(&brief.speech.big_event(brief.ask, brief.tale, bytes), brief.speech, brief.behaviour)
        }
        Junk::Big(bytes) => Step::Fill { byte: b' ', count: bytes as u64 },
        Junk::Giant(count) => Step::Fill { byte: b'a', count },
        Junk::Pings(every) => {
            let frame = brief.speech.frame(b"{\"ping\":{}}");
            Step::Forever { bytes: frame.unwrap_or(Bytes::from_static(b": ping\n\n")), every }
        }
        Junk::Error => step(&brief.speech.error_event(brief.ask, false), brief.speech, brief.behaviour),
        Junk::ErrorChunk => step(&brief.speech.error_event(brief.ask, true), brief.speech, brief.behaviour),
    }
}

/// A frame whose last bit is another.
fn damaged(frame: &Bytes) -> Bytes {
    let mut bytes = frame.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}

/// Ends or stalls an answer where the behaviour says so.
pub(super) fn cut_and_stall(steps: &mut Vec<Step>, behaviour: &Behaviour) {
    if let Some(point) = behaviour.cut {
        let index = split(steps, point);
        let end = steps.pop().filter(|_| behaviour.how == How::End);
        steps.truncate(index);
        steps.extend(match behaviour.how {
            How::Fin => Some(Step::Fin),
            How::Rst => Some(Step::Rst),
            How::End => end,
        });
    }
    if let Some(point) = behaviour.stall {
        let index = split(steps, point);
        steps.truncate(index);
        steps.push(Step::Hang);
    }
}

/// Makes a border at a place and gives the index of the step after it.
fn split(steps: &mut Vec<Step>, point: Point) -> usize {
    let (index, offset) = place(steps, point);
    let Some(Step::Body { bytes, .. }) = steps.get_mut(index) else { return index };
    if offset == 0 || offset >= bytes.len() {
        return index + usize::from(offset > 0);
    }
    let front = bytes.split_to(offset);
    // Only the rest completes the event, so only the rest counts as one.
    steps.insert(index, Step::Body { bytes: front, kind: Kind::Other, words: 0 });
    index + 1
}

/// A step and an offset in its bytes.
fn place(steps: &[Step], point: Point) -> (usize, usize) {
    match point {
        Point::Start => (0, 0),
        Point::Head => (steps.iter().position(is_body).unwrap_or(steps.len()), 0),
        Point::Preamble => {
            find(steps, |kind| kind == Kind::Content).map_or_else(|| half(steps), |index| (index, 0))
        }
        Point::Events(count) => after_events(steps, count),
        Point::Bytes(count) => at_byte(steps, count),
        Point::MidChar => mid_char(steps).unwrap_or_else(|| half(steps)),
        Point::MidJson => half(steps),
        Point::End => match find(steps, |kind| kind == Kind::Terminal) {
            Some(index) => (index, 0),
            None => {
                (steps.iter().position(|step| matches!(step, Step::EndBody { .. })).unwrap_or(steps.len()), 0)
            }
        },
    }
}

fn is_body(step: &Step) -> bool {
    matches!(step, Step::Body { .. } | Step::Fill { .. } | Step::EndBody { .. } | Step::Forever { .. })
}

fn find(steps: &[Step], wanted: impl Fn(Kind) -> bool) -> Option<usize> {
    steps.iter().position(|step| matches!(step, Step::Body { kind, .. } if wanted(*kind)))
}

/// The middle of the first piece that says something.
fn half(steps: &[Step]) -> (usize, usize) {
    let says = |kind| matches!(kind, Kind::Content | Kind::Whole);
    let index = find(steps, says).or_else(|| find(steps, |_| true));
    match index.and_then(|index| Some((index, steps.get(index)?))) {
        Some((index, Step::Body { bytes, .. })) => (index, bytes.len() / 2),
        _ => place(steps, Point::End),
    }
}

/// After the event and what was put behind it; with fewer events before the
/// terminal marker, and in the middle of an answer that has no events.
fn after_events(steps: &[Step], count: u32) -> (usize, usize) {
    let mut seen = 0;
    for (index, step) in steps.iter().enumerate() {
        seen += u32::from(matches!(step, Step::Body { kind: Kind::Content, .. }));
        if seen >= count && count > 0 {
            let rest = steps.get(index + 1..).unwrap_or_default();
            let junk =
                |step: &&Step| matches!(step, Step::Body { kind: Kind::Other, .. } | Step::Fill { .. });
            return (index + 1 + rest.iter().take_while(junk).count(), 0);
        }
    }
    match find(steps, |kind| kind == Kind::Whole) {
        Some(_) => half(steps),
        None if count == 0 => place(steps, Point::Preamble),
        None => place(steps, Point::End),
    }
}

fn at_byte(steps: &[Step], count: usize) -> (usize, usize) {
    let mut left = count;
    for (index, step) in steps.iter().enumerate() {
        if let Step::Body { bytes, .. } = step {
            if left < bytes.len() {
                return (index, left);
            }
            left -= bytes.len();
        }
    }
    place(steps, Point::End)
}

fn mid_char(steps: &[Step]) -> Option<(usize, usize)> {
    steps.iter().enumerate().find_map(|(index, step)| match step {
        Step::Body { bytes, kind: Kind::Content | Kind::Whole, .. } => {
            Some((index, bytes.iter().position(|byte| *byte >= 0xc0)? + 1))
        }
        _ => None,
    })
}
