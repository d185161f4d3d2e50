//! The reservation machine against a model that keeps no secrets: whatever the
//! order of reservations, settlements, grants, crashes and new windows, no budget
//! is overspent and none under-counts.

use proptest::prelude::*;

use super::*;
use crate::store::Window;

fn budget(id: Id, limit: i64, mode: Mode, window: Window) -> Budget {
    Budget { id, account: 1, version: 1, limit: NanoUsd::new(limit), window, mode, shadow: false }
}

fn nano(amount: i64) -> NanoUsd {
    NanoUsd::new(amount)
}

/// Reserves, and grants what has to be granted.
fn reserve(vault: &Vault, path: &[Id], amount: i64, now: u64) -> Result<Held, Over> {
    loop {
        match vault.reserve(path, None, nano(amount), now) {
            Ok(held) => return Ok(held),
            Err(Refusal::Over(over)) => return Err(over),
            Err(Refusal::Ungranted(wanted)) => {
                for (line, granted) in wanted {
                    vault.granted(line, Some(granted));
                }
            }
        }
    }
}

#[test]
fn nothing_is_held_when_one_of_the_path_refuses() {
    let vault = Vault::default();
    vault.put(budget(1, 100, Mode::Strict, Window::Total), None);
    vault.put(budget(2, 50, Mode::Strict, Window::Total), None);
    let over = reserve(&vault, &[1, 2], 60, 0).unwrap_err();
    assert_eq!((over.budget, over.left), (2, nano(50)));
    assert_eq!(vault.view(1, 0).unwrap().held, nano(0), "no residue");
    let mut held = reserve(&vault, &[1, 2], 50, 0).unwrap();
    assert!(reserve(&vault, &[2], 1, 0).is_err());
    assert_eq!(vault.spend(&mut held, nano(30)), nano(0));
    vault.release(&held);
    let view = vault.view(2, 0).unwrap();
    assert_eq!((view.spent, view.held), (nano(30), nano(0)));
    assert!(reserve(&vault, &[2], 20, 0).is_ok(), "what was freed is usable at once");
}

#[test]
fn what_fits_is_told_where_all_that_refuse_may_be_fitted_into() {
    let vault = Vault::default();
    vault.put(budget(1, 100, Mode::Strict, Window::Total), None);
    vault.put(budget(2, 50, Mode::Fit, Window::Total), None);
    assert_eq!(reserve(&vault, &[1, 2], 60, 0).unwrap_err().fits, Some(nano(50)));
    assert_eq!(reserve(&vault, &[1, 2], 101, 0).unwrap_err().fits, None, "the strict one refuses too");
}

#[test]
fn a_soft_budget_is_served_to_its_end_and_a_shadow_beyond_it() {
    let vault = Vault::default();
    vault.put(budget(1, 100, Mode::Soft, Window::Total), None);
    let mut first = reserve(&vault, &[1], 150, 0).unwrap();
    assert!(reserve(&vault, &[1], 1, 0).is_err(), "nothing is left");
    vault.spend(&mut first, nano(99));
    vault.release(&first);
    assert!(reserve(&vault, &[1], 150, 0).is_ok());
    vault.put(Budget { shadow: true, ..budget(2, 10, Mode::Strict, Window::Total) }, None);
    assert_eq!(reserve(&vault, &[2], 11, 0).unwrap().shadow, Some(2));
    assert_eq!(reserve(&vault, &[2], 11, 0).unwrap().shadow, Some(2));
}

#[test]
fn an_allowance_pays_first() {
    let vault = Vault::default();
    vault.put(budget(-7, 40, Mode::Strict, Window::Month), None);
    vault.put(budget(1, 100, Mode::Strict, Window::Month), None);
    let reserve = |amount| loop {
        match vault.reserve(&[1], Some(-7), nano(amount), 0) {
            Err(Refusal::Ungranted(wanted)) => {
                for (line, granted) in wanted {
                    vault.granted(line, Some(granted));
                }
            }
            done => return done,
        }
    };
    let mut held = reserve(100).unwrap();
    assert_eq!((held.free, held.amount), (nano(40), nano(60)));
    assert_eq!(vault.spend(&mut held, nano(50)), nano(40));
    vault.release(&held);
    assert_eq!(vault.view(1, 0).unwrap().spent, nano(10));
    assert_eq!(reserve(50).unwrap().free, nano(0), "it is used up");
}

