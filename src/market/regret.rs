//! What a choice turned out to have cost, compared with the best one.

use super::decide::Decision;
use super::gather::Candidate;
use super::score::scored;
use crate::books::View;
use crate::catalog::EndpointId;
use crate::request::Demand;

/// A candidate as it is known when the answer has come.
#[derive(Debug, Clone, Copy)]
pub struct Hindsight {
    /// Dollars for the tokens that the answer did take, at the candidate's prices.
    pub cost_usd: f64,
    /// How it is believed to be now.
    pub view: View,
}

/// How much worse the first candidate's score is than the best one (USD, never
/// negative), when all are scored again at the outcome: with the tokens that there
/// were and with what is believed of each candidate now. An estimate, for nobody
/// knows what the others would have done.
#[must_use]
pub fn regret(
    decision: &Decision,
    demand: Demand,
    output_tokens: f64,
    hindsight: impl Fn(EndpointId) -> Option<Hindsight>,
) -> f64 {
    let again = |candidate: &Candidate| {
        let now = hindsight(candidate.id)?;
        let view = &now.view;
        let mut candidate = candidate.clone();
        candidate.score.cost_usd = now.cost_usd;
        let facts = &mut candidate.facts;
        facts.output_tokens = output_tokens;
        (facts.ttft, facts.itl) = (view.ttft.seconds, view.itl.seconds);
        (facts.success, facts.failure_seconds) = (1.0 - view.risk.share, view.risk.seconds);
        facts.unusable = view.unusable.get(demand.index()).copied().unwrap_or_default();
        Some(scored(&decision.objective, &candidate).total).filter(|total| total.is_finite())
    };
    let Some(chosen) = decision.first().and_then(again) else { return 0.0 };
    let best = decision.candidates.iter().filter_map(again).fold(chosen, f64::min);
    chosen - best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::samples::{balanced, decided, forecast, sample};
    use crate::request::Control;

    #[test]
    fn who_chose_the_best_regrets_nothing() {
        let samples = [sample(0, 1.0), sample(1, 5.0)];
        let decision = decided(&balanced(), &samples, &Control::default(), 1);
        let first = decision.first().unwrap().id;
        let with = |slow: f64| {
            regret(&decision, Demand::Plain, 200.0, |id| {
                let view = samples[id.0 as usize].view;
                let cost_usd = if id == first { 0.001 } else { 0.002 };
                let ttft = if id == first { forecast(slow, 0.0) } else { view.ttft };
                Some(Hindsight { cost_usd, view: View { ttft, ..view } })
            })
        };
        assert!(with(0.5).abs() < 1e-15);
        let (v, other) = (decision.objective.usd_per_second, 0.001);
        assert!((with(20.5) - (20.0 * v - other)).abs() < 1e-9, "{}", with(20.5));
        assert!(regret(&decision, Demand::Plain, 1.0, |_| None).abs() < 1e-15);
    }
}
