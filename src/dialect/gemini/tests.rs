//! Streams and answers as a whole: what goes in, what must come out.

mod golden;
mod streams;

use bytes::Bytes;

use super::Gemini;
use crate::dialect::openai::tests::canonical::judge;
use crate::dialect::{Codec, Progress, Style, Tail, Watch};
use crate::outcome::Failure;
use crate::units::Usage;

/// What a caller got, and what the decoder saw.
struct Told {
    text: String,
    result: Result<(), Failure>,
    watch: Watch,
}

fn with_usage() -> Style {
    Style { model: None, include_usage: true, ..Style::default() }
}

/// What stands in for an estimate where the upstream states no usage.
fn tail() -> Tail {
    let usage = Usage { input: 10, output: 5, estimated: true, ..Usage::default() };
    Tail {
        usage: Some(usage),
        cost: Some("0.000123".to_owned()),
        merit: Some(r#"{"attempts":1}"#.to_owned()),
    }
}

/// Runs a stream through the decoder as `dispatch` would.
fn decode<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, style: &Style) -> Told {
    let mut decoder = Gemini.stream(style);
    let mut out = Vec::new();
    let mut result = Ok(Progress::More);
    for chunk in chunks {
        result = decoder.feed(Bytes::copy_from_slice(chunk), &mut out);
        if result != Ok(Progress::More) {
            break;
        }
    }
    let result = match result {
        Ok(Progress::More) => decoder.end_of_input(&mut out),
        Ok(Progress::Ended) => Ok(()),
        Err(failure) => Err(failure),
    };
    if result.is_ok() {
        decoder.close(&tail(), &mut out);
    }
    let text = String::from_utf8(out.concat()).unwrap();
    Told { text, result, watch: decoder.watch().clone() }
}

fn whole(text: &str, style: &Style) -> Told {
    decode([text.as_bytes()], style)
}
