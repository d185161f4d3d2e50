//! One of the answers of a stream, and the small things it is written from.

use serde_json::Value;

use super::finish;
use crate::dialect::chunks::is_sound;
use crate::json::Raw;
use crate::outcome::{Failure, FinishReason};

/// Longest id of a tool call that other upstreams take (OpenAI's limit).
const MOST_ID: usize = 64;

/// One of the answers of a stream.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The upstream itself has spoken of it (it may have been opened only
    /// because a later one was).
    pub(super) seen: bool,
    /// Ids of its calls.
    pub(super) calls: Vec<String>,
    /// Images so far.
    pub(super) images: usize,
    /// The signature of its text, between quotes.
    pub(super) signature: Option<Vec<u8>>,
    /// Google's last word on why it ended.
    pub(super) ending: Option<Ending>,
}

/// Why a choice ended, in Google's words.
#[derive(Debug)]
pub(super) struct Ending {
    /// The word.
    pub(super) word: String,
    /// Whether the word is about the prompt: then it was refused, whatever the
    /// word is.
    pub(super) blocked: bool,
}

impl Ending {
    /// The same in the middle form's.
    ///
    /// # Errors
    /// For those that say that there is no answer.
    pub(super) fn reason(&self, called: bool) -> Result<FinishReason, Failure> {
        match self.blocked {
            true => Ok(FinishReason::ContentFilter),
            false => finish::understand(&self.word, called),
        }
    }
}

/// What stands between the quotes of a string, if it says anything and can be
/// carried over.
pub(super) fn inner<'a>(value: Option<&Raw<'a>>) -> Option<&'a [u8]> {
    value?.inner().filter(|text| !text.is_empty() && is_sound(text))
}

/// Google's id of a call, where it has one that every upstream would take.
pub(super) fn id(call: &Raw<'_>, taken: &[String]) -> Option<String> {
    let id = call.get(b"id")?.as_str()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let fresh = taken.iter().all(|known| *known != id);
    (plain && fresh && (1..=MOST_ID).contains(&id.len())).then(|| id.into_owned())
}

/// Type and data of an image, as they stand between quotes.
pub(super) fn image<'a>(data: &Raw<'a>) -> Option<[&'a [u8]; 2]> {
    let kind = inner(data.get(b"mimeType").as_ref()).filter(|kind| kind.starts_with(b"image/"))?;
    Some([kind, inner(data.get(b"data").as_ref())?])
}

/// The member, with the comma before it, in which a signature travels.
pub(super) fn carried(signature: Option<&[u8]>) -> Vec<u8> {
    match signature {
        Some(signature) => {
            [br#","extra_content":{"google":{"thought_signature":""#, signature, br#""}}"#].concat()
        }
        None => Vec::new(),
    }
}

/// A text as JSON has it.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
