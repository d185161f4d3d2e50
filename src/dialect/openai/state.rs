//! What has been said in a stream so far, as far as it decides what may follow.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::calls::Calls;
use super::encode::json_string;
use super::hide;
use crate::dialect::Style;
use crate::outcome::Failure;

/// Most choices in one stream: OpenAI's own limit for `n`.
pub(super) const MOST_CHOICES: usize = 128;

/// What is the same on every chunk, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The upstream's `id`, with quotes.
    pub(super) id: Bytes,
    /// The `id` that callers see, with quotes.
    pub(super) shown_id: Bytes,
    /// `created`: seconds since 1970.
    pub(super) created: Bytes,
    /// The upstream's `model`, with quotes.
    pub(super) model: Bytes,
    /// The `model` that callers see, with quotes.
    pub(super) shown: Bytes,
}

impl Envelope {
    /// From the first chunk's members, mended where they are missing. `seed`
    /// makes an id for upstreams that give none.
    pub(super) fn of(chunk: &Map<String, Value>, style: &Style, seed: &[u8]) -> Self {
        let id = match chunk.get("id").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => json_string(id),
            _ => {
                let digest = blake3::hash(seed).to_hex();
                json_string(&format!("chatcmpl-{}", digest.get(..24).unwrap_or_default()))
            }
        };
        let created = chunk.get("created").and_then(Value::as_u64).unwrap_or(style.created);
        let model = json_string(chunk.get("model").and_then(Value::as_str).unwrap_or_default());
        let (shown_id, shown) = (shown_id(style, &id), shown(style, &model));
        Envelope { id, shown_id, created: created.to_string().into(), model, shown }
    }

    /// Writes the members that are the same on every chunk.
    pub(super) fn put(&self, chunk: &mut Map<String, Value>) {
        let value = |text: &Bytes| serde_json::from_slice::<Value>(text).unwrap_or_default();
        chunk.insert("id".to_owned(), value(&self.shown_id));
        chunk.insert("object".to_owned(), "chat.completion.chunk".into());
        chunk.insert("created".to_owned(), value(&self.created));
        chunk.insert("model".to_owned(), value(&self.shown));
    }
}

/// The model that callers see, as JSON text.
pub(super) fn shown(style: &Style, upstream: &Bytes) -> Bytes {
    style.model.as_ref().map_or_else(|| upstream.clone(), |model: &Arc<str>| json_string(model))
}

/// The id that callers see, as JSON text.
pub(super) fn shown_id(style: &Style, upstream: &Bytes) -> Bytes {
    if style.hides_upstream() { hide::id(upstream) } else { upstream.clone() }
}

/// One of the answers of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    /// The upstream itself has spoken of it (it may have been opened only
    /// because a later one was).
    pub(super) seen: bool,
    /// Its finish reason has gone out.
    pub(super) finished: bool,
    /// Its tool calls.
    pub(super) calls: Calls,
}

/// A stream so far.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// Set by the first chunk that has choices.
    pub(super) envelope: Option<Envelope>,
    /// Those whose role has gone out; their position is their index.
    pub(super) choices: Vec<Choice>,
}

impl State {
    /// Whether every choice the upstream has spoken of is finished.
    pub(super) fn is_complete(&self) -> bool {
        let mut seen = self.choices.iter().filter(|choice| choice.seen).peekable();
        seen.peek().is_some() && seen.all(|choice| choice.finished)
    }

    /// The choice of that index; opens it, and all before it, if need be.
    /// Calls `open` with the index of each that is opened.
    ///
    /// # Errors
    /// When the index is absurd.
    pub(super) fn choice(&mut self, index: u64, mut open: impl FnMut(usize)) -> Result<&mut Choice, Failure> {
        const ABSURD: Failure = Failure::Protocol { detail: "a choice with an absurd index" };
        let index = usize::try_from(index).ok().filter(|index| *index < MOST_CHOICES).ok_or(ABSURD)?;
        while self.choices.len() <= index {
            open(self.choices.len());
            self.choices.push(Choice::default());
        }
        self.choices.get_mut(index).ok_or(ABSURD)
    }
}
