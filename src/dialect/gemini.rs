//! Google's `generateContent`, for upstreams that speak it: the Gemini API and
//! Vertex AI.
//!
//! A request is planned first, as turns of parts, and then written; long texts
//! and images go through as slices of the caller's own bytes. An answer's texts
//! are carried over as they are written, never decoded. Whole answers, whole
//! streams and arrays of answers all take the way of a stream, so there is one
//! translation and not three.
//!
//! Two things have no place in the middle form and must survive it all the same,
//! because newer models refuse a conversation without them: the signature of a
//! tool call and that of a text. They travel as
//! `extra_content.google.thought_signature`, in the tool call or in the message,
//! where Google's own OpenAI-compatible address has them.
//!
//! Facts about the format are from Google's API reference
//! (ai.google.dev/api/generate-content and its guides, seen 2026-11-22) unless
//! another source is named.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Codec, Decoder, Encoded, Reply, Style};
use crate::catalog::Endpoint;
use crate::outcome::Failure;
use crate::request::ChatRequest;

mod choice;
mod encode;
mod event;
mod failure;
mod finish;
mod logprobs;
mod models;
mod reply;
mod stream;
mod usage;

#[cfg(test)]
mod tests;

pub(in crate::dialect) use encode::encode_for;

/// Speaks Google's `generateContent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gemini;

impl Codec for Gemini {
    fn encode(&self, request: &ChatRequest, endpoint: &Endpoint) -> Result<Encoded, Failure> {
        encode_for(request, &endpoint.upstream, endpoint.max_output, &endpoint.provider.quirks)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        failure::of_status(status, headers, body)
    }

    fn reply(&self, body: Bytes, style: &Style) -> Result<Reply, Failure> {
        reply::of_answer(&body, style)
    }

    fn stream_as_reply(&self, whole: Bytes, style: &Style) -> Result<Reply, Failure> {
        reply::of_stream(whole, style)
    }

    fn reply_as_stream(&self, body: Bytes, style: &Style) -> Result<Box<dyn Decoder>, Failure> {
        Ok(Box::new(reply::streamed(&body, style)?))
    }

    fn stream(&self, style: &Style) -> Box<dyn Decoder> {
        Box::new(stream::Stream::new(style))
    }
}
