//! One budget in its current window: what is spent, held, and may be spent
//! without asking the disk.
//!
//! Pure. `spent + held ≤ granted` is what makes a crash harmless: `granted` is on
//! the disk before anything beyond it is spent. `spent + held ≤ limit` is the
//! budget itself.

use super::window;
use crate::store::{Budget, Line, Mode, Spend};
use crate::units::NanoUsd;

/// Largest slice: 1 USD, so that a crash forfeits no more.
const MOST_SLICE: i64 = 1_000_000_000;
/// A slice is this part of what is left: the less is left, the smaller it is.
const PART: i64 = 32;

/// One budget in its current window; amounts in nano-USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// What was set by the operator.
    pub budget: Budget,
    /// When the window began (seconds since 1970).
    start: u64,
    spent: i64,
    held: i64,
    granted: i64,
    /// What has been asked for and is on its way to the disk.
    asked: i64,
}

/// What a budget says to an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Fits,
    /// It would fit if so much were granted in all.
    Ungranted(NanoUsd),
    /// It does not fit.
    Over,
}

impl Meter {
    /// A budget as it stood when the process started; `None` when nothing was
    /// ever spent of it.
    #[must_use]
    pub fn new(budget: Budget, spend: Option<&Spend>) -> Self {
        let mut meter = Meter { budget, start: 0, spent: 0, held: 0, granted: 0, asked: 0 };
        if let Some(spend) = spend {
            meter.start = spend.start;
            meter.spent = spend.settled.get().saturating_add(spend.forfeited.get());
            meter.granted = spend.granted.get().max(meter.spent);
        }
        meter
    }

    /// Begins a new window when the old one is over. Time that goes back changes
    /// nothing: a window never begins twice.
    pub fn roll(&mut self, now: u64) {
        let start = window::start(self.budget.window, now);
        if start > self.start {
            *self = Meter { start, spent: 0, held: 0, granted: 0, asked: 0, budget: self.budget.clone() };
        }
    }

    /// Budget and window, as the ledger names them.
    #[must_use]
    pub fn line(&self) -> Line {
        Line { budget: self.budget.id, start: self.start }
    }

    /// What is neither spent nor held; negative when more is.
    #[must_use]
    pub fn left(&self) -> NanoUsd {
        NanoUsd::new(self.budget.limit.get().saturating_sub(self.spent.saturating_add(self.held)))
    }

    /// What is spent, what was forfeited included.
    #[must_use]
    pub fn spent(&self) -> NanoUsd {
        NanoUsd::new(self.spent)
    }

    /// What is held for requests under way.
    #[must_use]
    pub fn held(&self) -> NanoUsd {
        NanoUsd::new(self.held)
    }

    /// What the disk has granted in all.
    #[cfg(test)]
    pub(super) fn granted_so_far(&self) -> NanoUsd {
        NanoUsd::new(self.granted)
    }

    /// When the window ends (seconds since 1970).
    #[must_use]
    pub fn resets(&self) -> Option<u64> {
        window::end(self.budget.window, self.start)
    }

    /// Whether `amount` may be held. Call [`Meter::roll`] before.
    #[must_use]
    pub fn verdict(&self, amount: NanoUsd) -> Verdict {
        let left = self.left().get();
        let fits = self.budget.shadow
            || match self.budget.mode {
                Mode::Soft => left > 0 || amount.get() == 0,
                Mode::Strict | Mode::Fit => amount.get() <= left,
            };
        if !fits {
            return Verdict::Over;
        }
        let needed = self.spent.saturating_add(self.held).saturating_add(amount.get());
        match needed <= self.granted || amount.get() == 0 {
            true => Verdict::Fits,
            false => Verdict::Ungranted(NanoUsd::new(self.next_grant(needed, amount.get()))),
        }
    }

    /// Whether only [`Budget::shadow`] lets `amount` pass.
    #[must_use]
    pub fn would_refuse(&self, amount: NanoUsd) -> bool {
        self.budget.shadow && amount > self.left()
    }

    /// How much to ask for, in all: whoever else waits has asked already, so it is
    /// put on top of that.
    fn next_grant(&self, needed: i64, amount: i64) -> i64 {
        let base = self.granted.max(self.asked);
        let limit = self.budget.limit.get();
        let slice = (limit.saturating_sub(base) / PART).clamp(0, MOST_SLICE);
        let wanted = needed.max(base.saturating_add(amount)).max(base.saturating_add(slice));
        // Soft budgets and shadows go beyond their limit, by what is needed only.
        wanted.min(limit).max(needed)
    }

    /// So much has been asked for, in all.
    pub fn ask(&mut self, granted: NanoUsd) {
        self.asked = self.asked.max(granted.get());
    }

    /// The disk has it, or has refused (`None`): then whoever needs it asks anew.
    pub fn granted(&mut self, granted: Option<NanoUsd>) {
        match granted {
            Some(granted) => self.granted = self.granted.max(granted.get()),
            None => self.asked = self.granted,
        }
    }

    /// What to ask for in good time, so that no request has to wait: when less
    /// than half a slice is left of what was granted.
    #[must_use]
    pub fn refill(&self) -> Option<NanoUsd> {
        let free = self.granted.saturating_sub(self.spent.saturating_add(self.held));
        let slice = (self.budget.limit.get().saturating_sub(self.granted) / PART).clamp(0, MOST_SLICE);
        let due = slice > 0 && free < slice / 2 && self.asked <= self.granted;
        due.then(|| NanoUsd::new(self.granted.saturating_add(slice)))
    }

    /// Holds `amount`, which must have fitted.
    pub fn hold(&mut self, amount: NanoUsd) {
        self.held = self.held.saturating_add(amount.get());
        debug_assert!(amount.get() >= 0);
        // Invariant I1.
        debug_assert!(
            self.budget.mode == Mode::Soft
                || self.budget.shadow
                || amount.get() == 0
                || self.left().get() >= 0,
            "held more than there is: {self:?}"
        );
    }

    /// Of what was held, `held` is over; `spent` was spent.
    pub fn settle(&mut self, held: NanoUsd, spent: NanoUsd) {
        debug_assert!(held.get() >= 0 && spent.get() >= 0 && held.get() <= self.held, "{self:?} {held:?}");
        self.held = self.held.saturating_sub(held.get()).max(0);
        self.spent = self.spent.saturating_add(spent.get());
    }

    /// What a crash had set aside is given back.
    pub fn forgive(&mut self, forfeited: NanoUsd) {
        self.spent = self.spent.saturating_sub(forfeited.get()).max(0);
        self.granted = self.granted.saturating_sub(forfeited.get()).max(self.spent + self.held);
    }
}
