//! A caller's request: the bytes, and the few fields routing reads, read once.
//!
//! The body is never turned into a tree and back. One pass over its bytes finds
//! what the router needs and remembers where the few members stand that may have
//! to change on the way to an upstream; whatever else a caller says, known to us
//! or not, goes through exactly as it was written.

use bytes::Bytes;

use crate::catalog::Capabilities;
use crate::json::JsonError;

pub mod class;
pub mod control;
mod demand;
mod limit;
mod messages;
pub mod prefix;
mod read;
pub mod spans;
mod words;

pub use control::{Bounds, Control, Preferences, Sort};
pub use demand::Demand;
pub use prefix::Prefix;
pub use spans::{Member, Name, Spans};

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
    /// What kind of task it is: a number of [`class::NAMES`].
    pub class: u8,
    /// Input tokens, estimated from the bytes of messages and tools.
    pub input_tokens: u32,
    /// `safety_identifier`, else `user`: whom the caller asks for.
    pub end_user: Option<String>,
    /// `metadata`, where it is a small object of strings: JSON as it was written.
    pub tags: Option<String>,
    /// Beginnings of tools and messages, by which a prompt cache is remembered.
    pub prefix: Prefix,
    /// Whether it goes on: an answer of the model is among its messages.
    pub continues: bool,
    /// `merit` and `provider`: what the caller asks of the router.
    pub control: Control,
    /// What the caller should know about how the request was understood.
    pub warnings: Vec<String>,
    /// Where the members stand that encoding may touch.
    pub spans: Spans,
}

/// A request that cannot be understood, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// What is wrong, for the caller.
    pub message: String,
    /// The field at fault, as a path (`messages[2].content`).
    pub param: Option<String>,
}

impl BadRequest {
    /// About one field.
    #[must_use]
    pub fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        BadRequest { message: message.into(), param: Some(param.into()) }
    }
}

impl From<JsonError> for BadRequest {
    fn from(error: JsonError) -> Self {
        BadRequest { message: format!("the body is not valid JSON: {error}"), param: None }
    }
}

impl std::fmt::Display for BadRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadRequest {}

#[cfg(test)]
mod tests;
