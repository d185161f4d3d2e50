//! A key with all that it inherits: its account path, compiled.
//!
//! What a request needs of organisation, customer and key is worked out when one
//! of them changes, not when a request comes. Everything only ever narrows on the
//! way down: a key never grants more than its parent.

use std::collections::HashSet;
use std::sync::Arc;

use super::limiter::{Allowed, Limiter};
use crate::catalog::Expose;
use crate::store::{Account, Id, Level, Plan};

/// Who pays for a key's requests, and within which limits.
#[derive(Debug)]
pub struct AccountPath {
    /// The key's account.
    pub key: Id,
    /// Whose key it is.
    pub customer: Option<Id>,
    /// Whose customer that is.
    pub organisation: Option<Id>,
    /// Every budget of the path, with the level it belongs to.
    pub budgets: Vec<(Id, Level)>,
    /// The ids alone, as the vault wants them.
    pub budget_ids: Vec<Id>,
    /// What is charged; the bare cost without one.
    pub plan: Option<Arc<Plan>>,
    /// The allowance that pays first: the account's id, negative, so that it cannot
    /// be a budget's.
    pub allowance: Option<Id>,
    /// The limits of the path, and whose each is.
    pub limiters: Vec<Limiter>,
    /// Levels of `limiters`.
    pub limited: Vec<Level>,
    /// The first instant at which it is no longer valid (milliseconds since 1970).
    pub until: Option<u64>,
}

/// What a path is made from.
pub(super) struct Parts<'d> {
    /// From the key up to its root; never empty.
    pub(super) accounts: Vec<&'d Account>,
    /// Budgets of an account.
    pub(super) budgets: &'d dyn Fn(Id) -> Vec<Id>,
    /// The plan of that id.
    pub(super) plan: &'d dyn Fn(Id) -> Option<Arc<Plan>>,
    /// The limiter of an account.
    pub(super) limiter: &'d dyn Fn(Id) -> Limiter,
}

/// What a path comes to for the caller.
pub(super) struct Compiled {
    pub(super) path: AccountPath,
    pub(super) models: Option<HashSet<String>>,
    pub(super) expose: Expose,
}

/// Narrows everything from the root down to the key.
pub(super) fn compile(parts: &Parts<'_>) -> Compiled {
    let id_of =
        |level| parts.accounts.iter().find(|account| account.level == level).map(|account| account.id);
    let mut models: Option<HashSet<String>> = None;
    for own in parts.accounts.iter().filter_map(|account| account.terms.models.as_ref()) {
        models = Some(match models {
            None => own.iter().cloned().collect(),
            Some(models) => own.iter().filter(|name| models.contains(*name)).cloned().collect(),
        });
    }
    let expose = parts.accounts.iter().filter_map(|account| account.terms.expose).max().unwrap_or_default();
    // The nearest plan counts, and so does whose it is: its allowance is shared by
    // all keys below.
    let planned = parts.accounts.iter().find_map(|account| Some((account.id, account.terms.plan?)));
    let plan = planned.and_then(|(_, plan)| (parts.plan)(plan));
    let gives = plan.as_ref().is_some_and(|plan| plan.allowance.get() > 0);
    let budgets: Vec<(Id, Level)> = parts
        .accounts
        .iter()
        .flat_map(|account| (parts.budgets)(account.id).into_iter().map(|id| (id, account.level)))
        .collect();
    let limited: Vec<&&Account> =
        parts.accounts.iter().filter(|account| !allowed(account).is_unlimited()).collect();
    Compiled {
        path: AccountPath {
            key: parts.accounts.first().map_or(0, |account| account.id),
            customer: id_of(Level::Customer),
            organisation: id_of(Level::Organisation),
            budget_ids: budgets.iter().map(|(id, _)| *id).collect(),
            budgets,
            plan,
            allowance: planned.filter(|_| gives).map(|(account, _)| -account),
            limiters: limited
                .iter()
                .map(|account| (parts.limiter)(account.id).with(allowed(account)))
                .collect(),
            limited: limited.iter().map(|account| account.level).collect(),
            until: parts.accounts.iter().filter_map(|account| account.terms.until).min(),
        },
        models,
        expose,
    }
}

fn allowed(account: &Account) -> Allowed {
    let terms = &account.terms;
    Allowed {
        requests: terms.requests_per_minute,
        tokens: terms.tokens_per_minute,
        at_once: terms.concurrency,
    }
}
