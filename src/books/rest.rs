//! Endpoints that are well but must be left alone for a while: too many
//! requests, an exhausted account, a refused credential.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::circuit::{jittered, moment};

/// Why an endpoint rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It asked for fewer requests.
    RateLimit,
    /// The account has no credit or has spent its limit.
    Quota,
    /// It refused our credential.
    Key,
}

/// Until when an endpoint rests, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resting {
    /// Since the process started.
    pub until: Duration,
    /// The reason.
    pub why: Why,
    /// Whether the upstream itself named the time; otherwise it is a guess.
    #[serde(default)]
    pub asked: bool,
}

impl Resting {
    /// Whether asking before its time is certainly in vain: the upstream has said
    /// when it will serve again. An account may have been filled and a credential
    /// accepted in the meantime, and a guess may be wrong; where nobody else is
    /// left, asking such an endpoint is better than asking none.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        matches!(self.why, Why::RateLimit) && self.asked
    }
}

/// How long to rest: the first time and at most. Every further time without a
/// success in between doubles it.
const fn lengths(why: Why) -> (Duration, Duration) {
    match why {
        // The cap is also that of what the upstream itself may ask for.
        Why::RateLimit => (Duration::from_secs(1), Duration::from_secs(60)),
        // Waiting hardly helps, but somebody may pay the bill.
        Why::Quota | Why::Key => (Duration::from_secs(60), Duration::from_secs(15 * 60)),
    }
}

/// The rest of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rest {
    resting: Option<Resting>,
    times: u32,
}

impl Rest {
    /// Until when it rests, if it does at `now`.
    #[must_use]
    pub fn resting(&self, now: Duration) -> Option<Resting> {
        self.resting.filter(|resting| now < resting.until)
    }

    /// It must rest, for as long as it asked for (`asked`) or for a time that
    /// grows. `random` is uniform in 0..1.
    pub fn begin(&mut self, why: Why, asked: Option<Duration>, random: f64, now: Duration) {
        let (first, most) = lengths(why);
        let already = self.resting(now);
        let length = asked.unwrap_or_else(|| {
            // Of a burst that is refused together only the first counts.
            let burst = already.is_some_and(|rest| rest.why == why);
            let times = self.times.saturating_sub(u32::from(burst));
            self.times = times + 1;
            jittered(first.saturating_mul(1_u32 << times.min(20)), random)
        });
        let until = now + length.min(most);
        if already.is_none_or(|resting| resting.until < until) {
            self.resting = Some(Resting { until, why, asked: asked.is_some() });
        }
    }

    /// An attempt ended well: the next rest is as short as the first.
    pub fn succeeded(&mut self) {
        self.times = 0;
    }

    /// The credential is another one now: what was held against the old one is
    /// over.
    pub fn new_credential(&mut self) {
        self.resting = self.resting.filter(|resting| resting.why == Why::RateLimit);
        self.times = 0;
    }

    /// What is to be seen of it in one number: why and whether it was asked for in
    /// four bits, and until when. How often it rested is left out.
    pub(super) fn packed(self) -> u64 {
        self.resting.map_or(0, |Resting { until, why, asked }| {
            let why = match why {
                Why::RateLimit => 1,
                Why::Quota => 2,
                Why::Key => 3,
            };
            moment(until) << 4 | u64::from(asked) << 2 | why
        })
    }

    /// What was packed.
    pub(super) fn unpacked(word: u64) -> Self {
        let why = match word & 3 {
            0 => return Rest::default(),
            1 => Why::RateLimit,
            2 => Why::Quota,
            _ => Why::Key,
        };
        let (until, asked) = (Duration::from_nanos(word >> 4), word & 4 != 0);
        Rest { resting: Some(Resting { until, why, asked }), times: 0 }
    }

    /// Tells times by another clock: what was `until` is now `at`.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        if let Some(resting) = &mut self.resting {
            resting.until = at + resting.until.saturating_sub(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rests_as_long_as_it_is_asked_to_but_not_for_ever() {
        let mut rest = Rest::default();
        rest.begin(Why::RateLimit, Some(SECOND * 7), 0.5, SECOND);
        assert_eq!(
            rest.resting(SECOND * 7),
            Some(Resting { until: SECOND * 8, why: Why::RateLimit, asked: true })
        );
        assert_eq!(rest.resting(SECOND * 8), None);
        rest.begin(Why::RateLimit, Some(SECOND * 4000), 0.5, SECOND * 8);
        assert_eq!(rest.resting(SECOND * 9).map(|resting| resting.until), Some(SECOND * 68));
    }

    #[test]
    fn unasked_rests_double_once_a_burst_until_a_success() {
        let mut rest = Rest::default();
        let mut now = SECOND;
        let mut lasted = Vec::new();
        for _ in 0..8 {
            rest.begin(Why::RateLimit, None, 0.5, now);
            rest.begin(Why::RateLimit, None, 0.5, now);
            let until = rest.resting(now).unwrap().until;
            lasted.push(until.saturating_sub(now).as_secs());
            now = until;
        }
        assert_eq!(lasted, [1, 2, 4, 8, 16, 32, 60, 60]);
        rest.succeeded();
        rest.begin(Why::RateLimit, None, 1.0, now);
        assert_eq!(rest.resting(now).unwrap().until.saturating_sub(now), SECOND.mul_f64(1.2));
    }

    #[test]
    fn only_a_rate_limit_that_named_its_time_is_certain() {
        for (why, asked, certain) in [
            (Why::RateLimit, Some(SECOND), true),
            (Why::RateLimit, None, false),
            (Why::Quota, Some(SECOND), false),
            (Why::Key, None, false),
        ] {
            let mut rest = Rest::default();
            rest.begin(why, asked, 0.5, SECOND);
            assert_eq!(rest.resting(SECOND).map(|resting| resting.is_certain()), Some(certain), "{why:?}");
        }
    }

    #[test]
    fn a_new_credential_ends_what_was_held_against_the_old_one() {
        for (why, rests) in [(Why::Key, false), (Why::Quota, false), (Why::RateLimit, true)] {
            let mut rest = Rest::default();
            rest.begin(why, Some(SECOND * 30), 0.5, SECOND);
            rest.new_credential();
            assert_eq!(rest.resting(SECOND * 2).is_some(), rests, "{why:?}");
        }
    }

    #[test]
    fn an_exhausted_account_rests_longer_and_is_not_woken_by_a_rate_limit() {
        let mut rest = Rest::default();
        rest.begin(Why::Quota, None, 0.5, SECOND);
        rest.begin(Why::RateLimit, None, 0.5, SECOND * 2);
        assert_eq!(
            rest.resting(SECOND * 60),
            Some(Resting { until: SECOND * 61, why: Why::Quota, asked: false })
        );
    }
}
