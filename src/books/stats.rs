//! How long an endpoint takes: what has been measured lately, and what follows.
//!
//! Times are kept as discounted sums of logarithms: the answer times of
//! language models are close to log-normal, their mean alone is ruled by a few
//! slow answers. On top of the slow mean a fast state follows waves of load
//! that last about a minute. The figures were tuned on a replay of recorded
//! prices, times and outages of public endpoints.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::normal;

/// Seconds after which a time counts half.
const TIME_HALF_LIFE: f64 = 1800.0;
/// How many samples the assumption made before the first one is worth.
const PRIOR_SAMPLES: f64 = 2.0;
/// Variance of the logarithm assumed before the first sample.
const PRIOR_VARIANCE: f64 = 0.5;
/// A variance is held within these: few samples can show neither perfect
/// steadiness nor chaos.
const VARIANCE: (f64, f64) = (0.05, 1.2);
/// Correlation time of the fast state, in seconds.
const WAVE: f64 = 60.0;
/// Share of the variance that is the fast state's.
const WAVE_SHARE: f64 = 0.5;
/// Share of the fast state's uncertainty that exploring takes into account.
const WAVE_EXPLORED: f64 = 0.3;
/// Samples before there is a mean for the fast state to deviate from.
const WAVE_AFTER: f64 = 3.0;
/// No time is shorter or longer than this (seconds): keeps logarithms finite
/// whatever a clock does.
const TIME_BOUNDS: (f64, f64) = (1e-5, 1e4);

/// The factor by which what was learnt at `then` has faded at `now`.
pub(super) fn faded(then: Duration, now: Duration, half_life: f64) -> f64 {
    (-now.saturating_sub(then).as_secs_f64() / half_life).exp2()
}

/// Discounted sums of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// Samples, discounted.
    pub n: f64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

/// Mean and variance as estimated from samples and an assumption.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The variance of a sample.
    pub variance: f64,
}

impl Moments {
    /// Lets the past fade by `factor` (0..1).
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Moments { n: self.n * factor, sum: self.sum * factor, squares: self.squares * factor }
    }

    /// Adds a sample of weight `weight`.
    pub fn add(&mut self, x: f64, weight: f64) {
        self.n += weight;
        self.sum += weight * x;
        self.squares += weight * x * x;
    }

    /// The samples together with `prior`, which counts as `weight` samples.
    #[must_use]
    pub fn estimate(&self, prior: Estimate, weight: f64) -> Estimate {
        let n = self.n + weight;
        let mean = (self.sum + weight * prior.mean) / n;
        let second = (self.squares + weight * (prior.mean * prior.mean + prior.variance)) / n;
        Estimate { mean, variance: (second - mean * mean).clamp(VARIANCE.0, VARIANCE.1) }
    }
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
const SIZES: [u64; 3] = [2_000, 16_000, 64_000];

/// The size class of a prompt.
#[must_use]
pub fn size(input_tokens: u64) -> usize {
    SIZES.iter().position(|bound| input_tokens <= *bound).unwrap_or(SIZES.len())
}

/// One kind of time at one endpoint (to the first token, between tokens).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    prior_ln: f64,
    prior_samples: f64,
    all: Moments,
    by_size: [Moments; SIZES.len() + 1],
    /// The fast state: deviation from the slow mean, and its uncertainty as a
    /// share of the variance.
    wave: f64,
    wave_uncertainty: f64,
    at: Duration,
}

impl Timing {
    /// Nothing measured yet; `seconds` is assumed.
    #[must_use]
    pub fn assumed(seconds: f64) -> Self {
        Timing {
            prior_ln: ln(seconds),
            prior_samples: PRIOR_SAMPLES,
            all: Moments::default(),
            by_size: [Moments::default(); SIZES.len() + 1],
            wave: 0.0,
            wave_uncertainty: 0.0,
            at: Duration::ZERO,
        }
    }

    /// Replaces the assumption by a published figure that is worth `samples`.
    pub fn publish(&mut self, seconds: f64, samples: f64) {
        self.prior_ln = ln(seconds);
        self.prior_samples = samples.max(PRIOR_SAMPLES);
    }

