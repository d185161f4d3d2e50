//! Rates and numbers of requests: per minute, and at once.
//!
//! Each limit is a bucket that fills evenly and holds one minute's worth: short
//! bursts pass, and over any long time the rate holds. (Within the first minute
//! up to twice the limit can pass, as with the providers' own limits.)

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

/// What is left of one bucket, as callers are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// The limit per minute.
    pub most: u32,
    /// What is left of it.
    pub left: u32,
    /// Until it is full again.
    pub reset: Duration,
}

/// What has been used of an account's limits. Outlives changes of the limits.
#[derive(Debug, Default)]
struct Used {
    /// Requests and tokens that are missing in the buckets.
    requests: f64,
    tokens: f64,
    /// When that was so.
    at: Duration,
    running: u32,
}

/// One account's limits. Clones share what has been used.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    /// What is allowed.
    pub allowed: Allowed,
    used: Arc<Mutex<Used>>,
}

/// Seconds in which a bucket fills.
const MINUTE: f64 = 60.0;

impl Limiter {
    /// The same account with other limits.
    #[must_use]
    pub fn with(&self, allowed: Allowed) -> Limiter {
        Limiter { allowed, used: Arc::clone(&self.used) }
    }

    /// What is missing in the buckets at `now`, which may lie a little back.
    fn used(&self, now: Duration) -> MutexGuard<'_, Used> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_sub(used.at).as_secs_f64();
        used.at = used.at.max(now);
        let filled = |most: Option<u32>| most.map_or(f64::MAX, |most| elapsed * f64::from(most) / MINUTE);
        used.requests = (used.requests - filled(self.allowed.requests)).max(0.0);
        used.tokens = (used.tokens - filled(self.allowed.tokens)).max(0.0);
        used
    }

    /// Lets a request of `tokens` begin, or says why not. A request with more
    /// tokens than a minute allows passes a full bucket.
    ///
    /// # Errors
    /// With the limit that was met; then nothing is used.
    pub fn begin(&self, tokens: u32, now: Duration) -> Result<(), Limited> {
        let mut used = self.used(now);
        if let Some(most) = self.allowed.at_once.filter(|most| used.running >= *most) {
            return Err(Limited { limit: Limit::AtOnce, most, wait: Duration::from_secs(1) });
        }
        let asked = [
            (Limit::Requests, self.allowed.requests, used.requests, 1.0),
            (Limit::Tokens, self.allowed.tokens, used.tokens, f64::from(tokens)),
        ];
        for (limit, most, missing, more) in asked {
            let Some(most) = most else { continue };
            let over = missing + more.min(f64::from(most)) - f64::from(most);
            // Less than a millionth is the rounding of fractions.
            if most == 0 || over > 1e-6 {
                let wait = match most {
                    0 => Duration::from_secs(60),
                    most => Duration::from_secs_f64(over * MINUTE / f64::from(most)),
                };
                return Err(Limited { limit, most, wait });
            }
        }
        used.requests += 1.0;
        used.tokens += f64::from(tokens);
        used.running += 1;
        Ok(())
    }

    /// A request that began ends; it had `counted` tokens, of which `consumed`
    /// were consumed.
    pub fn end(&self, counted: u32, consumed: u64, now: Duration) {
        let mut used = self.used(now);
        used.running = used.running.saturating_sub(1);
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let back = f64::from(counted) - consumed as f64;
        used.tokens = (used.tokens - back).max(0.0);
    }

    /// A request that began did not take place after all.
    pub fn undo(&self, counted: u32, now: Duration) {
        let mut used = self.used(now);
        used.running = used.running.saturating_sub(1);
        used.requests = (used.requests - 1.0).max(0.0);
        used.tokens = (used.tokens - f64::from(counted)).max(0.0);
    }

    /// What is left of requests and of tokens, where they are limited.
    #[must_use]
    pub fn left(&self, now: Duration) -> [Option<Left>; 2] {
        let used = self.used(now);
        let left = |most: Option<u32>, missing: f64| {
            let most = most?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast saturates"
            )]
            let left = (f64::from(most) - missing + 1e-6).floor() as u32;
            let reset = if most == 0 { MINUTE } else { missing * MINUTE / f64::from(most) };
            Some(Left { most, left, reset: Duration::from_secs_f64(reset) })
        };
        [left(self.allowed.requests, used.requests), left(self.allowed.tokens, used.tokens)]
    }
}

/// Lets a request begin at every account of a path, or at none.
///
/// # Errors
/// With the limit that was met, and whose it is by its place in the path.
pub fn begin(path: &[Limiter], tokens: u32, now: Duration) -> Result<(), (usize, Limited)> {
    for (place, limiter) in path.iter().enumerate() {
        if let Err(limited) = limiter.begin(tokens, now) {
            for before in path.iter().take(place) {
                before.undo(tokens, now);
            }
            return Err((place, limited));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn limiter(requests: Option<u32>, tokens: Option<u32>, at_once: Option<u32>) -> Limiter {
        Limiter::default().with(Allowed { requests, tokens, at_once })
    }

    #[test]
    fn a_minutes_worth_passes_and_then_the_rate_holds() {
        let limiter = limiter(Some(6), None, None);
        let served = (0..10).filter(|_| limiter.begin(0, NOW).is_ok()).count();
        assert_eq!(served, 6);
        let refused = limiter.begin(0, NOW).unwrap_err();
        assert_eq!((refused.limit, refused.wait), (Limit::Requests, Duration::from_secs(10)));
        assert!(limiter.begin(0, NOW + refused.wait).is_ok(), "after the wait it is told");
        assert!(limiter.begin(0, NOW + refused.wait).is_err());
        assert!(limiter.begin(0, NOW).is_err(), "a clock that goes back fills nothing");
        assert_eq!(limiter.left(NOW + Duration::from_secs(3600))[0].unwrap().left, 6);
    }

    #[test]
    fn tokens_that_were_not_consumed_come_back() {
        let limiter = limiter(None, Some(1_000), None);
        assert!(limiter.begin(900, NOW).is_ok());
        assert_eq!(limiter.begin(200, NOW).unwrap_err().limit, Limit::Tokens);
        limiter.end(900, 100, NOW);
        assert!(limiter.begin(900, NOW).is_ok());
        let large = super::tests::limiter(None, Some(1_000), None);
        assert!(large.begin(5_000, NOW).is_ok(), "a full bucket lets one large request pass");
        assert_eq!(large.begin(1, NOW).unwrap_err().wait, Duration::from_secs_f64(4_001.0 * 60.0 / 1_000.0));
    }

    #[test]
    fn a_path_is_all_or_nothing() {
        let path = [limiter(Some(5), None, None), limiter(None, None, Some(1))];
        assert!(begin(&path, 0, NOW).is_ok());
        let (place, limited) = begin(&path, 0, NOW).unwrap_err();
        assert_eq!((place, limited.limit), (1, Limit::AtOnce));
        assert_eq!(path[0].left(NOW)[0].unwrap().left, 4, "the first was undone");
        for limiter in &path {
            limiter.end(0, 0, NOW);
        }
        assert!(begin(&path, 0, NOW).is_ok());
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_pass() {
        assert!(limiter(Some(0), None, None).begin(0, NOW).is_err());
        assert!(limiter(None, None, Some(0)).begin(0, NOW).is_err());
    }
}
