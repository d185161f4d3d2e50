//! The values of knobs: how each is written.

use super::{Answer, HeadFault, How, Junk, LineEnd, Point, RetryAfter, Shape, Statement};
use crate::sim::script::{self, Framing};

/// Most of anything that is built in memory: 16 Mi of bytes, words or headers.
const MOST_BUILT: usize = 16 << 20;
/// Most bytes of anything that is written without being built: 1 TiB.
pub(super) const MOST_FILL: u64 = 1 << 40;

/// A number of things built in memory.
pub(super) fn size(text: &str) -> Option<usize> {
    text.parse().ok().filter(|size| *size <= MOST_BUILT)
}

pub(super) const HOWS: &[(&str, How)] = &[("fin", How::Fin), ("rst", How::Rst), ("end", How::End)];
pub(super) const FRAMINGS: &[(&str, Framing)] =
    &[("chunked", Framing::Chunked), ("length", Framing::Length), ("close", Framing::Close)];
pub(super) const LINE_ENDS: &[(&str, LineEnd)] =
    &[("lf", LineEnd::Lf), ("crlf", LineEnd::CrLf), ("cr", LineEnd::Cr)];
pub(super) const STATEMENTS: &[(&str, Statement)] = &[
    ("honest", Statement::Honest),
    ("missing", Statement::Missing),
    ("null", Statement::Null),
    ("negative", Statement::Negative),
    ("huge", Statement::Huge),
    ("float", Statement::Float),
    ("text", Statement::Text),
];
pub(super) const HEAD_FAULTS: &[(&str, HeadFault)] = &[
    ("two-lengths", HeadFault::TwoLengths),
    ("length-and-chunked", HeadFault::LengthAndChunked),
    ("negative-length", HeadFault::NegativeLength),
    ("fold", HeadFault::Fold),
    ("illegal", HeadFault::Illegal),
    ("bad-status", HeadFault::BadStatus),
];

pub(super) fn one_of<T: Copy>(word: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

pub(super) fn point(text: &str) -> Option<Point> {
    let (word, number) = text.split_once(':').unwrap_or((text, "1"));
    Some(match word {
        "start" => Point::Start,
        "head" => Point::Head,
        "preamble" => Point::Preamble,
        "events" => Point::Events(number.parse().ok()?),
        "bytes" => Point::Bytes(number.parse().ok()?),
        "mid-char" => Point::MidChar,
        "mid-json" => Point::MidJson,
        "end" => Point::End,
        _ => return None,
    })
}

/// `WHAT[:SIZE]@POINT`.
pub(super) fn injection(text: &str) -> Option<(Junk, Point)> {
    let (what, at) = text.split_once('@').unwrap_or((text, "events:2"));
    let (word, number) = what.split_once(':').unwrap_or((what, ""));
    let junk = match word {
        "malformed" => Junk::Malformed,
        "not-utf8" => Junk::NotUtf8,
        "checksum" => Junk::Checksum,
        "big" => Junk::Big(size(number)?),
        "giant" => Junk::Giant(number.parse().ok().filter(|count| *count <= MOST_FILL)?),
        "pings" => Junk::Pings(script::duration(if number.is_empty() { "10ms" } else { number })?),
        "error" => Junk::Error,
        "error-chunk" => Junk::ErrorChunk,
        _ => return None,
    };
    Some((junk, point(at)?))
}

pub(super) fn answer(text: &str) -> Option<Answer> {
    let (word, number) = text.split_once(':').unwrap_or((text, "1"));
    Some(match word {
        "text" => Answer::Text,
        "tools" => Answer::Tools(number.parse().ok().filter(|calls| *calls <= 128)?),
        "reasoning" => Answer::Reasoning,
        "refusal" => Answer::Refusal,
        _ => return None,
    })
}

pub(super) fn shape(text: &str) -> Option<Shape> {
    let (word, number) = text.split_once(':').unwrap_or((text, "10000"));
    Some(match word {
        "json" => Shape::Json,
        "stream" => Shape::Stream,
        "html" => Shape::Html,
        "plain" => Shape::Plain,
        "empty" => Shape::Empty,
        "garbage" => Shape::Garbage,
        "truncated" => Shape::Truncated,
        "deep" => Shape::Deep(size(number)?),
        "nan" => Shape::NotANumber,
        "duplicate" => Shape::Duplicate,
        "error" => Shape::Error,
        _ => return None,
    })
}

pub(super) fn retry_after(text: &str) -> Option<RetryAfter> {
    let (word, number) = text.split_once(':').unwrap_or(("s", text));
    // A century: what is longer is not a time any more.
    let number = number.parse().ok().filter(|number| *number <= 3_155_760_000)?;
    Some(match word {
        "s" => RetryAfter::Seconds(number),
        "date" => RetryAfter::Date(number),
        "ms" => RetryAfter::Millis(number),
        "reset" => RetryAfter::Reset(number),
        "none-left" => RetryAfter::NoneLeft(number),
        _ => return None,
    })
}
