//! Whether a caller asks the same again, which tells about the first answer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::books::Live;
use crate::request::Demand;

/// Asking the same after this is another matter.
const SOON: Duration = Duration::from_secs(60);
/// Answers remembered at once.
const MOST: usize = 8192;

/// An answer that was given lately.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) live: Arc<Live>,
    pub(super) demand: Demand,
    /// When it ended.
    pub(super) at: Duration,
}

/// The answers of the last minute, by what was asked.
///
/// Only the first repetition within a minute says something. A program that sends
/// the same again and again (a probe, a load test) is not complaining.
#[derive(Debug, Default)]
pub(super) struct Lately {
    given: HashMap<u64, (Option<Given>, Duration)>,
    order: VecDeque<(u64, Duration)>,
}

impl Lately {
    /// An answer to `prefix` was given, to a request that arrived at `arrived`.
    /// Returns the answer of before with which the caller was not content.
    pub(super) fn answered(&mut self, prefix: u64, arrived: Duration, given: Given) -> Option<Given> {
        let now = given.at;
        self.forget(now);
        self.order.push_back((prefix, now));
        let Some((before, seen)) = self.given.get_mut(&prefix) else {
            self.given.insert(prefix, (Some(given), now));
            return None;
        };
        let soon = arrived.saturating_sub(*seen) <= SOON;
        *seen = now;
        if !soon {
            *before = Some(given);
            return None;
        }
        // Several at once are samples, not repetitions.
        before.take().filter(|before| arrived >= before.at)
    }

    fn forget(&mut self, now: Duration) {
        while let Some((prefix, at)) = self.order.front().copied() {
            if self.order.len() < MOST && now.saturating_sub(at) <= SOON {
                return;
            }
            self.order.pop_front();
            if self.given.get(&prefix).is_some_and(|(_, seen)| *seen == at) {
                self.given.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::CircuitSettings;

    fn at(second: u64) -> Given {
        let live = Arc::new(Live::new(CircuitSettings::default(), Arc::default(), 1));
        Given { live, demand: Demand::Plain, at: Duration::from_secs(second) }
    }

    fn asks(lately: &mut Lately, prefix: u64, arrived: u64, ended: u64) -> bool {
        lately.answered(prefix, Duration::from_secs(arrived), at(ended)).is_some()
    }

    #[test]
    fn who_asks_again_soon_was_not_content() {
        let mut lately = Lately::default();
        assert!(!asks(&mut lately, 1, 0, 5));
        assert!(!asks(&mut lately, 2, 6, 7), "something else");
        assert!(asks(&mut lately, 1, 10, 12));
        assert!(!asks(&mut lately, 1, 13, 14) && !asks(&mut lately, 1, 15, 16), "a program");
        assert!(!asks(&mut lately, 2, 100, 101), "long after");
    }

    #[test]
    fn several_at_once_are_samples() {
        let mut lately = Lately::default();
        assert!(!asks(&mut lately, 1, 0, 5));
        assert!(!asks(&mut lately, 1, 1, 6));
    }

    #[test]
    fn no_more_is_remembered_than_is_allowed() {
        let mut lately = Lately::default();
        for prefix in 0..20_000 {
            asks(&mut lately, prefix, 1, 1);
        }
        assert!(lately.given.len() <= MOST && lately.order.len() <= MOST);
        asks(&mut lately, 1, 1000, 1000);
        assert_eq!(lately.given.len(), 1);
    }
}
