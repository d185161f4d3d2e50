//! What is stored of who may spend: accounts, digests, plans and budgets.
//!
//! An account is a node of one tree: organisation → customer → key. All three
//! have the same terms, so that "a key never grants more than its parent" is one
//! rule, not three. Names are the operator's; ids are the store's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Expose;
use crate::units::{NanoUsd, Rates, Usage};

/// The id of a row; 0 stands for one that is not stored yet.
pub type Id = i64;

/// Where in the tree an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The root of a tree; has no parent.
    Organisation,
    /// Who is billed; its parent, if any, is an organisation.
    Customer,
    /// What callers present; its parent, if any, is a customer or an organisation.
    Key,
}

impl Level {
    /// The word in metrics, errors and the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Level::Organisation => "organisation",
            Level::Customer => "customer",
            Level::Key => "key",
        }
    }
}

/// What an account may do. Absent means: as its parent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Models and routes it may use; `None` is all that its parent may.
    pub models: Option<Vec<String>>,
    /// What it may see of providers; never more than its parent.
    pub expose: Option<Expose>,
    /// What it pays; `None` is its parent's plan.
    pub plan: Option<Id>,
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute: input and the most output that is asked for.
    pub tokens_per_minute: Option<u32>,
    /// Requests at once.
    pub concurrency: Option<u32>,
    /// Valid until then (milliseconds since 1970).
    pub until: Option<u64>,
}

/// An organisation, a customer or a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Given by the store.
    pub id: Id,
    /// Where it stands.
    pub level: Level,
    /// Whose it is.
    pub parent: Option<Id>,
    /// Unique among the living with the same level and parent.
    pub name: String,
    /// Counts changes, from 1.
    pub version: i64,
    /// What it may do.
    pub terms: Terms,
    /// When it was made (milliseconds since 1970).
    pub created: u64,
    /// When it was revoked or deleted; nothing below it works any more.
    pub ended: Option<u64>,
}

/// A digest by which a key is known. A key that is being rotated has two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDigest {
    /// The keyed digest of the key's text.
    pub digest: [u8; 32],
    /// The account it opens.
    pub account: Id,
    /// Valid until then (milliseconds since 1970).
    pub until: Option<u64>,
    /// The key's last four characters, for people who look for one.
    pub hint: String,
}

/// What a customer pays for a request. The cost is that of the attempt which
/// answered, at the provider's prices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Given by the store.
    pub id: Id,
    /// Unique.
    pub name: String,
    /// Counts changes, from 1.
    pub version: i64,
    /// Added to the cost, in hundredths of a percent: 2000 is 20 %; 0 passes the
    /// list price on.
    pub margin: u32,
    /// Prices of the operator's own, by the name that was asked for or the model
    /// that answered: for these the cost does not matter.
    pub flat: BTreeMap<String, Rates>,
    /// The least that an answered request is charged.
    pub minimum: NanoUsd,
    /// So much in each calendar month is not charged.
    pub allowance: NanoUsd,
}

/// The largest margin: a hundredfold price.
pub const MOST_MARGIN: u32 = 990_000;

impl Plan {
    /// What `usage` is charged that cost `cost`, when `route` was asked for and
    /// `model` answered: computed in 128 bits, rounded once, half up.
    #[must_use]
    pub fn charge(&self, usage: &Usage, cost: NanoUsd, route: &str, model: &str) -> NanoUsd {
        let flat = self.flat.get(route).or_else(|| self.flat.get(model));
        let price = flat.map_or_else(|| self.with_margin(cost), |rates| rates.cost(usage));
        price.max(self.minimum)
    }

    /// The most that a request of at most so many input and output tokens can be
    /// charged that costs at most `cost`.
    #[must_use]
    pub fn most(&self, (input, output): (u64, u64), cost: NanoUsd, route: &str, model: &str) -> NanoUsd {
        let flat = self.flat.get(route).or_else(|| self.flat.get(model));
        let price = flat.map_or_else(|| self.with_margin(cost), |rates| rates.most(input, output));
        price.max(self.minimum)
    }

    fn with_margin(&self, cost: NanoUsd) -> NanoUsd {
        let hundredths = i128::from(cost.get()) * (10_000 + i128::from(self.margin));
        let nano = (hundredths + 5_000).div_euclid(10_000);
        NanoUsd::new(i64::try_from(nano).unwrap_or(i64::MAX))
    }
}

/// When a budget begins anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
    /// On the first of the month.
    Month,
    /// Never: prepaid credit is such a budget.
    Total,
}

/// What happens when a request's worst case does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused.
    #[default]
    Strict,
    /// Its output limit is lowered to what fits, and the caller is told.
    Fit,
    /// It is served as long as anything is left: may overshoot by what is under way.
    Soft,
}

/// What an account may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Given by the store.
    pub id: Id,
    /// Whose it is.
    pub account: Id,
    /// Counts changes, from 1.
    pub version: i64,
    /// The most that may be spent in one window; for credit, all that was paid in.
    pub limit: NanoUsd,
    /// When it begins anew.
    pub window: Window,
    /// When it does not fit.
    #[serde(default)]
    pub mode: Mode,
    /// Only counts what it would have refused.
    #[serde(default)]
    pub shadow: bool,
}

/// A change of a budget's standing in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// The budget.
    pub budget: Id,
    /// When the window began (seconds since 1970).
    pub start: u64,
    /// What has been set aside for spending, all told: nothing beyond it is spent.
    pub granted: NanoUsd,
    /// What the ledger says was spent.
    pub settled: NanoUsd,
    /// What was set aside, may have been spent in a crash, and is on no bill.
    pub forfeited: NanoUsd,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PicoUsd;

    #[test]
    fn a_margin_is_rounded_once_and_half_up() {
        let plan = Plan { margin: 2_000, ..Plan::default() };
        let charge = |nano| plan.charge(&Usage::default(), NanoUsd::new(nano), "r", "m").get();
        assert_eq!((charge(0), charge(1), charge(2), charge(3), charge(1_000)), (0, 1, 2, 4, 1_200));
        assert_eq!(charge(i64::MAX), i64::MAX);
    }

    #[test]
    fn flat_prices_do_not_look_at_the_cost() {
        let flat = Rates { output: PicoUsd::new(5_000_000), ..Rates::default() };
        let plan = Plan {
            margin: 5_000,
            flat: BTreeMap::from([("own".to_owned(), flat)]),
            minimum: NanoUsd::new(7),
            ..Plan::default()
        };
        let usage = Usage { output: 10, ..Usage::default() };
        assert_eq!(plan.charge(&usage, NanoUsd::new(1), "own", "m"), NanoUsd::new(50_000));
        assert_eq!(plan.charge(&usage, NanoUsd::new(100), "other", "own"), NanoUsd::new(50_000));
        assert_eq!(plan.charge(&usage, NanoUsd::new(100), "other", "m"), NanoUsd::new(150));
        assert_eq!(plan.charge(&usage, NanoUsd::ZERO, "other", "m"), NanoUsd::new(7), "the minimum");
    }
}
