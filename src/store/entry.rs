//! One record of the ledger: an attempt that was written to a socket, what it
//! consumed, what it cost and what was charged for it, with all that is needed to
//! compute the amounts again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rows::{Id, Plan};
use crate::units::{NanoUsd, Rates, Usage};

/// How a record came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The attempt ended and was settled.
    #[default]
    Settled,
    /// The process died during the attempt; settled at the next start.
    Recovered,
}

impl Kind {
    /// The word in exports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Settled => "settled",
            Kind::Recovered => "recovered",
        }
    }
}

/// A budget that an attempt is charged to, in the window of its admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Line {
    /// The budget.
    pub budget: Id,
    /// When the window began (seconds since 1970).
    pub start: u64,
}

/// One attempt, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The request, by our own id.
    pub request: Uuid,
    /// Number of the attempt, from 1. With `request` it names the record.
    pub attempt: u16,
    /// How the record came to be.
    #[serde(default)]
    pub kind: Kind,
    /// When the request arrived (milliseconds since 1970).
    pub at: u64,
    /// The organisation, if the key belongs to one.
    pub organisation: Option<Id>,
    /// The customer, likewise.
    pub customer: Option<Id>,
    /// The key, if it is an account's.
    pub key: Option<Id>,
    /// What the key is called.
    pub key_name: Arc<str>,
    /// The name that was asked for.
    pub route: Arc<str>,
    /// Who was asked.
    pub provider: Arc<str>,
    /// Which model.
    pub model: Arc<str>,
    /// What is charged; nothing but the cost without one.
    pub plan: Option<Arc<Plan>>,
    /// The prices in force; `None` is unknown.
    pub rates: Option<Arc<Rates>>,
    /// What was consumed.
    pub usage: Usage,
    /// What the provider charges for it.
    pub cost: NanoUsd,
    /// What the customer owes for it: the plan's price, or nothing when it was
    /// not the attempt that answered.
    pub charged: NanoUsd,
    /// What of that was free: part of an allowance.
    #[serde(default)]
    pub free: NanoUsd,
    /// Whether the customer pays for this attempt.
    pub billed: bool,
    /// `ok`, or the failure's label.
    pub result: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whose end user it was for: a keyed digest of what the caller says, never
    /// the name itself.
    #[serde(default)]
    pub end_user: Option<Arc<str>>,
    /// The caller's tags, as a JSON object of strings.
    #[serde(default)]
    pub tags: Option<Arc<str>>,
    /// The budgets it counts against.
    pub lines: Arc<[Line]>,
    /// The allowance it was taken from.
    #[serde(default)]
    pub allowance: Option<Line>,
}

impl Entry {
    /// What the customer pays, after what is free.
    #[must_use]
    pub fn revenue(&self) -> NanoUsd {
        NanoUsd::new(self.charged.get().saturating_sub(self.free.get()))
    }

    /// The cost by usage and prices.
    #[must_use]
    pub fn computed_cost(&self) -> NanoUsd {
        self.rates.as_ref().map_or(NanoUsd::ZERO, |rates| match self.usage == Usage::default() {
            // An attempt that consumed nothing costs nothing, not even a fee.
            true => NanoUsd::ZERO,
            false => rates.cost(&self.usage),
        })
    }

    /// The charge by usage, cost and plan.
    #[must_use]
    pub fn computed_charge(&self) -> NanoUsd {
        match (&self.plan, self.billed) {
            (_, false) => NanoUsd::ZERO,
            (None, true) => self.cost,
            (Some(plan), true) => plan.charge(&self.usage, self.cost, &self.route, &self.model),
        }
    }

    /// Fills in usage, cost and charge; `free` is the part of the charge that an
    /// allowance takes over, at most.
    pub fn price(&mut self, usage: Usage, free: NanoUsd) {
        self.usage = usage;
        self.cost = self.computed_cost();
        self.charged = self.computed_charge();
        self.free = free.min(self.charged).max(NanoUsd::ZERO);
    }
}
