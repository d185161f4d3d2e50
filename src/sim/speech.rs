//! What a dialect sounds like from the provider's side: it understands a request
//! and words answers. It knows nothing of sockets, time or faults of transport,
//! so that another dialect is another file and nothing else.

pub(super) mod anthropic;
pub(super) mod bedrock;
pub(super) mod gemini;
pub(super) mod openai;

use std::fmt::Debug;

use bytes::Bytes;
use serde_json::Value;

use super::behaviour::Behaviour;
use super::inbound::Inbound;
use super::script::Kind;
use crate::catalog::Dialect;

/// What a request asks for, as far as a simulated provider cares.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent things that a request says or not")]
pub(super) struct Ask {
    /// The model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream is to state usage.
    pub include_usage: bool,
    /// Choices wanted, at least 1.
    pub choices: u32,
    /// Most tokens wanted; here a token is a word.
    pub max_tokens: Option<usize>,
    /// Name of the first tool offered.
    pub tool: Option<String>,
    /// Whether a tool must be called.
    pub must_call: bool,
    /// The JSON schema that the answer must have; anything that is an object when it
    /// is `true`.
    pub schema: Option<Value>,
    /// Bytes of the messages, from which prompt tokens are computed.
    pub prompt_bytes: u64,
    /// Whether Bedrock is asked in Anthropic's own words.
    pub native: bool,
}

/// What an answer states it consumed. Derived from the request alone, so that a
/// test can compute sums: prompt tokens are a quarter of the messages' bytes,
/// rounded up; an output token is a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Consumed {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer, reasoning included.
    pub completion_tokens: u64,
    /// Reasoning among them.
    pub reasoning_tokens: u64,
    /// Of the prompt, what was in the cache.
    pub cached_tokens: u64,
}

/// One tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Its id.
    pub id: String,
    /// The function.
    pub name: String,
    /// The pieces of its arguments.
    pub arguments: Vec<String>,
}

/// The content of an answer, in the pieces in which it is streamed. Every choice
/// has the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Reasoning, before all else.
    pub reasoning: Vec<String>,
    /// Text.
    pub text: Vec<String>,
    /// A refusal.
    pub refusal: Vec<String>,
    /// Tool calls.
    pub calls: Vec<Call>,
    /// Whether it stops because of the limit.
    pub cut_short: bool,
}

/// A whole answer before it is put into words of a dialect.
#[derive(Debug, Clone, Default)]
pub(super) struct Tale {
    /// Number that makes ids unique; counts a provider's requests.
    pub number: u64,
    /// The content.
    pub content: Content,
    /// What it consumed.
    pub consumed: Consumed,
    /// What that costs in USD, for providers that say so.
    pub cost_usd: f64,
}

/// One event of a stream, without line framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The data.
    pub data: String,
    /// What it means.
    pub kind: Kind,
    /// Words of the answer in it.
    pub words: u32,
}

/// An error as a dialect words it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Complaint<'a> {
    /// The HTTP status it belongs to.
    pub status: u16,
    /// The code, when it is not the status's usual one.
    pub code: Option<&'a str>,
    /// The text.
    pub message: &'a str,
}

/// One dialect, from the provider's side.
pub(super) trait Speech: Debug + Send + Sync {
    /// Whether `path` is where requests of this dialect go.
    fn serves(&self, path: &str) -> bool;

    /// What the line `event:` says before an event with that data; most dialects
    /// have no such line.
    fn event_name<'d>(&self, _data: &'d str) -> Option<&'d str> {
        None
    }

    /// Understands a request.
    ///
    /// # Errors
    /// What is wrong with it, for an error answer with status 400.
    fn understand(&self, inbound: &Inbound) -> Result<Ask, String>;

    /// The complete answer.
    fn whole(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Value;

    /// The answer as a stream.
    fn events(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Vec<Event>;

    /// A well-formed event with one very long text.
    fn big_event(&self, ask: &Ask, tale: &Tale, bytes: usize) -> Event;

    /// The content type of a stream.
    fn stream_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    /// An event in the dialect's own frame; nothing where events are lines.
    fn frame(&self, _data: &[u8]) -> Option<Bytes> {
        None
    }

    /// The header that names the error of a status, where errors have names.
    fn error_header(&self, _status: u16) -> Option<(&'static str, &'static str)> {
        None
    }

    /// An error body.
    fn error(&self, complaint: Complaint<'_>, behaviour: &Behaviour) -> Value;

    /// An error inside a stream; `chunk`: as a chunk that looks like content's.
    fn error_event(&self, ask: &Ask, chunk: bool) -> Event;

    /// The list of models.
    fn models(&self, names: &[&str]) -> Bytes;
}

/// The speech of a dialect.
#[must_use]
pub(super) fn speech(dialect: Dialect) -> &'static dyn Speech {
    match dialect {
        Dialect::OpenAi => &openai::OpenAi,
        Dialect::Anthropic => &anthropic::Anthropic,
        Dialect::Gemini => &gemini::Gemini,
        Dialect::Bedrock => &bedrock::Bedrock,
    }
}
