//! What can be asked about usage.

use serde::Serialize;

use super::rows::{Id, Spend};
use crate::units::NanoUsd;

/// By what usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Everything in one line.
    Nothing,
    /// By customer, by id; `-` where there is none.
    Customer,
    /// By key: its name.
    Key,
    /// By the model that answered.
    Model,
    /// By provider.
    Provider,
    /// By day, as `YYYY-MM-DD` in UTC.
    Day,
}

/// Which usage is meant; what is `None` does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageFilter {
    /// Of this customer.
    pub customer: Option<Id>,
    /// Of this key.
    pub key: Option<Id>,
    /// From then on (seconds since 1970, rounded down to the minute).
    pub from: Option<u64>,
    /// Until then, exclusive.
    pub to: Option<u64>,
}

/// Usage, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// What it was grouped by.
    pub name: String,
    /// Attempts in the ledger.
    pub attempts: u64,
    /// Attempts that were billed: answers.
    pub requests: u64,
    /// Input tokens.
    pub input: u64,
    /// Input tokens from a cache.
    pub cached_input: u64,
    /// Output tokens.
    pub output: u64,
    /// What providers charge (nano-USD).
    pub cost: NanoUsd,
    /// What customers owe, after allowances (nano-USD).
    pub revenue: NanoUsd,
}

/// How a budget stands, as stored.
pub type Standing = Spend;
