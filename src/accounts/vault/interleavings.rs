//! Every order in which requests can meet, one after another.
//!
//! All that the vault does happens under one lock, so what threads can do to each
//! other is to come in any order *between* its calls. That is a finite set: all
//! reachable states of a few requests, a disk that grants or fails, and an
//! operator are visited here, and the invariants hold in each. (A checker of
//! memory orders would look at the same orders; there is no atomic in here.)

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::store::Window;

/// How far one request has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// It has not reserved, or has to try again.
    Arrived,
    /// It waits for the disk.
    Waits(Vec<(Line, NanoUsd)>),
    /// It is under way.
    Holds(Held),
    /// It was charged and has not given back the rest.
    Charged(Held),
    Served,
    Refused,
    /// The disk failed.
    Failed,
}

/// A request: its budgets, what it may cost, and what it does.
#[derive(Debug, Clone)]
struct Caller {
    path: Vec<Id>,
    worst: i64,
    cost: i64,
    stage: Stage,
}

/// Everything at one instant.
#[derive(Debug, Clone)]
struct World {
    meters: BTreeMap<Id, Meter>,
    callers: Vec<Caller>,
    /// Disk errors still to come.
    failures: u32,
    /// A limit that the operator still has to set.
    lowered: Option<(Id, i64)>,
}

