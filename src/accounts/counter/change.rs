//! What the operator does at the counter. Every change names who makes it and,
//! for what exists, the version it is based on: two operators who change the same
//! thing at once do not overwrite each other. A change is durable before it is in
//! force; whoever may be cancelled in between runs it in a task of its own.

use std::sync::Arc;

use super::{Counter, allowance_of, unix_ms};
use crate::accounts::directory::Wanted;
use crate::accounts::keys::make_key;
use crate::catalog::Secret;
use crate::store::rows::MOST_MARGIN;
use crate::store::{
    Account, Budget, Change, Id, KeyDigest, Level, Line, Plan, Row, Spend, StoreError, Terms, Write, Written,
};
use crate::units::NanoUsd;

/// Longest name: what fits a line of a terminal.
const LONGEST_NAME: usize = 120;

impl Counter {
    async fn change(&self, actor: &str, row: Row) -> Result<Written, StoreError> {
        let change = Change { actor: actor.to_owned(), at: unix_ms(), row };
        self.store.write(Write::Change(Box::new(change))).await
    }

    /// Makes an organisation or a customer.
    ///
    /// # Errors
    /// When the name is taken or unusable, the parent does not fit, or the store
    /// does not answer.
    pub async fn create(
        &self,
        actor: &str,
        level: Level,
        parent: Option<Id>,
        name: &str,
        terms: Terms,
    ) -> Result<Account, StoreError> {
        self.store_account(actor, self.proposed(level, parent, name, terms)?, None).await
    }

    /// Makes a key. Its text is given this once and is nowhere to be found again.
    ///
    /// # Errors
    /// As [`Counter::create`].
    pub async fn create_key(
        &self,
        actor: &str,
        parent: Option<Id>,
        name: &str,
        terms: Terms,
    ) -> Result<(Account, Secret), StoreError> {
        let account = self.proposed(Level::Key, parent, name, terms)?;
        let (digest, key) = self.new_key(0)?;
        Ok((self.store_account(actor, account, Some(vec![digest])).await?, key))
    }

    /// Gives a key a new text; the old one works for `overlap_ms` more
    /// milliseconds.
    ///
    /// # Errors
    /// When there is no such key, or it was changed meanwhile.
    pub async fn rotate(
        &self,
        actor: &str,
        key: Id,
        version: i64,
        overlap_ms: u64,
    ) -> Result<(Account, Secret), StoreError> {
        let account = self.living(key, version)?;
        if account.level != Level::Key {
            return Err(StoreError::NotFound);
        }
        let (mut digests, now) = (self.directory.digests(key), unix_ms());
        let ends = now.saturating_add(overlap_ms);
        for old in &mut digests {
            old.until = Some(old.until.map_or(ends, |until| until.min(ends)));
        }
        digests.retain(|old| old.until.is_none_or(|until| until > now));
        let (digest, text) = self.new_key(key)?;
        digests.push(digest);
        Ok((self.store_account(actor, account, Some(digests)).await?, text))
    }

    /// Changes what an account may do, or its name.
    ///
    /// # Errors
    /// When there is no such account, or it was changed meanwhile.
    pub async fn alter(
        &self,
        actor: &str,
        id: Id,
        version: i64,
        name: &str,
        terms: Terms,
    ) -> Result<Account, StoreError> {
        self.store_account(actor, self.altered(id, version, name, terms)?, None).await
    }

    /// What [`Counter::alter`] would make of an account.
    ///
    /// # Errors
    /// As there, as far as memory knows.
    pub fn altered(&self, id: Id, version: i64, name: &str, terms: Terms) -> Result<Account, StoreError> {
        check_name(name)?;
        self.check_plan(&terms)?;
        let account = self.living(id, version)?;
        let others = Wanted { name: Some(name), parent: account.parent, ..Wanted::of(account.level) };
        let other = |one: &Account| one.id != id && one.parent == account.parent;
        if self.directory.page(&others).iter().any(other) {
            return Err(StoreError::Exists);
        }
        Ok(Account { name: name.to_owned(), terms, ..account })
    }

