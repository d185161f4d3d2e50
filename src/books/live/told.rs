//! What an endpoint, its bills and others tell of it.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::Live;
use crate::books::headroom::Allowed;
use crate::books::pace::Usual;
use crate::books::published::Figures;
use crate::books::sketch::{Measured, Times};
use crate::units::Usage;

impl Live {
    /// An answer was billed as `usage`, and this endpoint had lately read `share`
    /// of its prompt (0..1).
    pub fn learn_kept(&self, share: f64, usage: &Usage) {
        self.change().keeping.learn(share, usage);
    }

    /// An answer that came at `now` said what the limits leave.
    pub fn told_headroom(&self, allowed: Allowed, now: Duration) {
        self.change().headroom.told(allowed, now);
    }

    /// The commonest failure of late, as its label.
    #[must_use]
    pub fn commonest_failure(&self) -> Option<&'static str> {
        self.lock().failures.commonest()
    }

    /// How long answers took in the last minutes.
    #[must_use]
    pub fn measured(&self, now: Duration) -> Measured {
        self.times().measured(now)
    }

    pub(super) fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody published about this endpoint, over some time that ended `age`
    /// before `now`. To be told once of each such time.
    pub fn publish(&self, figures: &Figures, age: Duration, now: Duration) {
        let mut state = self.change();
        state.pace.publish(figures.ttft_seconds, figures.itl_seconds, age, now);
        if let Some(uptime) = figures.uptime {
            state.failures.publish(uptime, age, now);
        }
    }

    /// What is usual of its times, as far as anything is known.
    #[must_use]
    pub fn usual(&self) -> Usual {
        self.lock().pace.usual()
    }

    /// Assumes that of the times of which nothing is known.
    pub fn assume(&self, usual: Usual) {
        self.change().pace.assume(usual);
    }

    /// Whether nothing is known of its times: neither measured nor published.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.lock().pace.is_unknown()
    }
}
