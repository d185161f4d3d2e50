//! Who is tried next, and whether there may be a next at all.
//!
//! Retries are paid from a budget, not counted per request: when an upstream
//! fails rarely every failure is retried, and when everything fails the load on
//! the upstreams grows by a fifth instead of fourfold.

use std::collections::VecDeque;
use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};

use crate::outcome::{Failure, Next};

/// How attempts are limited (defaults in `docs/configuration.md`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrySettings {
    /// Attempts per request in all (4).
    pub attempts: u32,
    /// Extra attempts as a share of requests (0.2).
    pub budget: f32,
    /// Extra attempts that are always allowed, per second (3).
    pub min_per_second: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        RetrySettings { attempts: 4, budget: 0.2, min_per_second: 3 }
    }
}

/// Requests of the last ten seconds pay for extra attempts.
const WINDOW: Duration = Duration::from_secs(10);

/// The budget of extra attempts, shared by all requests.
#[derive(Debug)]
pub struct RetryBudget(TpsBudget);

impl RetryBudget {
    /// A full budget.
    #[must_use]
    pub fn new(settings: &RetrySettings) -> Self {
        RetryBudget(TpsBudget::new(WINDOW, settings.min_per_second, settings.budget))
    }

    /// A request came: it pays for a share of an extra attempt.
    pub fn deposit(&self) {
        self.0.deposit();
    }

    /// Whether an extra attempt is allowed after this failure. What was never
    /// sent cost nobody anything, so the attempt after it is free.
    #[must_use]
    pub fn allows(&self, after: &Failure) -> bool {
        after.was_never_sent() || self.0.withdraw()
    }
}

/// How a step of the plan relates to those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first attempt of the request.
    First,
    /// Another candidate.
    Fallback,
    /// The same candidate again.
    Retry,
}

/// The order of attempts of one request: every candidate once, best first; then
/// those again whose failure may have been bad luck; then those whose circuit
/// refused them, for asking somebody unwell is better than asking nobody.
#[derive(Debug)]
pub struct Plan {
    candidates: usize,
    position: usize,
    again: VecDeque<usize>,
    refused: VecDeque<usize>,
    tried: Vec<usize>,
}

/// One step of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which candidate, in the order of the decision.
    pub candidate: usize,
    /// How it relates to the steps before.
    pub kind: Kind,
    /// Whether its circuit has no say any more.
    pub forced: bool,
}

impl Plan {
    /// A plan over candidates `0..candidates`.
    #[must_use]
    pub fn new(candidates: usize) -> Self {
        Plan { candidates, position: 0, again: VecDeque::new(), refused: VecDeque::new(), tried: Vec::new() }
    }

    /// The next candidate to try, and what that is.
    pub fn step(&mut self) -> Option<Step> {
        let (candidate, forced) = if self.position < self.candidates {
            self.position += 1;
            (self.position - 1, false)
        } else if let Some(again) = self.again.pop_front() {
            (again, false)
        } else {
            (self.refused.pop_front()?, true)
        };
        let kind = match self.tried.is_empty() {
            true => Kind::First,
            false if self.tried.contains(&candidate) => Kind::Retry,
            false => Kind::Fallback,
        };
        Some(Step { candidate, kind, forced })
    }

    /// The candidate's circuit let nobody through.
    pub fn refused(&mut self, candidate: usize) {
        self.refused.push_back(candidate);
    }

    /// The candidate was tried and failed.
    pub fn failed(&mut self, candidate: usize, failure: &Failure) {
        self.tried.push(candidate);
        if failure.next() == Next::Again {
            self.again.push_back(candidate);
        }
    }
}

/// How long to wait before attempt `number` (from 2) at an endpoint that failed
/// a moment ago: full jitter over 50 ms to 500 ms, growing.
/// `random` is uniform in 0..1.
#[must_use]
pub fn backoff(number: u32, random: f64) -> Duration {
    let ceiling = (0.1 * f64::from(1_u32 << number.min(4))).min(0.5);
    Duration::from_secs_f64(0.05 + (ceiling - 0.05) * random)
}

