//! How good a model's answers are, by class of task, as told by feedback.
//!
//! A class is shrunk towards its model and the model towards what is assumed of
//! it. An endpoint may deviate from its model (quantisation, another version)
//! and is given the benefit of the doubt for long. Time does not fade quality;
//! a detector forgets when a model has changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::CLASSES;

/// Judgements that the assumption about a model is worth.
const PRIOR: f64 = 4.0;
/// Judgements that a model's mean is worth against a class's own.
const MODEL: f64 = 8.0;
/// Judgements that "no harder than others" is worth against what all models'
/// answers say of a class.
const CLASS: f64 = 10.0;
/// Judgements that "like its model" is worth against an endpoint's own.
const ENDPOINT: f64 = 50.0;
/// The change that is looked for: odds of a good answer that are less, or more,
/// by this factor.
const CHANGE: f64 = 3.3;
/// The model has changed when that explains its latest answers e¹² times better
/// than what was expected of it …
const ALARM: f64 = 12.0;
/// … and then this is kept of the weight of what was known …
const KEPT: f64 = 0.1;
/// … as long as this many judgements remain.
const KEPT_LEAST: f32 = 4.0;
/// Nothing is expected more surely than this.
const SURE: f64 = 0.02;

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

    /// What a sum of surprises says of a class, as long as it rests on few.
    fn ease(self) -> f32 {
        self.sum / (self.n + narrow(CLASS))
    }

    /// What was known was of another model, whose answers were better by `-shift`:
    /// where it was good this one is likely to be good too, but little is sure.
    fn changed(&mut self, shift: f32) {
        let kept = (self.n * narrow(KEPT)).max(self.n.min(KEPT_LEAST));
        let mean = if self.n > 0.0 { self.sum / self.n } else { 0.0 };
        *self = Count { n: kept, sum: kept * (mean + shift).clamp(0.0, 1.0) };
    }
}

/// What is known of the quality of an endpoint's answers in one class.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Quality {
    /// Of the model in all classes.
    pub model: Count,
    /// Of the model in this class.
    pub class: Count,
    /// How much better answers of all models are in this class than in others.
    pub ease: f32,
    /// Whether an answer of any model was ever judged.
    pub judged: bool,
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

    /// Whether answers are judged at all, this model's or another's.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.judged || self.model.n > 0.0
    }

    /// Expected of the model in a class of middling ease.
    fn general(&self, prior: f32) -> f32 {
        let assumed = narrow(PRIOR);
        (self.model.sum + assumed * prior.clamp(0.0, 1.0)) / (self.model.n + assumed)
    }

    fn beta(&self, prior: f32) -> (f32, f32) {
        let model = narrow(MODEL);
        let general = self.general(prior) + self.ease;
        let general = general.clamp(0.0, 1.0);
        let alpha = self.class.sum + model * general;
        let beta = self.class.n - self.class.sum + model * (1.0 - general);
        (alpha, beta)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "small constants")]
const fn narrow(x: f64) -> f32 {
    x as f32
}

/// How easy classes are, as the answers of all models say: a class that only
/// one model was asked about says something of it to the others too.
#[derive(Debug, Default)]
pub struct Ease {
    counts: Mutex<[Count; CLASSES]>,
    judged: AtomicBool,
}

impl Ease {
    /// How much better than in others answers are in `class`.
    #[must_use]
    pub fn of(&self, class: u8) -> f32 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(usize::from(class)).copied().unwrap_or_default();
        count.ease()
    }

    /// What has been learnt.
    #[must_use]
    pub fn table(&self) -> [Count; CLASSES] {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from what had been learnt.
    pub fn restore(&self, table: [Count; CLASSES]) {
        self.judged.store(table.iter().any(|count| count.n > 0.0), Ordering::Relaxed);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// An answer in `class` was better by `surprise` than its model's usually are.
    fn learn(&self, class: u8, surprise: f32) {
        self.judged.store(true, Ordering::Relaxed);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(usize::from(class)) {
            count.add(surprise);
        }
    }
}

/// Judgements of one model's answers.
#[derive(Debug, Default)]
pub struct Judgements {
    table: Mutex<Table>,
    ease: Arc<Ease>,
}

/// The counts behind [`Judgements`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// In a class of middling ease.
    all: Count,
    by_class: [Count; CLASSES],
    /// Runs of answers that speak for a change, for better and for worse.
    better: Run,
    worse: Run,
}

