//! Rates and numbers of requests: per minute, and at once.
//!
//! A limit per minute is one of *every* minute: within no 60 seconds, wherever they
//! begin, does more than the limit pass. (A bucket that fills evenly lets up to
//! twice as much pass in the first minute.) What began is kept by the second, for
//! 61 of them, so that the second in which it began is over when it is forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Requests per minute.
    pub requests: Option<u32>,
    /// Tokens per minute.
    pub tokens: Option<u32>,
    /// Requests at once.
    pub at_once: Option<u32>,
}

/// What a slot counts of a limit.
type Part = fn(&Slot) -> u64;

impl Allowed {
    /// Whether there is no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Allowed::default()
    }
}

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Requests at once.
    AtOnce,
}

impl Limit {
    /// In words, for callers.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Limit::Requests => "requests per minute",
            Limit::Tokens => "tokens per minute",
            Limit::AtOnce => "requests at once",
        }
    }
}

/// A limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which.
    pub limit: Limit,
    /// What it is.
    pub most: u32,
    /// When the request would pass.
    pub wait: Duration,
}

/// What is left of one limit, as callers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The limit per minute.
    pub most: u32,
    /// What is left of it.
    pub left: u32,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// What a request that began was counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its tokens, as they were known then.
    pub tokens: u32,
    /// The second in which it began.
    second: u64,
}

/// What began within one second.
#[derive(Debug, Clone, Copy)]
struct Slot {
    second: u64,
    requests: u64,
    tokens: u64,
}

/// What has been used of an account's limits. Outlives changes of the limits.
#[derive(Debug, Default)]
struct Used {
    /// By second, oldest first; seconds in which nothing began are not there.
    slots: VecDeque<Slot>,
    /// The sums of all slots.
    requests: u64,
    tokens: u64,
    running: u32,
}

/// One account's limits. Clones share what has been used.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    /// What is allowed.
    pub allowed: Allowed,
    used: Arc<Mutex<Used>>,
}

/// Seconds for which a slot counts: a minute, and the second it is itself.
const KEPT: u64 = 61;

impl Used {
    /// Forgets what is over.
    fn advance(&mut self, now: Duration) {
        while let Some(first) = self.slots.front().filter(|slot| slot.second + KEPT <= now.as_secs()) {
            self.requests = self.requests.saturating_sub(first.requests);
            self.tokens = self.tokens.saturating_sub(first.tokens);
            self.slots.pop_front();
        }
    }

    /// The slot of `now`. A clock that went back is taken to stand still.
    fn slot(&mut self, now: Duration) -> Option<&mut Slot> {
        let second = now.as_secs();
        if self.slots.back().is_none_or(|last| last.second < second) {
            self.slots.push_back(Slot { second, requests: 0, tokens: 0 });
        }
        self.slots.back_mut()
    }

    fn add(&mut self, requests: u64, tokens: u64, now: Duration) -> u64 {
        self.requests += requests;
        self.tokens = self.tokens.saturating_add(tokens);
        let Some(slot) = self.slot(now) else { return now.as_secs() };
        slot.requests += requests;
        slot.tokens = slot.tokens.saturating_add(tokens);
        slot.second
    }

    /// Takes back from the slot it was counted in, as long as that counts.
    fn take_back(&mut self, requests: u64, tokens: u64, second: u64) {
        let Some(slot) = self.slots.iter_mut().rev().find(|slot| slot.second == second) else { return };
        let (requests, tokens) = (requests.min(slot.requests), tokens.min(slot.tokens));
        slot.requests -= requests;
        slot.tokens -= tokens;
        self.requests = self.requests.saturating_sub(requests);
        self.tokens = self.tokens.saturating_sub(tokens);
    }

    /// Until `over` of what `part` picks is forgotten.
    fn wait(&self, over: u64, part: fn(&Slot) -> u64, now: Duration) -> Duration {
        let mut freed = 0_u64;
        let last = self.slots.iter().find(|slot| {
            freed = freed.saturating_add(part(slot));
            freed >= over
        });
        let second = last.or(self.slots.back()).map_or(now.as_secs(), |slot| slot.second);
        Duration::from_secs(second + KEPT).saturating_sub(now)
    }
}

