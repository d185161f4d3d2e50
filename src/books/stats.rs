//! The words of what is measured: forecasts, sizes of prompts, how things fade.

use std::time::Duration;

use serde::Serialize;

use super::normal;

/// No time is shorter or longer than this (seconds): keeps logarithms finite
/// whatever a clock does.
pub(super) const TIME_BOUNDS: (f64, f64) = (1e-5, 1e4);

/// The factor by which what was learnt at `then` has faded at `now`.
pub(super) fn faded(then: Duration, now: Duration, half_life: f64) -> f64 {
    (-now.saturating_sub(then).as_secs_f64() / half_life).exp2()
}

/// A time that is expected, with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Expected seconds.
    pub seconds: f64,
    /// Mean of the logarithm of the seconds.
    pub mean_ln: f64,
    /// Variance of the logarithm.
    pub variance_ln: f64,
    /// Standard deviation of `mean_ln` itself: what exploring varies.
    pub spread: f64,
    /// Samples behind it, discounted; 0 is pure assumption.
    pub samples: f64,
    /// Seconds since the endpoint was last measured or published of; without
    /// meaning where there are no samples.
    pub age: f64,
}

impl Forecast {
    /// The time that is not exceeded with the probability whose standard normal
    /// quantile is `z`.
    #[must_use]
    pub fn quantile(&self, z: f64) -> f64 {
        (self.mean_ln + z * self.variance_ln.sqrt()).exp()
    }

    /// P(time ≤ `seconds`).
    #[must_use]
    pub fn within(&self, seconds: f64) -> f64 {
        normal::below((seconds.max(TIME_BOUNDS.0).ln() - self.mean_ln) / self.variance_ln.sqrt())
    }
}

/// As operators read it: seconds and how many samples they rest on.
impl Serialize for Forecast {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            seconds: f64,
            p50: f64,
            p95: f64,
            samples: f64,
        }
        let shown = Shown {
            seconds: self.seconds,
            p50: self.quantile(0.0),
            p95: self.quantile(normal::Z95),
            samples: self.samples,
        };
        shown.serialize(serializer)
    }
}

/// Upper bounds of the prompt sizes (tokens) between which times to the first
/// token are told apart; the last size is unbounded.
pub(super) const SIZES: [u64; 3] = [2_000, 16_000, 64_000];

/// The size class of a prompt.
#[must_use]
pub fn size(input_tokens: u64) -> usize {
    SIZES.iter().position(|bound| input_tokens <= *bound).unwrap_or(SIZES.len())
}

/// The logarithm of a time, of whatever a clock may have said.
pub(super) fn ln(seconds: f64) -> f64 {
    seconds.clamp(TIME_BOUNDS.0, TIME_BOUNDS.1).ln()
}
