//! All budgets, behind one lock.
//!
//! A reservation is all or nothing over the whole path of an account: key,
//! customer and organisation are looked at under the same lock, so that no two
//! requests can both take the last of any. The lock is held for some hundred
//! nanoseconds and never across an `await`; what has to reach the disk first is
//! left to the caller ([`Refusal::Ungranted`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::meter::{Meter, Verdict};
use crate::store::{Budget, Id, Line, Mode, Spend};
use crate::units::NanoUsd;

/// All budgets in their current windows.
#[derive(Debug, Default)]
pub struct Vault(Mutex<HashMap<Id, Meter>>);

/// What a request holds. To be given back with [`Vault::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The budgets, each in the window of admission.
    pub lines: Arc<[Line]>,
    /// Held of each of them.
    pub amount: NanoUsd,
    /// The allowance that pays first.
    pub allowance: Option<Line>,
    /// Held of it.
    pub free: NanoUsd,
    /// The first budget that would have refused, were it not a shadow.
    pub shadow: Option<Id>,
}

impl Held {
    /// What may be charged before more must be held.
    #[must_use]
    pub fn covers(&self) -> NanoUsd {
        self.amount + self.free
    }
}

/// Why nothing is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// These must be granted first, so much in all.
    Ungranted(Vec<(Line, NanoUsd)>),
    /// A budget does not allow it.
    Over(Over),
}

/// A budget that does not allow a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub budget: Id,
    /// Its limit.
    pub limit: NanoUsd,
    /// What is neither spent nor held.
    pub left: NanoUsd,
    /// When it begins anew (seconds since 1970).
    pub resets: Option<u64>,
    /// The most that the whole path would allow, where all that refuse may be
    /// fitted into.
    pub fits: Option<NanoUsd>,
}

/// How a budget stands, for those who may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetView {
    /// What was set.
    pub budget: Budget,
    /// When the window began (seconds since 1970).
    pub start: u64,
    /// Spent in it.
    pub spent: NanoUsd,
    /// Held for requests under way.
    pub held: NanoUsd,
    /// When it ends (seconds since 1970).
    pub resets: Option<u64>,
}

impl Vault {
    fn meters(&self) -> MutexGuard<'_, HashMap<Id, Meter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a budget as it stood, or changes what is set of one that is there.
    pub fn put(&self, budget: Budget, spend: Option<&Spend>) {
        let mut meters = self.meters();
        match meters.get_mut(&budget.id) {
            // Another kind of window begins anew.
            Some(meter) if meter.budget.window == budget.window => meter.budget = budget,
            _ => drop(meters.insert(budget.id, Meter::new(budget, spend))),
        }
    }

    /// A budget is no more. What is held of it needs no giving back.
    pub fn remove(&self, budget: Id) {
        self.meters().remove(&budget);
    }

    /// Holds `amount` of every budget of `path`, less what `allowance` pays;
    /// nothing where any of them refuses. Budgets that are gone do not count.
    ///
    /// # Errors
    /// Says which refuses, or what must be granted first.
    pub fn reserve(
        &self,
        path: &[Id],
        allowance: Option<Id>,
        amount: NanoUsd,
        now: u64,
    ) -> Result<Held, Refusal> {
        let mut meters = self.meters();
        for id in path.iter().chain(&allowance) {
            if let Some(meter) = meters.get_mut(id) {
                meter.roll(now);
            }
        }
        let meter = allowance.and_then(|id| meters.get(&id));
        let free = meter.map_or(NanoUsd::ZERO, |meter| amount.min(meter.left()).max(NanoUsd::ZERO));
        let rest = NanoUsd::new(amount.get() - free.get());
        let takes = path.iter().map(|id| (*id, rest)).chain(allowance.map(|id| (id, free)));
        let takes: Vec<(Id, NanoUsd)> = takes.filter(|(id, _)| meters.contains_key(id)).collect();
        admit(&mut meters, &takes)?;
        let shadow =
            takes.iter().find(|(id, take)| meters.get(id).is_some_and(|meter| meter.would_refuse(*take)));
        let held = Held {
            lines: path.iter().filter_map(|id| meters.get(id)).map(Meter::line).collect(),
            amount: rest,
            allowance: allowance.and_then(|id| meters.get(&id)).map(Meter::line),
            free,
            shadow: shadow.map(|(id, _)| *id),
        };
        for (id, take) in takes {
            if let Some(meter) = meters.get_mut(&id) {
                meter.hold(take);
            }
        }
        Ok(held)
    }

