//! What is learnt of an endpoint's answers after they have come.

use std::time::Duration;

use super::Live;
use crate::books::drift::Drift;
use crate::books::quality::Count;
use crate::request::Demand;

impl Live {
    /// An answer of this endpoint to a request of `class` was judged `score`
    /// (0..1), where `prior` is assumed of the model. Returns what has become clear
    /// by it.
    pub fn judge(&self, class: u8, score: f32, prior: f32) -> Option<Drift> {
        if !score.is_finite() {
            return None;
        }
        let score = score.clamp(0.0, 1.0);
        let deviation = self.lock().deviation;
        let like_its_model = self.judgements.of(class, Count::default()).mean(prior);
        let expected = self.judgements.of(class, deviation).mean(prior);
        let worse = {
            let mut state = self.change();
            state.deviation.n += 1.0;
            state.deviation.sum += score - like_its_model;
            state.disliked.judged(score, like_its_model)
        };
        let changed = self.judgements.record(class, score, expected, prior);
        changed.then_some(Drift::ModelChanged).or(worse.then_some(Drift::Worse))
    }

    /// A result of this endpoint's model in a test before it was put to use: as
    /// [`Live::judge`], but without a say in whether the model has changed.
    pub fn evaluate(&self, class: u8, score: f32, prior: f32) {
        if score.is_finite() {
            self.judgements.learn(class, score.clamp(0.0, 1.0), prior);
        }
    }

    /// An answer came at `now` where `demand` was asked for; `defect` says how far
    /// it was of no use in form, from 0 (sound) to 1. Returns what has become clear by
    /// it.
    pub fn inspect(&self, demand: Demand, defect: f64, now: Duration) -> Option<Drift> {
        let raised = self.place.answered(demand, defect, now);
        // What is published for decisions is to be computed anew.
        drop(self.change());
        raised.then_some(Drift::Unsound(demand))
    }

    /// An answer that was inspected already has turned out worse by `defect`.
    pub fn regret(&self, demand: Demand, defect: f64, now: Duration) {
        self.place.regretted(demand, defect, now);
    }

    /// Whether it does worse than its siblings, as far as is known.
    #[must_use]
    pub fn is_drifting(&self) -> bool {
        self.place.is_drifting() || self.lock().disliked.alarmed
    }

    /// Quality as believed at `now`, 0..1, when `prior` is assumed of its model: the
    /// share of its answers that is usable times how good these are.
    #[must_use]
    pub fn worth(&self, class: u8, prior: f32, now: Duration) -> f64 {
        self.place.refresh(now);
        let deviation = self.lock().deviation;
        let good = f64::from(self.judgements.of(class, deviation).mean(prior));
        good * (1.0 - self.place.overall())
    }
}
