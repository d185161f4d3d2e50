//! What would have made another candidate the best.
//!
//! A score is linear in both exchange rates and in the price, so where two
//! candidates cost the same follows from the difference of what these are multiplied
//! by, and the nearest of these places from all candidates.

use serde::Serialize;

use super::super::decide::Decision;
use super::super::gather::{Candidate, Facts};

/// A change after which another candidate is the best by expectation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Flip<'d> {
    /// What changes.
    pub what: What,
    /// Its value now: USD, or 1 for prices.
    pub from: f64,
    /// The value at which both are as good as each other.
    pub to: f64,
    /// Who would be the best beyond that.
    pub endpoint: &'d str,
}

/// What may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// What a second of waiting is worth.
    UsdPerSecond,
    /// What a good answer is worth.
    UsdPerGoodAnswer,
    /// What the best one charges, as a multiple of what it charges now.
    PriceOfBest,
    /// What the other one charges, likewise.
    PriceOfOther,
}

/// The nearest changes in either direction that would make somebody else the best
/// of `decision`; none where the caller gave the order.
#[must_use]
pub fn flips(decision: &Decision) -> Vec<Flip<'_>> {
    let at = |index: &u32| decision.candidates.get(*index as usize);
    let Some(best) = decision.mean_order.first().and_then(at).filter(|_| !decision.by_caller) else {
        return Vec::new();
    };
    let others: Vec<&Candidate> = decision.mean_order.iter().skip(1).filter_map(at).collect();
    let objective = &decision.objective;
    let rates = [
        (What::UsdPerSecond, objective.usd_per_second, Facts::seconds_with_failures as fn(&Facts) -> f64),
        (What::UsdPerGoodAnswer, objective.usd_per_good_answer, Facts::shortfall_with_failures),
    ];
    let mut flips = Vec::new();
    for (what, rate, slope) in rates {
        let crossing = |other: &Candidate| {
            let gap = other.score.total - best.score.total;
            rate + gap / (slope(&best.facts) - slope(&other.facts))
        };
        flips.extend(nearest(what, rate, &others, crossing));
    }
    // Leaving a session costs a share of the dollars too.
    let cost = |candidate: &Candidate| candidate.score.cost_usd * (1.0 + candidate.facts.leaves.hesitation());
    let gap = |other: &Candidate| other.score.total - best.score.total;
    flips.extend(nearest(What::PriceOfBest, 1.0, &others, |other| 1.0 + gap(other) / cost(best)));
    flips.extend(nearest(What::PriceOfOther, 1.0, &others, |other| 1.0 - gap(other) / cost(other)));
    flips
}

/// The nearest crossings below and above `from`.
fn nearest<'d>(
    what: What,
    from: f64,
    others: &[&'d Candidate],
    crossing: impl Fn(&Candidate) -> f64,
) -> impl Iterator<Item = Flip<'d>> {
    let all = others.iter().map(|other| Flip { what, from, to: crossing(other), endpoint: &other.endpoint });
    let (mut below, mut above): (Option<Flip<'d>>, Option<Flip<'d>>) = (None, None);
    for flip in all.filter(|flip| flip.to.is_finite() && flip.to >= 0.0) {
        let nearest = if flip.to < from { &mut below } else { &mut above };
        if nearest.is_none_or(|kept| (flip.to - from).abs() < (kept.to - from).abs()) {
            *nearest = Some(flip);
        }
    }
    below.into_iter().chain(above)
}
