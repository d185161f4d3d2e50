//! Stage 3: which endpoints can serve a request, and why the others cannot.
//!
//! Constraints are never relaxed silently, with one exception that is marked:
//! where open circuits and rests have left nobody, those endpoints become
//! candidates of last resort, because asking one is better than asking none.
//! Only one that has said itself when it will serve again is left alone.

mod constraints;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::constraints::{able, agreeable, good_enough, is_behind, permitted};
use super::cost;
use super::explore::Explore;
use super::objective::Limits;
use super::reject::{Reject, Rejected};
use super::score::{Leaves, Score};
use crate::books::{Circuit, View};
use crate::catalog::{Capabilities, Endpoint, EndpointId, ModelId, Objective};
use crate::request::{ChatRequest, Control, Demand};
use crate::units::Rates;

/// What routing needs to know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'r> {
    /// Input tokens, estimated.
    pub input_tokens: u32,
    /// Its class of task, below [`crate::books::CLASSES`].
    pub class: u8,
    /// Most output tokens that it asks for.
    pub max_output_tokens: Option<u32>,
    /// How many choices it asks for.
    pub choices: u32,
    /// What an endpoint must be able to do.
    pub needs: Capabilities,
    /// What form the answer must have.
    pub demand: Demand,
    /// What the caller asks of the router.
    pub control: &'r Control,
    /// Whether it goes on: it belongs to a session, or holds an earlier answer.
    pub continues: bool,
    /// How long the caller will wait for the whole answer.
    pub deadline: Option<Duration>,
    /// How much is risked to learn; [`Explore::NEVER`] for retries.
    pub explore: Explore,
}

impl<'r> Ask<'r> {
    /// What there is to know of `request`.
    #[must_use]
    pub fn new(request: &'r ChatRequest, deadline: Option<Duration>) -> Self {
        Ask {
            input_tokens: request.input_tokens,
            class: request.class,
            max_output_tokens: request.max_output_tokens,
            choices: request.n.max(1),
            needs: request.needs,
            demand: request.demand(),
            control: &request.control,
            continues: request.continues || request.control.session.is_some(),
            deadline: deadline.or(request.control.bounds.deadline),
            explore: Explore::default(),
        }
    }

    /// A request of which nothing is known but what it asks of the router.
    #[must_use]
    pub fn blank(control: &'r Control) -> Self {
        Ask {
            input_tokens: 0,
            class: 0,
            max_output_tokens: None,
            choices: 1,
            needs: Capabilities::default(),
            demand: Demand::default(),
            control,
            continues: false,
            deadline: control.bounds.deadline,
            explore: Explore::default(),
        }
    }
}

/// An endpoint behind the requested name, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'g> {
    /// The endpoint.
    pub endpoint: &'g Endpoint,
    /// Its model's name.
    pub model: &'g Arc<str>,
    /// Whether its dialect is built in.
    pub spoken: bool,
    /// Its live state.
    pub view: View,
    /// Output tokens to expect.
    pub output_tokens: f64,
    /// Tokens of the prompt that are expected to be in its cache.
    pub warm_tokens: f64,
    /// What choosing it would leave.
    pub leaves: Leaves,
    /// Whether it understands every parameter of the request. Only asked where the
    /// request insists on that.
    pub understands: bool,
}

impl<'g> Offer<'g> {
    /// An endpoint whose dialect is built in and which is in no session and no cache.
    #[must_use]
    pub fn new(endpoint: &'g Endpoint, model: &'g Arc<str>, view: View, output_tokens: f64) -> Self {
        Offer {
            endpoint,
            model,
            spoken: true,
            view,
            output_tokens,
            warm_tokens: 0.0,
            leaves: Leaves::Nothing,
            understands: true,
        }
    }
}

