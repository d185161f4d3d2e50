//! Wire formats: how a request is said to an upstream, and how its answer is
//! understood. No I/O, no clock, no vendor's address, key or price.
//!
//! The middle form is OpenAI's own, so there are N dialects and not N². Where
//! caller and upstream speak the same dialect the bytes pass through, watched;
//! they are rewritten only where the upstream deviates from the canonical form
//! that callers' SDKs need.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::catalog::{Dialect, Endpoint, Provider, Quirk};
use crate::outcome::{Failure, FinishReason};
use crate::request::ChatRequest;
use crate::units::Usage;

pub mod anthropic;
pub mod bedrock;
mod chunks;
pub mod event_stream;
pub mod gemini;
pub mod generations;
pub mod headroom;
pub mod openai;
#[doc(hidden)]
pub mod probe;
pub mod splice;
pub mod sse;
#[cfg(test)]
mod tests;

/// A request as it goes to one endpoint.
#[derive(Debug)]
pub struct Encoded {
    /// Appended to the provider's `base_url`; begins with a slash.
    pub path: String,
    /// The body in pieces, most of them slices of the caller's own.
    pub body: Vec<Bytes>,
    /// What was adjusted, for `x-merit-warnings`.
    pub warnings: Vec<String>,
}

/// How an answer must look to this caller.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// What stands in `model`; `None` leaves the upstream's word. A caller who is
    /// told another name must not see in other ways either whose answer it is.
    pub model: Option<Arc<str>>,
    /// Whether a stream has the usage chunk.
    pub include_usage: bool,
    /// What an answer's `id` is made of where the upstream's dialect has none: the
    /// request's own.
    pub id: Arc<str>,
    /// What stands in `model` where the upstream's dialect has no such member and
    /// the caller may know the upstream: the upstream's name for it.
    pub upstream: Arc<str>,
    /// Seconds since 1970 that stand in `created` where the upstream's dialect
    /// has no such member: when the request came.
    pub created: u64,
}

impl Style {
    /// Whether the caller must not see who answered.
    #[must_use]
    pub const fn hides_upstream(&self) -> bool {
        self.model.is_some()
    }
}

/// A complete answer that was not streamed.
#[derive(Debug)]
pub struct Reply {
    /// The body in the middle form.
    pub body: Bytes,
    /// What it consumed; `None` when the upstream did not say.
    pub usage: Option<Usage>,
    /// Whether the upstream stated figures that cannot be true; they are then
    /// not in `usage`.
    pub usage_implausible: bool,
    /// Why it ended.
    pub finish: Option<FinishReason>,
    /// Bytes of generated text, for an estimate when usage is missing.
    pub output_bytes: u64,
    /// The cost the upstream itself reports (USD), as OpenRouter does.
    pub reported_cost_usd: Option<f64>,
}

/// What has been seen of a stream so far.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Events that carried content: text, tool call, reasoning, refusal.
    pub content_events: u32,
    /// Bytes of generated text, for an estimate when usage is missing.
    pub output_bytes: u64,
    /// Why it ended, once that was said.
    pub finish: Option<FinishReason>,
    /// What it consumed so far; the last word counts.
    pub usage: Option<Usage>,
    /// Whether the upstream stated figures that cannot be true; such are ignored.
    pub usage_implausible: bool,
    /// Events that could not be read and were left out.
    pub malformed: u32,
    /// The cost the upstream itself reports (USD).
    pub reported_cost_usd: Option<f64>,
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    More,
    /// The terminal marker was seen; call [`Decoder::close`].
    Ended,
}

/// Members added to the last chunks of a stream.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// Usage to state when the upstream did not; must then be an estimate.
    pub usage: Option<Usage>,
    /// `usage.cost` in USD, as decimal digits.
    pub cost: Option<String>,
    /// A JSON object that becomes the member `merit` of the usage chunk.
    pub merit: Option<String>,
}

/// Speaks one wire format to upstreams.
pub trait Codec: Debug + Send + Sync {
    /// The path that most requests go to, so that the address can be prepared.
    fn usual_path(&self) -> &'static str {
        "/chat/completions"
    }

    /// Headers that every request carries, in lower case, unless the provider's
    /// configuration has them with another value.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Says the request in this dialect.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] when it cannot be said.
    fn encode(&self, request: &ChatRequest, endpoint: &Endpoint) -> Result<Encoded, Failure>;

    /// What a status other than 2xx means.
    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure;

    /// Understands a complete answer (status 2xx) to a request that was not
    /// streamed, and brings it into the form callers need.
    ///
    /// # Errors
    /// The failure that the body itself reports, or [`Failure::Protocol`].
    fn reply(&self, body: Bytes, style: &Style) -> Result<Reply, Failure>;

    /// Understands a stream that came, whole, for a request that was not to be
    /// streamed: the complete answer it would have been.
    ///
    /// # Errors
    /// As [`Codec::reply`], and what the stream itself reports.
    fn stream_as_reply(&self, whole: Bytes, style: &Style) -> Result<Reply, Failure>;

    /// Understands a complete answer (status 2xx, not an event stream) to a
    /// request that was to be streamed: events for the caller as a stream
    /// would have had them, `[DONE]` not included.
    ///
    /// # Errors
    /// As [`Codec::reply`].
    fn reply_as_stream(&self, body: Bytes, style: &Style) -> Result<Box<dyn Decoder>, Failure>;

    /// A decoder for one stream.
    fn stream(&self, style: &Style) -> Box<dyn Decoder>;
}

/// Follows one stream from upstream bytes to the caller's events.
pub trait Decoder: Debug + Send {
    /// Takes the next bytes, across any border, and appends to `out` what the
    /// caller gets for them. After [`Progress::Ended`] further bytes are ignored.
    ///
    /// # Errors
    /// The failure the stream itself reports, or [`Failure::Protocol`]. What
    /// was appended before the error may still be sent.
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<Progress, Failure>;

    /// The upstream closed the connection: was that a proper end?
    ///
    /// # Errors
    /// [`Failure::Truncated`] when no terminal marker had been seen.
    fn end_of_input(&mut self, out: &mut Vec<Bytes>) -> Result<(), Failure>;

    /// Appends what ends a proper stream: the usage chunk if it is wanted, and
    /// `[DONE]`. Call once, after [`Progress::Ended`] or a good
    /// [`Decoder::end_of_input`].
    fn close(&mut self, tail: &Tail, out: &mut Vec<Bytes>);

    /// What has been seen so far.
    fn watch(&self) -> &Watch;
}

/// The complete answer that a stream's events in the middle form would have been;
/// nothing when they make none.
#[must_use]
pub fn whole_of(events: Bytes) -> Option<Bytes> {
    openai::gather::put_together(vec![events], None).ok().map(|reply| reply.body)
}

/// The codec for a provider: that of its dialect, unless a quirk makes it
/// another; `None` for dialects that are not built yet.
#[must_use]
pub fn codec_for(provider: &Provider) -> Option<&'static dyn Codec> {
    match provider.quirks.contains(&Quirk::ChatGenerations) {
        true => Some(&generations::ChatGenerations),
        false => codec(provider.dialect),
    }
}

/// The codec of a dialect; `None` for those that are not built yet.
#[must_use]
pub fn codec(dialect: Dialect) -> Option<&'static dyn Codec> {
    match dialect {
        Dialect::OpenAi => Some(&openai::OpenAi),
        Dialect::Anthropic => Some(&anthropic::Anthropic),
        Dialect::Gemini => Some(&gemini::Gemini),
        Dialect::Bedrock => Some(&bedrock::Bedrock),
    }
}
