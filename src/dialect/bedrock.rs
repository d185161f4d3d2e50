//! Amazon Bedrock: its own Converse for models of all makers, and `InvokeModel`
//! with Anthropic's body for Claude, both in AWS's binary event stream.
//!
//! Converse has the turns and blocks of Anthropic's Messages under other names,
//! so a request is planned there and only written here, and an answer's blocks
//! are given names that the translator of Messages knows. Claude itself is asked
//! in its own words, because Converse leaves things out. Which of the two an
//! answer is, it says itself: the kind of a stream's first message and the
//! members of a whole answer differ.
//!
//! Facts about the format are from Bedrock's API reference
//! (docs.aws.amazon.com/bedrock/latest/APIReference) and the service model of
//! AWS's SDKs (botocore 1.44.8), seen 2026-11-24, unless another source is named.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Codec, Decoder, Encoded, Reply, Style};
use crate::catalog::Endpoint;
use crate::outcome::Failure;
use crate::request::ChatRequest;

mod encode;
mod event;
mod failure;
mod models;
mod reply;
mod stream;

#[cfg(test)]
mod tests;

pub(crate) use encode::encode as encode_for;

/// Speaks Converse, and Messages in Bedrock's envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bedrock;

impl Codec for Bedrock {
    /// The path has the model in it, so there is none that could be prepared.
    fn usual_path(&self) -> &'static str {
        "/"
    }

    /// Of the answer inside, whatever the stream around it; `InvokeModel` looks at it.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("accept", "application/json")]
    }

    fn encode(&self, request: &ChatRequest, endpoint: &Endpoint) -> Result<Encoded, Failure> {
        encode_for(request, &endpoint.upstream, endpoint.max_output)
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
        stream::of_reply(&body, style)
    }

    fn stream(&self, style: &Style) -> Box<dyn Decoder> {
        Box::new(stream::Stream::new(style))
    }
}