/// What a score was computed from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Input tokens, estimated.
    pub input_tokens: u32,
    /// Of these, expected to be in the endpoint's cache.
    pub warm_tokens: f64,
    /// Of the others, expected to be billed as written to the cache.
    #[serde(default)]
    pub written_tokens: f64,
    /// What of a session choosing it would leave.
    #[serde(default)]
    pub leaves: Leaves,
    /// Output tokens to expect.
    pub output_tokens: f64,
    /// USD per million input tokens, in the tier of this request.
    pub input_price: f64,
    /// USD per million output tokens, likewise.
    pub output_price: f64,
    /// Expected seconds to the first token.
    pub ttft: f64,
    /// Expected seconds between tokens.
    pub itl: f64,
    /// Uncertainty of the logarithm of either (standard deviation).
    pub spread: (f64, f64),
    /// Samples of the time to the first token, discounted.
    pub samples: f64,
    /// Expected quality, 0..1.
    pub quality: f64,
    /// Its uncertainty (standard deviation); 0 while nobody has judged.
    pub quality_deviation: f64,
    /// Probability that an attempt succeeds, 0..1.
    pub success: f64,
    /// Mean seconds until a failure is noticed.
    pub failure_seconds: f64,
    /// Probability that an answer which comes is of no use in form, 0..1.
    #[serde(default)]
    pub unusable: f64,
    /// Attempts under way.
    pub in_flight: u32,
    /// The most that the request can cost (USD): what to reserve.
    pub worst_cost_usd: f64,
    /// It does not keep what the request prefers: it goes behind those that do.
    #[serde(default)]
    pub behind: bool,
    /// It is unwell; it is a candidate only because all others are too.
    pub last_resort: bool,
    /// What the other expectations rest on.
    pub evidence: Evidence,
}

/// What expectations rest on, beside [`Facts::samples`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Samples of the time between tokens, discounted.
    pub itl: f64,
    /// Attempts behind `success`, discounted.
    pub attempts: f64,
    /// Judgements of the model behind `quality`.
    pub judgements: f64,
    /// Seconds since a time was last measured; without meaning where none was.
    pub age: f64,
}

/// An endpoint that can serve a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its index in the generation of the decision.
    pub id: EndpointId,
    /// Its identity.
    pub endpoint: Arc<str>,
    /// Its model, as an index in the generation of the decision.
    pub model: ModelId,
    /// What its answer is expected to cost, term by term.
    pub score: Score,
    /// What the score was computed from.
    pub facts: Facts,
    /// Its place in the request's `order`, if it is listed there.
    pub place: Option<u32>,
}

/// Candidates and rejects, before scoring.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    pub(super) candidates: Vec<Candidate>,
    pub(super) rejects: Vec<Rejected>,
}

/// Sorts `offers` into candidates and rejects.
#[must_use]
pub fn gather<'g>(ask: &Ask<'_>, objective: &Objective, offers: impl Iterator<Item = Offer<'g>>) -> Gathered {
    let limits = Limits::of(objective, ask.control);
    let most = offers.size_hint().0;
    let mut gathered = Gathered { candidates: Vec::with_capacity(most), rejects: Vec::new() };
    let mut unwells = Vec::new();
    // Not a loop: what an iterator gives to a loop is copied once more.
    offers.for_each(|offer| match fit(ask, &limits, &offer) {
        Ok(fit) => match unwell(ask, &offer) {
            None => gathered.candidates.push(candidate(ask, &offer, &fit)),
            Some(reject) if offer.view.resting.is_some_and(|resting| resting.is_certain()) => {
                gathered.rejects.push(rejected(offer.endpoint, reject));
            }
            Some(reject) => unwells.push((candidate(ask, &offer, &fit), reject)),
        },
        Err(reject) => gathered.rejects.push(rejected(offer.endpoint, reject)),
    });
    if gathered.candidates.is_empty() {
        gathered.candidates.extend(unwells.into_iter().map(|(mut candidate, _)| {
            candidate.facts.last_resort = true;
            candidate
        }));
    } else {
        let rejects = unwells.into_iter().map(|(candidate, reject)| Rejected {
            id: candidate.id,
            endpoint: candidate.endpoint,
            reject,
        });
        gathered.rejects.extend(rejects);
    }
    gathered
}

fn rejected(endpoint: &Endpoint, reject: Reject) -> Rejected {
    Rejected { id: endpoint.id, endpoint: Arc::clone(&endpoint.identity), reject }
}

/// What is known of an offer that keeps all lasting constraints.
struct Fit<'g> {
    rates: &'g Rates,
    place: Option<u32>,
    quality: f64,
    written: f64,
    cost_usd: f64,
}

