//! What becomes clear of an endpoint whose answers are not what they should be.

use serde::{Deserialize, Serialize};

use crate::request::Demand;

/// Judgements this much worse than the model's (in standard deviations) are noise
/// …
const SLACK: f64 = 0.35;
/// … and their running sum beyond this is none. With the slack above the best of
/// those tried on recorded judgements: half of it gives false alarms.
const ALARM: f64 = 12.0;

/// What has become clear of an endpoint or its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Its answers are unusable more often than those of its siblings, or than before.
    Unsound(Demand),
    /// Its answers are judged worse than those of its siblings.
    Worse,
    /// The model's answers are not what they were, wherever they come from.
    ModelChanged,
}

impl Drift {
    /// The word in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Drift::Unsound(_) => "unsound",
            Drift::Worse => "worse",
            Drift::ModelChanged => "model_changed",
        }
    }

    /// Every label.
    pub const LABELS: [&'static str; 3] = crate::telemetry::metrics::DRIFTS;
}

/// A running sum of how far judgements stayed behind what was expected of the
/// model, in standard deviations, and whether it has gone too far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Disliked {
    sum: f64,
    pub(super) alarmed: bool,
}

impl Disliked {
    /// Takes one more judgement; says whether the alarm is raised by it.
    pub(super) fn judged(&mut self, score: f32, like_its_model: f32) -> bool {
        let spread = f64::from(like_its_model * (1.0 - like_its_model)).max(0.01).sqrt();
        let residual = f64::from(score - like_its_model) / spread;
        self.sum = (self.sum - residual - SLACK).clamp(0.0, 2.0 * ALARM);
        let raised = !self.alarmed && self.sum > ALARM;
        self.alarmed = raised || self.alarmed && self.sum > 0.0;
        raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn being_like_its_model_raises_nothing_and_being_worse_does() {
        let mut disliked = Disliked::default();
        for n in 0..400 {
            assert!(!disliked.judged(f32::from(u8::from(n % 10 < 7)), 0.7), "{n}");
        }
        let after = (0..50).position(|_| disliked.judged(0.0, 0.7)).unwrap();
        assert!(after < 15, "{after}");
        assert!(disliked.alarmed && !disliked.judged(0.0, 0.7), "it is raised once");
        for _ in 0..100 {
            disliked.judged(1.0, 0.7);
        }
        assert!(!disliked.alarmed);
    }
}