impl Limiter {
    /// The same account with other limits.
    #[must_use]
    pub fn with(&self, allowed: Allowed) -> Limiter {
        Limiter { allowed, used: Arc::clone(&self.used) }
    }

    fn used(&self, now: Duration) -> MutexGuard<'_, Used> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.advance(now);
        used
    }

    /// Lets a request of `tokens` begin, or says why not. A request with more
    /// tokens than a minute allows passes when nothing else has been used.
    ///
    /// # Errors
    /// With the limit that was met; then nothing is used.
    pub fn begin(&self, tokens: u32, now: Duration) -> Result<Counted, Limited> {
        let mut used = self.used(now);
        if let Some(most) = self.allowed.at_once.filter(|most| used.running >= *most) {
            return Err(Limited { limit: Limit::AtOnce, most, wait: Duration::from_secs(1) });
        }
        let asked: [(_, _, _, _, Part); 2] = [
            (Limit::Requests, self.allowed.requests, used.requests, 1, |slot| slot.requests),
            (Limit::Tokens, self.allowed.tokens, used.tokens, tokens, |slot| slot.tokens),
        ];
        for (limit, most, before, more, part) in asked {
            let Some(most) = most else { continue };
            let over = before.saturating_add(more.min(most).into()).saturating_sub(most.into());
            if most == 0 {
                return Err(Limited { limit, most, wait: Duration::from_secs(KEPT) });
            }
            if over > 0 {
                return Err(Limited { limit, most, wait: used.wait(over, part, now) });
            }
        }
        let second = used.add(1, tokens.into(), now);
        used.running += 1;
        Ok(Counted { tokens, second })
    }

    /// A request that began ends, having consumed so many tokens. What it did not
    /// consume is given back to the second in which it began; what it consumed
    /// beyond that counts now.
    pub fn end(&self, counted: Counted, consumed: u64, now: Duration) {
        let mut used = self.used(now);
        used.running = used.running.saturating_sub(1);
        let before = u64::from(counted.tokens);
        used.take_back(0, before.saturating_sub(consumed), counted.second);
        let more = consumed.saturating_sub(before);
        if more > 0 {
            used.add(0, more, now);
        }
    }

    /// A request that began did not take place after all.
    fn undo(&self, counted: Counted, now: Duration) {
        let mut used = self.used(now);
        used.running = used.running.saturating_sub(1);
        used.take_back(1, counted.tokens.into(), counted.second);
    }

    /// What is left of requests and of tokens, where they are limited.
    #[must_use]
    pub fn left(&self, now: Duration) -> [Option<Left>; 2] {
        let used = self.used(now);
        let left = |most: Option<u32>, before: u64, part: fn(&Slot) -> u64| {
            let most = most?;
            let left = u64::from(most).saturating_sub(before);
            let reset = if before == 0 { Duration::ZERO } else { used.wait(before, part, now) };
            Some(Left { most, left: u32::try_from(left).unwrap_or(most), reset })
        };
        [
            left(self.allowed.requests, used.requests, |slot| slot.requests),
            left(self.allowed.tokens, used.tokens, |slot| slot.tokens),
        ]
    }
}

/// Lets a request begin at every account of a path, or at none. What it was
/// counted as at each is in the path's order.
///
/// # Errors
/// With the limit that was met, and whose it is by its place in the path.
pub fn begin(path: &[Limiter], tokens: u32, now: Duration) -> Result<Vec<Counted>, (usize, Limited)> {
    let mut counted = Vec::with_capacity(path.len());
    for (place, limiter) in path.iter().enumerate() {
        match limiter.begin(tokens, now) {
            Ok(one) => counted.push(one),
            Err(limited) => {
                for (before, one) in path.iter().zip(counted) {
                    before.undo(one, now);
                }
                return Err((place, limited));
            }
        }
    }
    Ok(counted)
}