/// The latest answers, as far as they speak for a change.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Run {
    /// How much better the change explains them (natural logarithm).
    evidence: f64,
    /// How far they were from what was expected.
    surprise: Count,
}

impl Run {
    /// One more answer, where `expected` was expected; the change is that its odds
    /// are `factor` times that.
    fn add(&mut self, score: f32, expected: f32, factor: f64) {
        let before = f64::from(expected).clamp(SURE, 1.0 - SURE);
        let after = factor * before / (factor * before + 1.0 - before);
        let (good, score) = (f64::from(score), score);
        self.evidence += good * (after / before).ln() + (1.0 - good) * ((1.0 - after) / (1.0 - before)).ln();
        self.surprise.add(score - expected);
        if self.evidence <= 0.0 {
            *self = Run::default();
        }
    }
}

/// All that is known of a model's answers at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    table: Table,
    ease: [Count; CLASSES],
    /// Whether an answer of any model was ever judged.
    any: bool,
}

impl Judged {
    /// See [`Judgements::of`].
    #[must_use]
    pub fn of(&self, class: u8, deviation: Count) -> Quality {
        let at = usize::from(class);
        Quality {
            model: self.table.all,
            class: self.table.by_class.get(at).copied().unwrap_or_default(),
            ease: self.ease.get(at).copied().unwrap_or_default().ease(),
            judged: self.any,
            deviation,
        }
    }
}

impl Judgements {
    /// Nothing is known of a model yet, but how easy classes are.
    #[must_use]
    pub fn new(ease: Arc<Ease>) -> Self {
        Judgements { table: Mutex::default(), ease }
    }

    /// What is known of a class, for an endpoint that deviates by `deviation`.
    #[must_use]
    pub fn of(&self, class: u8, deviation: Count) -> Quality {
        self.judged().of(class, deviation)
    }

    /// What is known of all classes.
    #[must_use]
    pub fn judged(&self) -> Judged {
        let (ease, judged) = (self.ease.table(), self.ease.judged.load(Ordering::Relaxed));
        Judged { table: self.table(), ease, any: judged }
    }

    /// Learns a judgement `score` (0..1) of an answer, where `expected` was
    /// expected and `prior` is assumed of the model. Returns whether the model
    /// seems to have changed.
    pub fn record(&self, class: u8, score: f32, expected: f32, prior: f32) -> bool {
        self.learn(class, score, prior);
        self.lock().watch(score, expected)
    }

    /// Learns a result that was not an answer to a caller: it says how good the
    /// model is, but not whether it has changed since.
    pub fn learn(&self, class: u8, score: f32, prior: f32) {
        let ease = self.ease.of(class);
        let general = {
            let mut table = self.lock();
            // What a class is easier for is not the model's merit.
            table.all.add(score - ease);
            if let Some(own) = table.by_class.get_mut(usize::from(class)) {
                own.add(score);
            }
            Quality { model: table.all, ..Quality::default() }.general(prior)
        };
        self.ease.learn(class, score - general);
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
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Looks for a change in how good answers are (CUSUM of log likelihood ratios:
    /// unlike sums of standardised differences it is not alarmed by a few failures
    /// of a model that hardly ever fails).
    fn watch(&mut self, score: f32, expected: f32) -> bool {
        self.better.add(score, expected, CHANGE);
        self.worse.add(score, expected, CHANGE.recip());
        let Some(run) = [self.better, self.worse].into_iter().find(|run| run.evidence > ALARM) else {
            return false;
        };
        (self.better, self.worse) = (Run::default(), Run::default());
        let shift = run.surprise.sum / run.surprise.n;
        self.all.changed(shift);
        self.by_class.iter_mut().for_each(|class| class.changed(shift));
        true
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
            judgements.record(0, 0.9, expected, 0.7);
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
            assert!(!judgements.record(0, 0.9, expected, 0.9), "nothing has changed");
        }
        let noticed = (0..60).position(|_| {
            let expected = judgements.of(0, Count::default()).mean(0.9);
            judgements.record(0, 0.2, expected, 0.9)
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
                judgements.record(class, score, expected, prior);
            }
            let quality = judgements.of(0, Count { n: 30.0, sum: deviation });
            prop_assert!((0.0..=1.0).contains(&quality.mean(prior)));
            prop_assert!(quality.deviation(prior).is_finite());
        }
    }
}
