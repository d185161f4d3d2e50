//! Stage 6 and the money half of stage 9: what one request holds.
//!
//! A reservation is made after the decision and before anything is sent, is
//! charged by every attempt, and is given back when it is dropped, whatever
//! happened: by an error, by a caller who hangs up, by a panic.

use std::sync::Arc;

use prometheus::IntGauge;

use super::counter::{Counter, Refused};
use super::keys::Caller;
use super::vault::Held;
use crate::store::{Entry, Id, Line};
use crate::units::{NanoUsd, Usage};

/// A stream is given more when this part of what it holds is used up.
const NEARLY: i32 = 90;
/// It is given a quarter more each time.
const MORE: i64 = 4;

/// What one request holds of its caller's budgets. Given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    open: IntGauge,
    funds: Option<Funds>,
}

/// What is held, and where.
#[derive(Debug)]
struct Funds {
    counter: Arc<Counter>,
    caller: Arc<Caller>,
    held: Held,
}

impl Reservation {
    /// For callers without an account: it holds no money and only counts, so that
    /// a leak would be seen.
    #[must_use]
    pub fn unlimited(open: &IntGauge) -> Self {
        open.inc();
        Reservation { open: open.clone(), funds: None }
    }

    /// Holds `worst` of every budget of the caller, if it has an account, at `now`
    /// (seconds since 1970).
    ///
    /// # Errors
    /// When a budget does not allow it, or the ledger cannot be written.
    pub async fn make(
        open: &IntGauge,
        counter: Option<&Arc<Counter>>,
        caller: &Arc<Caller>,
        worst: NanoUsd,
        now: u64,
    ) -> Result<Self, Refused> {
        let (Some(counter), Some(path)) = (counter, &caller.account) else {
            return Ok(Self::unlimited(open));
        };
        let held = counter.reserve(path, worst, now).await?;
        let funds = Funds { counter: Arc::clone(counter), caller: Arc::clone(caller), held };
        open.inc();
        Ok(Reservation { open: open.clone(), funds: Some(funds) })
    }

    /// The first shadow budget that would have refused.
    #[must_use]
    pub fn shadow(&self) -> Option<Id> {
        self.funds.as_ref().and_then(|funds| funds.held.shadow)
    }

    /// The budgets it is charged to, and the allowance.
    #[must_use]
    pub fn lines(&self) -> (Arc<[Line]>, Option<Line>) {
        match &self.funds {
            Some(funds) => (Arc::clone(&funds.held.lines), funds.held.allowance),
            None => (Arc::from([]), None),
        }
    }

    /// Makes sure that an attempt which may be charged `worst` is covered: a dearer
    /// candidate, or another one after a first that was charged.
    ///
    /// # Errors
    /// When a budget does not allow it.
    pub async fn cover(&mut self, worst: NanoUsd) -> Result<(), Refused> {
        let Some(funds) = &mut self.funds else { return Ok(()) };
        let (Some(path), more) = (&funds.caller.account, worst.get() - funds.held.covers().get()) else {
            return Ok(());
        };
        match more > 0 {
            true => funds.counter.raise(path, &mut funds.held, NanoUsd::new(more)).await,
            false => Ok(()),
        }
    }

    /// A stream has come to `charged` so far: more is held in good time.
    ///
    /// # Errors
    /// When there is no more to be had and what is held is used up.
    pub fn keeps_up(&mut self, charged: NanoUsd) -> Result<(), Refused> {
        let Some(funds) = &mut self.funds else { return Ok(()) };
        let covered = funds.held.covers().get();
        let Some(path) = funds.caller.account.as_ref().filter(|path| !path.budget_ids.is_empty()) else {
            return Ok(());
        };
        if i128::from(charged.get()) * 100 < i128::from(covered) * i128::from(NEARLY) {
            return Ok(());
        }
        let more = NanoUsd::new((covered / MORE).max(charged.get() - covered).max(1));
        match funds.counter.try_raise(path, &mut funds.held, more) {
            Ok(_) => Ok(()),
            // What is held may be used to its end.
            Err(_) if charged.get() <= covered => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// An attempt ended: charged, and handed to the ledger. Gives what is paid.
    pub fn settle(&mut self, counter: &Counter, entry: Box<Entry>, usage: Usage) -> NanoUsd {
        counter.settle(entry, self.funds.as_mut().map(|funds| &mut funds.held), usage)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.open.dec();
        if let Some(funds) = &self.funds {
            funds.counter.vault.release(&funds.held);
        }
    }
}
