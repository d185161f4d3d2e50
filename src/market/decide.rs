//! Stage 5: in which order the candidates are tried.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::explore::{Draw, Explore, spent};
use super::gather::{Ask, Candidate};
use super::reject::Rejected;
use super::score::Scored;
use crate::catalog::Objective;
use crate::request::Sort;

/// Candidates whose totals differ by less than this share of what the best one
/// spends are as good as each other: no estimate is that exact.
const NEAR: f64 = 0.005;

/// Candidates in the order in which they are tried, rejects with their reasons,
/// and everything that is needed to decide the same again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What was valued.
    pub objective: Objective,
    /// The request's class of task.
    pub class: u8,
    /// What was left to chance.
    pub draw: Draw,
    /// How much was risked to learn.
    pub explore: Explore,
    /// Whether the caller's own `order` or `sort` was followed; chance has no
    /// say then.
    pub by_caller: bool,
    /// The caller's own dimension to sort by.
    pub sort: Option<Sort>,
    /// How many answers were asked for.
    pub choices: u32,
    /// Whether the first candidate was chosen in order to learn.
    pub explored: bool,
    /// Who can serve the request, in the order of the catalog.
    pub candidates: Vec<Candidate>,
    /// Indexes into `candidates`, in the order in which they are tried.
    pub order: Vec<u32>,
    /// The same in the order of expectation: by the caller's `order`, then by
    /// its `sort` or by the score. What `order` is without chance.
    pub mean_order: Vec<u32>,
    /// How much worse the runner-up is expected to be than the first candidate
    /// (USD); negative when the first was chosen in order to learn or by the
    /// caller. `None` when there is no runner-up.
    pub margin_usd: Option<f64>,
    /// Who cannot serve it.
    pub rejects: Vec<Rejected>,
}

/// Why nobody can serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptiness {
    /// Only another request or configuration would help.
    Lasting,
    /// Somebody rests who could.
    Passing {
        /// When the first may be back (since the process started).
        until: Duration,
    },
}

impl Decision {
    /// Candidates in the order in which they are tried.
    pub fn ranked(&self) -> impl Iterator<Item = &Candidate> {
        self.order.iter().filter_map(|index| self.candidates.get(*index as usize))
    }

    /// Who is tried first.
    #[must_use]
    pub fn first(&self) -> Option<&Candidate> {
        self.ranked().next()
    }

    /// Whether nobody is left only because of limits to price, quality and time: for
    /// each limit that binds, its code and how many endpoints miss it.
    #[must_use]
    pub fn infeasible(&self) -> BTreeMap<&'static str, u32> {
        let mut missed = BTreeMap::new();
        if self.order.is_empty() {
            for rejected in self.rejects.iter().filter(|rejected| rejected.reject.is_goal()) {
                *missed.entry(rejected.reject.code()).or_default() += 1;
            }
        }
        missed
    }

    /// Why nobody can serve the request; `None` when somebody can.
    #[must_use]
    pub fn emptiness(&self) -> Option<Emptiness> {
        if !self.order.is_empty() {
            return None;
        }
        let passing = self.rejects.iter().filter(|rejected| !rejected.reject.lasts());
        let until = passing.map(|rejected| rejected.reject.until().unwrap_or_default()).min();
        Some(until.map_or(Emptiness::Lasting, |until| Emptiness::Passing { until }))
    }

    /// The probability with which the first candidate was chosen, estimated
    /// from `redraws` draws: what off-policy replay weighs a decision by. Not
    /// for the path of a request.
    #[must_use]
    pub fn propensity(&self, redraws: u32) -> f64 {
        let Some(first) = self.order.first() else { return 0.0 };
        self.propensities(redraws).get(*first as usize).copied().unwrap_or_default()
    }

    /// The same for every candidate: they sum to 1, unless there is none.
    #[must_use]
    pub fn propensities(&self, redraws: u32) -> Vec<f64> {
        let Some(first) = self.order.first() else { return Vec::new() };
        // The draw that was made counts too: what happened is never impossible.
        let mut times = vec![0_u32; self.candidates.len()];
        let mut count = |index: u32| {
            if let Some(times) = times.get_mut(index as usize) {
                *times += 1;
            }
        };
        count(*first);
        let redraws = if self.by_caller { 0 } else { redraws };
        for n in 0..redraws {
            let draw = self.draw.nth(u64::from(n));
            count(choose(&self.objective, &self.candidates, &self.mean_order, self.explore, draw).index);
        }
        times.into_iter().map(|times| f64::from(times) / f64::from(redraws + 1)).collect()
    }
}

/// Puts the candidates into order: by ascending score, unless the caller asks
/// for another; then lets chance choose the first among those that are as good
/// as the best, or worth learning about.
#[must_use]
pub fn decide(ask: &Ask<'_>, objective: &Objective, scored: Scored, draw: Draw) -> Decision {
    let Scored { candidates, rejects } = scored;
    let mean_order = by_total(&candidates, ask.control.sort)
        .unwrap_or_else(|| by_expectation(&candidates, ask.control.sort));
    let explore = Explore::of(ask, &candidates);
    let by_caller = ask.control.sort.is_some() || !ask.control.order.is_empty();
    let mut order = mean_order.clone();
    let mut explored = false;
    if !by_caller && order.len() > 1 {
        let choice = choose(objective, &candidates, &mean_order, explore, draw);
        explored = choice.explored;
        if let Some(place) = order.iter().position(|index| *index == choice.index)
            && let Some(front) = order.get_mut(..=place)
        {
            front.rotate_right(1);
        }
    }
    if ask.control.allow_fallbacks == Some(false) && ask.control.order.is_empty() {
        order.truncate(1);
    }
    let margin_usd = margin(&candidates, &order, &mean_order);
    Decision {
        objective: objective.clone(),
        class: ask.class,
        draw,
        explore,
        by_caller,
        sort: ask.control.sort,
        choices: ask.choices,
        explored,
        candidates,
        order,
        mean_order,
        margin_usd,
        rejects,
    }
}

