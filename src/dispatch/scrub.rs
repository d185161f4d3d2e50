//! Takes our credential out of what an upstream says.
//!
//! An upstream that repeats the credential it was called with would give the
//! operator's key to every caller. Only the very key that was sent is looked
//! for: what merely looks like a key may be what the caller asked for.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::catalog::Secret;
use crate::dialect::Reply;
use crate::outcome::{Failure, Refusal};

/// Shorter keys would be found by accident; no vendor's is so short.
const SHORTEST: usize = 6;
/// What stands in its place.
const MASK: &[u8] = b"***";

/// Knows one credential. A credential that is spread over several pieces is not
/// recognised.
#[derive(Clone)]
pub struct Scrub(Option<Arc<Finder<'static>>>);

/// Shows no key.
impl std::fmt::Debug for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrub(***)")
    }
}

impl Scrub {
    /// Looks for `key`; for nothing where there is none.
    #[must_use]
    pub fn new(key: Option<&Secret>) -> Self {
        let key = key.map(Secret::expose).filter(|key| key.len() >= SHORTEST);
        Scrub(key.map(|key| Arc::new(Finder::new(key).into_owned())))
    }

    /// The piece without the credential; the piece itself where it is not in it.
    #[must_use]
    pub fn clean(&self, piece: Bytes) -> Bytes {
        match self.replaced(&piece) {
            Cow::Borrowed(_) => piece,
            Cow::Owned(cleaned) => cleaned.into(),
        }
    }

    /// A whole answer without the credential.
    #[must_use]
    pub fn whole(&self, mut reply: Reply) -> Reply {
        reply.body = self.clean(reply.body);
        reply
    }

    /// A failure without the credential in the upstream's words.
    #[must_use]
    pub fn failure(&self, mut failure: Failure) -> Failure {
        if let Failure::Refused(Refusal { message, .. })
        | Failure::ContextLength { message }
        | Failure::ContentFilter { message } = &mut failure
            && let Cow::Owned(cleaned) = self.replaced(message.as_bytes())
        {
            *message = String::from_utf8_lossy(&cleaned).into_owned();
        }
        failure
    }

    fn replaced<'p>(&self, piece: &'p [u8]) -> Cow<'p, [u8]> {
        let Some(finder) = &self.0 else { return Cow::Borrowed(piece) };
        let mut cleaned = Vec::new();
        let mut rest = piece;
        while let Some((before, after)) = finder.find(rest).and_then(|at| rest.split_at_checked(at)) {
            cleaned.extend_from_slice(before);
            cleaned.extend_from_slice(MASK);
            rest = after.get(finder.needle().len()..).unwrap_or_default();
        }
        if cleaned.is_empty() {
            return Cow::Borrowed(piece);
        }
        cleaned.extend_from_slice(rest);
        Cow::Owned(cleaned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_replaced_wherever_it_stands() {
        let scrub = Scrub::new(Some(&Secret::new("secret-key".to_owned())));
        let cleaned = |text: &'static str| scrub.clean(Bytes::from_static(text.as_bytes()));
        assert_eq!(cleaned("secret-key, then secret-keysecret-key."), "***, then ******.");
        assert_eq!(cleaned("nothing secret"), "nothing secret");
        assert_eq!(cleaned(""), "");
        let refused = |message: &str| Failure::ContextLength { message: message.to_owned() };
        assert_eq!(scrub.failure(refused("you sent secret-key")), refused("you sent ***"));
        assert!(!format!("{scrub:?}").contains("secret"));
    }

    #[test]
    fn a_key_that_is_none_is_not_looked_for() {
        for scrub in [Scrub::new(None), Scrub::new(Some(&Secret::new("a".to_owned())))] {
            assert_eq!(scrub.clean(Bytes::from_static(b"a b")), "a b");
        }
    }
}
