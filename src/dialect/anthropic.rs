//! Anthropic's Messages, for upstreams that speak it: Anthropic itself, and
//! others who offer its format (llama.cpp, `MiniMax`, `DeepSeek`, Azure's Foundry).
//!
//! A request is planned first, as turns of blocks that borrow from its body, and
//! then written: what must be first in a turn may come last from a caller, and
//! long texts and images go through as slices of the caller's own bytes. An
//! answer's texts are carried over as they are written, never decoded.
//!
//! What the middle form has no place for travels in members that callers' SDKs
//! keep and send back: thinking with its signature in `reasoning_details`, as
//! `OpenRouter` has it, because a model refuses thinking that was changed.
//!
//! Facts about the format are from Anthropic's API reference
//! (docs.anthropic.com, seen 2026-11-22) unless another source is named.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Codec, Decoder, Encoded, Reply, Style};
use crate::catalog::{Endpoint, Quirk};
use crate::outcome::Failure;
use crate::request::ChatRequest;

pub(super) mod encode;
pub(super) mod event;
mod failure;
mod finish;
pub(super) mod models;
pub(super) mod reasoning;
pub(super) mod reply;
pub(super) mod said;
pub(super) mod stream;
pub(super) mod translate;
pub(super) mod usage;
mod vertex;

#[cfg(test)]
mod tests;

pub(crate) use encode::encode as encode_for;

/// The tool by which a schema is asked for where a model has no other way. Its
/// call comes back as text. The name is not one that callers would choose.
pub(super) const ANSWER_TOOL: &str = "merit_json_answer";

/// Speaks Anthropic's Messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anthropic;

impl Codec for Anthropic {
    fn usual_path(&self) -> &'static str {
        "/messages"
    }

    /// The version whose meaning the capability table describes. The later one
    /// (2026-10-21) only refuses more.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn encode(&self, request: &ChatRequest, endpoint: &Endpoint) -> Result<Encoded, Failure> {
        let mut encoded = encode_for(request, &endpoint.upstream, endpoint.max_output)?;
        if endpoint.provider.quirks.contains(&Quirk::VertexMessages) {
            encoded.body = vertex::body(encoded.body, &endpoint.upstream);
        }
        Ok(encoded)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        failure::of_status(status, headers, body)
    }

    fn reply(&self, body: Bytes, style: &Style) -> Result<Reply, Failure> {
        reply::read(&body, style)
    }

    fn stream_as_reply(&self, whole: Bytes, style: &Style) -> Result<Reply, Failure> {
        reply::gather(whole, style)
    }

    fn reply_as_stream(&self, body: Bytes, style: &Style) -> Result<Box<dyn Decoder>, Failure> {
        Ok(Box::new(stream::Stream::of_reply(&body, style)?))
    }

    fn stream(&self, style: &Style) -> Box<dyn Decoder> {
        Box::new(stream::Stream::new(style))
    }
}
