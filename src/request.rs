//! A caller's request: the bytes, and the few fields routing reads, read once.

use bytes::Bytes;

use crate::catalog::Capabilities;
use crate::units::PicoUsd;

/// A chat request in the middle form (OpenAI's own).
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The body as it came, content-encoding undone.
    pub body: Bytes,
    /// What was asked for: a model's or a route's name.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller wants the usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_output_tokens: Option<u32>,
    /// How many choices (1 when not given).
    pub n: u32,
    /// What the answering endpoint must be able to do.
    pub needs: Capabilities,
    /// Input tokens, estimated from the bytes of messages and tools.
    pub input_tokens: u32,
    /// `merit` and `provider`: what the caller asks of the router.
    pub control: Control,
}

/// What a caller asks of the router for this request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Control {
    /// Providers (or endpoint identities) to be tried in this order, first.
    pub order: Vec<String>,
    /// Only these providers.
    pub only: Vec<String>,
    /// Not these providers.
    pub ignore: Vec<String>,
    /// Whether others than `order` may be tried (yes when not given).
    pub allow_fallbacks: Option<bool>,
    /// One dimension to sort by instead of the objective.
    pub sort: Option<Sort>,
    /// Dearest list price accepted, for an input and an output token.
    pub max_price: (Option<PicoUsd>, Option<PicoUsd>),
    /// The most this request may be expected to cost (USD).
    pub max_cost_usd: Option<f64>,
    /// The name of an objective.
    pub objective: Option<String>,
    /// Requests with the same name stay together where that saves money.
    pub session: Option<String>,
}

/// One dimension to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Expected dollars.
    Price,
    /// Time to the first token.
    Latency,
    /// Tokens per second.
    Throughput,
    /// Quality.
    Quality,
}
