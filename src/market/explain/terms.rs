//! The terms of a score, each with the interval in which it lies and with what that
//! rests on.

use serde::Serialize;

use super::super::gather::Candidate;
use super::super::score::{LOST, Score};
use crate::catalog::Objective;

/// Standard deviations on either side of a 95 % interval.
const Z95: f64 = 1.96;
/// Standard deviation of the logarithm of an answer's length around what is expected
/// of its model and class: the median error of such a table is a factor of 1.25 to
/// 1.45 (`books::lengths`), and 0.67 standard deviations are the median.
const LENGTH_SPREAD: f64 = 0.45;
/// What the assumption about failures is worth (`books::failures`), in attempts.
const ASSUMED_ATTEMPTS: f64 = 2.0;

/// A term of a score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Term {
    /// Its name in the score.
    pub term: &'static str,
    /// Its expected value (USD).
    pub usd: f64,
    /// Where it lies with 95 % probability (USD), as far as that is known.
    pub interval: Option<(f64, f64)>,
    /// How many samples, attempts or judgements it rests on, discounted; `None` for
    /// what needs none.
    pub samples: Option<f64>,
    /// Seconds since the last of them.
    pub age_seconds: Option<f64>,
}

/// The terms of `candidate`, of which `choices` answers are asked for.
#[must_use]
pub fn terms(objective: &Objective, choices: u32, candidate: &Candidate) -> Vec<Term> {
    let Candidate { facts, score, .. } = candidate;
    let age_seconds = (facts.samples > 0.0).then_some(facts.evidence.age);
    let term = |term, usd| Term { term, usd, interval: None, samples: None, age_seconds: None };
    let Score { cost_usd, waiting, quality, failure, switching, .. } = *score;
    vec![
        Term { interval: Some(cost(choices, candidate)), ..term("cost_usd", cost_usd) },
        Term {
            interval: Some(waited(objective, candidate)),
            samples: Some(facts.samples),
            age_seconds,
            ..term("waiting", waiting)
        },
        Term {
            interval: judged(objective, candidate),
            samples: Some(facts.evidence.judgements),
            ..term("quality", quality)
        },
        Term {
            interval: Some(failed(objective, candidate)),
            samples: Some(facts.evidence.attempts),
            ..term("failure", failure)
        },
        term("switching", switching),
    ]
}

/// The prompt is known, the length of the answer is not.
fn cost(choices: u32, candidate: &Candidate) -> (f64, f64) {
    let (facts, cost) = (&candidate.facts, candidate.score.cost_usd);
    let output = (facts.output_tokens * f64::from(choices) * facts.output_price * 1e-6).min(cost);
    let factor = (Z95 * LENGTH_SPREAD).exp();
    (cost - output * (1.0 - 1.0 / factor), cost + output * (factor - 1.0))
}

fn waited(objective: &Objective, candidate: &Candidate) -> (f64, f64) {
    let facts = &candidate.facts;
    let at = |z: f64| {
        let (ttft, itl) = ((z * facts.spread.0).exp(), (z * facts.spread.1).exp());
        objective.usd_per_second * (facts.ttft * ttft + facts.output_tokens * facts.itl * itl)
    };
    (at(-Z95), at(Z95))
}

/// Unknown while nobody has judged: what is assumed then has no interval.
fn judged(objective: &Objective, candidate: &Candidate) -> Option<(f64, f64)> {
    let facts = &candidate.facts;
    let at = |z: f64| {
        let quality = facts.quality + z * facts.quality_deviation;
        objective.usd_per_good_answer * (1.0 - quality.clamp(0.0, 1.0))
    };
    (facts.quality_deviation > 0.0).then(|| (at(Z95), at(-Z95)))
}

fn failed(objective: &Objective, candidate: &Candidate) -> (f64, f64) {
    let facts = &candidate.facts;
    let price = objective.usd_per_second * facts.failure_seconds + objective.usd_per_good_answer * LOST;
    let share = 1.0 - facts.success;
    let deviation =
        (share * facts.success / (facts.evidence.attempts + ASSUMED_ATTEMPTS + 1.0)).max(0.0).sqrt();
    let at = |z: f64| {
        let success = (1.0 - share - z * deviation).clamp(0.0, 1.0);
        price * super::super::Facts { success, ..*facts }.odds()
    };
    (at(-Z95), at(Z95))
}
