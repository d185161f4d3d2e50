//! How fast an endpoint is: what has been measured lately, and what follows.
//!
//! Answer times of language models are close to log-normal, so all of this is
//! about logarithms. What is measured is the sum of three things that have to be
//! told apart, because they last for different lengths of time:
//!
//! - the *level* of each kind of time (to the first token, between tokens), which
//!   wanders over hours and returns to what is usual;
//! - the *load*, which comes and goes within a minute or two and slows the first
//!   token and the others alike;
//! - *chance*, which is another for every answer.
//!
//! A Kalman filter keeps what is believed of both levels and of the load, how
//! uncertain each is, and how they depend on each other. So a first token that
//! came late also says that the others will be slow, a slow minute does not
//! spoil the mean of an hour, and an endpoint that nobody has asked for long
//! becomes uncertain by itself. How much chance there is, and how much of it is
//! load, is learnt from the same measurements.
//!
//! The constants were chosen on a replay of recorded prices, times and outages
//! (`docs/routing.md`).

mod belief;
mod chance;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::belief::Belief;
use self::chance::Chance;
use super::normal;
use super::stats::{Forecast, SIZES, TIME_BOUNDS, faded, ln};

/// Seconds after which what was learnt of chance and of sizes counts half.
const HALF_LIFE: f64 = 1800.0;
/// Variance of the logarithm of a published median: it is another half hour's.
const PUBLISHED_VARIANCE: f64 = 0.15;
/// Share of the load's uncertainty that exploring takes into account: it passes
/// before much could be gained by knowing it.
const LOAD_EXPLORED: f64 = 0.3;
/// How many answers it takes until half of a size's deviation is believed.
const SIZE_PRIOR: f64 = 8.0;
/// An answer counts as late when this many standard deviations have passed.
const LATE: f64 = 1.0;
/// Seconds after the first token by which the pace of a stream has been told.
pub const BEGINNING: f64 = 2.0;
/// No variance of a forecast is less than this.
const LEAST_VARIANCE: f64 = 0.01;
/// An answer of which some tokens were counted before counts this much then,
/// and as much at its end.
const PART: f64 = 0.5;

/// A kind of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the first token.
    Ttft,
    /// Between two tokens.
    Itl,
}

/// Which part of an answer a time between tokens was measured over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it, at its end.
    Whole,
    /// Its first seconds, while it goes on.
    Beginning,
    /// All of it, after its beginning had been reported.
    Rest,
}

/// What is usual of both kinds of time, as logarithms of seconds; `None` where
/// nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usual {
    /// To the first token.
    pub ttft: Option<f64>,
    /// Between two tokens.
    pub itl: Option<f64>,
}

impl Usual {
    /// What is assumed where nothing is known of any endpoint.
    #[must_use]
    pub fn assumed() -> Self {
        let belief = Belief::assumed();
        Usual { ttft: Some(belief.level(Kind::Ttft).usual()), itl: Some(belief.level(Kind::Itl).usual()) }
    }
}

/// Both kinds of time at one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    belief: Belief,
    ttft: Chance,
    itl: Chance,
    /// By size of the prompt: how the time to the first token deviates.
    by_size: [Deviation; SIZES.len() + 1],
    at: Duration,
}

/// A discounted mean deviation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Deviation {
    n: f64,
    sum: f64,
}

impl Deviation {
    /// Lets the past fade by `factor` (0..1).
    fn times(self, factor: f64) -> Self {
        Deviation { n: self.n * factor, sum: self.sum * factor }
    }

    fn mean(self) -> f64 {
        self.sum / (self.n + SIZE_PRIOR)
    }
}

impl Default for Pace {
    /// Nothing measured yet.
    fn default() -> Self {
        Pace {
            belief: Belief::assumed(),
            ttft: Chance::assumed(Kind::Ttft),
            itl: Chance::assumed(Kind::Itl),
            by_size: Default::default(),
            at: Duration::ZERO,
        }
    }
}