/// Of several failures the one that tells the caller most: what is wrong with
/// the request before what is wrong with the world, and a rate limit only when
/// that is all there was.
#[must_use]
pub fn worst(failures: Vec<Failure>) -> Option<Failure> {
    let shortest = failures.iter().filter_map(Failure::retry_after).min();
    let chosen =
        failures.into_iter().reduce(|best, next| if rank(&next) >= rank(&best) { next } else { best })?;
    Some(match chosen {
        Failure::RateLimited { .. } => Failure::RateLimited { retry_after: shortest },
        Failure::Overloaded { .. } => Failure::Overloaded { retry_after: shortest },
        other => other,
    })
}

fn rank(failure: &Failure) -> u8 {
    match failure {
        Failure::Refused(_)
        | Failure::ContentFilter { .. }
        | Failure::CallerGone
        | Failure::ShuttingDown
        | Failure::OutOfTime => 5,
        Failure::ContextLength { .. } | Failure::OverBudget(_) | Failure::LedgerUnavailable => 4,
        Failure::Unsupported { .. } => 0,
        Failure::QuotaExhausted | Failure::RateLimited { .. } => 1,
        Failure::Key { .. } | Failure::NotFound => 2,
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
        | Failure::Protocol { .. } => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(candidates: usize, failure: &Failure) -> Vec<(usize, Kind)> {
        let mut plan = Plan::new(candidates);
        let mut steps = Vec::new();
        while let Some(step) = plan.step() {
            steps.push((step.candidate, step.kind));
            if steps.len() == 5 {
                break;
            }
            plan.failed(step.candidate, failure);
        }
        steps
    }

    #[test]
    fn everyone_once_then_again_who_may() {
        use Kind::*;
        let luck = Failure::Server { status: 500 };
        assert_eq!(steps(2, &luck), [(0, First), (1, Fallback), (0, Retry), (1, Retry), (0, Retry)]);
        assert_eq!(steps(1, &luck), [(0, First), (0, Retry), (0, Retry), (0, Retry), (0, Retry)]);
        let hopeless = Failure::RateLimited { retry_after: None };
        assert_eq!(steps(2, &hopeless), [(0, First), (1, Fallback)]);
    }

    #[test]
    fn who_was_refused_comes_last_and_is_forced() {
        let mut plan = Plan::new(2);
        let refused = plan.step().unwrap().candidate;
        plan.refused(refused);
        assert_eq!(plan.step(), Some(Step { candidate: 1, kind: Kind::First, forced: false }));
        plan.failed(1, &Failure::Connect);
        assert_eq!(plan.step(), Some(Step { candidate: 1, kind: Kind::Retry, forced: false }));
        plan.failed(1, &Failure::Tls);
        assert_eq!(plan.step(), Some(Step { candidate: 0, kind: Kind::Fallback, forced: true }));
        assert_eq!(plan.step(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_bounds_extra_attempts() {
        let budget = RetryBudget::new(&RetrySettings { min_per_second: 0, ..RetrySettings::default() });
        for _ in 0..100 {
            budget.deposit();
        }
        let sent = Failure::Server { status: 500 };
        let allowed = (0..100).filter(|_| budget.allows(&sent)).count();
        assert!((19..=21).contains(&allowed), "{allowed}");
        assert!(budget.allows(&Failure::Connect), "what was never sent is free");
    }

    #[test]
    fn waits_grow_and_stay_in_bounds() {
        assert_eq!(backoff(2, 0.0), Duration::from_millis(50));
        assert!(backoff(2, 1.0) < backoff(3, 1.0));
        assert_eq!(backoff(31, 1.0), Duration::from_millis(500));
    }

    #[test]
    fn the_caller_hears_of_what_it_can_change() {
        let limited = |seconds| Failure::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(worst(vec![limited(9), limited(3)]), Some(limited(3)));
        assert_eq!(worst(vec![limited(9), Failure::Connect]), Some(Failure::Connect));
        let long = Failure::ContextLength { message: String::new() };
        assert_eq!(worst(vec![long.clone(), Failure::Connect]), Some(long));
        assert_eq!(worst(Vec::new()), None);
    }
}