/// Whether an offer keeps all lasting constraints, or the first that it fails.
#[inline]
fn fit<'g>(ask: &Ask<'_>, limits: &Limits, offer: &Offer<'g>) -> Result<Fit<'g>, Reject> {
    let endpoint = offer.endpoint;
    if !offer.spoken {
        return Err(Reject::NotSpoken);
    }
    let place = permitted(ask.control, endpoint)?;
    agreeable(&ask.control.bounds, offer)?;
    able(ask, endpoint)?;
    let rates = endpoint.rates.as_deref().ok_or(Reject::Unpriced)?;
    let tier = rates.for_input(u64::from(ask.input_tokens));
    for (price, most) in [(tier.input, limits.input), (tier.output, limits.output)] {
        if let Some(most) = most.filter(|most| price > *most) {
            return Err(Reject::MaxPrice { price: price.usd_per_mtok(), most: most.usd_per_mtok() });
        }
    }
    let written = offer.view.keeps.written * (f64::from(ask.input_tokens) - offer.warm_tokens).max(0.0);
    let prompt = cost::Prompt { warm: offer.warm_tokens, written };
    let cost_usd = cost::expected(ask, rates, offer.output_tokens, prompt);
    if !cost_usd.is_finite() {
        return Err(Reject::Unpriced);
    }
    if let Some(most) = limits.cost_usd.filter(|most| cost_usd > *most) {
        return Err(Reject::MaxCost { cost: cost_usd, most });
    }
    let quality = f64::from(offer.view.quality.mean(prior(endpoint)));
    good_enough(ask, limits, offer, quality)?;
    Ok(Fit { rates, place, quality, written, cost_usd })
}

/// The candidate that an offer is. Written where it stays, in one go: with 50 of
/// them, copying them about would take longer than all else.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a function that returns it would have it copied")]
fn candidate(ask: &Ask<'_>, offer: &Offer<'_>, fit: &Fit<'_>) -> Candidate {
    let endpoint = offer.endpoint;
    Candidate {
        id: endpoint.id,
        endpoint: Arc::clone(&endpoint.identity),
        model: endpoint.model,
        score: Score { cost_usd: fit.cost_usd, ..Score::default() }.rounded(),
        facts: facts(ask, offer, fit).rounded(),
        place: fit.place,
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "likewise")]
fn facts(ask: &Ask<'_>, offer: &Offer<'_>, fit: &Fit<'_>) -> Facts {
    let view = &offer.view;
    let tier = fit.rates.for_input(u64::from(ask.input_tokens));
    let judgements = view.quality.judgements();
    Facts {
        input_tokens: ask.input_tokens,
        warm_tokens: offer.warm_tokens,
        written_tokens: fit.written,
        leaves: offer.leaves,
        output_tokens: offer.output_tokens,
        input_price: tier.input.usd_per_mtok(),
        output_price: tier.output.usd_per_mtok(),
        ttft: view.ttft.seconds,
        itl: view.itl.seconds,
        spread: (view.ttft.spread, view.itl.spread),
        samples: view.ttft.samples,
        quality: fit.quality,
        // Where nobody judges, exploring teaches nothing about quality.
        quality_deviation: if view.quality.is_judged() {
            f64::from(view.quality.deviation(prior(offer.endpoint)))
        } else {
            0.0
        },
        success: 1.0 - view.risk.share,
        failure_seconds: view.risk.seconds,
        unusable: view.unusable.get(ask.demand.index()).copied().unwrap_or_default(),
        in_flight: view.in_flight,
        worst_cost_usd: cost::worst(ask, fit.rates, offer.output_tokens, offer.endpoint.max_output),
        behind: is_behind(&ask.control.bounds.preferred, view),
        last_resort: false,
        evidence: Evidence {
            itl: view.itl.samples,
            attempts: view.risk.attempts,
            judgements: f64::from(judgements),
            age: view.ttft.age,
        },
    }
}

/// The quality assumed of an endpoint's model.
#[expect(clippy::cast_possible_truncation, reason = "a quality within 0..1")]
fn prior(endpoint: &Endpoint) -> f32 {
    endpoint.quality as f32
}

/// What will pass by itself.
#[inline]
fn unwell(ask: &Ask<'_>, offer: &Offer<'_>) -> Option<Reject> {
    let view = &offer.view;
    let tokens = f64::from(ask.input_tokens) + offer.output_tokens;
    if let Some(left) = view.left.filter(|left| !left.suffices(tokens)) {
        return Some(Reject::Headroom { until: left.until });
    }
    if let Some(resting) = view.resting {
        return Some(Reject::Resting { why: resting.why, until: resting.until });
    }
    match view.circuit {
        Circuit::Closed | Circuit::HalfOpen { probing: false } => None,
        Circuit::HalfOpen { probing: true } => Some(Reject::CircuitOpen { until: None }),
        Circuit::Open { until } => Some(Reject::CircuitOpen { until: Some(until) }),
    }
}
