//! The places in an answer that mean something, found in one pass and not
//! decoded. Every event of a stream is a whole answer of this form.

use crate::json::{Kind, Raw};

/// A `GenerateContentResponse`.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    /// `candidates`, an array.
    pub(super) candidates: Option<Raw<'a>>,
    /// `usageMetadata`, an object.
    pub(super) usage: Option<Raw<'a>>,
    /// `promptFeedback.blockReason`: why the prompt was refused.
    pub(super) blocked: Option<Raw<'a>>,
    /// `responseId`.
    pub(super) id: Option<Raw<'a>>,
    /// `modelVersion`.
    pub(super) model: Option<Raw<'a>>,
    /// `error`: there is no answer.
    pub(super) error: Option<Raw<'a>>,
}

impl<'a> Answer<'a> {
    /// Finds them; `None` when it has nothing that an answer has.
    pub(super) fn of(answer: &Raw<'a>) -> Option<Self> {
        let mut found = Answer::default();
        let mut known = false;
        for (key, value) in answer.members().filter_map(Result::ok) {
            let place = match (key.raw, value.kind) {
                (b"candidates", Kind::Array) => &mut found.candidates,
                (b"usageMetadata", Kind::Object) => &mut found.usage,
                (b"responseId", Kind::String) => &mut found.id,
                (b"modelVersion", Kind::String) => &mut found.model,
                (b"error", kind) if kind != Kind::Null => &mut found.error,
                (b"promptFeedback", Kind::Object) => {
                    found.blocked = value.get(b"blockReason").filter(|reason| reason.kind == Kind::String);
                    known = true;
                    continue;
                }
                _ => continue,
            };
            *place = Some(value);
            known = true;
        }
        known.then_some(found)
    }
}

/// One of the answers.
#[derive(Debug, Default)]
pub(super) struct Candidate<'a> {
    /// `index`, 0 when it is not said.
    pub(super) index: u64,
    /// `content.parts`, an array.
    pub(super) parts: Option<Raw<'a>>,
    /// `finishReason`.
    pub(super) finish: Option<Raw<'a>>,
    /// `logprobsResult`, an object.
    pub(super) logprobs: Option<Raw<'a>>,
}

impl<'a> Candidate<'a> {
    /// Finds them.
    pub(super) fn of(candidate: &Raw<'a>) -> Self {
        let mut found = Candidate::default();
        for (key, value) in candidate.members().filter_map(Result::ok) {
            match (key.raw, value.kind) {
                (b"index", _) => found.index = value.as_u64().unwrap_or(0),
                (b"content", Kind::Object) => found.parts = value.get(b"parts"),
                (b"finishReason", Kind::String) => found.finish = Some(value),
                (b"logprobsResult", Kind::Object) => found.logprobs = Some(value),
                _ => {}
            }
        }
        found
    }
}

/// A piece of a candidate.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    /// `text`, between its quotes.
    pub(super) text: Option<&'a [u8]>,
    /// Whether the text is a thought.
    pub(super) thought: bool,
    /// `thoughtSignature`, between its quotes.
    pub(super) signature: Option<&'a [u8]>,
    /// `functionCall`.
    pub(super) call: Option<Raw<'a>>,
    /// `inlineData`.
    pub(super) data: Option<Raw<'a>>,
}

impl<'a> Part<'a> {
    /// Finds them.
    pub(super) fn of(part: &Raw<'a>) -> Self {
        let mut found = Part::default();
        for (key, value) in part.members().filter_map(Result::ok) {
            match (key.raw, value.kind) {
                (b"text", _) => found.text = value.inner(),
                (b"thought", _) => found.thought = value.as_bool() == Some(true),
                (b"thoughtSignature", _) => found.signature = value.inner().filter(|text| !text.is_empty()),
                (b"functionCall", Kind::Object) => found.call = Some(value),
                (b"inlineData", Kind::Object) => found.data = Some(value),
                _ => {}
            }
        }
        found
    }
}
