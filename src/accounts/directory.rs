//! All keys of the store, ready to be recognised.
//!
//! The tree of accounts as stored, and beside it for each digest the finished
//! [`Caller`]. A change recompiles the keys below what changed, in place: with
//! 100,000 keys a copy of the whole for every change would take longer than the
//! change. Readers hold the lock for one look into a hash table.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::keys::{Caller, Digest};
use super::limiter::Limiter;
use super::path::{Parts, compile};
use crate::store::{Account, Budget, Id, KeyDigest, Level, Plan, Snapshot, StoreError};

/// Deepest tree: organisation, customer, key.
const DEPTH: usize = 3;

/// All accounts, plans, budgets and keys of the store.
#[derive(Debug, Default)]
pub struct Directory(RwLock<Tree>);

#[derive(Debug, Default)]
struct Tree {
    accounts: HashMap<Id, Account>,
    /// Sets, for one customer may have 100,000 keys.
    children: HashMap<Id, HashSet<Id>>,
    digests: HashMap<Id, Vec<KeyDigest>>,
    plans: HashMap<Id, Arc<Plan>>,
    budgets: HashMap<Id, Budget>,
    budgets_of: HashMap<Id, Vec<Id>>,
    limiters: HashMap<Id, Limiter>,
    callers: HashMap<Digest, Known>,
    /// Whether there ever was a key.
    keyed: bool,
}

/// A digest's caller, and until when the digest is good.
#[derive(Debug)]
struct Known {
    caller: Arc<Caller>,
    until: Option<u64>,
}

/// Which accounts are meant; what is `None` does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'n> {
    /// Of this level.
    pub level: Level,
    /// Directly below this account.
    pub parent: Option<Id>,
    /// Of exactly this name.
    pub name: Option<&'n str>,
    /// Those that have ended as well.
    pub ended: bool,
    /// With larger ids only.
    pub after: Id,
    /// At most so many.
    pub limit: usize,
}

impl Wanted<'_> {
    /// All the living of a level.
    #[must_use]
    pub const fn of(level: Level) -> Self {
        Wanted { level, parent: None, name: None, ended: false, after: 0, limit: usize::MAX }
    }

    fn takes(&self, one: &Account) -> bool {
        one.level == self.level
            && one.id > self.after
            && (self.ended || one.ended.is_none())
            && (self.parent.is_none() || one.parent == self.parent)
            && self.name.is_none_or(|name| one.name == name)
    }
}

impl Directory {
    /// Everything that a store holds.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        let mut tree = Tree::default();
        tree.plans.extend(snapshot.plans.into_iter().map(|plan| (plan.id, Arc::new(plan))));
        for budget in snapshot.budgets {
            tree.put_budget(budget);
        }
        for digest in snapshot.digests {
            tree.digests.entry(digest.account).or_default().push(digest);
        }
        for account in snapshot.accounts {
            tree.put_account(account);
        }
        let keys: Vec<Id> =
            tree.accounts.values().filter(|one| one.level == Level::Key).map(|one| one.id).collect();
        for key in keys {
            tree.compile(key);
        }
        Directory(RwLock::new(tree))
    }

    fn read(&self) -> RwLockReadGuard<'_, Tree> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tree> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose key has this digest at `now` (milliseconds since 1970).
    #[must_use]
    pub fn find(&self, digest: &Digest, now: u64) -> Option<Arc<Caller>> {
        let tree = self.read();
        let known = tree.callers.get(digest)?;
        let path_until = known.caller.account.as_ref().and_then(|path| path.until);
        let good = |until: Option<u64>| until.is_none_or(|until| now < until);
        (good(known.until) && good(path_until)).then(|| Arc::clone(&known.caller))
    }

    /// Whether there is any key, or ever was: when the last one is revoked, its
    /// holder must not become somebody who needs none.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.read().keyed
    }

    /// An account, as it is.
    #[must_use]
    pub fn account(&self, id: Id) -> Option<Account> {
        self.read().accounts.get(&id).cloned()
    }

    /// All accounts of a level, of a parent where one is given; by id, so that
    /// they can be paged.
    #[must_use]
    pub fn accounts(&self, level: Level, parent: Option<Id>) -> Vec<Account> {
        let tree = self.read();
        let wanted = |one: &&Account| one.level == level && (parent.is_none() || one.parent == parent);
        let mut found: Vec<Account> = tree.accounts.values().filter(wanted).cloned().collect();
        found.sort_unstable_by_key(|one| one.id);
        found
    }

    /// The first accounts that are wanted, by id.
    #[must_use]
    pub fn page(&self, wanted: &Wanted<'_>) -> Vec<Account> {
        let tree = self.read();
        // Only what is directly below is looked at where that says enough.
        let mut found: Vec<&Account> = match wanted.parent {
            Some(parent) => {
                let below = tree.children.get(&parent).into_iter().flatten();
                below.filter_map(|id| tree.accounts.get(id)).filter(|one| wanted.takes(one)).collect()
            }
            None => tree.accounts.values().filter(|one| wanted.takes(one)).collect(),
        };
        found.sort_unstable_by_key(|one| one.id);
        found.into_iter().take(wanted.limit).cloned().collect()
    }

    /// The digests of a key.
    #[must_use]
    pub fn digests(&self, key: Id) -> Vec<KeyDigest> {
        self.read().digests.get(&key).cloned().unwrap_or_default()
    }

    /// All plans, by id.
    #[must_use]
    pub fn plans(&self) -> Vec<Arc<Plan>> {
        let mut plans: Vec<Arc<Plan>> = self.read().plans.values().cloned().collect();
        plans.sort_unstable_by_key(|plan| plan.id);
        plans
    }

    /// All budgets, of an account where one is given, by id.
    #[must_use]
    pub fn budgets(&self, account: Option<Id>) -> Vec<Budget> {
        let tree = self.read();
        let wanted = |one: &&Budget| account.is_none_or(|account| one.account == account);
        let mut found: Vec<Budget> = tree.budgets.values().filter(wanted).cloned().collect();
        found.sort_unstable_by_key(|one| one.id);
        found
    }

    /// Whether an account may stand under that parent.
    ///
    /// # Errors
    /// Says why not.
    pub fn check_parent(&self, level: Level, parent: Option<Id>) -> Result<(), StoreError> {
        let Some(parent) = parent else { return Ok(()) };
        match self.read().accounts.get(&parent) {
            None => Err(StoreError::NotFound),
            Some(parent) if parent.ended.is_some() => {
                Err(StoreError::Invalid(format!("the {} {} is deleted", parent.level.name(), parent.name)))
            }
            Some(parent) if parent.level < level => Ok(()),
            Some(parent) => Err(StoreError::Invalid(format!(
                "a {} cannot belong to a {}",
                level.name(),
                parent.level.name()
            ))),
        }
    }

    /// Puts an account in force, and its digests where they changed.
    pub fn put_account(&self, account: Account, digests: Option<Vec<KeyDigest>>) {
        let mut tree = self.write();
        let id = account.id;
        if let Some(digests) = digests {
            for old in tree.digests.insert(id, digests).unwrap_or_default() {
                tree.callers.remove(&old.digest);
            }
        }
        tree.put_account(account);
        tree.recompile(id);
    }

    /// Puts a plan in force.
    pub fn put_plan(&self, plan: Plan) {
        let mut tree = self.write();
        let id = plan.id;
        tree.plans.insert(id, Arc::new(plan));
        let users: Vec<Id> =
            tree.accounts.values().filter(|one| one.terms.plan == Some(id)).map(|one| one.id).collect();
        for account in users {
            tree.recompile(account);
        }
    }

    /// Puts a budget in force.
    pub fn put_budget(&self, budget: Budget) {
        let mut tree = self.write();
        let account = budget.account;
        tree.put_budget(budget);
        tree.recompile(account);
    }

    /// A budget is no more.
    pub fn remove_budget(&self, id: Id) {
        let mut tree = self.write();
        let Some(budget) = tree.budgets.remove(&id) else { return };
        if let Some(list) = tree.budgets_of.get_mut(&budget.account) {
            list.retain(|other| *other != id);
        }
        tree.recompile(budget.account);
    }
}