impl Pace {
    /// The time to the first token to expect at `now` for a prompt of class
    /// `size`, where somebody has been waiting for one for `waited` seconds. If
    /// that is long, the endpoint is slower than was thought, and whoever comes
    /// now will feel it: that is known long before that answer comes.
    #[must_use]
    pub fn first_token(&self, size: usize, waited: f64, now: Duration) -> Forecast {
        let (forecast, noise) = self.forecast(Kind::Ttft, size, now);
        warned(forecast, waited, noise)
    }

    /// The time between tokens to expect at `now`, where some answer has begun
    /// but nothing has followed for `waited` seconds.
    #[must_use]
    pub fn next_token(&self, waited: f64, now: Duration) -> Forecast {
        // Everything else that is known by then is told as a beginning.
        let waited = if waited > BEGINNING { waited } else { 0.0 };
        let (forecast, noise) = self.forecast(Kind::Itl, 0, now);
        warned(forecast, waited, noise)
    }

    /// What to expect, and how much of its variance is a single answer's luck.
    fn forecast(&self, kind: Kind, size: usize, now: Duration) -> (Forecast, f64) {
        let belief = self.belief.later(now.saturating_sub(self.at));
        let fade = faded(self.at, now, HALF_LIFE);
        let chance = self.chance(kind).times(fade);
        let (level, loading) = (belief.level(kind), chance.loading());
        let load = loading * loading * belief.load_variance;
        // The level's own uncertainty does not count here: it would make all
        // endpoints look slow that little is known of, and keep it that way.
        let known = (load + 2.0 * loading * level.with_load + chance.noise()).max(LEAST_VARIANCE);
        let mean_ln = level.mean + loading * belief.load + self.deviation(kind, size).times(fade).mean();
        let forecast = Forecast {
            seconds: (mean_ln + 0.5 * known).exp(),
            mean_ln,
            variance_ln: known + level.variance,
            spread: (level.variance + LOAD_EXPLORED * load).sqrt(),
            samples: chance.samples(),
            age: now.saturating_sub(self.at).as_secs_f64(),
        };
        (forecast, chance.noise())
    }

    /// Learns how long the first token took.
    pub fn learn_first(&mut self, seconds: f64, size: usize, now: Duration) {
        if seconds.is_finite() {
            self.learn(Kind::Ttft, ln(seconds), size, Part::Whole, now);
        }
    }

    /// Learns the time between tokens.
    pub fn learn_next(&mut self, seconds: f64, part: Part, now: Duration) {
        if seconds.is_finite() {
            self.learn(Kind::Itl, ln(seconds), 0, part, now);
        }
    }

    /// Learns that the first token took longer than `seconds`, when waiting
    /// ended there: it counts as what is to be expected of times above that.
    pub fn learn_longer(&mut self, seconds: f64, size: usize, now: Duration) {
        let (forecast, _) = self.forecast(Kind::Ttft, size, now);
        let deviation = forecast.variance_ln.sqrt();
        let z = (ln(seconds) - forecast.mean_ln) / deviation;
        // A wait that ended before half of all answers come says next to nothing.
        if seconds.is_finite() && z >= 0.0 {
            let expected = forecast.mean_ln + deviation * normal::mean_above(z);
            self.learn(Kind::Ttft, expected.min(TIME_BOUNDS.1.ln()), size, Part::Whole, now);
        }
    }

    /// What is usual of it, as far as anything is known.
    #[must_use]
    pub fn usual(&self) -> Usual {
        let kind = |kind| {
            Some(self.belief.level(kind)).filter(|level| !level.is_unknown()).map(|level| level.usual())
        };
        Usual { ttft: kind(Kind::Ttft), itl: kind(Kind::Itl) }
    }

    /// Assumes `usual` of the times of which nothing is known.
    pub fn assume(&mut self, usual: Usual) {
        for (kind, time) in [(Kind::Ttft, usual.ttft), (Kind::Itl, usual.itl)] {
            if let Some(time) = time.filter(|time| time.is_finite()) {
                self.belief.assume(kind, time);
            }
        }
    }

