//! What recorded decisions are decided again by.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::{Catalog, Endpoint, EndpointId, Objective};
use crate::market::{Ask, Candidate, Decision, Reject, Rejected, cost};
use crate::request::Control;

/// Another objective, another configuration, or both.
#[derive(Debug, Default)]
pub struct Aim {
    /// This instead of what each decision was made by.
    pub objective: Option<Objective>,
    /// USD per second, instead of the objective's.
    pub usd_per_second: Option<f64>,
    /// USD per good answer, likewise.
    pub usd_per_good_answer: Option<f64>,
    /// Endpoints, prices, priors of quality and routes as these, by identity.
    pub offers: Option<Offers>,
}

/// What another configuration offers.
#[derive(Debug)]
pub struct Offers {
    catalog: Catalog,
    objective: Arc<Objective>,
    by_identity: HashMap<Arc<str>, EndpointId>,
}

impl Offers {
    /// Those of `catalog`, where a request that does not say otherwise is decided by
    /// `objective`.
    #[must_use]
    pub fn new(catalog: Catalog, objective: Arc<Objective>) -> Self {
        let named = |endpoint: &Endpoint| (Arc::clone(&endpoint.identity), endpoint.id);
        let by_identity = catalog.endpoints.iter().map(named).collect();
        Offers { catalog, objective, by_identity }
    }

    /// The objective of that name.
    #[must_use]
    pub fn objective(&self, name: &str) -> Option<&Objective> {
        self.catalog.objectives.get(name).map(|objective| &**objective)
    }
}

impl Aim {
    /// The decision that would have been made about a request for `route` instead of
    /// `decision`.
    #[must_use]
    pub fn decide(&self, route: &str, mut decision: Decision) -> Decision {
        let mut objective = decision.objective.clone();
        if let Some(offers) = &self.offers {
            offers.change(route, &mut decision);
            let of_route = offers.catalog.find(route).and_then(|found| found.objective);
            objective = (**of_route.unwrap_or(&offers.objective)).clone();
        }
        if let Some(given) = &self.objective {
            objective = given.clone();
        }
        objective.usd_per_second = self.usd_per_second.unwrap_or(objective.usd_per_second);
        objective.usd_per_good_answer = self.usd_per_good_answer.unwrap_or(objective.usd_per_good_answer);
        decision.again(&objective)
    }
}

impl Offers {
    /// Replaces what the configuration says about the candidates, and takes away those
    /// whom it does not offer. What was never a candidate cannot be added.
    fn change(&self, route: &str, decision: &mut Decision) {
        let offered = self.catalog.find(route).map(|found| found.endpoints).unwrap_or_default();
        let control = Control::default();
        let blank = Ask { choices: decision.choices, ..Ask::blank(&control) };
        for mut candidate in std::mem::take(&mut decision.candidates) {
            let id = self.by_identity.get(&candidate.endpoint).filter(|id| offered.contains(id));
            let Some(endpoint) = id.map(|id| self.catalog.endpoint(*id)) else {
                decision.rejects.push(rejected(candidate, Reject::NotAllowed));
                continue;
            };
            match reprice(&blank, endpoint, &mut candidate) {
                Ok(()) => decision.candidates.push(candidate),
                Err(reject) => decision.rejects.push(rejected(candidate, reject)),
            }
        }
        // Whoever was tried alone is again, whoever that is.
        if decision.order.len() != 1 {
            decision.order = (0..).take(decision.candidates.len()).collect();
        }
    }
}

fn rejected(candidate: Candidate, reject: Reject) -> Rejected {
    Rejected { id: candidate.id, endpoint: candidate.endpoint, reject }
}

/// Prices and prior of `endpoint`.
fn reprice(blank: &Ask<'_>, endpoint: &Endpoint, candidate: &mut Candidate) -> Result<(), Reject> {
    let facts = &mut candidate.facts;
    let rates = endpoint.rates.as_deref().ok_or(Reject::Unpriced)?;
    let tier = rates.for_input(u64::from(facts.input_tokens));
    let ask = Ask { input_tokens: facts.input_tokens, ..*blank };
    let prompt = cost::Prompt { warm: facts.warm_tokens, written: facts.written_tokens };
    facts.input_price = tier.input.usd_per_mtok();
    facts.output_price = tier.output.usd_per_mtok();
    candidate.score.cost_usd = cost::expected(&ask, rates, facts.output_tokens, prompt);
    // What has been judged is known better than any prior.
    if facts.evidence.judgements <= 0.0 {
        facts.quality = endpoint.quality;
    }
    Ok(())
}