    /// What to expect at `now` for a prompt of class `size`.
    #[must_use]
    pub fn forecast(&self, size: usize, now: Duration) -> Forecast {
        let fade = faded(self.at, now, TIME_HALF_LIFE);
        let (estimate, samples) = self.slow(size, fade);
        let (wave, uncertainty) = self.fast(now);
        let mean_ln = estimate.mean + wave;
        let variance_ln = (uncertainty + 1.0 - WAVE_SHARE) * estimate.variance;
        let of_mean = estimate.variance / (samples + self.prior_samples);
        let of_wave = WAVE_EXPLORED * uncertainty * estimate.variance;
        Forecast {
            seconds: (mean_ln + 0.5 * variance_ln).exp(),
            mean_ln,
            variance_ln,
            spread: (of_mean + of_wave).sqrt(),
            samples,
        }
    }

    /// The slow mean: what is known of the size, filled up with what is known
    /// of all sizes, filled up with the assumption. And the samples behind it.
    fn slow(&self, size: usize, fade: f64) -> (Estimate, f64) {
        let assumed = Estimate { mean: self.prior_ln, variance: PRIOR_VARIANCE };
        let all = self.all.times(fade);
        let overall = all.estimate(assumed, self.prior_samples);
        let own = self.by_size.get(size).copied().unwrap_or_default().times(fade);
        // What all sizes say counts here as much as was ever seen of them, but
        // never more than an assumption does.
        (own.estimate(overall, PRIOR_SAMPLES), own.n.max(all.n.min(PRIOR_SAMPLES)))
    }

    /// The fast state at `now`: between samples it returns to the mean.
    fn fast(&self, now: Duration) -> (f64, f64) {
        let kept = (-now.saturating_sub(self.at).as_secs_f64() / WAVE).exp();
        let uncertainty = kept * kept * self.wave_uncertainty + WAVE_SHARE * (1.0 - kept * kept);
        (self.wave * kept, uncertainty)
    }

    /// Learns a time that was measured.
    pub fn learn(&mut self, seconds: f64, size: usize, now: Duration) {
        if seconds.is_finite() {
            self.learn_ln(ln(seconds), size, now);
        }
    }

    /// Learns that a time exceeded `seconds`, when waiting ended there: it
    /// counts as what is to be expected of times above that.
    pub fn learn_longer(&mut self, seconds: f64, size: usize, now: Duration) {
        let forecast = self.forecast(size, now);
        let deviation = forecast.variance_ln.sqrt();
        let z = (ln(seconds) - forecast.mean_ln) / deviation;
        // A wait that ended before half of all answers come says next to nothing.
        if seconds.is_finite() && z >= 0.0 {
            let expected = forecast.mean_ln + deviation * normal::mean_above(z);
            self.learn_ln(expected.min(TIME_BOUNDS.1.ln()), size, now);
        }
    }

    fn learn_ln(&mut self, x: f64, size: usize, now: Duration) {
        let now = now.max(self.at);
        let fade = faded(self.at, now, TIME_HALF_LIFE);
        if self.all.n * fade >= WAVE_AFTER {
            let (mean, _) = self.slow(size, fade);
            let (wave, uncertainty) = self.fast(now);
            let gain = uncertainty / (uncertainty + 1.0 - WAVE_SHARE);
            self.wave = wave + gain * (x - mean.mean - wave);
            self.wave_uncertainty = uncertainty * (1.0 - gain);
        }
        self.all = self.all.times(fade);
        self.by_size = self.by_size.map(|moments| moments.times(fade));
        self.all.add(x, 1.0);
        if let Some(own) = self.by_size.get_mut(size) {
            own.add(x, 1.0);
        }
        self.at = now;
    }

    /// The longest 95th percentile over the prompt sizes that were seen; `None`
    /// while nothing was.
    #[must_use]
    pub fn p95(&self) -> Option<f64> {
        let seen = self.by_size.iter().enumerate().filter(|(_, moments)| moments.n > 0.0);
        seen.map(|(size, _)| self.forecast(size, self.at).quantile(normal::Z95)).reduce(f64::max)
    }