    /// Whether nothing has been learnt of either.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        [Kind::Ttft, Kind::Itl].into_iter().all(|kind| self.belief.level(kind).is_unknown())
    }

    /// Learns medians that somebody else measured over some time that ended `age`
    /// ago; since then the levels have wandered. To be told once of each such time.
    pub fn publish(&mut self, ttft_seconds: f64, itl_seconds: f64, age: Duration, now: Duration) {
        self.advance(now);
        let noise = PUBLISHED_VARIANCE + belief::wandered(age);
        for (kind, seconds) in [(Kind::Ttft, ttft_seconds), (Kind::Itl, itl_seconds)] {
            if seconds.is_finite() {
                let error = ln(seconds) - self.belief.level(kind).mean;
                self.belief.learn(kind, 0.0, noise, error);
            }
        }
    }

    fn learn(&mut self, kind: Kind, x: f64, size: usize, part: Part, now: Duration) {
        self.advance(now);
        let weight = if part == Part::Whole { 1.0 } else { PART };
        let level = self.belief.level(kind);
        let from_level = x - self.deviation(kind, size).mean() - level.mean;
        let at = self.at;
        let chance = self.chance_mut(kind);
        if part != Part::Rest {
            chance.learn_share(from_level, level.variance, at);
        }
        chance.learn_variance(from_level, level.variance, weight);
        let (loading, noise) = (chance.loading(), chance.noise() / weight);
        self.belief.learn(kind, loading, noise, from_level - loading * self.belief.load);
        if kind == Kind::Ttft
            && let Some(deviation) = self.by_size.get_mut(size)
        {
            let left = x - self.belief.level(kind).mean - loading * self.belief.load;
            deviation.n += 1.0;
            deviation.sum += left;
        }
    }

    /// The longest 95th percentile of the time to the first token over the
    /// prompt sizes that were seen; `None` while nothing was.
    #[must_use]
    pub fn p95(&self) -> Option<f64> {
        let seen = self.by_size.iter().enumerate().filter(|(_, deviation)| deviation.n > 0.0);
        let p95 = |size| self.forecast(Kind::Ttft, size, self.at).0.quantile(normal::Z95);
        seen.map(|(size, _)| p95(size)).reduce(f64::max)
    }

    /// Lets time pass until `until`, and calls that moment `at`: how statistics
    /// pass from one process's clock to another's.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        self.advance(until);
        let moved = |then: Duration| at.saturating_sub(until.saturating_sub(then));
        self.ttft.shift(moved);
        self.itl.shift(moved);
        self.at = at;
    }

    fn advance(&mut self, now: Duration) {
        let now = now.max(self.at);
        self.belief = self.belief.later(now.saturating_sub(self.at));
        let fade = faded(self.at, now, HALF_LIFE);
        self.ttft = self.ttft.times(fade);
        self.itl = self.itl.times(fade);
        self.by_size = self.by_size.map(|deviation| deviation.times(fade));
        self.at = now;
    }

    /// How a prompt's size matters: to the first token only.
    fn deviation(&self, kind: Kind, size: usize) -> Deviation {
        match kind {
            Kind::Ttft => self.by_size.get(size).copied().unwrap_or_default(),
            Kind::Itl => Deviation::default(),
        }
    }

    fn chance(&self, kind: Kind) -> &Chance {
        match kind {
            Kind::Ttft => &self.ttft,
            Kind::Itl => &self.itl,
        }
    }

    fn chance_mut(&mut self, kind: Kind) -> &mut Chance {
        match kind {
            Kind::Ttft => &mut self.ttft,
            Kind::Itl => &mut self.itl,
        }
    }
}

/// What to expect when somebody has waited for `waited` seconds already: as if
/// that had ended as late as late ones are expected to. Of the variance, `noise`
/// is that one's own bad luck.
fn warned(forecast: Forecast, waited: f64, noise: f64) -> Forecast {
    let deviation = forecast.variance_ln.sqrt();
    let z = (ln(waited) - forecast.mean_ln) / deviation;
    if z.is_nan() || z < LATE {
        return forecast;
    }
    let lasting = (1.0 - noise / forecast.variance_ln).max(0.0);
    let later = lasting * deviation * normal::mean_above(z);
    Forecast { seconds: forecast.seconds * later.exp(), mean_ln: forecast.mean_ln + later, ..forecast }
}

#[cfg(test)]
mod tests;
