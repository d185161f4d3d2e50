//! Rules that look at prices at most, and the two that look into the future.

use std::collections::VecDeque;

use super::ascending;
use crate::replay::grid::Each;
use crate::replay::policy::{Attempt, Policy, Scene};
use crate::replay::random::Random;
use crate::replay::world::{Request, World};

/// Anybody.
#[derive(Debug)]
pub struct Shuffled(pub Random);

impl Policy for Shuffled {
    fn name(&self) -> &'static str {
        "random"
    }

    fn rank(&mut self, _: &Scene<'_>, _: &Request, listed: &[usize]) -> Vec<usize> {
        let mut order = listed.to_vec();
        self.0.shuffle(&mut order);
        order
    }
}

/// One after the other.
#[derive(Debug, Default)]
pub struct Turns(usize);

impl Policy for Turns {
    fn name(&self) -> &'static str {
        "round robin"
    }

    fn rank(&mut self, _: &Scene<'_>, _: &Request, listed: &[usize]) -> Vec<usize> {
        self.0 += 1;
        let mut order = listed.to_vec();
        order.rotate_left(self.0 % listed.len().max(1));
        order
    }
}

/// By price alone.
#[derive(Debug, Default)]
pub struct Cheapest;

impl Policy for Cheapest {
    fn name(&self) -> &'static str {
        "cheapest"
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        ascending(listed, |endpoint| scene.price(request, endpoint))
    }
}

/// `OpenRouter`'s default: at random in proportion to 1/price², among those
/// without trouble in the last 30 s; the others by price.
#[derive(Debug)]
pub struct OpenRouter {
    random: Random,
    recent: Each<VecDeque<(f64, bool)>>,
}

impl OpenRouter {
    /// Seconds that are looked back.
    const WINDOW: f64 = 30.0;
    /// Share of failures in them that is trouble.
    const TROUBLE: f64 = 0.3;

    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World, random: Random) -> Self {
        OpenRouter { random, recent: Each::new(VecDeque::new(), world.endpoints) }
    }

    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn in_trouble(&mut self, endpoint: usize, now: f64) -> bool {
        let recent = &mut self.recent[endpoint];
        while recent.front().is_some_and(|attempt| attempt.0 < now - Self::WINDOW) {
            recent.pop_front();
        }
        let failed = recent.iter().filter(|attempt| !attempt.1).count();
        failed > 0 && failed as f64 >= Self::TROUBLE * recent.len() as f64
    }
}

impl Policy for OpenRouter {
    fn name(&self) -> &'static str {
        "OpenRouter 1/price²"
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        let price = |endpoint: usize| scene.list_price(request, endpoint).max(1e-12);
        let (bad, good): (Vec<usize>, Vec<usize>) =
            listed.iter().partition(|endpoint| self.in_trouble(**endpoint, request.at));
        let mut order = ascending(&good, price);
        let mut left =
            self.random.uniform() * order.iter().map(|endpoint| price(*endpoint).powi(-2)).sum::<f64>();
        let drawn = order.iter().position(|endpoint| {
            left -= price(*endpoint).powi(-2);
            left <= 0.0
        });
        if let Some(front) = drawn.and_then(|place| order.get_mut(..=place)) {
            front.rotate_right(1);
        }
        order.extend(ascending(&bad, price));
        order
    }

    fn over(&mut self, attempt: &Attempt, now: f64) {
        self.recent[attempt.endpoint].push_back((now, attempt.answered));
    }
}

/// Always the same one; by number when it is not listed.
#[derive(Debug)]
pub struct Always(pub usize);

impl Policy for Always {
    fn name(&self) -> &'static str {
        "best fixed (hindsight)"
    }

    fn rank(&mut self, _: &Scene<'_>, _: &Request, listed: &[usize]) -> Vec<usize> {
        ascending(listed, |endpoint| if endpoint == self.0 { 0.0 } else { 1.0 })
    }
}

/// Knows what to expect of every endpoint in every regime and how long each
/// answer will be; only the luck of the draw and the waves of load are hidden.
#[derive(Debug)]
pub struct Oracle {
    /// What a second of waiting is worth (USD).
    pub usd_per_second: f64,
}

impl Oracle {
    /// Mean seconds that a failure takes: 70 % take 0.3 s, the others 30 s.
    const FAILURE: f64 = 9.2;
    /// What an endpoint costs that never answers.
    const NEVER: f64 = 1e9;

    fn expected(&self, scene: &Scene<'_>, request: &Request, endpoint: usize) -> f64 {
        let offer = scene.world.offers[(request.regime, endpoint)];
        let expected = offer.and_then(|offer| offer.expected);
        expected.map_or(Self::NEVER, |(ttft, itl)| {
            let price = scene.world.price(request, endpoint, request.output_tokens);
            price + self.usd_per_second * (ttft + request.output_tokens * itl)
        })
    }
}

impl Policy for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        let expected: Vec<f64> =
            listed.iter().map(|endpoint| self.expected(scene, request, *endpoint)).collect();
        let mut sorted = expected.clone();
        sorted.sort_by(f64::total_cmp);
        let second = sorted.get(1).or(sorted.first()).copied().unwrap_or_default();
        let failing = self.usd_per_second * Self::FAILURE + second;
        let mut keyed: Vec<(f64, usize)> = (listed.iter().zip(expected))
            .map(|(endpoint, expected)| {
                let fails = scene.world.offers[(request.regime, *endpoint)].map_or(1.0, |offer| offer.fails);
                ((1.0 - fails) * expected + fails * failing, *endpoint)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        keyed.into_iter().map(|(_, endpoint)| endpoint).collect()
    }
}
