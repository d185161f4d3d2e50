//! How often an endpoint's answers are of no use in form: no JSON where JSON was
//! asked for, calls of tools that do not exist, nothing at all.
//!
//! This is not quality. That an answer has the right form says next to nothing
//! about whether it is right, so a sound answer never counts as a good one; it
//! only counts as one more that was not useless. What is learnt is the share of
//! unusable answers, apart for each form that can be demanded ([`Demand`]), and
//! the score counts it as failures that are noticed late.
//!
//! The endpoints of a model are siblings: an endpoint nobody has asked is taken
//! to be like them, and one that is clearly worse than they are, or than it was,
//! raises an alarm. Then its past
//! is forgotten up to where the change began, or many good answers of before
//! would speak for it long after it has changed. Everything fades with time, so
//! that an endpoint which has been left alone is tried again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stats::faded;
use crate::request::Demand;

/// Seconds after which an answer counts half. An endpoint that was useless is
/// tried again after an hour or two, and one answer tells what it is now.
const HALF_LIFE: f64 = 900.0;
/// Answers after which an older one counts for a third (1/e), however fast they come.
const MEMORY: f64 = 100.0;
/// What each answer leaves of those before it.
const KEPT: f64 = 1.0 - 1.0 / MEMORY;
/// Unusable answers that are assumed of a model nobody has asked, as a share …
const ASSUMED: f64 = 0.01;
/// … and how many answers that is worth.
const ASSUMED_ANSWERS: f64 = 20.0;
/// How many answers "like its siblings" is worth. Shares of good hosts differ by
/// about 1 % around 1 %, and 0.01 · 0.99 / 0.01² is 99; half of that forgives less.
const LIKE_SIBLINGS: f64 = 50.0;
/// The same once the test says that it is not like them.
const UNLIKE_SIBLINGS: f64 = 5.0;
/// The test's hypothesis: of the answers that are usable elsewhere, this share is not here …
const WORSE: f64 = 0.25;
/// … where at least this share is unusable everywhere.
const USUAL: f64 = 0.02;
/// Evidence (the logarithm of a likelihood ratio) that raises the alarm: by
/// Lorden's bound at most one false alarm in e⁹ ≈ 8,000 answers.
const ALARM: f64 = 9.0;
/// No more is gathered, so that good answers can clear the alarm.
const MOST_EVIDENCE: f64 = 1.5 * ALARM;
/// Evidence below which it is cleared.
const CLEAR: f64 = 1.0;
/// Fewer answers, of siblings and of its own past, are nothing to compare with.
const COMPARABLE: f64 = 10.0;

/// One form of answer at one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Tally {
    answers: f64,
    unusable: f64,
    /// Evidence that it is worse than its siblings and its own past.
    evidence: f64,
    /// The answers since there was no such evidence.
    since: (f64, f64),
    alarmed: bool,
}

impl Tally {
    fn fade(&mut self, factor: f64) {
        for part in [&mut self.answers, &mut self.unusable, &mut self.evidence] {
            *part *= factor;
        }
        self.since = (self.since.0 * factor, self.since.1 * factor);
        self.alarmed &= self.evidence >= CLEAR;
    }

    fn add(&mut self, defect: f64) {
        self.answers = self.answers * KEPT + 1.0;
        self.unusable = self.unusable * KEPT + defect;
    }

    /// Its answers before there was evidence against it.
    fn before(&self) -> (f64, f64) {
        ((self.answers - self.since.0).max(0.0), (self.unusable - self.since.1).max(0.0))
    }

    /// Tests one more answer against what is usual, before or elsewhere. Says whether the alarm is
    /// raised by it.
    fn test(&mut self, defect: f64, usual: f64) -> bool {
        let usual = usual.clamp(USUAL, 0.9);
        let worse = usual + (1.0 - usual) * WORSE;
        let step = defect * (worse / usual).ln() + (1.0 - defect) * ((1.0 - worse) / (1.0 - usual)).ln();
        self.evidence = (self.evidence + step).clamp(0.0, MOST_EVIDENCE);
        self.since = match self.evidence > 0.0 {
            true => (self.since.0 * KEPT + 1.0, self.since.1 * KEPT + defect),
            false => (0.0, 0.0),
        };
        let raised = !self.alarmed && self.evidence > ALARM;
        if raised {
            (self.answers, self.unusable) = self.since;
        }
        self.alarmed = raised || self.alarmed && self.evidence >= CLEAR;
        raised
    }

    /// The share to expect, when siblings have `usual`.
    fn share(&self, usual: f64) -> f64 {
        let like = if self.alarmed { UNLIKE_SIBLINGS } else { LIKE_SIBLINGS };
        ((self.unusable + like * usual) / (self.answers + like)).clamp(0.0, 1.0)
    }
}

/// What is remembered of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    by_demand: [Tally; Demand::COUNT],
    at: Duration,
}

impl Standing {
    /// Lets everything fade until `until`, and calls that moment `at`.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        let factor = faded(self.at, until, HALF_LIFE);
        self.by_demand.iter_mut().for_each(|tally| tally.fade(factor));
        self.at = at;
    }

    fn fade(&mut self, now: Duration) {
        let now = now.max(self.at);
        self.shift(now, now);
    }

    fn tally(&mut self, demand: Demand) -> &mut Tally {
        let [plain, structured, tools] = &mut self.by_demand;
        match demand {
            Demand::Plain => plain,
            Demand::Structured => structured,
            Demand::Tools => tools,
        }
    }
}

