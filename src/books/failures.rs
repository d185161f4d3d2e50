//! How often attempts at an endpoint fail lately, why, and how long that takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stats::faded;
use crate::outcome::Failure;

/// Seconds after which a failure or a success counts half: health changes
/// faster than speed (a quarter of the half-life of times).
const HALF_LIFE: f64 = 450.0;
/// Share of failures assumed of an endpoint nobody has tried.
const ASSUMED_SHARE: f64 = 0.01;
/// Seconds a failure is assumed to take.
const ASSUMED_SECONDS: f64 = 3.0;
/// How many attempts the assumptions are worth.
const ASSUMED_ATTEMPTS: f64 = 2.0;
/// How many attempts a published share of successes is worth: others' requests are
/// not ours, and a share is known of many of them.
const PUBLISHED_ATTEMPTS: f64 = 10.0;

/// What a failure says about its endpoint: which part of its state learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: the caller, the prompt or we ourselves caused it.
    Nobody,
    /// The endpoint is unwell: its circuit counts it.
    Health,
    /// It wants fewer requests: it rests.
    Rate,
    /// The account is exhausted: it rests long.
    Quota,
    /// Our credential was refused: it rests long.
    Key,
}

/// What a failure says about its endpoint.
#[must_use]
pub fn blame(failure: &Failure) -> Blame {
    match failure {
        Failure::Connect
        | Failure::Dns
        | Failure::Tls
        | Failure::ConnectTimeout
        | Failure::Closed
        | Failure::FirstContentTimeout
        | Failure::Stalled
        | Failure::Truncated
        | Failure::Overloaded { .. }
        | Failure::Server { .. }
        | Failure::NotFound
        | Failure::Protocol { .. } => Blame::Health,
        Failure::RateLimited { .. } => Blame::Rate,
        Failure::QuotaExhausted => Blame::Quota,
        Failure::Key { .. } => Blame::Key,
        Failure::Refused(_)
        | Failure::ContextLength { .. }
        | Failure::ContentFilter { .. }
        | Failure::Unsupported { .. }
        | Failure::CallerGone
        | Failure::OverBudget(_)
        | Failure::LedgerUnavailable
        | Failure::ShuttingDown
        | Failure::OutOfTime => Blame::Nobody,
    }
}

/// Discounted counts of successes and failures.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Failures {
    good: f64,
    bad: f64,
    /// Seconds that the failures took together.
    seconds: f64,
    /// Failures by their position in [`Failure::LABELS`].
    by_label: [f64; Failure::LABELS.len()],
    at: Duration,
}

/// How likely and how costly a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Risk {
    /// Probability that an attempt fails, within 0..1.
    pub share: f64,
    /// Mean seconds until a failure is noticed.
    pub seconds: f64,
    /// Attempts behind it, discounted.
    pub attempts: f64,
}

impl Failures {
    /// What to expect at `now`.
    #[must_use]
    pub fn risk(&self, now: Duration) -> Risk {
        let fade = faded(self.at, now, HALF_LIFE);
        let failures = self.bad * fade;
        let attempts = failures + self.good * fade;
        Risk {
            share: (failures + ASSUMED_SHARE * ASSUMED_ATTEMPTS) / (attempts + ASSUMED_ATTEMPTS),
            seconds: (self.seconds * fade + ASSUMED_SECONDS * ASSUMED_ATTEMPTS)
                / (failures + ASSUMED_ATTEMPTS),
            attempts,
        }
    }

    /// An attempt ended properly.
    pub fn succeeded(&mut self, now: Duration) {
        self.fade(now);
        self.good += 1.0;
    }

    /// An attempt failed after `seconds`.
    pub fn failed(&mut self, failure: &Failure, seconds: f64, now: Duration) {
        self.fade(now);
        self.bad += 1.0;
        self.seconds += if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
        if let Some(count) = self.by_label.get_mut(failure.index()) {
            *count += 1.0;
        }
    }

    /// Somebody published that `uptime` (0..1) of the attempts succeeded, over some
    /// time that ended `age` ago.
    pub fn publish(&mut self, uptime: f64, age: Duration, now: Duration) {
        self.fade(now);
        let attempts = PUBLISHED_ATTEMPTS * faded(Duration::ZERO, age, HALF_LIFE);
        let bad = attempts * (1.0 - uptime.clamp(0.0, 1.0));
        self.good += attempts - bad;
        self.bad += bad;
        self.seconds += bad * ASSUMED_SECONDS;
    }

    /// The circuit has opened: it keeps requests away from now on, and lets one
    /// through to see whether all is well. Counting the same failures in the
    /// score as well would keep them away long after that.
    pub fn forgive(&mut self) {
        self.bad = 0.0;
        self.seconds = 0.0;
    }

    /// The commonest failure of late, as its label.
    #[must_use]
    pub fn commonest(&self) -> Option<&'static str> {
        let most = self.by_label.iter().zip(Failure::LABELS).max_by(|a, b| a.0.total_cmp(b.0))?;
        (*most.0 > 0.0).then_some(most.1)
    }

    fn fade(&mut self, now: Duration) {
        let now = now.max(self.at);
        self.shift(now, now);
    }

    /// Lets everything fade until `until`, and calls that moment `at`.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        let fade = faded(self.at, until, HALF_LIFE);
        self.good *= fade;
        self.bad *= fade;
        self.seconds *= fade;
        self.by_label = self.by_label.map(|count| count * fade);
        self.at = at;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: Duration = Duration::from_secs(100);

    #[test]
    fn failures_fade_and_are_forgiven() {
        let mut failures = Failures::default();
        for _ in 0..20 {
            failures.failed(&Failure::Connect, 0.1, AT);
        }
        let now = failures.risk(AT);
        assert!(now.share > 0.9 && now.seconds < 0.5, "{now:?}");
        assert!(failures.risk(AT * 100).share < 0.05);
        assert_eq!(failures.commonest(), Some("connect"));
        failures.forgive();
        assert!((failures.risk(AT).share - ASSUMED_SHARE).abs() < 1e-12);
    }

    #[test]
    fn blames_as_the_router_does() {
        let health = [Failure::Connect, Failure::NotFound, Failure::Server { status: 500 }];
        assert!(health.iter().all(|failure| blame(failure) == Blame::Health));
        assert_eq!(blame(&Failure::RateLimited { retry_after: None }), Blame::Rate);
        let nobody = Failure::Refused(crate::outcome::Refusal::default());
        assert_eq!((blame(&nobody), nobody.is_endpoints_fault()), (Blame::Nobody, false));
    }

    proptest! {
        #[test]
        fn a_share_is_a_share(events in prop::collection::vec((any::<bool>(), any::<f64>(), any::<u32>()), 0..40)) {
            let mut failures = Failures::default();
            for (ok, seconds, now) in events {
                let now = Duration::from_secs(u64::from(now));
                if ok { failures.succeeded(now) } else { failures.failed(&Failure::Closed, seconds, now) }
                let risk = failures.risk(now);
                prop_assert!(risk.share > 0.0 && risk.share < 1.0 && risk.seconds >= 0.0, "{risk:?}");
            }
        }
    }
}
