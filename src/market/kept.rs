//! A decision in few bytes: what is kept of the last 100,000.
//!
//! Only what a decision was made *from* is kept; what came of it is decided again
//! when somebody asks, by the same code and hence with the same result. For that to
//! be exact, whatever a decision is made from has the seven digits of an `f32`
//! from the moment it is gathered: no estimate is that good, and it takes half the room.

use std::sync::Arc;

use super::decide::Decision;
use super::explore::{Draw, Explore};
use super::gather::{Candidate, Evidence, Facts};
use super::reject::Rejected;
use super::score::{Leaves, Score};
use crate::catalog::{Catalog, EndpointId, Objective};
use crate::request::Sort;

/// A decision, without what follows from the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    objective: Arc<Objective>,
    draw: Draw,
    explore: Explore,
    input_tokens: u32,
    choices: u32,
    class: u8,
    by_caller: bool,
    /// Only the first was to be tried.
    alone: bool,
    sort: Option<Sort>,
    candidates: Box<[Slim]>,
    rejects: Box<[Rejected]>,
}

/// A candidate: [`Facts`] and the parts of the [`Score`] that do not follow from
/// them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slim {
    id: EndpointId,
    /// `u32::MAX` where it is not listed.
    place: u32,
    in_flight: u32,
    last_resort: bool,
    behind: bool,
    leaves: Leaves,
    cost_usd: f32,
    warm_tokens: f32,
    written_tokens: f32,
    output_tokens: f32,
    prices: [f32; 2],
    times: [f32; 2],
    spread: [f32; 2],
    samples: f32,
    quality: [f32; 2],
    success: f32,
    failure_seconds: f32,
    unusable: f32,
    worst_cost_usd: f32,
    evidence: [f32; 4],
}

impl Kept {
    /// What to keep of `decision`, whose ids are those of `catalog`.
    #[must_use]
    pub fn of(decision: &Decision, catalog: &Catalog) -> Kept {
        let shared = catalog.objectives.get(&*decision.objective.name);
        let objective = shared.filter(|shared| ***shared == decision.objective).map(Arc::clone);
        Kept {
            objective: objective.unwrap_or_else(|| Arc::new(decision.objective.clone())),
            draw: decision.draw,
            explore: decision.explore,
            input_tokens: decision.candidates.first().map_or(0, |first| first.facts.input_tokens),
            choices: decision.choices,
            class: decision.class,
            by_caller: decision.by_caller,
            alone: decision.order.len() < decision.candidates.len(),
            sort: decision.sort,
            candidates: decision.candidates.iter().map(slim).collect(),
            rejects: decision.rejects.clone().into_boxed_slice(),
        }
    }

    /// The decision, made again. `catalog` is that of its generation.
    #[must_use]
    pub fn decision(&self, catalog: &Catalog) -> Decision {
        let whole = |slim: &Slim| self.whole(slim, catalog);
        let candidates: Vec<Candidate> = self.candidates.iter().filter_map(whole).collect();
        // One less than there are candidates says that fallbacks were not allowed.
        let tried = if self.alone { 1 } else { candidates.len() };
        let bare = Decision {
            objective: (*self.objective).clone(),
            class: self.class,
            draw: self.draw,
            explore: self.explore,
            by_caller: self.by_caller,
            sort: self.sort,
            choices: self.choices,
            explored: false,
            candidates,
            order: (0..).take(tried).collect(),
            mean_order: Vec::new(),
            margin_usd: None,
            rejects: self.rejects.to_vec(),
        };
        bare.again(&self.objective)
    }

    /// The request's class of task.
    #[must_use]
    pub fn class(&self) -> u8 {
        self.class
    }

