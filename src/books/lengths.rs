//! How long a model's answers are: what output will cost before it is written.
//!
//! A table of means by model and class of task is enough: it predicts within a
//! factor of 1.25 to 1.45 (median), a prompt's own length hardly adds to that.
//! The mean is that of the tokens and not of their logarithm, because it is
//! tokens that are paid and waited for.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::CLASSES;

/// Tokens assumed of a model that has not answered yet: the mean answer in the
/// public Azure conversation trace is about 200 tokens.
const ASSUMED: f64 = 200.0;
/// How many answers that assumption is worth.
const ASSUMED_ANSWERS: f64 = 4.0;
/// How many answers the model's mean is worth against that of the class: few,
/// for classes differ by more than answers within one.
const MODEL_ANSWERS: f64 = 2.0;
/// Older answers count for less once there are more than this: what is asked
/// changes through the day, and versions of a model differ in how much they
/// write.
const MEMORY: f64 = 100.0;

/// Lengths of one model's answers, by class of task.
#[derive(Debug, Default)]
pub struct Lengths(Mutex<Table>);

/// The sums behind [`Lengths`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    all: Mean,
    by_class: [Mean; CLASSES],
}

/// A mean of answers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Mean {
    answers: f64,
    tokens: f64,
}

impl Mean {
    /// The mean together with `assumed`, which is worth `answers`.
    fn with(self, assumed: f64, answers: f64) -> f64 {
        (self.tokens + answers * assumed) / (self.answers + answers)
    }

    fn learn(&mut self, tokens: f64) {
        let kept = (MEMORY / (self.answers + 1.0)).min(1.0);
        self.answers = self.answers * kept + 1.0;
        self.tokens = self.tokens * kept + tokens;
    }
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
        let expected = own.with(all.with(ASSUMED, ASSUMED_ANSWERS), MODEL_ANSWERS);
        most.map_or(expected, |most| expected.min(f64::from(most)))
    }

    /// Learns the length of an answer that ended properly.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn record(&self, class: u8, output_tokens: u64) {
        let tokens = output_tokens.max(1) as f64;
        let mut table = self.lock();
        table.all.learn(tokens);
        if let Some(own) = table.by_class.get_mut(usize::from(class)) {
            own.learn(tokens);
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
        assert!(expected(1) < 60.0, "{}", expected(1));
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