/// What decisions read: no lock.
#[derive(Debug, Default)]
struct Shown {
    shares: [AtomicU64; Demand::COUNT],
    drifting: AtomicBool,
}

impl Shown {
    fn put(&self, standing: &Standing, usual: impl Fn(Demand) -> f64) {
        for ((demand, tally), shown) in Demand::ALL.into_iter().zip(&standing.by_demand).zip(&self.shares) {
            shown.store(tally.share(usual(demand)).to_bits(), Relaxed);
        }
        self.drifting.store(standing.by_demand.iter().any(|tally| tally.alarmed), Relaxed);
    }
}

#[derive(Debug)]
struct Slot {
    standing: Standing,
    shown: Arc<Shown>,
}

/// The endpoints of one model.
#[derive(Debug, Default)]
pub struct Siblings(Mutex<Vec<Slot>>);

impl Siblings {
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more endpoint of the model.
    #[must_use]
    pub fn join(self: &Arc<Self>) -> Place {
        let shown = Arc::new(Shown::default());
        shown.put(&Standing::default(), |_| ASSUMED);
        let mut slots = self.lock();
        slots.push(Slot { standing: Standing::default(), shown: Arc::clone(&shown) });
        Place { siblings: Arc::clone(self), own: slots.len() - 1, shown }
    }
}

/// Answers of all endpoints but `own`, and the unusable ones among them.
fn others(slots: &[Slot], own: usize, demand: Demand) -> (f64, f64) {
    let others = slots.iter().enumerate().filter(|(place, _)| *place != own);
    let tallies = others.filter_map(|(_, slot)| slot.standing.by_demand.get(demand.index()));
    tallies.fold((0.0, 0.0), |sum, tally| (sum.0 + tally.answers, sum.1 + tally.unusable))
}

/// The share to expect of an endpoint of which nothing is known.
fn usual((answers, unusable): (f64, f64)) -> f64 {
    (unusable + ASSUMED * ASSUMED_ANSWERS) / (answers + ASSUMED_ANSWERS)
}

/// One endpoint among its siblings.
#[derive(Debug)]
pub struct Place {
    siblings: Arc<Siblings>,
    own: usize,
    shown: Arc<Shown>,
}

impl Place {
    /// An answer came at `now` in answer to `demand`; `defect` says how far it
    /// was useless, from 0 (sound) to 1. Says whether it has become clear by it that
    /// this endpoint does worse than its siblings, or than it did.
    pub fn answered(&self, demand: Demand, defect: f64, now: Duration) -> bool {
        if !defect.is_finite() {
            return false;
        }
        let defect = defect.clamp(0.0, 1.0);
        self.change(demand, now, |tally, siblings| {
            let before = tally.before();
            let known = (siblings.0 + before.0, siblings.1 + before.1);
            tally.add(defect);
            (tally.alarmed || known.0 >= COMPARABLE) && tally.test(defect, usual(known))
        })
    }

    /// An answer that was counted already has turned out to be useless by `defect`
    /// after all.
    pub fn regretted(&self, demand: Demand, defect: f64, now: Duration) {
        self.change(demand, now, |tally, _| {
            tally.unusable = (tally.unusable + defect.clamp(0.0, 1.0)).min(tally.answers);
            false
        });
    }

    fn change(
        &self,
        demand: Demand,
        now: Duration,
        change: impl FnOnce(&mut Tally, (f64, f64)) -> bool,
    ) -> bool {
        let mut slots = self.siblings.lock();
        let siblings = others(&slots, self.own, demand);
        let raised = slots.get_mut(self.own).is_some_and(|slot| {
            slot.standing.fade(now);
            change(slot.standing.tally(demand), siblings)
        });
        self.show(&slots);
        raised
    }

    /// Has what fades be seen by decisions. To be called now and then.
    pub fn refresh(&self, now: Duration) {
        let mut slots = self.siblings.lock();
        if let Some(slot) = slots.get_mut(self.own) {
            slot.standing.fade(now);
        }
        self.show(&slots);
    }

    fn show(&self, slots: &[Slot]) {
        if let Some(slot) = slots.get(self.own) {
            slot.shown.put(&slot.standing, |demand| usual(others(slots, self.own, demand)));
        }
    }

    /// The share of unusable answers to expect, 0..1, in the order of [`Demand::ALL`].
    #[must_use]
    pub fn shares(&self) -> [f64; Demand::COUNT] {
        self.shown.shares.each_ref().map(|share| f64::from_bits(share.load(Relaxed)))
    }

    /// The same over all forms, by how often each was asked for.
    #[must_use]
    pub fn overall(&self) -> f64 {
        let slots = self.siblings.lock();
        let tallies = slots.get(self.own).map(|slot| slot.standing.by_demand).unwrap_or_default();
        let weights = tallies.map(|tally| tally.answers + f64::EPSILON);
        let bad: f64 = weights.iter().zip(self.shares()).map(|(weight, share)| weight * share).sum();
        bad / weights.iter().sum::<f64>()
    }

    /// Whether it does worse than its siblings, or than it did.
    #[must_use]
    pub fn is_drifting(&self) -> bool {
        self.shown.drifting.load(Relaxed)
    }

    /// What is remembered.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.siblings.lock().get(self.own).map(|slot| slot.standing).unwrap_or_default()
    }

    /// Goes on from what was remembered.
    pub fn restore(&self, standing: Standing) {
        let mut slots = self.siblings.lock();
        if let Some(slot) = slots.get_mut(self.own) {
            slot.standing = standing;
        }
        self.show(&slots);
    }
}

#[cfg(test)]
mod tests;