    /// Revokes a key, or deletes a customer or an organisation: nothing below it
    /// works any more. What was recorded stays.
    ///
    /// # Errors
    /// When there is no such account, or it was changed meanwhile.
    pub async fn end(&self, actor: &str, id: Id, version: i64) -> Result<Account, StoreError> {
        let account = self.living(id, version)?;
        self.store_account(actor, Account { ended: Some(unix_ms()), ..account }, None).await
    }

    /// Makes a plan (id 0), or changes one.
    ///
    /// # Errors
    /// When the name is taken, the figures make no sense, or it was changed
    /// meanwhile.
    pub async fn save_plan(&self, actor: &str, plan: Plan) -> Result<Plan, StoreError> {
        self.check_new_plan(&plan)?;
        let Written::Row(id, version) = self.change(actor, Row::Plan(plan.clone())).await? else {
            return Err(StoreError::NotFound);
        };
        let plan = Plan { id, version, ..plan };
        self.directory.put_plan(plan.clone());
        for level in [Level::Organisation, Level::Customer, Level::Key] {
            for account in self.directory.accounts(level, None) {
                self.put_allowance(&account);
            }
        }
        Ok(plan)
    }

    /// Whether [`Counter::save_plan`] would take a plan.
    ///
    /// # Errors
    /// As there, as far as memory knows.
    pub fn check_new_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        check_name(&plan.name)?;
        if plan.margin > MOST_MARGIN || plan.minimum.get() < 0 || plan.allowance.get() < 0 {
            return Err(StoreError::Invalid("a margin of 0 to 9900 %, and no negative amounts".to_owned()));
        }
        let other = |one: &Arc<Plan>| one.id != plan.id && one.name == plan.name;
        if self.directory.plans().iter().any(other) { Err(StoreError::Exists) } else { Ok(()) }
    }

    /// Makes a budget (id 0), or changes one; in force for the next request.
    ///
    /// # Errors
    /// When there is no such account, the limit is negative, or it was changed
    /// meanwhile.
    pub async fn save_budget(&self, actor: &str, budget: Budget) -> Result<Budget, StoreError> {
        self.check_budget(&budget)?;
        let Written::Row(id, version) = self.change(actor, Row::Budget(budget.clone())).await? else {
            return Err(StoreError::NotFound);
        };
        let budget = Budget { id, version, ..budget };
        self.vault.put(budget.clone(), None);
        self.directory.put_budget(budget.clone());
        Ok(budget)
    }

    /// Whether [`Counter::save_budget`] would take a budget.
    ///
    /// # Errors
    /// As there, as far as memory knows.
    pub fn check_budget(&self, budget: &Budget) -> Result<(), StoreError> {
        if budget.limit.get() < 0 {
            return Err(StoreError::Invalid("a limit is not negative".to_owned()));
        }
        match self.directory.account(budget.account).filter(|account| account.ended.is_none()) {
            Some(_) => Ok(()),
            None => Err(StoreError::Invalid(format!("there is no account {}", budget.account))),
        }
    }

    /// Deletes a budget: the account is not limited by it any more.
    ///
    /// # Errors
    /// When there is no such budget.
    pub async fn remove_budget(&self, actor: &str, id: Id) -> Result<(), StoreError> {
        self.change(actor, Row::NoBudget(id)).await?;
        self.directory.remove_budget(id);
        self.vault.remove(id);
        Ok(())
    }

    /// Money was paid in: the budget grows by it. Negative amounts take it back.
    ///
    /// # Errors
    /// When there is no such budget, or it would become negative.
    pub async fn credit(
        &self,
        actor: &str,
        budget: Id,
        amount: NanoUsd,
        note: &str,
    ) -> Result<Budget, StoreError> {
        let known = self.directory.budgets(None).into_iter().find(|known| known.id == budget);
        let known = known.ok_or(StoreError::NotFound)?;
        let grown = known.limit.get().checked_add(amount.get()).filter(|grown| *grown >= 0);
        grown.ok_or_else(|| StoreError::Invalid("the budget would not be a possible amount".to_owned()))?;
        let row = Row::Credit { budget, amount, note: note.to_owned() };
        let Written::Row(_, version) = self.change(actor, row).await? else {
            return Err(StoreError::NotFound);
        };
        // What it is now is what the store says: others may have paid in as well.
        let stored = self.reader()?.budget(budget)?;
        let budget = stored.unwrap_or(Budget {
            version,
            limit: NanoUsd::new(known.limit.get() + amount.get()),
            ..known
        });
        self.vault.put(budget.clone(), None);
        self.directory.put_budget(budget.clone());
        Ok(budget)
    }

    /// Gives back what a crash has set aside of a budget in its current window.
    ///
    /// # Errors
    /// When there is no such budget, or nothing was set aside.
    pub async fn forgive(&self, actor: &str, budget: Id) -> Result<Spend, StoreError> {
        let view = self.vault.view(budget, unix_ms() / 1000).ok_or(StoreError::NotFound)?;
        let line = Line { budget, start: view.start };
        let standing = self.reader()?.standing(line)?;
        if standing.forfeited == NanoUsd::ZERO {
            return Err(StoreError::NotFound);
        }
        self.change(actor, Row::Forgive(line)).await?;
        self.vault.forgive(line, standing.forfeited);
        Ok(standing)
    }

    /// What [`Counter::create`] would make.
    ///
    /// # Errors
    /// As there, as far as memory knows.
    pub fn proposed(
        &self,
        level: Level,
        parent: Option<Id>,
        name: &str,
        terms: Terms,
    ) -> Result<Account, StoreError> {
        check_name(name)?;
        self.check_plan(&terms)?;
        self.directory.check_parent(level, parent)?;
        let others = Wanted { name: Some(name), parent, ..Wanted::of(level) };
        if self.directory.page(&others).iter().any(|one| one.parent == parent) {
            return Err(StoreError::Exists);
        }
        let name = name.to_owned();
        Ok(Account { id: 0, level, parent, name, version: 0, terms, created: unix_ms(), ended: None })
    }

    fn new_key(&self, account: Id) -> Result<(KeyDigest, Secret), StoreError> {
        let key = make_key().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let text = key.expose();
        let hint = text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        Ok((KeyDigest { digest: self.pepper.digest(text), account, until: None, hint }, key))
    }

    /// An account that has not ended, if it still has that version.
    ///
    /// # Errors
    /// When there is none, or it has another.
    pub fn living(&self, id: Id, version: i64) -> Result<Account, StoreError> {
        let account = self.directory.account(id).filter(|account| account.ended.is_none());
        let account = account.ok_or(StoreError::NotFound)?;
        if account.version == version { Ok(account) } else { Err(StoreError::Conflict) }
    }

    fn check_plan(&self, terms: &Terms) -> Result<(), StoreError> {
        let known = |id: Id| self.directory.plans().iter().any(|plan| plan.id == id);
        match terms.plan {
            Some(plan) if !known(plan) => Err(StoreError::Invalid(format!("there is no plan {plan}"))),
            _ => Ok(()),
        }
    }

    /// On the disk first, then in force.
    async fn store_account(
        &self,
        actor: &str,
        account: Account,
        digests: Option<Vec<KeyDigest>>,
    ) -> Result<Account, StoreError> {
        let row = Row::Account(account.clone(), digests.clone());
        let Written::Row(id, version) = self.change(actor, row).await? else {
            return Err(StoreError::NotFound);
        };
        let account = Account { id, version, ..account };
        let digests =
            digests.map(|digests| digests.into_iter().map(|one| KeyDigest { account: id, ..one }).collect());
        self.directory.put_account(account.clone(), digests);
        self.put_allowance(&account);
        Ok(account)
    }

    /// Brings the allowance in step with an account's plan.
    fn put_allowance(&self, account: &Account) {
        let plan = account.terms.plan;
        let plan: Option<Arc<Plan>> =
            plan.and_then(|id| self.directory.plans().into_iter().find(|plan| plan.id == id));
        match plan.map(|plan| plan.allowance).filter(|allowance| allowance.get() > 0) {
            Some(limit) => self.vault.put(allowance_of(account.id, limit), None),
            None => self.vault.remove(-account.id),
        }
    }
}

/// Names are shown in lists and logs.
fn check_name(name: &str) -> Result<(), StoreError> {
    let usable = (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    let message =
        || StoreError::Invalid(format!("a name of 1 to {LONGEST_NAME} bytes without control characters"));
    usable.then_some(()).ok_or_else(message)
}
