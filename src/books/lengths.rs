//! How long a model's answers are: what output will cost before it is written.
//!
//! A table of log means by model and class of task is enough: it predicts
//! within a factor of 1.25 to 1.45 (median), a prompt's own length hardly adds
//! to that.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::CLASSES;
use super::stats::{Estimate, Moments};

/// Tokens and log variance assumed of a model that has not answered yet: the
/// median answer in the public Azure conversation trace is about 200 tokens.
const ASSUMED: (f64, f64) = (200.0, 1.0);
/// How many answers that assumption is worth.
const ASSUMED_ANSWERS: f64 = 4.0;
/// How many answers the model's mean is worth against that of the class.
const MODEL_ANSWERS: f64 = 8.0;
/// Older answers count for less once there are more than this: versions of a
/// model differ in how much they write.
const MEMORY: f64 = 2000.0;

/// Lengths of one model's answers, by class of task.
#[derive(Debug, Default)]
pub struct Lengths(Mutex<Table>);

/// The sums behind [`Lengths`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    all: Moments,
    by_class: [Moments; CLASSES],
}

impl Lengths {
    /// Output tokens to expect of an answer to a request of `class` that asks
    /// for no more than `most`.
    #[must_use]
    pub fn expected(&self, class: u8, most: Option<u32>) -> f64 {
        let (all, own) = {
            let table = self.lock();
            (table.all, table.by_class.get(usize::from(class)).copied().unwrap_or_default())
        };
        let assumed = Estimate { mean: ASSUMED.0.ln(), variance: ASSUMED.1 };
        let estimate = own.estimate(all.estimate(assumed, ASSUMED_ANSWERS), MODEL_ANSWERS);
        let expected = (estimate.mean + 0.5 * estimate.variance).exp();
        most.map_or(expected, |most| expected.min(f64::from(most)))
    }

    /// Learns the length of an answer that ended properly.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn record(&self, class: u8, output_tokens: u64) {
        let x = (output_tokens.max(1) as f64).ln();
        let mut table = self.lock();
        learn(&mut table.all, x);
        if let Some(own) = table.by_class.get_mut(usize::from(class)) {
            learn(own, x);
        }
    }

    /// What has been learnt.
    #[must_use]
    pub fn table(&self) -> Table {
        *self.lock()
    }

    /// Goes on from what had been learnt.
    pub fn restore(&self, table: Table) {
        *self.lock() = table;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn learn(moments: &mut Moments, x: f64) {
    *moments = moments.times((MEMORY / (moments.n + 1.0)).min(1.0));
    moments.add(x, 1.0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_differ_and_an_unseen_one_follows_the_model() {
        let lengths = Lengths::default();
        for _ in 0..100 {
            lengths.record(1, 20);
            lengths.record(2, 2000);
        }
        let expected = |class| lengths.expected(class, None);
        assert!(expected(1) < 40.0, "{}", expected(1));
        assert!(expected(2) > 1500.0, "{}", expected(2));
        assert!(expected(1) < expected(3) && expected(3) < expected(2));
        assert!((lengths.expected(2, Some(50)) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn survives_a_restart() {
        let lengths = Lengths::default();
        lengths.record(0, 7);
        let text = serde_json::to_string(&lengths.table()).unwrap();
        let restored = Lengths::default();
        restored.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(restored.table(), lengths.table());
    }

    proptest! {
        #[test]
        fn an_expectation_is_a_positive_number(answers in prop::collection::vec((any::<u8>(), any::<u64>()), 0..50)) {
            let lengths = Lengths::default();
            for (class, tokens) in answers {
                lengths.record(class, tokens);
            }
            for class in [0, 7, 255] {
                let expected = lengths.expected(class, None);
                prop_assert!(expected.is_finite() && expected > 0.0, "{expected}");
            }
        }
    }
}