/// The request that [`begin`] counted as `counted` has ended.
pub fn end(path: &[Limiter], counted: &[Counted], consumed: u64, now: Duration) {
    for (limiter, counted) in path.iter().zip(counted) {
        limiter.end(*counted, consumed, now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(requests: Option<u32>, tokens: Option<u32>, at_once: Option<u32>) -> Limiter {
        Limiter::default().with(Allowed { requests, tokens, at_once })
    }

    #[test]
    fn a_minutes_worth_passes_and_then_the_rate_holds() {
        let limiter = limiter(Some(6), None, None);
        let served = (0..10).filter(|_| limiter.begin(0, NOW).is_ok()).count();
        assert_eq!(served, 6);
        let refused = limiter.begin(0, NOW + SECOND).unwrap_err();
        assert_eq!((refused.limit, refused.wait), (Limit::Requests, SECOND * 60));
        assert!(limiter.begin(0, NOW + SECOND * 60).is_err(), "not within the minute");
        let after = NOW + SECOND + refused.wait;
        assert!(limiter.begin(0, after).is_ok(), "after the wait it is told");
        assert!(limiter.begin(0, NOW).is_ok(), "a clock that goes back forgets nothing");
        assert_eq!(limiter.left(after)[0], Some(Left { most: 6, left: 4, reset: SECOND * 61 }));
        assert_eq!(limiter.left(after * 2)[0], Some(Left { most: 6, left: 6, reset: Duration::ZERO }));
    }

    #[test]
    fn tokens_that_were_not_consumed_come_back() {
        let limiter = limiter(None, Some(1_000), None);
        let counted = limiter.begin(900, NOW).unwrap();
        assert_eq!(limiter.begin(200, NOW).unwrap_err().limit, Limit::Tokens);
        limiter.end(counted, 100, NOW + SECOND * 5);
        let counted = limiter.begin(900, NOW).unwrap();
        limiter.end(counted, 1_400, NOW + SECOND * 50);
        let refused = limiter.begin(501, NOW + SECOND * 70).unwrap_err();
        assert_eq!(limiter.left(NOW + SECOND * 70)[1].unwrap().left, 500, "what came late counts late");
        assert_eq!(refused.limit, Limit::Tokens);
    }

    #[test]
    fn one_request_beyond_the_limit_passes_when_nothing_was_used() {
        let large = limiter(None, Some(1_000), None);
        assert!(large.begin(5_000, NOW).is_ok());
        assert_eq!(large.begin(1, NOW).unwrap_err().wait, SECOND * 61);
    }

    #[test]
    fn a_path_is_all_or_nothing() {
        let path = [limiter(Some(5), None, None), limiter(None, None, Some(1))];
        let counted = begin(&path, 0, NOW).unwrap();
        let (place, limited) = begin(&path, 0, NOW).unwrap_err();
        assert_eq!((place, limited.limit), (1, Limit::AtOnce));
        assert_eq!(path[0].left(NOW)[0].unwrap().left, 4, "the first was undone");
        end(&path, &counted, 0, NOW);
        assert!(begin(&path, 0, NOW).is_ok());
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_pass() {
        assert!(limiter(Some(0), None, None).begin(0, NOW).is_err());
        assert!(limiter(None, None, Some(0)).begin(0, NOW).is_err());
    }

    proptest! {
        /// In milliseconds: when requests come, and how many tokens each has.
        #[test]
        fn no_minute_sees_more_than_the_limit_and_waits_are_honest(
            arrivals in prop::collection::vec((0..8_000_u64, 1..60_u32), 1..200),
        ) {
            let limiter = limiter(Some(7), Some(200), None);
            let (mut at, mut passed) = (0, Vec::new());
            for (gap, tokens) in arrivals {
                at += gap;
                let now = Duration::from_millis(at);
                match limiter.begin(tokens, now) {
                    Ok(_) => passed.push((at, tokens)),
                    Err(limited) => {
                        // Requests and tokens may make it wait in turn, no more.
                        at += u64::try_from(limited.wait.as_millis()).unwrap() + 1;
                        let again = limiter.begin(tokens, Duration::from_millis(at));
                        if let Err(other) = again {
                            prop_assert_ne!(other.limit, limited.limit);
                        } else {
                            passed.push((at, tokens));
                        }
                    }
                }
            }
            for (first, _) in &passed {
                let within: Vec<_> = passed.iter().filter(|(at, _)| (*first..=first + 60_000).contains(at)).collect();
                prop_assert!(within.len() <= 7, "{within:?}");
                prop_assert!(within.iter().map(|(_, tokens)| tokens).sum::<u32>() <= 200, "{within:?}");
            }
        }
    }
}