/// The budgets that a caller's account has, what it reserves and what it settles.
type Asks = (&'static [Id], i64, i64);

fn world(budgets: &[(Id, i64)], callers: &[Asks]) -> World {
    let vault = Vault::default();
    for (id, limit) in budgets {
        let budget = Budget {
            id: *id,
            account: 1,
            version: 1,
            limit: NanoUsd::new(*limit),
            window: Window::Total,
            mode: Mode::Strict,
            shadow: false,
        };
        vault.put(budget, None);
    }
    let callers = callers.iter().map(|(path, worst, cost)| Caller {
        path: path.to_vec(),
        worst: *worst,
        cost: *cost,
        stage: Stage::Arrived,
    });
    let meters = vault.meters().clone().into_iter().collect();
    World { meters, callers: callers.collect(), failures: 0, lowered: None }
}

impl World {
    fn vault(&self) -> Vault {
        Vault(Mutex::new(self.meters.clone().into_iter().collect()))
    }

    fn after(&self, vault: &Vault, place: usize, stage: Stage) -> World {
        let meters = vault.meters().clone().into_iter().collect();
        let mut next = World { meters, ..self.clone() };
        next.callers[place].stage = stage;
        next
    }

    /// All that can happen next.
    fn next(&self) -> Vec<World> {
        let mut all: Vec<World> = (0..self.callers.len()).flat_map(|place| self.step(place)).collect();
        if let Some((id, limit)) = self.lowered {
            let vault = self.vault();
            let budget = Budget { limit: NanoUsd::new(limit), ..self.meters[&id].budget.clone() };
            vault.put(budget, None);
            let meters = vault.meters().clone().into_iter().collect();
            all.push(World { meters, lowered: None, ..self.clone() });
        }
        all
    }

    fn step(&self, place: usize) -> Vec<World> {
        let (caller, vault) = (&self.callers[place], self.vault());
        match &caller.stage {
            Stage::Arrived => {
                let left: Vec<i64> = caller.path.iter().map(|id| self.meters[id].left().get()).collect();
                let stage = match vault.reserve(&caller.path, None, NanoUsd::new(caller.worst), 0) {
                    Ok(held) => Stage::Holds(held),
                    Err(Refusal::Ungranted(wanted)) => Stage::Waits(wanted),
                    Err(Refusal::Over(_)) => Stage::Refused,
                };
                let enough = left.iter().all(|left| *left >= caller.worst);
                assert_eq!(enough, stage != Stage::Refused, "refused if and only if too little is left");
                vec![self.after(&vault, place, stage)]
            }
            Stage::Waits(wanted) => {
                let told = |granted: bool| {
                    let vault = self.vault();
                    for (line, amount) in wanted {
                        vault.granted(*line, granted.then_some(*amount));
                    }
                    vault
                };
                let mut all = vec![self.after(&told(true), place, Stage::Arrived)];
                if self.failures > 0 {
                    let failed = self.after(&told(false), place, Stage::Failed);
                    all.push(World { failures: self.failures - 1, ..failed });
                }
                all
            }
            Stage::Holds(held) => {
                let refills = |vault: &Vault| {
                    for (line, granted) in vault.refills(held) {
                        vault.granted(line, Some(granted));
                    }
                };
                let mut charged = held.clone();
                vault.spend(&mut charged, NanoUsd::new(caller.cost));
                let charged = self.after(&vault, place, Stage::Charged(charged));
                // The caller hangs up before anything was sent, or a slice is refilled first.
                let gone = self.vault();
                gone.release(held);
                let refilled = self.vault();
                refills(&refilled);
                let mut spent = held.clone();
                refilled.spend(&mut spent, NanoUsd::new(caller.cost));
                let refilled = self.after(&refilled, place, Stage::Charged(spent));
                vec![charged, self.after(&gone, place, Stage::Served), refilled]
            }
            Stage::Charged(held) => {
                vault.release(held);
                vec![self.after(&vault, place, Stage::Served)]
            }
            Stage::Served | Stage::Refused | Stage::Failed => Vec::new(),
        }
    }

    /// What must hold at every instant.
    fn check(&self, lowers: bool) {
        for (id, meter) in &self.meters {
            let held: i64 = self.callers.iter().filter(|caller| caller.path.contains(id)).map(held_by).sum();
            assert_eq!(meter.held(), NanoUsd::new(held), "what is held is what requests hold: {self:?}");
            let used = meter.spent().get() + held;
            assert!(
                used <= meter.granted_so_far().get(),
                "nothing is used that is not on the disk: {self:?}"
            );
            assert!(lowers || used <= meter.budget.limit.get(), "I1: {self:?}");
        }
    }
}

fn held_by(caller: &Caller) -> i64 {
    match &caller.stage {
        Stage::Holds(held) | Stage::Charged(held) => held.amount.get(),
        _ => 0,
    }
}

/// Visits all that is reachable, and gives the worlds where nothing can happen.
fn explore(first: World) -> (usize, Vec<World>) {
    let lowers = first.lowered.is_some();
    let (mut seen, mut ends, mut open) = (HashSet::new(), Vec::new(), vec![first]);
    while let Some(world) = open.pop() {
        if !seen.insert(format!("{world:?}")) {
            continue;
        }
        world.check(lowers);
        let next = world.next();
        if next.is_empty() {
            ends.push(world);
        } else {
            open.extend(next);
        }
    }
    (seen.len(), ends)
}

fn count(world: &World, stage: &Stage) -> usize {
    world.callers.iter().filter(|caller| caller.stage == *stage).count()
}

#[test]
fn in_no_order_is_a_budget_overspent_or_held_for_ever() {
    let request: (&[Id], i64, i64) = (&[1], 40, 40);
    let (states, ends) = explore(world(&[(1, 100)], &[request; 4]));
    assert!(states > 200, "{states}");
    for end in &ends {
        let meter = &end.meters[&1];
        assert_eq!(meter.held(), NanoUsd::ZERO, "{end:?}");
        // Who hung up made room; with nobody gone exactly two are served.
        assert!(count(end, &Stage::Served) >= 2 && meter.spent().get() <= 80, "{end:?}");
    }
    assert!(ends.iter().any(|end| end.meters[&1].spent().get() == 80));
}

#[test]
fn a_path_of_two_is_all_or_nothing_in_every_order() {
    let callers: [Asks; 3] = [(&[1, 3], 50, 20), (&[2, 3], 50, 50), (&[1, 3], 60, 10)];
    let (states, ends) = explore(world(&[(1, 70), (2, 60), (3, 100)], &callers));
    assert!(states > 100, "{states}");
    for end in ends {
        let spent = |id| end.meters[&id].spent().get();
        assert_eq!(spent(1) + spent(2), spent(3), "{end:?}");
    }
}

#[test]
fn a_disk_that_fails_and_a_limit_that_is_lowered_leave_nothing_behind() {
    let request: (&[Id], i64, i64) = (&[1], 30, 25);
    let first = World { failures: 2, lowered: Some((1, 40)), ..world(&[(1, 100)], &[request; 3]) };
    let (states, ends) = explore(first);
    assert!(states > 200, "{states}");
    for end in ends {
        assert_eq!(end.meters[&1].held(), NanoUsd::ZERO, "{end:?}");
        assert_eq!(end.meters[&1].budget.limit, NanoUsd::new(40));
    }
}
