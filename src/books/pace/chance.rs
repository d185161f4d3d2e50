//! How much single answers vary, and which share of that is load.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Kind;

/// Variances assumed before the first answer, to the first token and between
/// tokens: near the medians of the endpoints that statistics are published of.
const ASSUMED: (f64, f64) = (0.6, 0.2);
/// How many answers that is worth.
const ASSUMED_ANSWERS: f64 = 4.0;
/// A variance is held within these: few samples can show neither perfect
/// steadiness nor chaos.
const BOUNDS: (f64, f64) = (0.03, 3.0);
/// One answer counts at most as a deviation of this many standard deviations.
const FAR: f64 = 4.0;
/// Share of the variance that is assumed to be load …
const ASSUMED_SHARE: f64 = 0.5;
/// … as if it had been seen in this many pairs of answers.
const ASSUMED_PAIRS: f64 = 40.0;
/// The share is held within these.
const SHARES: (f64, f64) = (0.02, 0.9);
/// What is learnt of the share with each pair fades by this.
const PAIRS_KEPT: f64 = 0.995;
/// Answers further apart than this many seconds are no pair.
const PAIR_WITHIN: f64 = 90.0;
/// Deviations count in pairs up to this many standard deviations.
const PAIR_FAR: f64 = 3.0;
/// Pairs count only while the level's variance is below this share of a single
/// answer's: an error of the level looks like load.
const LEVEL_KNOWN: f64 = 0.3;
/// Seconds after which a load is down to 37 %, as in the belief.
const LOAD_LASTS: f64 = 60.0;

/// What is known of one kind of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Chance {
    assumed: f64,
    squares: f64,
    weight: f64,
    samples: f64,
    /// Sum of products of consecutive deviations, as far as load would have kept
    /// them alike, and what that sum would be if load were all.
    alike: f64,
    pairs: f64,
    /// The latest deviation, in standard deviations, and when it was.
    last: Option<(f64, Duration)>,
}

impl Chance {
    pub(super) fn assumed(kind: Kind) -> Self {
        let assumed = match kind {
            Kind::Ttft => ASSUMED.0,
            Kind::Itl => ASSUMED.1,
        };
        Chance { assumed, squares: 0.0, weight: 0.0, samples: 0.0, alike: 0.0, pairs: 0.0, last: None }
    }

    /// Variance of an answer around the level.
    fn variance(&self) -> f64 {
        let known = self.squares + ASSUMED_ANSWERS * self.assumed;
        (known / (self.weight + ASSUMED_ANSWERS)).clamp(BOUNDS.0, BOUNDS.1)
    }

    /// Which share of it is load.
    fn share(&self) -> f64 {
        let alike = self.alike + ASSUMED_PAIRS * ASSUMED_SHARE;
        (alike / (self.pairs + ASSUMED_PAIRS)).clamp(SHARES.0, SHARES.1)
    }

    /// By how much one standard deviation of load moves the logarithm.
    pub(super) fn loading(&self) -> f64 {
        (self.share() * self.variance()).sqrt()
    }

    /// Variance of what is not load.
    pub(super) fn noise(&self) -> f64 {
        (1.0 - self.share()) * self.variance()
    }

    /// Answers behind this, discounted.
    pub(super) fn samples(&self) -> f64 {
        self.samples
    }

    /// Learns from an answer that deviates from the level, which is itself
    /// uncertain by `level_variance`.
    pub(super) fn learn_variance(&mut self, deviation: f64, level_variance: f64, weight: f64) {
        let variance = self.variance();
        // Where the level is uncertain the square is larger by that, and says less.
        let certain = variance / (variance + level_variance);
        let square = (certain * deviation * deviation).min(FAR * FAR * variance);
        self.squares += weight * certain * square;
        self.weight += weight * certain;
        self.samples += weight;
    }

    /// Learns how alike this deviation and the one before are.
    pub(super) fn learn_share(&mut self, deviation: f64, level_variance: f64, now: Duration) {
        let variance = self.variance();
        let deviation = (deviation / variance.sqrt()).clamp(-PAIR_FAR, PAIR_FAR);
        if let Some((before, at)) = self.last {
            let apart = now.saturating_sub(at).as_secs_f64();
            if apart < PAIR_WITHIN && level_variance < LEVEL_KNOWN * variance {
                let kept = (-apart / LOAD_LASTS).exp();
                self.alike = self.alike * PAIRS_KEPT + kept * before * deviation;
                self.pairs = self.pairs * PAIRS_KEPT + kept * kept;
            }
        }
        self.last = Some((deviation, now));
    }

    /// Lets the past fade by `factor` (0..1).
    pub(super) fn times(self, factor: f64) -> Self {
        Chance {
            squares: self.squares * factor,
            weight: self.weight * factor,
            samples: self.samples * factor,
            ..self
        }
    }

    /// Tells the time by another clock.
    pub(super) fn shift(&mut self, moved: impl Fn(Duration) -> Duration) {
        self.last = self.last.map(|(deviation, at)| (deviation, moved(at)));
    }
}
