//! A provider's prompt cache: which beginnings of requests it has read.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::request::Prefix;

/// Beginnings that were read; nothing is forgotten.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashSet<u64>>);

impl Cache {
    /// Reads a request of `tokens`; tells how many of them it had read before.
    #[expect(clippy::cast_precision_loss, reason = "a simulated prompt is far below 2^52 tokens")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `tokens`")]
    pub(super) fn read(&self, body: &[u8], tokens: u64) -> u64 {
        let prefix = Prefix::of(&[body]);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = prefix.marks().iter().take_while(|mark| seen.contains(&mark.hash)).last();
        let share = known.map_or(0.0, |mark| prefix.share(mark.end));
        seen.extend(prefix.marks().iter().map(|mark| mark.hash));
        (tokens as f64 * share) as u64
    }
}
