//! How good a model's answers are, by class of task, as told by feedback.
//!
//! A class is shrunk towards its model and the model towards what is assumed of
//! it. An endpoint may deviate from its model (quantisation, another version)
//! and is given the benefit of the doubt for long. Time does not fade quality;
//! a detector forgets when a model has changed.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::CLASSES;

/// Judgements that the assumption about a model is worth.
const PRIOR: f64 = 4.0;
/// Judgements that a model's mean is worth against a class's own.
const MODEL: f64 = 8.0;
/// Judgements that "like its model" is worth against an endpoint's own.
const ENDPOINT: f64 = 50.0;
/// Deviations smaller than this (in standard deviations) are noise to the
/// detector …
pub(super) const SLACK: f64 = 0.35;
/// … and their running sum beyond this means that the model has changed.
pub(super) const ALARM: f64 = 12.0;
/// What is kept of the counts then.
const KEPT: f64 = 0.1;

/// Judgements: their number and the sum of their scores (0..1).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Count {
    /// How many.
    pub n: f32,
    /// The sum of their scores.
    pub sum: f32,
}

impl Count {
    fn add(&mut self, score: f32) {
        self.n += 1.0;
        self.sum += score;
    }

    fn times(&mut self, factor: f32) {
        self.n *= factor;
        self.sum *= factor;
    }
}

/// What is known of the quality of an endpoint's answers in one class.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Quality {
    /// Of the model in all classes.
    pub model: Count,
    /// Of the model in this class.
    pub class: Count,
    /// How far this endpoint's answers were from what was expected of them: the
    /// sum of the differences.
    pub deviation: Count,
}

impl Quality {
    /// Expected quality within 0..1, when `prior` is assumed of the model.
    #[must_use]
    pub fn mean(&self, prior: f32) -> f32 {
        let (alpha, beta) = self.beta(prior);
        let deviation = self.deviation.sum / (self.deviation.n + narrow(ENDPOINT));
        (alpha / (alpha + beta) + deviation).clamp(0.0, 1.0)
    }

    /// Standard deviation of that expectation.
    #[must_use]
    pub fn deviation(&self, prior: f32) -> f32 {
        let (alpha, beta) = self.beta(prior);
        let n = alpha + beta;
        (alpha * beta / (n * n * (n + 1.0))).max(0.0).sqrt()
    }

    /// Judgements of the model, over all classes.
    #[must_use]
    pub fn judgements(&self) -> f32 {
        self.model.n
    }

    fn beta(&self, prior: f32) -> (f32, f32) {
        let (assumed, model) = (narrow(PRIOR), narrow(MODEL));
        let general = (self.model.sum + assumed * prior.clamp(0.0, 1.0)) / (self.model.n + assumed);
        let alpha = self.class.sum + model * general;
        let beta = self.class.n - self.class.sum + model * (1.0 - general);
        (alpha, beta)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "small constants")]
const fn narrow(x: f64) -> f32 {
    x as f32
}

/// Judgements of one model's answers.
#[derive(Debug, Default)]
pub struct Judgements(Mutex<Table>);

/// The counts behind [`Judgements`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    all: Count,
    by_class: [Count; CLASSES],
    /// Running sums of the detector, for better and for worse.
    better: f64,
    worse: f64,
}

impl Table {
    /// See [`Judgements::of`].
    #[must_use]
    pub fn of(&self, class: u8, deviation: Count) -> Quality {
        let class = self.by_class.get(usize::from(class)).copied().unwrap_or_default();
        Quality { model: self.all, class, deviation }
    }
}

impl Judgements {
    /// What is known of a class, for an endpoint that deviates by `deviation`.
    #[must_use]
    pub fn of(&self, class: u8, deviation: Count) -> Quality {
        self.lock().of(class, deviation)
    }

    /// Learns a judgement `score` (0..1) of an answer, where `expected` was
    /// expected. Returns whether the model seems to have changed.
    pub fn record(&self, class: u8, score: f32, expected: f32) -> bool {
        let mut table = self.lock();
        table.all.add(score);
        if let Some(own) = table.by_class.get_mut(usize::from(class)) {
            own.add(score);
        }
        let spread = f64::from(expected * (1.0 - expected)).max(0.01).sqrt();
        let residual = f64::from(score - expected) / spread;
        table.better = (table.better + residual - SLACK).max(0.0);
        table.worse = (table.worse - residual - SLACK).max(0.0);
        let changed = table.better.max(table.worse) > ALARM;
        if changed {
            (table.better, table.worse) = (0.0, 0.0);
            table.all.times(narrow(KEPT));
            table.by_class.iter_mut().for_each(|class| class.times(narrow(KEPT)));
        }
        changed
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
    fn judgements_outweigh_what_was_assumed() {
        let judgements = Judgements::default();
        let before = judgements.of(0, Count::default());
        assert!((before.mean(0.7) - 0.7).abs() < 1e-6);
        for _ in 0..200 {
            let expected = judgements.of(0, Count::default()).mean(0.7);
            judgements.record(0, 0.9, expected);
        }
        let after = judgements.of(0, Count::default());
        assert!((after.mean(0.7) - 0.9).abs() < 0.02, "{}", after.mean(0.7));
        assert!(after.deviation(0.7) < before.deviation(0.7));
        assert!(judgements.of(1, Count::default()).mean(0.7) > 0.8, "other classes follow the model");
    }

    #[test]
    fn a_silent_regression_is_noticed_and_the_past_forgotten() {
        let judgements = Judgements::default();
        for _ in 0..500 {
            let expected = judgements.of(0, Count::default()).mean(0.9);
            assert!(!judgements.record(0, 0.9, expected), "nothing has changed");
        }
        let noticed = (0..60).position(|_| {
            let expected = judgements.of(0, Count::default()).mean(0.9);
            judgements.record(0, 0.2, expected)
        });
        assert!(noticed.is_some_and(|after| after < 20), "{noticed:?}");
        assert!(judgements.of(0, Count::default()).judgements() < 60.0);
    }

    proptest! {
        #[test]
        fn quality_stays_within_bounds(
            scores in prop::collection::vec((any::<u8>(), 0.0..=1.0_f32), 0..80),
            prior in 0.0..=1.0_f32,
            deviation in -30.0..30.0_f32,
        ) {
            let judgements = Judgements::default();
            for (class, score) in scores {
                let expected = judgements.of(class, Count::default()).mean(prior);
                judgements.record(class, score, expected);
            }
            let quality = judgements.of(0, Count { n: 30.0, sum: deviation });
            prop_assert!((0.0..=1.0).contains(&quality.mean(prior)));
            prop_assert!(quality.deviation(prior).is_finite());
        }
    }
}
