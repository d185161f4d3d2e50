//! The counter: accounts and budgets in memory, in step with their store.
//!
//! A change is durable first and in force a moment later; what is in memory is
//! never ahead of the disk. Requests only touch memory, except where a slice of a
//! budget must be set aside on the disk first.

mod change;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;

use super::directory::Directory;
use super::keys::{Caller, Pepper, hex};
use super::path::AccountPath;
use super::vault::{Held, Over, Refusal, Vault};
use crate::store::sqlite::Reader;
use crate::store::{Budget, Entry, Id, Level, Line, Mode, Snapshot, Spend, Store, StoreError, Window, Write};
use crate::units::{NanoUsd, Usage};

/// How often a reservation asks for slices before it gives up: each time it has
/// been granted what it asked for, and somebody else was faster.
const TRIES: u32 = 64;

/// Accounts, budgets and the ledger of one store.
#[derive(Debug)]
pub struct Counter {
    /// Where everything is written.
    pub store: Store,
    /// All keys.
    pub directory: Directory,
    /// All budgets.
    pub vault: Vault,
    pepper: Pepper,
    /// The file that readers open.
    file: PathBuf,
}

/// Why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A budget does not allow it; of which level.
    Over(Over, Level),
    /// The ledger cannot be written, and nobody is served on credit.
    Unavailable,
}

impl Counter {
    /// Everything that a store held when it was opened.
    #[must_use]
    pub fn new(store: Store, snapshot: Snapshot, pepper: Pepper, file: PathBuf) -> Arc<Self> {
        let vault = Vault::default();
        // Indexed once: with 100,000 budgets a search for each would take minutes.
        let latest: HashMap<Id, &Spend> = snapshot.spend.iter().map(|spend| (spend.budget, spend)).collect();
        for budget in &snapshot.budgets {
            vault.put(budget.clone(), latest.get(&budget.id).copied());
        }
        let plans: HashMap<Id, NanoUsd> =
            snapshot.plans.iter().map(|plan| (plan.id, plan.allowance)).collect();
        for account in &snapshot.accounts {
            let allowance =
                account.terms.plan.and_then(|plan| plans.get(&plan)).filter(|most| most.get() > 0);
            if let Some(limit) = allowance {
                vault.put(allowance_of(account.id, *limit), latest.get(&-account.id).copied());
            }
        }
        let directory = Directory::new(snapshot);
        Arc::new(Counter { store, directory, vault, pepper, file })
    }

    /// Whose key this is at `now` (milliseconds since 1970).
    #[must_use]
    pub fn find(&self, key: &str, now: u64) -> Option<Arc<Caller>> {
        self.directory.find(&self.pepper.digest(key), now)
    }

    /// What an end user is called in the ledger: a digest of 16 hexadecimal digits.
    #[must_use]
    pub fn end_user(&self, name: &str) -> Arc<str> {
        let mut digits = hex(&self.pepper.digest(name));
        digits.truncate(16);
        digits.into()
    }