impl Tree {
    fn put_account(&mut self, account: Account) {
        self.keyed |= account.level == Level::Key;
        if let Some(parent) = account.parent {
            self.children.entry(parent).or_default().insert(account.id);
        }
        self.accounts.insert(account.id, account);
    }

    fn put_budget(&mut self, budget: Budget) {
        let list = self.budgets_of.entry(budget.account).or_default();
        if !list.contains(&budget.id) {
            list.push(budget.id);
        }
        self.budgets.insert(budget.id, budget);
    }

    /// Compiles every key at or below an account.
    fn recompile(&mut self, id: Id) {
        let mut below = vec![id];
        while let Some(id) = below.pop() {
            below.extend(self.children.get(&id).into_iter().flatten());
            if self.accounts.get(&id).is_some_and(|account| account.level == Level::Key) {
                self.compile(id);
            }
        }
    }

    /// From an account up to its root; `None` where one of them is gone or ended.
    fn path(&self, id: Id) -> Option<Vec<&Account>> {
        let mut path = Vec::with_capacity(DEPTH);
        let mut next = Some(id);
        while let Some(id) = next {
            let account = self.accounts.get(&id).filter(|account| account.ended.is_none())?;
            if path.len() == DEPTH {
                return None;
            }
            path.push(account);
            next = account.parent;
        }
        Some(path)
    }

    fn compile(&mut self, key: Id) {
        let digests = self.digests.get(&key).cloned().unwrap_or_default();
        for digest in &digests {
            self.callers.remove(&digest.digest);
        }
        if let Some(path) = self.path(key) {
            let ids: Vec<Id> = path.iter().map(|account| account.id).collect();
            for id in ids {
                self.limiters.entry(id).or_default();
            }
        }
        let Some(path) = self.path(key) else { return };
        let name: Arc<str> = path.first().map_or_else(|| "".into(), |account| account.name.as_str().into());
        let compiled = compile(&Parts {
            accounts: path,
            budgets: &|id| self.budgets_of.get(&id).cloned().unwrap_or_default(),
            plan: &|id| self.plans.get(&id).cloned(),
            limiter: &|id| self.limiters.get(&id).cloned().unwrap_or_default(),
        });
        let (expose, models) = (compiled.expose, compiled.models);
        let caller = Arc::new(Caller { name, expose, models, account: Some(compiled.path) });
        for KeyDigest { digest, until, .. } in digests {
            self.callers.insert(digest, Known { caller: Arc::clone(&caller), until });
        }
    }
}

#[cfg(test)]
mod tests;
