//! Exploring: now and then asking a candidate because little is known of it.
//!
//! Tempered Thompson sampling in USD: every candidate's times and quality are
//! drawn from what is believed of them, and the best of the draws is asked, as
//! long as its *mean* is not much worse than the best one. Chance also keeps a
//! fleet of gateways from choosing the same endpoint at the same moment.

use serde::{Deserialize, Serialize};

use super::gather::{Ask, Candidate};
use super::score::{Leaves, Score};
use crate::books::{GOLDEN, mixed};
use crate::catalog::{ModelId, Objective};

/// The random number that a decision depends on: the same draw gives the same
/// decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draw(pub u64);

impl Draw {
    /// The `n`th of the draws that follow from this one.
    #[must_use]
    pub(super) fn nth(self, n: u64) -> Draw {
        Draw(mixed(self.0.wrapping_add(n.wrapping_add(1).wrapping_mul(GOLDEN))))
    }

    /// A number below `count`, which is not 0.
    pub(super) fn below(self, count: usize) -> usize {
        let wide = (u128::from(mixed(self.0)) * count as u128) >> 64;
        usize::try_from(wide).unwrap_or(0)
    }

    /// Nearly standard normal: the sum of four uniform numbers (Irwin–Hall),
    /// which has no tail beyond 3.5 standard deviations.
    #[inline]
    fn normal(self) -> f64 {
        /// The square root of 3: a uniform number's variance is a twelfth.
        const SCALE: f64 = 1.732_050_807_568_877_2;
        let bits = mixed(self.0);
        // All four at once: pairs of 16 bits, then their sums.
        let pairs = (bits & 0x0000_FFFF_0000_FFFF) + ((bits >> 16) & 0x0000_FFFF_0000_FFFF);
        let sum = (pairs & 0xFFFF_FFFF) + (pairs >> 32);
        let uniform = f64::from(u32::try_from(sum).unwrap_or(0)) * (1.0 / 65_536.0);
        (uniform - 2.0) * SCALE
    }
}

/// The standard deviation of quality after some fifteen judgements in a class: a
/// model that is known so well is not tried for its own sake.
const KNOWN_WELL: f64 = 0.1;

/// How much is risked to learn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Explore {
    /// Times are drawn with this share of their uncertainty (0.3).
    pub times: f64,
    /// Quality is drawn with this share of its uncertainty (0.3).
    pub quality: f64,
    /// A candidate is asked only if it is expected to be worse than the best
    /// one by at most this share of what that one is expected to spend (0.3).
    pub cap: f64,
}

impl Default for Explore {
    fn default() -> Self {
        Explore { times: 0.3, quality: 0.3, cap: 0.3 }
    }
}

impl Explore {
    /// Nothing is risked.
    pub const NEVER: Explore = Explore { times: 0.0, quality: 0.0, cap: 0.0 };

    /// What may be risked for this request: nothing where the caller has given
    /// an order of its own or a deadline, where a session is served by somebody or
    /// a conversation is in a cache, and where all candidates are of last resort.
    /// A beginning that many requests share (a long system prompt) is no reason:
    /// it would be warm somewhere for ever, and what leaving it costs is counted.
    #[must_use]
    pub fn of(ask: &Ask<'_>, candidates: &[Candidate]) -> Explore {
        let bound = ask.deadline.is_some() || ask.control.sort.is_some() || !ask.control.order.is_empty();
        let delicate = |candidate: &Candidate| {
            let facts = &candidate.facts;
            let warm = ask.continues && facts.warm_tokens > 0.0;
            warm || facts.leaves != Leaves::Nothing || facts.last_resort
        };
        if bound || candidates.iter().any(delicate) { Explore::NEVER } else { ask.explore }
    }

    /// Whether anything is risked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.cap > 0.0 && (self.times > 0.0 || self.quality > 0.0)
    }

    /// What `candidate` may be expected to be worse by than the cap allows, because
    /// next to nothing is known of how good it is (USD). Dollars and seconds are a
    /// small part of what an answer is worth: a cap on them alone would never let a
    /// model be tried that is taken to be a little worse.
    pub(super) fn doubt(&self, objective: &Objective, candidate: &Candidate) -> f64 {
        let unknown = (candidate.facts.quality_deviation - KNOWN_WELL).max(0.0);
        2.0 * self.quality * objective.usd_per_good_answer * unknown
    }

    /// The totals of all scores, drawn from what is believed of each candidate.
    pub(super) fn samples(
        self,
        objective: &Objective,
        candidates: &[Candidate],
        draw: Draw,
    ) -> impl Iterator<Item = f64> {
        let (second, answer) = (objective.usd_per_second, objective.usd_per_good_answer);
        // Endpoints of one model share what is unknown about it: drawing it for
        // each would be mere noise between them.
        let mut shared: Option<(ModelId, f64)> = None;
        candidates.iter().map(move |candidate| {
            let Candidate { facts, score, model, .. } = candidate;
            let own = draw.nth(u64::from(candidate.id.0));
            let ttft = facts.ttft * factor(self.times * facts.spread.0 * own.normal());
            let itl = facts.itl * factor(self.times * facts.spread.1 * own.nth(0).normal());
            let waiting = second * (ttft + facts.output_tokens * itl);
            let drawn = match shared {
                Some((of, drawn)) if of == *model => drawn,
                _ => draw.nth(u64::from(model.0) | 1 << 32).normal(),
            };
            shared = Some((*model, drawn));
            score.total - score.waiting + waiting - answer * self.quality * facts.quality_deviation * drawn
        })
    }
}

/// e to the power of `x`, to a share of x²/512 of itself: for a draw that is exact,
/// and it is the same on all machines and several times as fast as an exact one.
fn factor(x: f64) -> f64 {
    (0..8).fold(1.0 + x / 256.0, |power, _| power * power)
}

/// What a candidate is expected to spend, in dollars and in time. Margins are
/// shares of this, not of the total: that is ruled by the price of quality,
/// which is the same for all endpoints of a model.
#[must_use]
pub(super) fn spent(score: &Score) -> f64 {
    score.cost_usd + score.waiting + score.failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_nearly_standard_normal() {
        let draws: Vec<f64> = (0..20_000).map(|n| Draw(7).nth(n).normal()).collect();
        let count = 20_000.0;
        let mean = draws.iter().sum::<f64>() / count;
        let variance = draws.iter().map(|z| z * z).sum::<f64>() / count - mean * mean;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn draws_below_a_count_reach_every_number() {
        let mut seen = [0; 5];
        (0..1000).for_each(|n| seen[Draw(1).nth(n).below(5)] += 1);
        assert!(seen.iter().all(|times| (150..250).contains(times)), "{seen:?}");
    }
}
