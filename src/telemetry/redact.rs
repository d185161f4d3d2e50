//! The last filter before anything is written: replaces credentials.
//!
//! The first line of defence are types ([`crate::catalog::Secret`] cannot be
//! printed). This one catches what they cannot: an upstream that echoes our key
//! in its error text, a library that prints a URL. It replaces every loaded
//! secret, and what looks like a well-known kind of key.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::{AhoCorasick, MatchKind};
use arc_swap::ArcSwapOption;

use crate::catalog::Secret;

/// Shorter values are not searched for: they would match by accident, and no
/// vendor's key is so short.
const SHORTEST: usize = 6;

/// Beginnings of well-known keys; what follows up to the first character that
/// cannot be part of a key goes too.
const SHAPES: [&str; 8] = ["sk-", "AIza", "Bearer ", "bearer ", "gsk_", "xai-", "AKIA", "eyJ"];

/// A shape is only a key when at least this many key characters follow.
const SHAPE_TAIL: usize = 16;

/// Replaces every loaded secret in text. Cheap to share; the set of secrets is
/// replaced whole when the configuration changes.
#[derive(Debug, Default)]
pub struct Redactor {
    secrets: ArcSwapOption<Search>,
    last: Mutex<Vec<Secret>>,
    shapes: Option<AhoCorasick>,
}

/// `Debug` shows no pattern.
struct Search(AhoCorasick);

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Search(***)")
    }
}

impl Redactor {
    /// Knows the shapes of keys, and no secrets yet.
    #[must_use]
    pub fn new() -> Self {
        Redactor { secrets: ArcSwapOption::empty(), last: Mutex::default(), shapes: search(SHAPES) }
    }

    /// From now on these secrets are searched for, and those of the time before,
    /// with which requests may still be under way.
    pub fn set(&self, secrets: &[Secret]) {
        let before = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *last, secrets.to_vec())
        };
        let all = secrets.iter().chain(&before).map(Secret::expose);
        let patterns: Vec<&str> = all.filter(|value| value.len() >= SHORTEST).collect();
        let search = (!patterns.is_empty()).then(|| search(&patterns)).flatten();
        self.secrets.store(search.map(|search| Arc::new(Search(search))));
    }

    /// The text without secrets; the text itself when there are none.
    #[must_use]
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if let Some(search) = self.secrets.load().as_deref()
            && search.0.is_match(text.as_ref())
        {
            let mut cleaned = String::with_capacity(text.len());
            search.0.replace_all_with(&text, &mut cleaned, |_, _, out| {
                out.push_str("***");
                true
            });
            text = Cow::Owned(cleaned);
        }
        match self.shapes.as_ref().and_then(|shapes| without_shapes(shapes, &text)) {
            Some(cleaned) => Cow::Owned(cleaned),
            None => text,
        }
    }
}

/// The leftmost match, and of those the longest. Only for leftmost matches does
/// the automaton have a vectorised prefilter: every line of the log passes here,
/// and hardly any has a match.
fn search(patterns: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Option<AhoCorasick> {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns).ok()
}

/// Replaces what looks like a key; `None` when nothing does.
fn without_shapes(shapes: &AhoCorasick, text: &str) -> Option<String> {
    let mut cleaned: Option<String> = None;
    let mut done = 0;
    for found in shapes.find_iter(text) {
        let tail = text.get(found.end()..).unwrap_or_default();
        let length = tail.bytes().take_while(|byte| is_key_byte(*byte)).count();
        if found.start() < done || length < SHAPE_TAIL {
            continue;
        }
        let cleaned = cleaned.get_or_insert_default();
        cleaned.push_str(text.get(done..found.end()).unwrap_or_default());
        cleaned.push_str("***");
        done = found.end() + length;
    }
    let mut cleaned = cleaned?;
    cleaned.push_str(text.get(done..).unwrap_or_default());
    Some(cleaned)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_loaded_secrets_and_shapes() {
        let redactor = Redactor::new();
        redactor.set(&[Secret::new("hunter2hunter2".to_owned()), Secret::new("x".to_owned())]);
        assert_eq!(redactor.clean("key hunter2hunter2, x"), "key ***, x");
        assert_eq!(
            redactor.clean("Authorization: Bearer abcdefghijklmnopqrstuvwxyz!"),
            "Authorization: Bearer ***!"
        );
        assert_eq!(redactor.clean("sk-proj-abcdefghijklmnop1234 and sk-short"), "sk-*** and sk-short");
        assert!(matches!(redactor.clean("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_new_set_replaces_the_one_before_the_last() {
        let redactor = Redactor::new();
        redactor.set(&[Secret::new("first-secret".to_owned())]);
        redactor.set(&[Secret::new("second-secret".to_owned())]);
        assert_eq!(redactor.clean("first-secret second-secret"), "*** ***");
        redactor.set(&[]);
        assert_eq!(redactor.clean("first-secret second-secret"), "first-secret ***");
    }
}
