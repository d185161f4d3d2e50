//! What an upstream still allows, as it says itself with its answers.
//!
//! Limits are buckets that fill up evenly: what is left now and when the bucket
//! will be full tell what will be left in between.

use std::time::Duration;

/// What an answer said is believed for this long (60 s): a limit of which nothing
/// is left for the rest of the day may be raised, and asking again tells.
const BELIEVED: Duration = Duration::from_secs(60);

/// What is left of one limit, as an answer said it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Allowance {
    /// What is left.
    pub left: f64,
    /// The most there can be, if it was said; else what is left.
    pub most: f64,
    /// Until it is full again.
    pub full_in: Duration,
}

/// What an answer said about both limits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Allowed {
    /// Requests.
    pub requests: Option<Allowance>,
    /// Tokens.
    pub tokens: Option<Allowance>,
}

/// What is left at one moment.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Left {
    /// Requests; `None` where nothing is known.
    pub requests: Option<f64>,
    /// Tokens; likewise. A request that needs more than there ever can be is
    /// taken to need that much.
    pub tokens: Option<f64>,
    /// The most tokens there can be.
    #[serde(skip)]
    pub most_tokens: f64,
    /// When the emptier of the two is full again.
    #[serde(skip)]
    pub until: Duration,
}

impl Left {
    /// Whether a request with so many tokens is let through.
    #[must_use]
    pub fn suffices(&self, tokens: f64) -> bool {
        let least = tokens.min(self.most_tokens);
        self.requests.is_none_or(|left| left >= 1.0)
            && self.tokens.is_none_or(|left| left > 0.0 && left >= least)
    }
}

/// What the latest answer said, and when.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Headroom {
    allowed: Allowed,
    at: Duration,
}

impl Headroom {
    /// An answer that came at `now` said this.
    pub fn told(&mut self, allowed: Allowed, now: Duration) {
        *self = Headroom { allowed, at: now };
    }

    /// Whether the latest answer said that a limit leaves nothing.
    pub(super) fn is_used_up(&self) -> bool {
        [self.allowed.requests, self.allowed.tokens].iter().flatten().any(|one| one.left < 1.0)
    }

    /// What was said last, and when.
    pub(super) fn told_last(&self) -> (Allowed, Duration) {
        (self.allowed, self.at)
    }

    /// What is left at `now`; `None` where nothing is known or all is full again.
    #[must_use]
    pub fn left(&self, now: Duration) -> Option<Left> {
        let since = now.saturating_sub(self.at);
        let open = |allowance: &Allowance| since < allowance.full_in.min(BELIEVED);
        let [requests, tokens] = [self.allowed.requests, self.allowed.tokens].map(|one| one.filter(open));
        let until = [requests, tokens].iter().flatten().map(|one| one.full_in.min(BELIEVED)).max()?;
        Some(Left {
            requests: requests.map(|one| one.after(since)),
            tokens: tokens.map(|one| one.after(since)),
            most_tokens: tokens.map_or(f64::INFINITY, |one| one.most),
            until: self.at + until,
        })
    }
}

impl Allowance {
    fn after(&self, since: Duration) -> f64 {
        let share = since.as_secs_f64() / self.full_in.as_secs_f64().max(1e-9);
        self.left + (self.most - self.left).max(0.0) * share.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_empty_bucket_fills_up() {
        let mut headroom = Headroom::default();
        assert_eq!(headroom.left(SECOND), None);
        let tokens = Some(Allowance { left: 0.0, most: 6000.0, full_in: SECOND * 60 });
        headroom.told(Allowed { tokens, requests: None }, SECOND * 100);
        let suffices = |at, tokens| headroom.left(SECOND * at).is_none_or(|left| left.suffices(tokens));
        assert!(!suffices(101, 1000.0) && suffices(110, 1000.0));
        assert!(!suffices(158, 9e9), "more than there ever is");
        assert!(suffices(160, 9e9), "as much as there ever is");
    }

    #[test]
    fn the_last_request_is_left_alone_until_there_are_more() {
        let mut headroom = Headroom::default();
        let requests = Some(Allowance { left: 0.0, most: 0.0, full_in: SECOND * 10 });
        headroom.told(Allowed { requests, tokens: None }, SECOND);
        let left = headroom.left(SECOND * 10).unwrap();
        assert!(!left.suffices(1.0) && left.until == SECOND * 11);
        assert_eq!(headroom.left(SECOND * 11), None);
        let day = Some(Allowance { left: 0.0, most: 0.0, full_in: SECOND * 86_400 });
        headroom.told(Allowed { requests: day, tokens: None }, SECOND * 20);
        assert_eq!(headroom.left(SECOND * 79).map(|left| left.until), Some(SECOND * 80));
        assert_eq!(headroom.left(SECOND * 80), None, "it is asked again after a while");
    }
}
