//! What attempts cost and who pays: the money side of a ticket.
//!
//! An attempt is opened in the ledger before it is sent and closed exactly once:
//! charged when it gave the caller something or the caller hung up, recorded
//! without a charge when it failed, taken back when it was never sent. The last
//! resort is `Ticket::close_books`, which the settlement calls on every path.

use std::sync::Arc;

use super::ticket::{Served, Ticket};
use crate::accounts::counter::unix_ms;
use crate::accounts::{Refused, Reservation, limiter};
use crate::catalog::EndpointId;
use crate::market::Candidate;
use crate::outcome::{Failure, OverBudget};
use crate::store::{Entry, Kind, Plan};
use crate::telemetry::metrics::OTHER;
use crate::units::{NanoUsd, Usage};

/// Output tokens assumed for the worst case of a request that sets no limit to
/// an endpoint that states none, as a multiple of what is expected.
const WORST_LENGTH: f64 = 4.0;

/// An attempt that has no record yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// Its number, from 1.
    attempt: u16,
    /// Who is being asked.
    endpoint: EndpointId,
}

/// Why a request is not admitted, as the router and the caller are told.
#[must_use]
pub fn failure(refused: &Refused) -> Failure {
    match refused {
        Refused::Over(over, level) => {
            Failure::OverBudget(OverBudget { scope: level.name(), limit: over.limit, resets: over.resets })
        }
        Refused::Unavailable => Failure::LedgerUnavailable,
    }
}

impl Ticket {
    fn plan(&self) -> Option<&Arc<Plan>> {
        self.caller.as_ref()?.account.as_ref()?.plan.as_ref()
    }

    /// The most that an answer of this candidate can be charged: all of the prompt is
    /// billed at the dearest price there is for it (a cache may be written, images be
    /// dearer than text), and every choice is as long as allowed. Exact, unlike the
    /// score's worst case.
    #[must_use]
    pub fn worst_charge(&self, candidate: &Candidate) -> NanoUsd {
        let Some(request) = &self.request else { return NanoUsd::ZERO };
        let endpoint = self.fleet.catalog.endpoint(candidate.id);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let assumed = (candidate.facts.output_tokens * WORST_LENGTH).ceil() as u32;
        let longest = request.max_output_tokens.or(endpoint.max_output).unwrap_or(assumed);
        let input = u64::from(request.input_tokens);
        let output = u64::from(longest) * u64::from(request.n.max(1));
        let Some(cost) = endpoint.rates.as_ref().map(|rates| rates.most(input, output)) else {
            return NanoUsd::ZERO;
        };
        self.plan().map_or(cost, |plan| {
            let route = self.route.as_deref().unwrap_or(OTHER);
            plan.most((input, output), cost, route, &self.fleet.catalog.model(endpoint.model).name)
        })
    }

    /// Cost and charge of `usage` at an endpoint; `None` when its price is unknown.
    fn price(&self, endpoint: EndpointId, usage: &Usage) -> Option<(NanoUsd, NanoUsd)> {
        let endpoint = self.fleet.catalog.endpoint(endpoint);
        let cost = endpoint.rates.as_ref()?.cost(usage);
        let charge = match self.plan() {
            None => cost,
            Some(plan) => {
                let route = self.route.as_deref().unwrap_or(OTHER);
                plan.charge(usage, cost, route, &self.fleet.catalog.model(endpoint.model).name)
            }
        };
        Some((cost, charge))
    }

    /// Makes sure that an attempt at this candidate is paid for.
    ///
    /// # Errors
    /// When a budget does not allow it.
    pub(super) async fn cover(&mut self, candidate: &Candidate) -> Result<(), Failure> {
        let worst = self.worst_charge(candidate);
        let Some(reservation) = &mut self.reservation else { return Ok(()) };
        reservation.cover(worst).await.map_err(|refused| failure(&refused))
    }

    /// An attempt is about to be sent.
    pub(super) fn open_attempt(&mut self, endpoint: EndpointId) {
        self.begun = self.begun.saturating_add(1);
        self.pending = Some(Pending { attempt: self.begun, endpoint });
        if let Some(counter) = &self.shared.counter {
            let mut entry = self.entry(endpoint, self.begun, "open");
            entry.usage = self.input_alone();
            counter.open(entry);
        }
    }

    /// The attempt under way failed and gave the caller nothing.
    pub(super) fn close_attempt(&mut self, failure: &Failure) {
        let Some(pending) = self.pending.take() else { return };
        let Some(counter) = self.shared.counter.clone() else { return };
        if failure.was_never_sent() {
            counter.void(self.id, pending.attempt);
            return;
        }
        let entry = self.entry(pending.endpoint, pending.attempt, failure.label());
        // Who does not answer in time has read the prompt, and is likely to bill it.
        let usage = match failure {
            Failure::FirstContentTimeout => self.input_alone(),
            _ => Usage::default(),
        };
        counter.settle(entry, None, usage);
    }

