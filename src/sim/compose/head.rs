//! The status line and headers of an answer, proper or not.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Brief;
use crate::sim::behaviour::{HeadFault, RetryAfter, Shape};
use crate::sim::quirks::Quirk;
use crate::sim::script::{Framing, Step};

/// A head ready to be written.
pub(super) struct Head {
    /// An interim response before it.
    pub(super) early: Option<Bytes>,
    /// Status line, headers and the blank line.
    pub(super) bytes: Bytes,
    /// Whether the connection must close after the body.
    pub(super) close: bool,
}

/// Bytes of a body that is known to end.
pub(super) fn length(body: &[Step]) -> u64 {
    let one = |step: &Step| match step {
        Step::Body { bytes, .. } => bytes.len() as u64,
        Step::Fill { count, .. } => *count,
        _ => 0,
    };
    body.iter().map(one).fold(0, u64::saturating_add)
}

pub(super) fn head(brief: &Brief<'_>, framing: Framing, streamed: bool, length: u64) -> Head {
    let behaviour = brief.behaviour;
    let mut text = String::with_capacity(256);
    if behaviour.head == Some(HeadFault::BadStatus) {
        text.push_str("HTP/1.1 two hundred\r\n");
    } else {
        line(&mut text, format_args!("HTTP/1.1 {} {}", behaviour.status(), reason(behaviour.status())));
    }
    line(&mut text, format_args!("x-request-id: sim-{}", brief.tale.number));
    if behaviour.status() != 204 {
        line(&mut text, format_args!("content-type: {}", content_type(brief, streamed)));
        framing_lines(&mut text, brief, framing, length);
    }
    let close = framing == Framing::Close
        || behaviour.length_error > 0
        || behaviour.head.is_some()
        || behaviour.has(Quirk::SayClose);
    if close {
        text.push_str("connection: close\r\n");
    }
    if behaviour.has(Quirk::Gzip) {
        text.push_str("content-encoding: gzip\r\n");
    }
    if let (400.., Some((name, value))) = (behaviour.status(), brief.speech.error_header(behaviour.status()))
    {
        line(&mut text, format_args!("{name}: {value}"));
    }
    if let Some(location) = &behaviour.location {
        line(&mut text, format_args!("location: {location}"));
    }
    retry_lines(&mut text, behaviour.retry_after);
    if let (true, Some(key)) = (behaviour.has(Quirk::EchoKeyHeader), brief.credential) {
        line(&mut text, format_args!("x-debug-authorization: Bearer {key}"));
    }
    let value = "v".repeat(if behaviour.header_bytes == 0 { 10 } else { behaviour.header_bytes });
    for number in 0..behaviour.extra_headers {
        line(&mut text, format_args!("x-superfluous-{number}: {value}"));
    }
    let mut bytes = text.into_bytes();
    match behaviour.head {
        Some(HeadFault::Fold) => bytes.extend_from_slice(b"x-folded: one\r\n two\r\n"),
        Some(HeadFault::Illegal) => bytes.extend_from_slice(b"x bad\x00name: \x01\x7f\r\n"),
        _ => {}
    }
    bytes.extend_from_slice(b"\r\n");
    let early = behaviour.early.map(|status| {
        let link = if status == 103 { "link: </style.css>; rel=preload\r\n" } else { "" };
        format!("HTTP/1.1 {status} {}\r\n{link}\r\n", reason(status)).into()
    });
    Head { early, bytes: bytes.into(), close }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = text.write_fmt(arguments);
    text.push_str("\r\n");
}

fn content_type<'a>(brief: &'a Brief<'_>, streamed: bool) -> &'a str {
    match (&brief.behaviour.content_type, brief.behaviour.shape) {
        (Some(own), _) => own,
        (None, Shape::Html) => "text/html; charset=utf-8",
        (None, Shape::Plain) => "text/plain",
        (None, _) if streamed => brief.speech.stream_type(),
        (None, _) => "application/json",
    }
}

fn framing_lines(text: &mut String, brief: &Brief<'_>, framing: Framing, length: u64) {
    let declared = length.saturating_add_signed(brief.behaviour.length_error);
    match framing {
        Framing::Chunked => text.push_str("transfer-encoding: chunked\r\n"),
        Framing::Length => line(text, format_args!("content-length: {declared}")),
        Framing::Close => {}
    }
    match brief.behaviour.head {
        Some(HeadFault::TwoLengths) => {
            line(
                text,
                format_args!("content-length: {length}\r\ncontent-length: {}", length.saturating_add(7)),
            );
        }
        Some(HeadFault::LengthAndChunked) => {
            line(text, format_args!("content-length: {length}\r\ntransfer-encoding: chunked"));
        }
        Some(HeadFault::NegativeLength) => text.push_str("content-length: -1\r\n"),
        _ => {}
    }
}

fn retry_lines(text: &mut String, retry_after: Option<RetryAfter>) {
    match retry_after {
        Some(RetryAfter::Seconds(seconds)) => line(text, format_args!("retry-after: {seconds}")),
        Some(RetryAfter::Millis(millis)) => line(text, format_args!("retry-after-ms: {millis}")),
        Some(RetryAfter::Date(seconds)) => {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
            line(text, format_args!("retry-after: {date}"));
        }
        Some(RetryAfter::NoneLeft(seconds)) => {
            text.push_str("x-ratelimit-remaining-requests: 0\r\n");
            line(text, format_args!("x-ratelimit-reset-requests: {seconds}s"));
        }
        Some(RetryAfter::Reset(seconds)) => {
            line(text, format_args!("x-ratelimit-reset-requests: {}m{}s", seconds / 60, seconds % 60));
        }
        None => {}
    }
}

/// The reason phrase, from the IANA registry of status codes; 529 is Anthropic's.
fn reason(status: u16) -> &'static str {
    match status {
        529 => "Overloaded",
        status => http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Unknown"),
    }
}
