//! `merit replay decisions`: recorded decisions, decided again by another objective
//! or under another configuration.
//!
//! Two answers to what would have been. *Expected* is the difference of what was
//! expected of both choices when the decision was made. *Observed* asks what became
//! of those requests on which both rules agree, each weighed by how much likelier the
//! other rule would have sent it there (self-normalised inverse propensity, clipped):
//! it does not believe the forecasts, but says nothing where the recorded rule left
//! nothing to chance. How far it carries is told with it.

pub mod aim;
pub mod estimate;
pub mod lines;
pub mod report;

use std::path::PathBuf;

pub use aim::Aim;
pub use report::{Report, RouteRow, ShareRow};

use self::estimate::Case;
use self::lines::Recorded;
use super::table::Problem;
use crate::market::{Candidate, Decision};

/// Draws from which propensities are estimated; that of the decision itself comes
/// on top.
const REDRAWS: u32 = 64;
/// `progress` is told after so many decisions.
const STRIDE: u64 = 10_000;

/// Decides all decisions of `files` again by `aim`; `progress` is told how many are
/// done, now and then.
///
/// # Errors
/// The first line that is no decision: see [`lines`]; also when there is none at all.
pub fn replay(files: &[PathBuf], aim: &Aim, mut progress: impl FnMut(u64)) -> Result<Report, Problem> {
    let mut report = Report::default();
    let mut done = 0;
    for file in files {
        lines::read(file, |recorded| {
            let case = case(&recorded, aim);
            report.add(&recorded, case);
            done += 1;
            if done % STRIDE == 0 {
                progress(done);
            }
        })?;
    }
    if let (0, Some(file)) = (done, files.first()) {
        return Err(Problem::of(file, "no decision in it"));
    }
    report.finish();
    Ok(report)
}

/// One decision, before and after.
fn case(recorded: &Recorded, aim: &Aim) -> Case {
    let before = &recorded.decision;
    let reproduced = before.clone().again(&before.objective) == *before;
    let after = aim.decide(&recorded.route, before.clone());
    let first = before.first();
    let (old, new) = (before.propensities(REDRAWS), after.propensities(REDRAWS));
    let likely = |candidate: &Candidate| {
        let place = after.candidates.iter().position(|other| other.endpoint == candidate.endpoint);
        place.and_then(|place| new.get(place)).copied().unwrap_or_default()
    };
    let chosen = before.order.first().and_then(|index| old.get(*index as usize)).copied().unwrap_or(1.0);
    let supported: f64 = before
        .candidates
        .iter()
        .zip(&old)
        .filter(|(_, share)| **share > 0.0)
        .map(|(candidate, _)| likely(candidate))
        .sum();
    Case {
        reproduced,
        by_caller: before.by_caller,
        moved: after.first().map(|one| &one.endpoint) != first.map(|one| &one.endpoint),
        before: first.map(expected),
        after: after.first().map(expected),
        observed: recorded.observed(),
        estimated: estimated(recorded, before),
        likelier: first.map_or(0.0, likely) / chosen,
        unsupported: if after.candidates.is_empty() { 0.0 } else { (1.0 - supported).clamp(0.0, 1.0) },
        first: first.map(|one| one.endpoint.clone()),
        then: after.first().map(|one| one.endpoint.clone()),
    }
}

/// What was expected of a candidate.
fn expected(candidate: &Candidate) -> estimate::Expected {
    estimate::Expected {
        cost_usd: candidate.score.cost_usd,
        seconds: candidate.facts.seconds(),
        quality: candidate.facts.quality,
    }
}

/// By which factor the cost of a request that its first candidate answered was
/// estimated too high beforehand.
fn estimated(recorded: &Recorded, before: &Decision) -> Option<f64> {
    let cost = recorded.observed()?.cost_usd.filter(|cost| *cost > 0.0)?;
    let factor = before.first()?.score.cost_usd / cost;
    (recorded.tries() == 1 && factor.is_finite() && factor > 0.0).then_some(factor)
}