#[test]
fn a_window_that_is_over_does_not_burden_the_next() {
    let vault = Vault::default();
    vault.put(budget(1, 100, Mode::Strict, Window::Hour), None);
    let mut held = reserve(&vault, &[1], 100, 3_599).unwrap();
    let next = reserve(&vault, &[1], 100, 3_600).unwrap();
    vault.spend(&mut held, nano(100));
    vault.release(&held);
    let view = vault.view(1, 3_600).unwrap();
    assert_eq!((view.start, view.spent, view.held), (3_600, nano(0), nano(100)));
    vault.release(&next);
    let back = reserve(&vault, &[1], 100, 10).unwrap();
    assert_eq!(back.lines[0].start, 3_600, "a clock that goes back opens no old window again");
}

#[test]
fn lowering_a_limit_below_what_is_spent_refuses_the_next() {
    let vault = Vault::default();
    vault.put(budget(1, 100, Mode::Strict, Window::Total), None);
    let mut held = reserve(&vault, &[1], 80, 0).unwrap();
    vault.spend(&mut held, nano(80));
    vault.put(budget(1, 50, Mode::Strict, Window::Total), None);
    assert_eq!(reserve(&vault, &[1], 1, 0).unwrap_err().left, nano(-30));
    vault.put(budget(1, 90, Mode::Strict, Window::Total), None);
    assert!(reserve(&vault, &[1], 10, 0).is_ok());
}

#[test]
fn many_threads_get_exactly_what_there_is() {
    for _ in 0..50 {
        let vault = Vault::default();
        vault.put(budget(1, 3_000, Mode::Strict, Window::Total), None);
        vault.put(budget(2, 5_000, Mode::Strict, Window::Total), None);
        let served = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| (0..25).filter(|_| reserve(&vault, &[1, 2], 1_000, 0).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(served, 3);
    }
}

/// One step of a life.
#[derive(Debug, Clone)]
enum Step {
    Reserve { path: u8, amount: i64 },
    Settle { which: usize, share: u8 },
    Release { which: usize },
    Raise { which: usize, more: i64 },
    Later { seconds: u64 },
    Limit { budget: u8, limit: i64 },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..8_u8, 0..400_i64).prop_map(|(path, amount)| Step::Reserve { path, amount }),
        4 => (any::<usize>(), 0..=100_u8).prop_map(|(which, share)| Step::Settle { which, share }),
        2 => any::<usize>().prop_map(|which| Step::Release { which }),
        2 => (any::<usize>(), 0..100_i64).prop_map(|(which, more)| Step::Raise { which, more }),
        1 => (0..2_000_u64).prop_map(|seconds| Step::Later { seconds }),
        1 => (0..3_u8, 0..3_000_i64).prop_map(|(budget, limit)| Step::Limit { budget, limit }),
        1 => Just(Step::Crash),
    ]
}

/// What is on the disk, and what really was spent.
#[derive(Default)]
struct World {
    now: u64,
    limits: [i64; 3],
    granted: HashMap<Line, i64>,
    settled: HashMap<Line, i64>,
    forfeited: HashMap<Line, i64>,
    held: Vec<Held>,
}

const WINDOWS: [Window; 3] = [Window::Hour, Window::Day, Window::Total];

impl World {
    fn spend_of(&self, line: Line) -> Spend {
        let of = |map: &HashMap<Line, i64>| nano(map.get(&line).copied().unwrap_or(0));
        Spend {
            budget: line.budget,
            start: line.start,
            granted: of(&self.granted),
            settled: of(&self.settled),
            forfeited: of(&self.forfeited),
        }
    }

