//! Deciding again: the same request with the same luck, by the same objective or
//! by another.
//!
//! A decision holds all that it was made from, so this is the very code that made
//! it. That is what replay and `GET /v1/decisions/{id}` rest on.

use super::decide::{Decision, decide};
use super::explore::Explore;
use super::gather::{Ask, Candidate, Gathered};
use super::reject::{Reject, Rejected};
use super::score::score;
use crate::catalog::Objective;
use crate::request::Control;

/// What is kept of a number is exact to this share: a limit is not missed by less.
const EXACT: f64 = 1e-6;

impl Decision {
    /// The decision that `objective` would have made. By the objective that it was
    /// made by it comes out the same.
    ///
    /// Another objective's limits are applied to those who were candidates, but for
    /// its latency constraint: a decision does not hold the distribution that it
    /// takes. Who was rejected then stays rejected, for nothing is known of it.
    #[must_use]
    pub fn again(self, objective: &Objective) -> Decision {
        let control = self.control();
        let explore = self.explore;
        self.decided(objective, &control, explore)
    }

    /// The same, at which something has changed that exploring depends on.
    fn decided(self, objective: &Objective, control: &Control, explore: Explore) -> Decision {
        let ask = Ask {
            input_tokens: self.candidates.first().map_or(0, |first| first.facts.input_tokens),
            class: self.class,
            choices: self.choices,
            explore,
            ..Ask::blank(control)
        };
        let Decision { mut candidates, mut rejects, draw, .. } = self;
        if *objective != self.objective {
            candidates.retain(|candidate| {
                let Some(reject) = beyond(objective, candidate) else { return true };
                let (id, endpoint) = (candidate.id, candidate.endpoint.clone());
                rejects.push(Rejected { id, endpoint, reject });
                false
            });
        }
        decide(&ask, objective, score(objective, Gathered { candidates, rejects }), draw)
    }

    /// What the caller asked of the router, as far as it matters to the order.
    fn control(&self) -> Control {
        let listed = self.by_caller && self.sort.is_none();
        Control {
            sort: self.sort,
            // Who was on the list, and where, is in the candidates.
            order: if listed { vec![String::new()] } else { Vec::new() },
            allow_fallbacks: (self.order.len() < self.candidates.len()).then_some(false),
            ..Control::default()
        }
    }
}

/// The limit of `objective` that `candidate` is beyond.
fn beyond(objective: &Objective, candidate: &Candidate) -> Option<Reject> {
    let Candidate { facts, score, .. } = candidate;
    let above = |value: f64, most: f64| value > most * (1.0 + EXACT);
    let most = objective.max_price.unwrap_or_default();
    let prices = [(facts.input_price, most.input), (facts.output_price, most.output)];
    let dear = prices.into_iter().find_map(|(price, most)| {
        let most = most?.usd_per_mtok();
        above(price, most).then_some(Reject::MaxPrice { price, most })
    });
    let cost = score.cost_usd;
    let costly = objective.max_cost_usd.filter(|most| above(cost, *most));
    let (quality, judgements) = (facts.quality, facts.evidence.judgements);
    let poor = objective.min_quality.filter(|least| above(*least, quality));
    dear.or(costly.map(|most| Reject::MaxCost { cost, most })).or(poor.map(|least| Reject::MinQuality {
        quality,
        judgements,
        least,
    }))
}
