//! Anthropic's Messages as a whole: what goes in, what must come out.

mod golden;
mod round;
mod streams;

use std::sync::Arc;

use bytes::Bytes;

use super::Anthropic;
use crate::catalog::{Auth, Capabilities, Dialect, Endpoint, EndpointId, ModelId, Provider, Timeouts};
use crate::dialect::tests::{decode, with_usage};
use crate::dialect::{Codec, Style, Tail};
use crate::outcome::Failure;

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
