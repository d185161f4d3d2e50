//! Why a decision is what it is: term by term, with what would have changed it.

pub mod flips;
pub mod terms;

use serde::Serialize;
use serde_json::Value;

use self::flips::{Flip, flips};
use self::terms::{Term, terms};
use super::decide::Decision;
use super::gather::{Candidate, Facts};
use super::score::Score;
use crate::catalog::{Catalog, Endpoint, EndpointId, Objective, PriceSource};

/// Draws from which the probability of the choice is estimated.
const REDRAWS: u32 = 64;

/// A decision, made readable.
#[derive(Debug, Serialize)]
pub struct Explanation<'d> {
    /// What was valued.
    pub objective: &'d Objective,
    /// The request's class of task.
    pub class: u8,
    /// Who was tried first.
    pub winner: Option<&'d str>,
    /// Who was the best of the others.
    pub runner_up: Option<&'d str>,
    /// How much worse that was expected to be (USD).
    pub margin_usd: Option<f64>,
    /// The winner against the runner-up.
    pub against_runner_up: Option<Against>,
    /// What would have made somebody else the best.
    pub flips: Vec<Flip<'d>>,
    /// Whether the winner was chosen in order to learn.
    pub explored: bool,
    /// The probability with which it was chosen.
    pub propensity: f64,
    /// Everybody who could serve the request, in the order tried.
    pub candidates: Vec<Explained<'d>>,
    /// Everybody who could not.
    pub rejects: Vec<Refused<'d>>,
}

/// The winner against the runner-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Against {
    /// Dollars saved by the winner; negative when it is the dearer.
    pub saved_usd: f64,
    /// Milliseconds the winner is expected to take longer; negative when it is
    /// the faster.
    pub slower_ms: f64,
    /// How much more likely the winner's answer is to be good.
    pub better: f64,
    /// USD per second at which the runner-up would have been as good.
    pub flips_at_usd_per_second: Option<f64>,
    /// USD per good answer at which it would have been.
    pub flips_at_usd_per_good_answer: Option<f64>,
}

/// A candidate, made readable.
#[derive(Debug, Serialize)]
pub struct Explained<'d> {
    /// Its identity.
    pub endpoint: &'d str,
    /// Its model.
    pub model: Option<&'d str>,
    /// Where its price comes from.
    pub price_source: Option<&'d PriceSource>,
    /// Expected seconds until the answer is complete.
    pub seconds: f64,
    /// How much worse it is expected to be than the best (USD).
    pub behind_usd: f64,
    /// The probability with which it was to be tried first.
    pub propensity: f64,
    /// What its answer is expected to cost, term by term (USD).
    pub score: Score,
    /// The same, each with its interval and what it rests on.
    pub terms: Vec<Term>,
    /// What that was computed from.
    pub facts: Facts,
}

/// A reject, made readable.
#[derive(Debug, Serialize)]
pub struct Refused<'d> {
    /// Its identity.
    pub endpoint: &'d str,
    /// The constraint, as a word.
    pub code: &'static str,
    /// The constraint, with its figures.
    pub message: String,
}

/// Explains `decision`, whose ids are those of `catalog`.
#[must_use]
pub fn explain<'d>(decision: &'d Decision, catalog: &'d Catalog) -> Explanation<'d> {
    let winner = decision.first();
    let others = decision.mean_order.iter().filter_map(|index| decision.candidates.get(*index as usize));
    let runner_up = others.into_iter().find(|other| winner.is_some_and(|winner| winner.id != other.id));
    let against = winner.zip(runner_up).map(|(winner, other)| against(&decision.objective, winner, other));
    let shares = decision.propensities(REDRAWS);
    let best = decision.candidates.iter().map(|one| one.score.total).fold(f64::INFINITY, f64::min);
    let candidates = decision.order.iter().filter_map(|index| {
        let candidate = decision.candidates.get(*index as usize)?;
        Some(Explained {
            behind_usd: candidate.score.total - best,
            propensity: shares.get(*index as usize).copied().unwrap_or_default(),
            terms: terms(&decision.objective, decision.choices, candidate),
            ..explained(candidate, catalog)
        })
    });
    Explanation {
        objective: &decision.objective,
        class: decision.class,
        winner: winner.map(|winner| &*winner.endpoint),
        runner_up: runner_up.map(|other| &*other.endpoint),
        margin_usd: decision.margin_usd,
        against_runner_up: against,
        flips: flips(decision),
        explored: decision.explored,
        propensity: decision
            .order
            .first()
            .and_then(|first| shares.get(*first as usize))
            .copied()
            .unwrap_or(0.0),
        candidates: candidates.collect(),
        rejects: decision
            .rejects
            .iter()
            .map(|rejected| Refused {
                endpoint: &rejected.endpoint,
                code: rejected.reject.code(),
                message: rejected.reject.to_string(),
            })
            .collect(),
    }
}

impl Explanation<'_> {
    /// The explanation as it is shown: with no more digits than are known.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        tidy(&mut value, TERM_DIGITS);
        value
    }
}

/// Digits shown of what terms add up from …
const TERM_DIGITS: usize = 12;
/// … and of facts, of which no more are kept.
const FACT_DIGITS: usize = 7;

/// Leaves so many digits of every number that is not whole.
fn tidy(value: &mut Value, digits: usize) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let places = digits - 1;
            let short = number.as_f64().and_then(|number| format!("{number:.places$e}").parse().ok());
            *value = short.map_or(Value::Null, |short: f64| short.into());
        }
        Value::Array(values) => values.iter_mut().for_each(|value| tidy(value, digits)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            tidy(value, if name == "facts" { FACT_DIGITS } else { digits });
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn endpoint(catalog: &Catalog, id: EndpointId) -> Option<&Endpoint> {
    catalog.endpoints.get(id.0 as usize)
}

fn explained<'d>(candidate: &'d Candidate, catalog: &'d Catalog) -> Explained<'d> {
    let found = endpoint(catalog, candidate.id);
    let model = catalog.models.get(candidate.model.0 as usize).map(|model| &*model.name);
    Explained {
        endpoint: &candidate.endpoint,
        model,
        price_source: found.and_then(|found| found.price_source.as_ref()),
        seconds: candidate.facts.seconds(),
        behind_usd: 0.0,
        propensity: 0.0,
        score: candidate.score,
        terms: Vec::new(),
        facts: candidate.facts,
    }
}

/// The score is linear in both exchange rates, so the rate at which two
/// candidates cost the same follows from the difference of their terms.
fn against(objective: &Objective, winner: &Candidate, other: &Candidate) -> Against {
    let (ours, theirs) = (&winner.facts, &other.facts);
    let (seconds, shortfall) = (Facts::seconds_with_failures, Facts::shortfall_with_failures);
    let (time, good) = (seconds(theirs) - seconds(ours), shortfall(theirs) - shortfall(ours));
    let gap = other.score.total - winner.score.total;
    let flips = |rate: f64, slope: f64| {
        let at = rate - gap / slope;
        (at.is_finite() && at >= 0.0).then_some(at)
    };
    Against {
        saved_usd: other.score.cost_usd - winner.score.cost_usd,
        slower_ms: 1e3 * (ours.seconds() - theirs.seconds()),
        better: ours.quality - theirs.quality,
        flips_at_usd_per_second: flips(objective.usd_per_second, time),
        flips_at_usd_per_good_answer: flips(objective.usd_per_good_answer, good),
    }
}
