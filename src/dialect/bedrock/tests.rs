//! Bedrock as a whole: what goes in, what must come out.

mod golden;
mod streams;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Bedrock;
use crate::dialect::event_stream;
use crate::dialect::tests::{decode, with_usage};
use crate::dialect::{Codec, Style, Tail};
use crate::outcome::Failure;

/// The style of a caller whose request and upstream have names.
fn named() -> Style {
    Style { id: "0190-request".into(), upstream: "amazon.nova-pro-v1:0".into(), ..with_usage() }
}

/// A stream written as lines, each the name of an event and its payload. Names of
/// exceptions end in `Exception`; the payloads of chunks are Anthropic's events.
fn framed(lines: &str) -> Vec<u8> {
    let mut stream = Vec::new();
    for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, payload) = line.split_once(' ').unwrap();
        let frame = match name {
            "chunk" => {
                let payload = format!(r#"{{"bytes":"{}","p":"ab"}}"#, STANDARD.encode(payload));
                event_stream::event(name, payload.as_bytes())
            }
            "checksum" => {
                let mut damaged = event_stream::event("contentBlockDelta", payload.as_bytes()).to_vec();
                *damaged.last_mut().unwrap() ^= 1;
                damaged.into()
            }
            _ if name.ends_with("Exception") => event_stream::exception(name, payload.as_bytes()),
            _ => event_stream::event(name, payload.as_bytes()),
        };
        stream.extend_from_slice(&frame);
    }
    stream
}