    /// Lets everything fade until `until`, and calls that moment `at`: how
    /// statistics pass from one process's clock to another's.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        let fade = faded(self.at, until, TIME_HALF_LIFE);
        (self.wave, self.wave_uncertainty) = self.fast(until);
        self.all = self.all.times(fade);
        self.by_size = self.by_size.map(|moments| moments.times(fade));
        self.at = at;
    }
}

fn ln(seconds: f64) -> f64 {
    seconds.clamp(TIME_BOUNDS.0, TIME_BOUNDS.1).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_assumption_gives_way_to_samples() {
        let mut timing = Timing::assumed(1.0);
        let before = timing.forecast(0, HOUR);
        for second in 0..200 {
            timing.learn(0.2, 0, Duration::from_secs(second));
        }
        let after = timing.forecast(0, Duration::from_secs(200));
        assert!((after.quantile(0.0) - 0.2).abs() < 0.01, "{after:?}");
        assert!(after.spread < before.spread / 2.0);
        assert!(after.within(0.2) > 0.45 && after.within(2.0) > 0.99);
    }

    #[test]
    fn a_wave_is_followed_at_once_and_forgotten_in_minutes() {
        let mut timing = Timing::assumed(0.5);
        let at = Duration::from_secs;
        for second in 0..100 {
            timing.learn(0.5, 0, at(second * 10));
        }
        for second in 0..5 {
            timing.learn(3.0, 0, at(1000 + second));
        }
        let during = timing.forecast(0, at(1005)).quantile(0.0);
        let later = timing.forecast(0, at(1305)).quantile(0.0);
        assert!(during > 1.2, "{during}");
        assert!(later < 0.7, "{later}");
    }

    #[test]
    fn an_unseen_size_borrows_from_the_others() {
        let mut timing = Timing::assumed(1.0);
        for second in 0..50 {
            timing.learn(0.1, 0, Duration::from_secs(second));
        }
        let forecast = timing.forecast(3, Duration::from_secs(50));
        assert!(forecast.quantile(0.0) < 0.2, "{forecast:?}");
        assert!(forecast.samples <= PRIOR_SAMPLES);
    }

    #[test]
    fn a_timeout_teaches_that_it_takes_longer() {
        let mut timing = Timing::assumed(1.0);
        timing.learn_longer(30.0, 0, HOUR);
        let once = timing.forecast(0, HOUR).seconds;
        timing.learn_longer(0.001, 0, HOUR);
        assert!(once > 2.0, "{once}");
        assert!((timing.forecast(0, HOUR).seconds - once).abs() < 1e-9, "an early end says nothing");
    }

    proptest! {
        #[test]
        fn the_slow_mean_stays_among_samples_and_assumption(
            samples in prop::collection::vec((0.001..100.0_f64, 0..4_usize, 0..600_u64), 1..60),
            assumed in 0.01..10.0_f64,
        ) {
            let mut timing = Timing::assumed(assumed);
            let mut now = Duration::ZERO;
            for (seconds, size, later) in &samples {
                now += Duration::from_secs(*later);
                timing.learn(*seconds, *size, now);
            }
            let least = samples.iter().map(|sample| sample.0).fold(assumed, f64::min).ln();
            let most = samples.iter().map(|sample| sample.0).fold(assumed, f64::max).ln();
            for size in 0..4 {
                let mean = timing.slow(size, 1.0).0.mean;
                prop_assert!(mean >= least - 1e-9 && mean <= most + 1e-9, "{least} {mean} {most}");
            }
        }

        #[test]
        fn nothing_measured_makes_a_forecast_that_is_not_a_number(
            samples in prop::collection::vec((any::<f64>(), 0..9_usize, any::<u32>()), 0..20),
            at in any::<u32>(),
        ) {
            let mut timing = Timing::assumed(1.0);
            for (seconds, size, now) in samples {
                timing.learn(seconds, size, Duration::from_secs(u64::from(now)));
                timing.learn_longer(seconds, size, Duration::from_secs(u64::from(now)));
            }
            let forecast = timing.forecast(0, Duration::from_secs(u64::from(at)));
            prop_assert!(forecast.seconds.is_finite() && forecast.seconds > 0.0, "{forecast:?}");
            prop_assert!(forecast.spread.is_finite() && forecast.variance_ln > 0.0);
        }
    }
}
