//! How long answers took in the last minutes, for people to read.
//!
//! A `DDSketch` (Masson, Rim, Lee, VLDB 2019): counts in buckets whose bounds grow by
//! one factor, so that any percentile is exact to 2 % of itself, whatever the
//! distribution. Two windows of five minutes take turns: what is read is never older
//! than ten minutes and never younger than the last five. The score does not read
//! this: it wants what is to be expected, not what was.

use std::time::Duration;

use serde::Serialize;

use super::stats::TIME_BOUNDS;

/// How far a percentile may be off, as a share of itself.
const ERROR: f64 = 0.02;
/// The factor between the bounds of a bucket.
const GROWTH: f64 = (1.0 + ERROR) / (1.0 - ERROR);
/// Buckets that reach from the shortest to the longest time: ln(10⁹) / ln(1.0408).
const MOST_BUCKETS: usize = 520;
/// How long a window is filled.
const WINDOW: Duration = Duration::from_secs(300);

/// Times of one kind at one endpoint.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    filling: Counts,
    full: Counts,
    /// When the window that is being filled began.
    since: Duration,
}

/// Counts by bucket, as far as there are any.
#[derive(Debug, Clone, Default)]
struct Counts(Vec<u32>);

/// Percentiles of times (seconds), and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Times measured in the last five to ten minutes.
    pub count: u64,
    /// Half of them were no longer.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// Nineteen in twenty.
    pub p95: f64,
    /// All but one in a hundred.
    pub p99: f64,
}

/// Both kinds of time at one endpoint.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// To the first token.
    pub ttft: Sketch,
    /// Between two tokens.
    pub itl: Sketch,
}

/// Percentiles of both; `None` where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// To the first token.
    pub ttft: Option<Percentiles>,
    /// Between two tokens.
    pub itl: Option<Percentiles>,
}

impl Times {
    /// Percentiles at `now`.
    #[must_use]
    pub fn measured(&self, now: Duration) -> Measured {
        Measured { ttft: self.ttft.percentiles(now), itl: self.itl.percentiles(now) }
    }
}

impl Sketch {
    /// Counts a time that was measured at `now`.
    pub fn record(&mut self, seconds: f64, now: Duration) {
        if !seconds.is_finite() {
            return;
        }
        let passed = now.saturating_sub(self.since);
        if passed >= WINDOW {
            let filled = std::mem::take(&mut self.filling);
            self.full = if passed < 2 * WINDOW { filled } else { Counts::default() };
            self.since = now;
        }
        self.filling.count(bucket(seconds));
    }

    /// Percentiles at `now`; `None` where nothing was measured lately.
    #[must_use]
    pub fn percentiles(&self, now: Duration) -> Option<Percentiles> {
        let passed = now.saturating_sub(self.since);
        let none = Counts::default();
        let (filling, full) = match passed {
            passed if passed < WINDOW => (&self.filling, &self.full),
            passed if passed < 2 * WINDOW => (&none, &self.filling),
            _ => return None,
        };
        let each = (0..MOST_BUCKETS).map(|bucket| filling.at(bucket) + full.at(bucket));
        let count: u64 = each.clone().sum();
        let at = |hundredths: u64| {
            // The rank of a percentile is that of the nearest-rank method.
            let rank = (count * hundredths).div_ceil(100).max(1);
            let mut seen = 0;
            let found = each.clone().position(|here| {
                seen += here;
                seen >= rank
            });
            found.map_or(f64::NAN, middle)
        };
        (count > 0).then(|| Percentiles { count, p50: at(50), p90: at(90), p95: at(95), p99: at(99) })
    }
}

impl Counts {
    fn count(&mut self, bucket: usize) {
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        if let Some(count) = self.0.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    fn at(&self, bucket: usize) -> u64 {
        self.0.get(bucket).copied().map_or(0, u64::from)
    }
}

/// The bucket of a time: the smallest whose upper bound it does not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and MOST_BUCKETS")]
fn bucket(seconds: f64) -> usize {
    let ratio = seconds.clamp(TIME_BOUNDS.0, TIME_BOUNDS.1) / TIME_BOUNDS.0;
    ((ratio.ln() / GROWTH.ln()).ceil() as usize).min(MOST_BUCKETS - 1)
}

/// What stands for all times of a bucket: no further from either bound than
/// [`ERROR`] of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a few hundred buckets")]
fn middle(bucket: usize) -> f64 {
    TIME_BOUNDS.0 * GROWTH.powi(bucket as i32) * 2.0 / (GROWTH + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_older_than_ten_minutes_is_forgotten() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.percentiles(MINUTE), None);
        sketch.record(1.0, MINUTE);
        sketch.record(f64::NAN, MINUTE);
        let count = |sketch: &Sketch, minute| sketch.percentiles(MINUTE * minute).map(|all| all.count);
        assert_eq!((count(&sketch, 4), count(&sketch, 9), count(&sketch, 11)), (Some(1), Some(1), None));
        sketch.record(1.0, MINUTE * 6);
        sketch.record(1.0, MINUTE * 7);
        assert_eq!(count(&sketch, 8), Some(3));
        sketch.record(1.0, MINUTE * 11);
        assert_eq!(count(&sketch, 11), Some(3), "the first window is over");
        sketch.record(1.0, MINUTE * 60);
        assert_eq!(count(&sketch, 60), Some(1));
    }

    proptest! {
        #[test]
        fn percentiles_are_exact_to_two_percent(times in prop::collection::vec(1e-4..1e3_f64, 1..300)) {
            let mut sketch = Sketch::default();
            for seconds in &times {
                sketch.record(*seconds, MINUTE);
            }
            let mut sorted = times;
            sorted.sort_unstable_by(f64::total_cmp);
            let all = sketch.percentiles(MINUTE).unwrap();
            prop_assert_eq!(all.count, sorted.len() as u64);
            for (hundredths, found) in [(50, all.p50), (90, all.p90), (95, all.p95), (99, all.p99)] {
                let exact = sorted[(sorted.len() * hundredths).div_ceil(100) - 1];
                prop_assert!((found / exact - 1.0).abs() <= ERROR + 1e-9, "{hundredths}: {found} and {exact}");
            }
        }
    }
}
