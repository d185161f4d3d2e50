//! How much of what should be in an endpoint's prompt cache turns out to be.
//!
//! Providers differ in what they cache, for how long, from which length on and
//! whether they have to be asked to; most of it is written nowhere. What they
//! bill as read from the cache tells all of that in one number.

use serde::{Deserialize, Serialize};

use crate::units::Usage;

/// Tokens from which a prompt can be cached at all providers: what OpenAI and
/// Anthropic document as the least (2026).
const LONG: f64 = 1024.0;
/// Share of a long beginning assumed to be there: nearly all, but the end of it
/// is cut to the provider's blocks.
const ASSUMED_LONG: f64 = 0.8;
/// Share of a short one: only servers of one's own keep those.
const ASSUMED_SHORT: f64 = 0.2;
/// How many answers an assumption is worth.
const ASSUMED_ANSWERS: f64 = 2.0;
/// Older answers count for less once there are more than this: a provider may
/// have been short of memory for an hour.
const MEMORY: f64 = 30.0;

/// What is learnt of one endpoint's cache.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Keeping {
    long: Mean,
    short: Mean,
    written: Mean,
}

/// A mean of shares.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Mean {
    answers: f64,
    sum: f64,
}

impl Mean {
    fn with(self, assumed: f64) -> f64 {
        (self.sum + ASSUMED_ANSWERS * assumed) / (self.answers + ASSUMED_ANSWERS)
    }

    fn learn(&mut self, share: f64) {
        let kept = (MEMORY / (self.answers + 1.0)).min(1.0);
        self.answers = self.answers * kept + 1.0;
        self.sum = self.sum * kept + share.clamp(0.0, 1.0);
    }
}

/// What to expect of one endpoint's cache: shares, 0..1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Keeps {
    /// Of a beginning of at least 1024 tokens that was read lately, what is there.
    pub long: f64,
    /// The same of a shorter one.
    pub short: f64,
    /// Of what is not there, what is billed as written to the cache.
    pub written: f64,
}

impl Keeps {
    /// Tokens expected to be in the cache when `known` tokens were read lately.
    #[must_use]
    pub fn warm(&self, known: f64) -> f64 {
        known * if known >= LONG { self.long } else { self.short }
    }
}

impl Keeping {
    /// What to expect.
    #[must_use]
    pub fn keeps(&self) -> Keeps {
        Keeps {
            long: self.long.with(ASSUMED_LONG),
            short: self.short.with(ASSUMED_SHORT),
            written: self.written.with(0.0),
        }
    }

    /// An answer was billed as `usage`, and `share` of its prompt (0..1) had been
    /// read lately. What a provider does not count teaches nothing.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn learn(&mut self, share: f64, usage: &Usage) {
        if usage.estimated || usage.input == 0 {
            return;
        }
        let (input, cached) = (usage.input as f64, usage.cached_input as f64);
        let known = share * input;
        if known >= 1.0 {
            let mean = if known >= LONG { &mut self.long } else { &mut self.short };
            mean.learn(cached / known);
        }
        let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h) as f64;
        if input - cached >= 1.0 {
            self.written.learn(written / (input - cached));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn billed(input: u64, cached_input: u64, cache_write_5m: u64) -> Usage {
        Usage { input, cached_input, cache_write_5m, ..Usage::default() }
    }

    #[test]
    fn who_caches_only_long_prompts_is_found_out() {
        let mut keeping = Keeping::default();
        assert!(keeping.keeps().warm(5000.0) > 3500.0, "assumed to keep what it read");
        for _ in 0..20 {
            keeping.learn(0.9, &billed(10_000, 8_960, 0));
            keeping.learn(0.9, &billed(500, 0, 0));
        }
        let keeps = keeping.keeps();
        assert!(keeps.warm(9000.0) > 8500.0, "{keeps:?}");
        assert!(keeps.warm(400.0) < 20.0, "{keeps:?}");
        assert!(keeps.written < 1e-12);
        for _ in 0..60 {
            keeping.learn(0.9, &billed(10_000, 0, 9_000));
        }
        let keeps = keeping.keeps();
        assert!(keeps.warm(9000.0) < 1500.0 && keeps.written > 0.7, "it has stopped: {keeps:?}");
    }

    #[test]
    fn estimates_teach_nothing() {
        let mut keeping = Keeping::default();
        keeping.learn(1.0, &Usage { estimated: true, ..billed(10_000, 0, 0) });
        keeping.learn(1.0, &Usage::default());
        assert_eq!(keeping, Keeping::default());
    }

    proptest! {
        #[test]
        fn shares_are_shares(answers in prop::collection::vec((0.0..1.0_f64, any::<u64>(), any::<u64>(), any::<u64>()), 0..80)) {
            let mut keeping = Keeping::default();
            for (share, input, cached, written) in answers {
                keeping.learn(share, &billed(input, cached, written));
            }
            let keeps = keeping.keeps();
            for share in [keeps.long, keeps.short, keeps.written] {
                prop_assert!((0.0..=1.0).contains(&share), "{keeps:?}");
            }
        }
    }
}
