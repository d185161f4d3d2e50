//! What is believed of an endpoint's levels and load: a Kalman filter with three
//! states, written out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Kind;

/// Seconds to the first token assumed of an endpoint nobody has tried.
const ASSUMED_TTFT: f64 = 1.0;
/// Seconds between tokens, likewise: 50 tokens/s.
const ASSUMED_ITL: f64 = 0.02;
/// Variance of the logarithm of either: two thirds of all endpoints lie within a
/// factor of 2.7.
const ASSUMED_VARIANCE: f64 = 1.0;
/// Variance by which a level wanders in a second. In half an hour that is a
/// factor of 1.35; endpoints move by about that from one day's window to the
/// next.
const DRIFT: f64 = 5e-5;
/// A level becomes no more uncertain than this by wandering alone.
const LOST: f64 = 1.0;
/// Seconds after which a level is back to 37 % of its distance from the usual one.
/// Trouble passes, and whoever had it would otherwise be avoided for good: nobody
/// asks, so nobody learns that it is over.
const UNUSUAL_LASTS: f64 = 1800.0;
/// The usual level is the mean of about so many answers …
const USUAL_ANSWERS: f64 = 400.0;
/// … together with the assumption, which counts as so many.
const ASSUMED_ANSWERS: f64 = 4.0;
/// Seconds after which a load is down to 37 %.
const LOAD_LASTS: f64 = 60.0;

/// One kind of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    /// Mean of the logarithm, without load.
    pub(super) mean: f64,
    /// What it usually is, and from how many answers that is known.
    usual: f64,
    answers: f64,
    /// Its uncertainty.
    pub(super) variance: f64,
    /// Covariance with the load.
    pub(super) with_load: f64,
}

/// Both levels and the load, which is a standard normal number while nothing is
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Belief {
    ttft: Level,
    itl: Level,
    /// Covariance of the levels.
    cross: f64,
    pub(super) load: f64,
    pub(super) load_variance: f64,
}

impl Level {
    /// Whether nothing has been learnt of it.
    pub(super) fn is_unknown(&self) -> bool {
        self.answers <= 0.0
    }

    /// What it usually is.
    pub(super) fn usual(&self) -> f64 {
        self.usual
    }
}

/// The variance by which a level may have wandered meanwhile.
pub(super) fn wandered(passed: Duration) -> f64 {
    (DRIFT * passed.as_secs_f64()).min(LOST)
}

impl Belief {
    pub(super) fn assumed() -> Self {
        let level = |seconds: f64| Level {
            mean: seconds.ln(),
            usual: seconds.ln(),
            answers: 0.0,
            variance: ASSUMED_VARIANCE,
            with_load: 0.0,
        };
        Belief {
            ttft: level(ASSUMED_TTFT),
            itl: level(ASSUMED_ITL),
            cross: 0.0,
            load: 0.0,
            load_variance: 1.0,
        }
    }

    /// Assumes a level of which nothing is known.
    pub(super) fn assume(&mut self, kind: Kind, usual: f64) {
        let level = match kind {
            Kind::Ttft => &mut self.ttft,
            Kind::Itl => &mut self.itl,
        };
        if level.is_unknown() {
            // What the other kind of time has taught of this one stays.
            level.mean += usual - level.usual;
            level.usual = usual;
        }
    }

    pub(super) fn level(&self, kind: Kind) -> Level {
        match kind {
            Kind::Ttft => self.ttft,
            Kind::Itl => self.itl,
        }
    }

    /// The same when `passed` has passed.
    #[must_use]
    pub(super) fn later(self, passed: Duration) -> Belief {
        let seconds = passed.as_secs_f64();
        let kept = (-seconds / LOAD_LASTS).exp();
        let left = (-seconds / UNUSUAL_LASTS).exp();
        let level = |level: Level| Level {
            mean: level.usual + (level.mean - level.usual) * left,
            variance: (level.variance + DRIFT * seconds).min(level.variance.max(LOST)),
            with_load: level.with_load * kept,
            ..level
        };
        Belief {
            ttft: level(self.ttft),
            itl: level(self.itl),
            cross: self.cross,
            load: self.load * kept,
            load_variance: 1.0 + kept * kept * (self.load_variance - 1.0),
        }
    }

    /// Learns that what was measured (the level of `kind` and `loading` times
    /// the load, with noise of variance `noise`) deviates by `error` from what
    /// was believed.
    pub(super) fn learn(&mut self, kind: Kind, loading: f64, noise: f64, error: f64) {
        let (own, other) = match kind {
            Kind::Ttft => (&mut self.ttft, &mut self.itl),
            Kind::Itl => (&mut self.itl, &mut self.ttft),
        };
        own.answers = (own.answers + 1.0).min(USUAL_ANSWERS);
        own.usual += (own.mean + error - own.usual) / (own.answers + ASSUMED_ANSWERS);
        // How each state goes together with what was measured.
        let with_own = own.variance + loading * own.with_load;
        let with_other = self.cross + loading * other.with_load;
        let with_load = own.with_load + loading * self.load_variance;
        let total = with_own + loading * with_load + noise;
        let step = error / total;
        own.mean += with_own * step;
        other.mean += with_other * step;
        self.load += with_load * step;
        own.variance -= with_own * with_own / total;
        other.variance -= with_other * with_other / total;
        self.load_variance -= with_load * with_load / total;
        own.with_load -= with_own * with_load / total;
        other.with_load -= with_other * with_load / total;
        self.cross -= with_own * with_other / total;
    }
}
