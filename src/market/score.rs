//! Stage 4: what an answer from each candidate is expected to cost, in USD.
//!
//! With C the dollars for the request, v the objective's USD per second, V its
//! USD per good answer, T the expected seconds, q the expected quality, f the
//! probability that an attempt fails and F the seconds that takes:
//!
//! ```text
//! score = C + v·T + V·(1 − q) + f/(1 − f) · (v·F + V·lost)
//!         + d/(1 − d) · (C + v·T + V·given up) + switching
//! ```
//!
//! d is the probability that an answer is of no use in form: no JSON where JSON
//! was asked for, a call of a tool that does not exist. That is a failure which is
//! noticed late, by the caller, after all of its dollars and all of its seconds;
//! so an endpoint that only answers rubbish is no bargain at any price, also
//! where quality is worth little.
//!
//! The warmth of a prompt cache is no term of its own: it makes C and T less where
//! there is some. `switching` is what is left of a session's price of moving: a
//! share of C and v·T, so that near-equals are not gone to and fro between, and a
//! share of V where the model is another.
//!
//! The odds f/(1 − f) are the number of failures to be expected here before an
//! answer comes. Trying candidates by ascending score is then the order of least
//! expected cost: of two neighbours A before B, whatever follows them, A first
//! is the cheaper exactly if its score is the lower. And no other candidate
//! appears in a candidate's score, so that what is added or removed elsewhere
//! cannot turn the order of two around.

use serde::{Deserialize, Serialize};

use super::gather::{Candidate, Facts, Gathered};
use super::reject::{Reject, Rejected};
use crate::catalog::Objective;

/// The share of failures that costs the caller its answer, because the stream
/// had already begun or the budget of retries was spent. An estimate on the high
/// side, most failures being made good by the next candidate: they must cost
/// something even where waiting is worth nothing.
pub const LOST: f64 = 0.02;
/// Share of unusable answers that nobody asks for again. Nothing stands behind them
/// but the caller itself, and programs that retry are about as common as those that
/// give up; unlike other failures they are not made good by another candidate.
pub const GIVEN_UP: f64 = 0.5;
/// An endpoint is never taken to fail always: the odds stay finite.
const SURELY_FAILS: f64 = 0.98;

/// What is risked by leaving the endpoint that serves a session, as a share of
/// what an answer costs in dollars and time: forecasts are not exact to that, and
/// a session that goes to and fro would keep two caches warm for nothing.
const TO_AND_FRO: f64 = 0.05;
/// What another model's answer in the middle of a session is worth less than one
/// of the model that has served it: it reads its own earlier answers in another's
/// words. A share of a good answer; an assumption.
const HANDOFF: f64 = 0.05;

/// What of a session choosing a candidate would leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    /// There is no session, or this endpoint has served it so far.
    #[default]
    Nothing,
    /// Another endpoint of the same model has.
    Endpoint,
    /// Another model has.
    Model,
}

impl Leaves {
    /// The share of an answer's dollars and time that leaving is taken to cost.
    pub(super) fn hesitation(self) -> f64 {
        if self == Leaves::Nothing { 0.0 } else { TO_AND_FRO }
    }

    /// The share of a good answer that it costs.
    pub(super) fn handoff(self) -> f64 {
        if self == Leaves::Model { HANDOFF } else { 0.0 }
    }
}

/// The expected cost of an answer, in USD, as a sum of named terms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Dollars for the request at the endpoint's prices.
    pub cost_usd: f64,
    /// The caller's waiting.
    pub waiting: f64,
    /// What the answer falls short of a perfect one.
    pub quality: f64,
    /// Failures here before a usable answer comes.
    pub failure: f64,
    /// Leaving the endpoint that a session was served by.
    pub switching: f64,
    /// The sum: lower is better.
    pub total: f64,
}

/// Candidates with their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    pub(super) candidates: Vec<Candidate>,
    pub(super) rejects: Vec<Rejected>,
}

impl Facts {
    /// Expected seconds until the answer is complete.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.ttft + self.output_tokens * self.itl
    }

    /// Failures to be expected before an answer comes.
    #[must_use]
    pub fn odds(&self) -> f64 {
        odds(1.0 - self.success)
    }

    /// Answers of no use to be expected before a usable one.
    #[must_use]
    pub fn rubbish(&self) -> f64 {
        odds(self.unusable)
    }

    /// Expected seconds of waiting in all: what the objective's USD per second are
    /// multiplied by.
    #[must_use]
    pub fn seconds_with_failures(&self) -> f64 {
        (1.0 + self.leaves.hesitation() + self.rubbish()) * self.seconds()
            + self.odds() * self.failure_seconds
    }

    /// What is expected to be missing of a good answer: what the objective's USD
    /// per good answer are multiplied by.
    #[must_use]
    pub fn shortfall_with_failures(&self) -> f64 {
        1.0 - self.quality + self.odds() * LOST + self.rubbish() * GIVEN_UP + self.leaves.handoff()
    }
}

fn odds(probability: f64) -> f64 {
    let probability = probability.clamp(0.0, SURELY_FAILS);
    probability / (1.0 - probability)
}

/// Fills in what the waiting, the quality and the risk are worth to
/// `objective`. What does not come to a number is rejected: an unknown price is
/// never zero and never wins.
#[must_use]
pub fn score(objective: &Objective, gathered: Gathered) -> Scored {
    let Gathered { mut candidates, mut rejects } = gathered;
    for candidate in &mut candidates {
        candidate.score = scored(objective, candidate);
    }
    candidates.retain_mut(|candidate| {
        let priced = candidate.score.total.is_finite();
        if !priced {
            rejects.push(Rejected {
                id: candidate.id,
                endpoint: candidate.endpoint.clone(),
                reject: Reject::Unpriced,
            });
        }
        priced
    });
    Scored { candidates, rejects }
}

#[inline]
pub(super) fn scored(objective: &Objective, candidate: &Candidate) -> Score {
    let (facts, score) = (&candidate.facts, candidate.score);
    let (second, answer) = (objective.usd_per_second, objective.usd_per_good_answer);
    let waiting = second * facts.seconds();
    let quality = answer * (1.0 - facts.quality);
    let failed = facts.odds() * (second * facts.failure_seconds + answer * LOST);
    let failure = failed + facts.rubbish() * (score.cost_usd + waiting + answer * GIVEN_UP);
    let switching = facts.leaves.hesitation() * (score.cost_usd + waiting) + facts.leaves.handoff() * answer;
    let total = score.cost_usd + waiting + quality + failure + switching;
    Score { waiting, quality, failure, switching, total, ..score }
}