    /// Bytes that it takes, in itself and elsewhere.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Kept>() + size_of_val(&*self.candidates) + size_of_val(&*self.rejects)
    }

    fn whole(&self, slim: &Slim, catalog: &Catalog) -> Option<Candidate> {
        let endpoint = catalog.endpoints.get(slim.id.0 as usize)?;
        let wide = f64::from;
        let [input_price, output_price] = slim.prices.map(wide);
        let [ttft, itl] = slim.times.map(wide);
        let [quality, quality_deviation] = slim.quality.map(wide);
        let [between, attempts, judgements, age] = slim.evidence.map(wide);
        let facts = Facts {
            input_tokens: self.input_tokens,
            warm_tokens: wide(slim.warm_tokens),
            written_tokens: wide(slim.written_tokens),
            leaves: slim.leaves,
            output_tokens: wide(slim.output_tokens),
            input_price,
            output_price,
            ttft,
            itl,
            spread: slim.spread.map(wide).into(),
            samples: wide(slim.samples),
            quality,
            quality_deviation,
            success: wide(slim.success),
            failure_seconds: wide(slim.failure_seconds),
            unusable: wide(slim.unusable),
            in_flight: slim.in_flight,
            worst_cost_usd: wide(slim.worst_cost_usd),
            behind: slim.behind,
            last_resort: slim.last_resort,
            evidence: Evidence { itl: between, attempts, judgements, age },
        };
        Some(Candidate {
            id: slim.id,
            endpoint: Arc::clone(&endpoint.identity),
            model: endpoint.model,
            score: Score { cost_usd: wide(slim.cost_usd), ..Score::default() },
            facts,
            place: (slim.place != u32::MAX).then_some(slim.place),
        })
    }
}

fn slim(candidate: &Candidate) -> Slim {
    let Candidate { facts, score, .. } = candidate;
    let Evidence { itl, attempts, judgements, age } = facts.evidence;
    Slim {
        id: candidate.id,
        place: candidate.place.unwrap_or(u32::MAX),
        in_flight: facts.in_flight,
        last_resort: facts.last_resort,
        behind: facts.behind,
        leaves: facts.leaves,
        cost_usd: narrow(score.cost_usd),
        warm_tokens: narrow(facts.warm_tokens),
        written_tokens: narrow(facts.written_tokens),
        output_tokens: narrow(facts.output_tokens),
        prices: [facts.input_price, facts.output_price].map(narrow),
        times: [facts.ttft, facts.itl].map(narrow),
        spread: [facts.spread.0, facts.spread.1].map(narrow),
        samples: narrow(facts.samples),
        quality: [facts.quality, facts.quality_deviation].map(narrow),
        success: narrow(facts.success),
        failure_seconds: narrow(facts.failure_seconds),
        unusable: narrow(facts.unusable),
        worst_cost_usd: narrow(facts.worst_cost_usd),
        evidence: [itl, attempts, judgements, age].map(narrow),
    }
}

/// Seven digits are more than is known of anything here.
#[expect(clippy::cast_possible_truncation, reason = "that is the purpose")]
const fn narrow(x: f64) -> f32 {
    x as f32
}

/// The same number with the digits that are kept.
const fn rounded(x: f64) -> f64 {
    narrow(x) as f64
}

impl Facts {
    /// The same with the digits that are kept.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a function that returns it would have it copied")]
    pub(super) fn rounded(self) -> Facts {
        let Evidence { itl, attempts, judgements, age } = self.evidence;
        let [itl_samples, attempts, judgements, age] = [itl, attempts, judgements, age].map(rounded);
        let worst = narrow(self.worst_cost_usd);
        Facts {
            warm_tokens: rounded(self.warm_tokens),
            written_tokens: rounded(self.written_tokens),
            output_tokens: rounded(self.output_tokens),
            input_price: rounded(self.input_price),
            output_price: rounded(self.output_price),
            ttft: rounded(self.ttft),
            itl: rounded(self.itl),
            spread: (rounded(self.spread.0), rounded(self.spread.1)),
            samples: rounded(self.samples),
            quality: rounded(self.quality),
            quality_deviation: rounded(self.quality_deviation),
            success: rounded(self.success),
            failure_seconds: rounded(self.failure_seconds),
            unusable: rounded(self.unusable),
            // What is reserved must not become too little.
            worst_cost_usd: f64::from(if f64::from(worst) < self.worst_cost_usd {
                worst.next_up()
            } else {
                worst
            }),
            evidence: Evidence { itl: itl_samples, attempts, judgements, age },
            ..self
        }
    }
}

impl Score {
    /// The same with the digits that are kept of what does not follow from facts.
    #[must_use]
    pub(super) fn rounded(self) -> Score {
        Score { cost_usd: rounded(self.cost_usd), ..self }
    }
}

#[cfg(test)]
mod tests;
