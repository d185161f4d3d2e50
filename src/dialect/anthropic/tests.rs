//! Anthropic's Messages as a whole: what goes in, what must come out.

mod golden;
mod round;
mod streams;

use std::sync::Arc;

use bytes::Bytes;

use super::Anthropic;
use crate::catalog::{Auth, Capabilities, Dialect, Endpoint, EndpointId, ModelId, Provider, Timeouts};
use crate::dialect::{Codec, Progress, Style, Tail, Watch};
use crate::outcome::Failure;
use crate::units::Usage;

/// What a caller got, and what the decoder saw.
struct Told {
    bytes: Vec<u8>,
    result: Result<(), Failure>,
    watch: Watch,
}

impl Told {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
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
    let mut decoder = Anthropic.stream(style);
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
        other => other.map(drop),
    };
    if result.is_ok() {
        decoder.close(&tail(), &mut out);
    }
    Told { bytes: out.concat(), result, watch: decoder.watch().clone() }
}

/// An endpoint whose provider calls the model `upstream`.
fn endpoint(upstream: &str) -> Endpoint {
    let provider = Provider {
        name: "p".to_owned(),
        dialect: Dialect::Anthropic,
        base_url: http::Uri::from_static("http://127.0.0.1/v1"),
        auth: Auth::None,
        reach: crate::catalog::Reach::default(),
        key: None,
        headers: http::HeaderMap::new(),
        quirks: Vec::new(),
        timeouts: Timeouts::default(),
    };
    Endpoint {
        id: EndpointId(0),
        identity: "p/m".into(),
        provider: Arc::new(provider),
        model: ModelId(0),
        upstream: upstream.to_owned(),
        rates: None,
        price_source: None,
        capabilities: Capabilities::ALL,
        context: None,
        max_output: None,
        quality: 0.5,
        region: None,
        terms: crate::catalog::Terms::default(),
    }
}