/// The order by total, where nothing else has a say: an integer for each candidate,
/// of which the high bits sort like its total and the low ones are its index.
/// Totals that differ by less than a part in 2³⁶ are in the order gathered. `None`
/// where there is more to go by.
fn by_total(candidates: &[Candidate], sort: Option<Sort>) -> Option<Vec<u32>> {
    const INDEX: u64 = 0xFFFF;
    let plain = |candidate: &Candidate| candidate.place.is_none() && !candidate.facts.behind;
    if sort.is_some() || candidates.len() > usize::from(u16::MAX) || !candidates.iter().all(plain) {
        return None;
    }
    let key = |(index, candidate): (u64, &Candidate)| {
        let bits = candidate.score.total.to_bits();
        // IEEE 754: as integers, positive numbers sort like themselves, and
        // negative ones the other way round and above them.
        let sorting = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        sorting & !INDEX | index
    };
    let mut keys: Vec<u64> = (0..).zip(candidates).map(key).collect();
    keys.sort_unstable();
    Some(keys.into_iter().filter_map(|key| u32::try_from(key & INDEX).ok()).collect())
}

/// What candidates are sorted by: the place in the caller's order, then the
/// dimension asked for, then the total; ids make the order complete.
fn by_expectation(candidates: &[Candidate], sort: Option<Sort>) -> Vec<u32> {
    let dimension = |candidate: &Candidate| match sort {
        None => candidate.score.total,
        Some(Sort::Price) => candidate.score.cost_usd,
        Some(Sort::Latency) => candidate.facts.ttft,
        Some(Sort::Throughput) => candidate.facts.itl,
        Some(Sort::Quality) => -candidate.facts.quality,
    };
    let mut keyed: Vec<_> = (0_u32..)
        .zip(candidates)
        .map(|(index, candidate)| {
            let place = (candidate.place.unwrap_or(u32::MAX), candidate.facts.behind);
            (place, dimension(candidate), candidate.score.total, candidate.id.0, index)
        })
        .collect();
    keyed.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3))
    });
    keyed.into_iter().map(|key| key.4).collect()
}

/// Who is tried first.
struct Choice {
    index: u32,
    explored: bool,
}

fn choose(
    objective: &Objective,
    candidates: &[Candidate],
    mean_order: &[u32],
    explore: Explore,
    draw: Draw,
) -> Choice {
    let at = |index: &u32| candidates.get(*index as usize);
    let Some(best) = mean_order.first().and_then(at) else { return Choice { index: 0, explored: false } };
    let within = |share: f64| best.score.total + share * spent(&best.score);
    let level = |candidate: &Candidate| candidate.facts.behind == best.facts.behind;
    if explore.is_on() {
        let sampled = (0_u32..)
            .zip(candidates)
            .zip(explore.samples(objective, candidates, draw))
            .map(|((index, candidate), sample)| (index, candidate, sample))
            .filter(|(_, candidate, _)| level(candidate));
        let lowest = sampled.min_by(|a, b| a.2.total_cmp(&b.2).then(a.1.id.cmp(&b.1.id)));
        if let Some((index, candidate, _)) = lowest {
            let total = candidate.score.total;
            // What it costs in dollars is known: nothing is learnt by paying it.
            let doubt = explore.doubt(objective, candidate);
            let affordable =
                total <= within(explore.cap) + doubt && candidate.score.cost_usd <= best.score.total;
            if affordable && total > within(NEAR) {
                return Choice { index, explored: true };
            }
        }
    }
    let is_near = |index: &&u32| {
        at(index).is_some_and(|candidate| level(candidate) && candidate.score.total <= within(NEAR))
    };
    let near = mean_order.iter().take_while(is_near).count().max(1);
    Choice {
        index: emptier_of_two(candidates, mean_order.get(..near).unwrap_or(mean_order), draw),
        explored: false,
    }
}

/// Of two drawn at random the one with fewer attempts under way: that spreads
/// load almost as evenly as asking all, and two gateways do not choose alike.
fn emptier_of_two(candidates: &[Candidate], near: &[u32], draw: Draw) -> u32 {
    let one = draw.nth(u64::MAX - 2).below(near.len());
    let other = match near.len() {
        0 | 1 => one,
        more => (one + 1 + draw.nth(u64::MAX - 3).below(more - 1)) % more,
    };
    let load = |place: usize| {
        let index = near.get(place).copied().unwrap_or_default();
        (candidates.get(index as usize).map_or(u32::MAX, |candidate| candidate.facts.in_flight), index)
    };
    let (one, other) = (load(one), load(other));
    if other.0 < one.0 { other.1 } else { one.1 }
}

/// How much worse the best of the others is expected to be.
fn margin(candidates: &[Candidate], order: &[u32], mean_order: &[u32]) -> Option<f64> {
    let first = order.first()?;
    let total = |index: &u32| candidates.get(*index as usize).map(|candidate| candidate.score.total);
    let runner_up = mean_order.iter().find(|index| *index != first)?;
    Some(total(runner_up)? - total(first)?)
}

#[cfg(test)]
mod tests;
