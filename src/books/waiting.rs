//! Who waits for a first token, and for how long.
//!
//! An endpoint that has become slow shows it first by what it has not yet
//! answered.

use std::collections::VecDeque;
use std::time::Duration;

/// When attempts began that have had no content yet, in ascending order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Waiting(VecDeque<Duration>);

impl Waiting {
    /// An attempt begins.
    pub fn begin(&mut self, now: Duration) {
        let place = self.0.partition_point(|began| *began <= now);
        self.0.insert(place, now);
    }

    /// The attempt that began at `began` has content or is over. Clocks are read
    /// twice, so it is the one that began nearest to that.
    pub fn end(&mut self, began: Duration) {
        let after = self.0.partition_point(|other| *other < began);
        let distance = |place: &usize| self.0.get(*place).map_or(Duration::MAX, |at| at.abs_diff(began));
        let nearest = [after.saturating_sub(1), after].into_iter().min_by_key(distance);
        if let Some(place) = nearest {
            self.0.remove(place);
        }
    }

    /// For how many seconds the one that has waited longest has waited at `now`.
    #[must_use]
    pub fn longest(&self, now: Duration) -> f64 {
        self.0.front().map_or(0.0, |began| now.saturating_sub(*began).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_wait_is_that_of_the_oldest_that_waits() {
        let mut waiting = Waiting::default();
        let at = Duration::from_secs;
        for second in [3, 1, 2] {
            waiting.begin(at(second));
        }
        assert!((waiting.longest(at(11)) - 10.0).abs() < 1e-9);
        waiting.end(at(1) + Duration::from_micros(7));
        assert!((waiting.longest(at(11)) - 9.0).abs() < 1e-9);
        waiting.end(at(3));
        waiting.end(at(2));
        assert!(waiting.longest(at(11)) < 1e-9);
        waiting.end(at(2));
        assert_eq!(waiting, Waiting::default(), "an end too many is no harm");
    }

    proptest! {
        #[test]
        fn who_begins_and_ends_does_not_wait(times in prop::collection::vec(any::<u32>(), 0..50)) {
            let mut waiting = Waiting::default();
            let times: Vec<Duration> = times.into_iter().map(|ms| Duration::from_millis(u64::from(ms))).collect();
            for at in &times {
                waiting.begin(*at);
            }
            prop_assert!(waiting.0.iter().is_sorted());
            for at in &times {
                waiting.end(*at);
            }
            prop_assert_eq!(waiting, Waiting::default());
        }
    }
}