    /// Holds `more` of every budget that `held` is of. A window that is over is
    /// not asked: what was admitted in it ends in it.
    ///
    /// # Errors
    /// As [`Vault::reserve`]; then `held` is as it was.
    pub fn raise(&self, held: &mut Held, more: NanoUsd) -> Result<(), Refusal> {
        let mut meters = self.meters();
        let now_there = |line: &&Line| meters.get(&line.budget).is_some_and(|meter| meter.line() == **line);
        let takes: Vec<(Id, NanoUsd)> =
            held.lines.iter().filter(now_there).map(|line| (line.budget, more)).collect();
        admit(&mut meters, &takes)?;
        for (id, take) in takes {
            if let Some(meter) = meters.get_mut(&id) {
                meter.hold(take);
            }
        }
        held.amount += more;
        Ok(())
    }

    /// An attempt is charged `charged`, out of what is held; returns what part of
    /// it is free.
    pub fn spend(&self, held: &mut Held, charged: NanoUsd) -> NanoUsd {
        let free = charged.min(held.free);
        let rest = NanoUsd::new(charged.get() - free.get());
        let from_hold = rest.min(held.amount);
        self.settle(held, (from_hold, rest), (free, free));
        held.amount = NanoUsd::new(held.amount.get() - from_hold.get());
        held.free = NanoUsd::new(held.free.get() - free.get());
        free
    }

    /// Gives back what is still held.
    pub fn release(&self, held: &Held) {
        self.settle(held, (held.amount, NanoUsd::ZERO), (held.free, NanoUsd::ZERO));
    }

    fn settle(&self, held: &Held, lines: (NanoUsd, NanoUsd), allowance: (NanoUsd, NanoUsd)) {
        let mut meters = self.meters();
        let lines = held.lines.iter().map(|line| (line, lines));
        for (line, (over, spent)) in lines.chain(held.allowance.as_ref().map(|line| (line, allowance))) {
            if let Some(meter) = meters.get_mut(&line.budget).filter(|meter| meter.line() == *line) {
                meter.settle(over, spent);
            }
        }
    }

    /// The disk has granted so much in all, or has refused (`None`).
    pub fn granted(&self, line: Line, granted: Option<NanoUsd>) {
        if let Some(meter) = self.meters().get_mut(&line.budget).filter(|meter| meter.line() == line) {
            meter.granted(granted);
        }
    }

    /// What of `held`'s budgets is to be asked for in good time.
    #[must_use]
    pub fn refills(&self, held: &Held) -> Vec<(Line, NanoUsd)> {
        let mut meters = self.meters();
        let mut wanted = Vec::new();
        for line in held.lines.iter().chain(&held.allowance) {
            if let Some(meter) = meters.get_mut(&line.budget)
                && let Some(granted) = meter.refill()
            {
                meter.ask(granted);
                wanted.push((*line, granted));
            }
        }
        wanted
    }

    /// What a crash had set aside is given back.
    pub fn forgive(&self, line: Line, forfeited: NanoUsd) {
        if let Some(meter) = self.meters().get_mut(&line.budget).filter(|meter| meter.line() == line) {
            meter.forgive(forfeited);
        }
    }

    /// How a budget stands at `now`.
    #[must_use]
    pub fn view(&self, budget: Id, now: u64) -> Option<BudgetView> {
        let mut meters = self.meters();
        let meter = meters.get_mut(&budget)?;
        meter.roll(now);
        Some(BudgetView {
            budget: meter.budget.clone(),
            start: meter.line().start,
            spent: meter.spent(),
            held: meter.held(),
            resets: meter.resets(),
        })
    }
}

/// Whether every budget allows its part. What would be allowed if it were on the
/// disk is noted as asked for.
fn admit(meters: &mut HashMap<Id, Meter>, takes: &[(Id, NanoUsd)]) -> Result<(), Refusal> {
    let mut ungranted = Vec::new();
    let mut over: Option<Over> = None;
    let mut fits = Some(NanoUsd::new(i64::MAX));
    for (id, take) in takes {
        let Some(meter) = meters.get(id) else { continue };
        match meter.verdict(*take) {
            Verdict::Fits => {}
            Verdict::Ungranted(granted) => ungranted.push((meter.line(), granted)),
            Verdict::Over => {
                if meter.budget.mode != Mode::Fit {
                    fits = None;
                }
                let this = Over {
                    budget: *id,
                    limit: meter.budget.limit,
                    left: meter.left(),
                    resets: meter.resets(),
                    fits: None,
                };
                over = over.or(Some(this));
            }
        }
        if *take != NanoUsd::ZERO && !meter.budget.shadow && meter.budget.mode != Mode::Soft {
            fits = fits.map(|fits| fits.min(meter.left()));
        }
    }
    if let Some(over) = over {
        return Err(Refusal::Over(Over { fits: fits.filter(|fits| fits.get() > 0), ..over }));
    }
    if ungranted.is_empty() {
        return Ok(());
    }
    for (line, granted) in &ungranted {
        if let Some(meter) = meters.get_mut(&line.budget) {
            meter.ask(*granted);
        }
    }
    Err(Refusal::Ungranted(ungranted))
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