    /// Books what an attempt consumed: usage, cost and charge, and their metrics.
    /// `billed`: the caller pays for it.
    pub fn charge(&mut self, endpoint: EndpointId, usage: Usage, result: &'static str, billed: bool) {
        let price = self.price(endpoint, &usage);
        let member = self.fleet.member(endpoint);
        member.metrics.usage(&usage);
        match price {
            Some((cost, _)) => member.metrics.cost.inc_by(cost.usd().max(0.0)),
            None => self.shared.metrics.unpriced.inc(),
        }
        let mut charged = price.map(|(_, charge)| charge);
        let counter = self.shared.counter.clone();
        if let (Some(pending), Some(counter)) = (self.pending.take(), counter) {
            let mut entry = self.entry(endpoint, pending.attempt, result);
            entry.billed = billed;
            let paid = match &mut self.reservation {
                Some(reservation) => reservation.settle(&counter, entry, usage),
                None => counter.settle(entry, None, usage),
            };
            charged = charged.map(|_| paid);
            self.count_revenue(paid);
        }
        let cost = price.map(|(cost, _)| cost);
        self.served = Some(Served { endpoint, usage, cost, charged, stated: None });
    }

    /// Only what somebody owes is revenue.
    fn count_revenue(&self, paid: NanoUsd) {
        if self.caller.as_ref().is_some_and(|caller| caller.account.is_some()) {
            let plan = self.plan().map_or("none", |plan| plan.name.as_str());
            self.shared.metrics.revenue.with_label_values(&[plan]).inc_by(paid.usd().max(0.0));
        }
    }

    /// The input, as it was estimated: known to have been sent.
    fn input_alone(&self) -> Usage {
        let input = self.request.as_ref().map_or(0, |request| u64::from(request.input_tokens));
        Usage { input, estimated: true, ..Usage::default() }
    }

    fn entry(&self, endpoint: EndpointId, attempt: u16, result: &str) -> Box<Entry> {
        let catalog = &self.fleet.catalog;
        let endpoint = catalog.endpoint(endpoint);
        let account = self.caller.as_ref().and_then(|caller| caller.account.as_ref());
        let end_user = self.request.as_ref().and_then(|request| request.end_user.as_deref());
        let (lines, allowance) = self.reservation.as_ref().map_or_else(Default::default, Reservation::lines);
        Box::new(Entry {
            request: self.id,
            attempt,
            kind: Kind::Settled,
            at: self.at_unix_ms,
            organisation: account.and_then(|path| path.organisation),
            customer: account.and_then(|path| path.customer),
            key: account.map(|path| path.key),
            key_name: self.caller.as_ref().map_or_else(|| "-".into(), |caller| Arc::clone(&caller.name)),
            route: self.route.clone().unwrap_or_else(|| OTHER.into()),
            provider: endpoint.provider.name.as_str().into(),
            model: Arc::clone(&catalog.model(endpoint.model).name),
            plan: account.and_then(|path| path.plan.clone()),
            rates: endpoint.rates.clone(),
            usage: Usage::default(),
            cost: NanoUsd::ZERO,
            charged: NanoUsd::ZERO,
            free: NanoUsd::ZERO,
            billed: false,
            result: result.to_owned(),
            stream: self.request.as_ref().is_some_and(|request| request.stream),
            end_user: end_user.and_then(|name| Some(self.shared.counter.as_ref()?.end_user(name))),
            tags: self.request.as_ref().and_then(|request| request.tags.as_deref()).map(Arc::from),
            lines,
            allowance,
        })
    }

    /// A stream has consumed `usage` so far, by an estimate.
    ///
    /// # Errors
    /// When that is all that the caller's budgets allow.
    pub(super) fn keep_up(&mut self, endpoint: EndpointId, usage: &Usage) -> Result<(), Failure> {
        let Some((_, charge)) = self.price(endpoint, usage) else { return Ok(()) };
        let Some(reservation) = &mut self.reservation else { return Ok(()) };
        reservation.keeps_up(charge).map_err(|refused| failure(&refused))
    }

    /// Keeps what a stream has consumed so far, for the next start if this process
    /// dies.
    pub(super) fn checkpoint(&self, usage: Usage) {
        if let (Some(counter), Some(pending)) = (&self.shared.counter, self.pending) {
            counter.checkpoint(self.id, pending.attempt, usage);
        }
    }

    /// Nothing stays open: what has no record yet gets one, and what is held is
    /// given back.
    pub(super) fn close_books(&mut self) {
        if let Some(pending) = self.pending {
            self.charge(pending.endpoint, self.input_alone(), "internal", false);
        }
        drop(self.reservation.take());
        let path = self.caller.as_ref().and_then(|caller| caller.account.as_ref());
        if let Some(path) = path.filter(|_| !self.counted.is_empty()) {
            let consumed = self.served.as_ref().map_or(0, |served| served.usage.input + served.usage.output);
            let now = self.shared.now();
            limiter::end(&path.limiters, &std::mem::take(&mut self.counted), consumed, now);
        }
    }

    /// Seconds since 1970: what windows of budgets go by.
    #[must_use]
    pub fn unix_seconds() -> u64 {
        unix_ms() / 1000
    }
}