    /// The process dies with everything that was held, and starts again.
    fn restart(&mut self) -> Vault {
        for held in std::mem::take(&mut self.held) {
            for line in held.lines.iter() {
                // Whatever was held may have been spent: no more than was granted.
                let known = self.spend_of(*line);
                let aside = known.granted.get() - known.settled.get();
                assert!(held.amount.get() <= aside, "spent without a grant: {held:?} {known:?}");
            }
        }
        for (line, granted) in &self.granted {
            let settled = self.settled.get(line).copied().unwrap_or(0);
            self.forfeited.insert(*line, (granted - settled).max(0));
        }
        let vault = Vault::default();
        for (id, (window, limit)) in (1_i64..).zip(WINDOWS.into_iter().zip(self.limits)) {
            let latest = self.granted.keys().filter(|line| line.budget == id).max_by_key(|line| line.start);
            let spend = latest.map(|line| self.spend_of(*line));
            vault.put(budget(id, limit, Mode::Strict, window), spend.as_ref());
        }
        vault
    }

    /// Puts on the disk what a refusal asks for, until there is an answer.
    fn until<T>(&mut self, vault: &Vault, mut attempt: impl FnMut() -> Result<T, Refusal>) -> Option<T> {
        loop {
            match attempt() {
                Ok(done) => return Some(done),
                Err(Refusal::Over(_)) => return None,
                Err(Refusal::Ungranted(wanted)) => {
                    for (line, granted) in wanted {
                        let on_disk = self.granted.entry(line).or_default();
                        *on_disk = granted.get().max(*on_disk);
                        vault.granted(line, Some(granted));
                    }
                }
            }
        }
    }

    fn take(&mut self, vault: &mut Vault, step: &Step) {
        match *step {
            Step::Reserve { path, amount } => {
                let path: Vec<Id> = (0..3).filter(|bit| path & (1 << bit) != 0).map(|bit| bit + 1).collect();
                let now = self.now;
                let held = self.until(vault, || vault.reserve(&path, None, nano(amount), now));
                self.held.extend(held);
            }
            Step::Settle { which, share } if !self.held.is_empty() => {
                let mut held = self.held.swap_remove(which % self.held.len());
                let charged = held.amount.get() * i64::from(share) / 100;
                vault.spend(&mut held, nano(charged));
                vault.release(&held);
                for line in held.lines.iter() {
                    *self.settled.entry(*line).or_default() += charged;
                }
            }
            Step::Release { which } if !self.held.is_empty() => {
                vault.release(&self.held.swap_remove(which % self.held.len()));
            }
            Step::Raise { which, more } if !self.held.is_empty() => {
                let index = which % self.held.len();
                let mut held = self.held[index].clone();
                // In a window that is over nothing can be granted any more.
                let current = held
                    .lines
                    .iter()
                    .all(|line| vault.view(line.budget, self.now).unwrap().start == line.start);
                if current && self.until(vault, || vault.raise(&mut held, nano(more))).is_some() {
                    self.held[index] = held;
                }
            }
            Step::Later { seconds } => self.now += seconds,
            Step::Limit { budget: which, limit } => {
                let which = usize::from(which);
                self.limits[which] = limit;
                let id = i64::try_from(which).unwrap() + 1;
                vault.put(budget(id, limit, Mode::Strict, WINDOWS[which]), None);
            }
            Step::Crash => *vault = self.restart(),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_budget_is_overspent_and_none_under_counts(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World { limits: [1_000, 2_000, 3_000], ..World::default() };
        let mut vault = world.restart();
        let mut highest = world.limits;
        for step in &steps {
            world.take(&mut vault, step);
            for (index, id) in (1_i64..=3).enumerate() {
                highest[index] = highest[index].max(world.limits[index]);
                let view = vault.view(id, world.now).unwrap();
                let line = Line { budget: id, start: view.start };
                let held: i64 = world.held.iter().filter(|held| held.lines.contains(&line)).map(|held| held.amount.get()).sum();
                let known = world.spend_of(line);
                prop_assert_eq!(view.held.get(), held, "what is held is what requests hold");
                prop_assert_eq!(view.spent.get(), known.settled.get() + known.forfeited.get());
                // I1, for the highest limit that was ever in force.
                prop_assert!(view.spent.get() + held <= highest[index], "{:?} {:?}", step, view);
                prop_assert!(view.spent.get() + held <= known.granted.get(), "beyond the grant: {:?}", view);
            }
        }
        for held in world.held.drain(..) {
            vault.release(&held);
        }
        for id in 1..=3 {
            prop_assert_eq!(vault.view(id, world.now).unwrap().held, nano(0), "everything is given back");
        }
    }
}
