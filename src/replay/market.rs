//! `merit replay market`: all rules in the markets of all models.

use serde::Serialize;

use super::history::{History, Model};
use super::merit::Merit;
use super::policy::Policy;
use super::random::Random;
use super::rivals::{
    AgentGateway, Always, Cheapest, Helicone, LiteLlmLatency, OpenRouter, Oracle, PowerOfTwo, Shuffled,
    Turns, VllmMultiFactor,
};
use super::run::{LOST, Tally, run};
use super::trace::Arrival;
use super::world::{Recipe, World};
use crate::catalog::Objective;

/// An endpoint can be the best fixed one when it was listed in at least this
/// share of the regimes.
const LASTING: f64 = 0.9;
/// Seeds of rules are taken from worlds' by this.
const RULES: u64 = 0x5EED;

/// What is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What a second of waiting is worth (USD).
    pub usd_per_second: f64,
    /// Whether our rule is told what was published of the regime before.
    pub published: bool,
    /// Only our rule and the oracle.
    pub only_merit: bool,
    /// How the worlds are made; model number n takes the nth seed after this.
    pub recipe: Recipe,
}

/// How each rule did in one world, under its name.
type Tallies = Vec<(&'static str, Tally)>;

/// How a rule did in one world, and by which share worse than the oracle.
struct Outcome {
    name: &'static str,
    tally: Tally,
    regret: f64,
}

/// How a rule did, over all models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The rule.
    pub name: &'static str,
    /// By how much it cost more than the oracle: the mean over models (%).
    pub regret_pct: f64,
    /// Cost, waiting and lost requests (USD per 1000 requests).
    pub loss_usd_per_1k: f64,
    /// What was paid (USD per 1000 requests).
    pub cost_usd_per_1k: f64,
    /// Mean seconds until an answer was complete.
    pub latency_s: f64,
    /// The 95th percentile of that.
    pub p95_s: f64,
    /// Requests without an answer (%).
    pub failed_pct: f64,
    /// Half of all costs were estimated within this factor before the call: the mean
    /// over models. Only our rule estimates any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_within_factor: Option<f64>,
}

/// Replays all of `history`; `progress` is told which model comes next. Rules
/// come back by ascending regret.
pub fn replay(
    history: &History,
    trace: &[Arrival],
    settings: &Settings,
    mut progress: impl FnMut(usize, &Model),
) -> Vec<Figures> {
    let mut rules: Vec<&'static str> = Vec::new();
    let mut results: Vec<Outcome> = Vec::new();
    for (number, model) in history.models.iter().enumerate() {
        progress(number, model);
        let seed = settings.recipe.seed.wrapping_add(number as u64);
        let world = World::of(model, trace, Recipe { seed, ..settings.recipe });
        let tallies = one(&world, settings, seed);
        let best =
            tallies.iter().find(|(name, _)| *name == "oracle").map_or(f64::NAN, |(_, tally)| tally.loss);
        for (name, tally) in tallies {
            results.push(Outcome { name, tally, regret: tally.loss / best - 1.0 });
            if !rules.contains(&name) {
                rules.push(name);
            }
        }
    }
    let mut figures: Vec<Figures> = rules
        .into_iter()
        .map(|rule| averaged(rule, &results.iter().filter(|result| result.name == rule).collect::<Vec<_>>()))
        .collect();
    figures.sort_by(|a, b| a.regret_pct.total_cmp(&b.regret_pct));
    figures
}

#[expect(clippy::cast_precision_loss, reason = "a number of models")]
fn averaged(name: &'static str, outcomes: &[&Outcome]) -> Figures {
    let mean = |of: fn(&Outcome) -> f64| {
        outcomes.iter().map(|outcome| of(outcome)).sum::<f64>() / outcomes.len() as f64
    };
    Figures {
        name,
        regret_pct: 100.0 * mean(|outcome| outcome.regret),
        loss_usd_per_1k: 1000.0 * mean(|outcome| outcome.tally.loss),
        cost_usd_per_1k: 1000.0 * mean(|outcome| outcome.tally.cost),
        latency_s: mean(|outcome| outcome.tally.seconds),
        p95_s: mean(|outcome| outcome.tally.p95),
        failed_pct: 100.0 * mean(|outcome| outcome.tally.failed),
        cost_within_factor: Some(mean(|outcome| outcome.tally.cost_within.unwrap_or(f64::NAN)))
            .filter(|factor| factor.is_finite()),
    }
}

/// All rules in one world.
fn one(world: &World, settings: &Settings, seed: u64) -> Tallies {
    let random = || Random::new(seed ^ RULES);
    let usd_per_second = settings.usd_per_second;
    let mut rules: Vec<Box<dyn Policy>> = vec![
        Box::new(Oracle { usd_per_second }),
        Box::new(Merit::new(world, objective(usd_per_second), settings.published, random())),
    ];
    if !settings.only_merit {
        rules.extend(rivals(world, random));
    }
    let mut tallies: Tallies =
        rules.iter_mut().map(|rule| (rule.name(), run(world, rule.as_mut(), usd_per_second))).collect();
    if !settings.only_merit {
        tallies.extend(fixed(world, usd_per_second));
    }
    tallies
}

fn rivals(world: &World, random: impl Fn() -> Random) -> Vec<Box<dyn Policy>> {
    vec![
        Box::new(Shuffled(random())),
        Box::new(Turns::default()),
        Box::new(Cheapest),
        Box::new(OpenRouter::new(world, random())),
        Box::new(LiteLlmLatency::new(world, random())),
        Box::new(PowerOfTwo::new(world, random())),
        Box::new(Helicone::new(world)),
        Box::new(AgentGateway::new(world, random())),
        Box::new(VllmMultiFactor::new(world, random())),
    ]
}

/// The best of all rules that always ask the same endpoint.
#[expect(clippy::cast_precision_loss, reason = "a number of regimes")]
fn fixed(world: &World, usd_per_second: f64) -> Option<(&'static str, Tally)> {
    let regimes = world.listed.iter().len() as f64;
    let lasts = |endpoint: &usize| {
        world.listed.iter().filter(|listed| listed.contains(endpoint)).count() as f64 >= LASTING * regimes
    };
    let always = |endpoint| {
        let mut rule = Always(endpoint);
        (rule.name(), run(world, &mut rule, usd_per_second))
    };
    let all = (0..world.endpoints).filter(lasts).map(always);
    all.min_by(|a, b| a.1.loss.total_cmp(&b.1.loss))
}

/// Dollars and seconds are what counts here; an answer is worth what losing one
/// costs.
fn objective(usd_per_second: f64) -> Objective {
    Objective {
        name: "replay".into(),
        usd_per_second,
        usd_per_good_answer: LOST,
        max_price: None,
        max_cost_usd: None,
        min_quality: None,
        ttft: None,
    }
}
