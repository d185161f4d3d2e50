//! OpenAI's Chat Completions, which is also our middle form, and the many
//! almost-equal formats of those who say they speak it.
//!
//! Callers' SDKs are strict where upstreams are not: a repeated role, a tool call
//! without an index, an `"error": null` crash or silently lose text in one SDK or
//! another. So what callers get is always the canonical form. It is reached by
//! two ways. `look` checks in one cheap pass whether an event already has it; then
//! its very bytes go out, or with one or two places spliced. Only what deviates is
//! parsed and rebuilt, by `mend`. (`form` spares most chunks even the look.) Every upstream gets both, so a vendor needs no
//! entry in a table of quirks for what can be seen in its answers.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Codec, Decoder, Encoded, Reply, Style};
use crate::catalog::Endpoint;
use crate::outcome::Failure;
use crate::request::ChatRequest;

mod calls;
mod delta;
mod encode;
pub(super) mod failure;
mod finish;
mod form;
pub(super) mod gather;
pub(super) mod hide;
mod look;
mod mend;
mod models;
mod reply;
pub(super) mod retry_after;
mod sink;
mod state;
mod stream;
mod usage;

#[cfg(test)]
pub(super) mod tests;

pub(super) use encode::encode as encode_for;
use models::Family;

/// Speaks `OpenAI`'s Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAi;

impl Codec for OpenAi {
    fn encode(&self, request: &ChatRequest, endpoint: &Endpoint) -> Result<Encoded, Failure> {
        let family = Family::of(&endpoint.upstream, &endpoint.identity);
        encode::encode_as(request, &endpoint.upstream, family, &endpoint.provider.quirks)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        failure::of_status(status, headers, body)
    }

    fn reply(&self, body: Bytes, style: &Style) -> Result<Reply, Failure> {
        reply::read(&body, style)
    }

    fn stream_as_reply(&self, whole: Bytes, style: &Style) -> Result<Reply, Failure> {
        gather::read(whole, style)
    }

    fn reply_as_stream(&self, body: Bytes, style: &Style) -> Result<Box<dyn Decoder>, Failure> {
        let reply = reply::canonical(&body)?;
        Ok(Box::new(stream::Stream::of_reply(reply, style)?))
    }

    fn stream(&self, style: &Style) -> Box<dyn Decoder> {
        Box::new(stream::Stream::new(style))
    }
}