    /// A connection for questions.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.file)
    }

    /// Holds `amount` of every budget of the path, in the windows of `now`
    /// (seconds since 1970). Waits for the disk only where a slice is used up.
    ///
    /// # Errors
    /// When a budget does not allow it, or the ledger cannot be written.
    pub async fn reserve(
        self: &Arc<Self>,
        path: &AccountPath,
        amount: NanoUsd,
        now: u64,
    ) -> Result<Held, Refused> {
        if !self.store.is_up() {
            return Err(Refused::Unavailable);
        }
        for _ in 0..TRIES {
            match self.vault.reserve(&path.budget_ids, path.allowance, amount, now) {
                Ok(held) => {
                    self.refill(&held);
                    return Ok(held);
                }
                Err(Refusal::Over(over)) => return Err(Refused::Over(over, level_of(path, over.budget))),
                Err(Refusal::Ungranted(wanted)) => self.grant(wanted).await?,
            }
        }
        Err(Refused::Unavailable)
    }

    /// Holds `more` in addition; waits like [`Counter::reserve`].
    ///
    /// # Errors
    /// As there; then `held` is as it was.
    pub async fn raise(
        self: &Arc<Self>,
        path: &AccountPath,
        held: &mut Held,
        more: NanoUsd,
    ) -> Result<(), Refused> {
        for _ in 0..TRIES {
            match self.vault.raise(held, more) {
                Ok(()) => return Ok(()),
                Err(Refusal::Over(over)) => return Err(Refused::Over(over, level_of(path, over.budget))),
                Err(Refusal::Ungranted(wanted)) => self.grant(wanted).await?,
            }
        }
        Err(Refused::Unavailable)
    }

    /// The same for who cannot wait: where a slice is needed first it is asked
    /// for, and `false` means: not yet.
    ///
    /// # Errors
    /// When a budget does not allow it.
    pub fn try_raise(
        self: &Arc<Self>,
        path: &AccountPath,
        held: &mut Held,
        more: NanoUsd,
    ) -> Result<bool, Refused> {
        match self.vault.raise(held, more) {
            Ok(()) => Ok(true),
            Err(Refusal::Over(over)) => Err(Refused::Over(over, level_of(path, over.budget))),
            Err(Refusal::Ungranted(wanted)) => {
                drop(self.grant_behind(wanted));
                Ok(false)
            }
        }
    }

    /// Asks the disk, and waits for it.
    async fn grant(self: &Arc<Self>, wanted: Vec<(Line, NanoUsd)>) -> Result<(), Refused> {
        // A task of its own: also when the caller hangs up, what is on the disk is
        // told to the vault.
        self.grant_behind(wanted).await.unwrap_or(Err(Refused::Unavailable))
    }

    fn refill(self: &Arc<Self>, held: &Held) {
        let wanted = self.vault.refills(held);
        if !wanted.is_empty() {
            // Whoever needs it and does not find it asks again.
            drop(self.grant_behind(wanted));
        }
    }

    fn grant_behind(self: &Arc<Self>, wanted: Vec<(Line, NanoUsd)>) -> JoinHandle<Result<(), Refused>> {
        let counter = Arc::clone(self);
        let grants = wanted
            .into_iter()
            .map(|(line, granted)| (line, granted, counter.store.write(Write::Grant { line, granted })));
        let grants: Vec<_> = grants.collect();
        tokio::spawn(async move {
            let mut result = Ok(());
            for (line, granted, written) in grants {
                let written = written.await;
                counter.vault.granted(line, written.is_ok().then_some(granted));
                if written.is_err() {
                    result = Err(Refused::Unavailable);
                }
            }
            result
        })
    }

    /// An attempt is about to be sent.
    pub fn open(&self, entry: Box<Entry>) {
        self.store.hand_over(Write::Open(entry));
    }

    /// What an attempt has consumed so far.
    pub fn checkpoint(&self, request: uuid::Uuid, attempt: u16, usage: Usage) {
        self.store.hand_over(Write::Checkpoint { request, attempt, usage });
    }

    /// An attempt was never sent after all.
    pub fn void(&self, request: uuid::Uuid, attempt: u16) {
        self.store.hand_over(Write::Void { request, attempt });
    }

    /// An attempt ended: priced, taken from what is held, and handed to the ledger.
    /// Gives what the customer pays for it.
    pub fn settle(&self, mut entry: Box<Entry>, held: Option<&mut Held>, usage: Usage) -> NanoUsd {
        entry.price(usage, NanoUsd::ZERO);
        if let Some(held) = held {
            entry.free = self.vault.spend(held, entry.charged);
        }
        let revenue = entry.revenue();
        self.store.hand_over(Write::Settle(entry));
        revenue
    }
}

fn level_of(path: &AccountPath, budget: Id) -> Level {
    path.budgets.iter().find(|(id, _)| *id == budget).map_or(Level::Customer, |(_, level)| *level)
}

/// What an allowance is to the vault: a monthly budget under the account's
/// negative id.
pub(super) fn allowance_of(account: Id, limit: NanoUsd) -> Budget {
    Budget {
        id: -account,
        account,
        version: 1,
        limit,
        window: Window::Month,
        mode: Mode::Strict,
        shadow: false,
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
