//! Rules of model gateways that keep lists of recent latencies.

use std::collections::VecDeque;

use super::ascending;
use crate::replay::grid::Each;
use crate::replay::policy::{Attempt, Policy, Scene};
use crate::replay::random::Random;
use crate::replay::world::{Request, World};

/// `LiteLLM`'s latency-based routing: the least mean of the last ten seconds per
/// token; whoever was never asked is first; a timeout counts as 1000 s; more
/// than half of at least five attempts failing in a minute means 5 s of rest.
#[derive(Debug)]
pub struct LiteLlmLatency {
    random: Random,
    latest: Each<VecDeque<f64>>,
    history: Each<VecDeque<(f64, bool)>>,
    rests_until: Each<f64>,
}

impl LiteLlmLatency {
    const KEPT: usize = 10;
    const TIMED_OUT: f64 = 1000.0;
    /// Failures that took longer than this (seconds) were timeouts.
    const TIMEOUT: f64 = 10.0;

    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World, random: Random) -> Self {
        let count = world.endpoints;
        LiteLlmLatency {
            random,
            latest: Each::new(VecDeque::new(), count),
            history: Each::new(VecDeque::new(), count),
            rests_until: Each::new(0.0, count),
        }
    }

    fn rest(&mut self, endpoint: usize, now: f64) {
        let history = &mut self.history[endpoint];
        while history.front().is_some_and(|attempt| attempt.0 <= now - 60.0) {
            history.pop_front();
        }
        let failed = history.iter().filter(|attempt| !attempt.1).count();
        if history.len() >= 5 && 2 * failed > history.len() {
            self.rests_until[endpoint] = now + 5.0;
        }
    }
}

impl Policy for LiteLlmLatency {
    fn name(&self) -> &'static str {
        "LiteLLM latency"
    }

    #[expect(clippy::cast_precision_loss, reason = "at most ten")]
    fn rank(&mut self, _: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        let mut awake: Vec<usize> =
            listed.iter().copied().filter(|endpoint| self.rests_until[*endpoint] <= request.at).collect();
        if awake.is_empty() {
            awake = listed.to_vec();
        }
        self.random.shuffle(&mut awake);
        ascending(&awake, |endpoint| {
            let latest = &self.latest[endpoint];
            latest.iter().sum::<f64>() / latest.len().max(1) as f64
        })
    }

    fn over(&mut self, attempt: &Attempt, now: f64) {
        self.history[attempt.endpoint].push_back((now, attempt.answered));
        let value = if attempt.answered {
            Some(attempt.seconds / attempt.output_tokens.max(1.0))
        } else {
            (attempt.seconds >= Self::TIMEOUT).then_some(Self::TIMED_OUT)
        };
        if let Some(value) = value {
            let latest = &mut self.latest[attempt.endpoint];
            latest.push_back(value);
            if latest.len() > Self::KEPT {
                latest.pop_front();
            }
        }
        if !attempt.answered {
            self.rest(attempt.endpoint, now);
        }
    }
}

/// The vLLM Semantic Router's multi-factor rule: equal weights for the 95th
/// percentile of the last 1000 times between tokens, the input price and the
/// load, each scaled to 0..1 between the worst and the best.
#[derive(Debug)]
pub struct VllmMultiFactor {
    random: Random,
    times: Each<VecDeque<f64>>,
    p95: Each<Option<f64>>,
}

impl VllmMultiFactor {
    const KEPT: usize = 1000;

    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World, random: Random) -> Self {
        let count = world.endpoints;
        VllmMultiFactor { random, times: Each::new(VecDeque::new(), count), p95: Each::new(None, count) }
    }
}

/// 1 is the least of all, 0 the most, a half is unknown.
fn scaled(values: &[Option<f64>]) -> Vec<f64> {
    let known = || values.iter().flatten().copied();
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let scale = |value: Option<f64>| match value {
        None => 0.5,
        Some(_) if most <= least => 1.0,
        Some(value) => 1.0 - (value - least) / (most - least),
    };
    values.iter().map(|value| scale(*value)).collect()
}

impl Policy for VllmMultiFactor {
    fn name(&self) -> &'static str {
        "vLLM-SR multi-factor"
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        let mut order = listed.to_vec();
        self.random.shuffle(&mut order);
        let factor = |value: &dyn Fn(usize) -> Option<f64>| {
            scaled(&order.iter().map(|endpoint| value(*endpoint)).collect::<Vec<_>>())
        };
        let latency = factor(&|endpoint| self.p95[endpoint]);
        let price =
            factor(&|endpoint| scene.world.offers[(request.regime, endpoint)].map(|offer| offer.input));
        let load = factor(&|endpoint| Some(f64::from(scene.pending[endpoint])));
        let sums = latency.iter().zip(price).zip(load).map(|((latency, price), load)| latency + price + load);
        let mut keyed: Vec<(f64, usize)> = sums.zip(order).collect();
        keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
        keyed.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    fn over(&mut self, attempt: &Attempt, _: f64) {
        if !attempt.answered {
            return;
        }
        let times = &mut self.times[attempt.endpoint];
        times.push_back(attempt.itl);
        if times.len() > Self::KEPT {
            times.pop_front();
        }
        // Sorting every time would show nothing more.
        if times.len() < 20 || times.len().is_multiple_of(10) {
            let mut sorted: Vec<f64> = times.iter().copied().collect();
            sorted.sort_unstable_by(f64::total_cmp);
            self.p95[attempt.endpoint] = sorted.get((sorted.len() - 1) * 95 / 100).copied();
        }
    }
}
