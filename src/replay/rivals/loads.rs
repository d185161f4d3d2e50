//! Rules of load balancers: how busy and how slow an endpoint was of late.

use crate::replay::grid::Each;
use crate::replay::policy::{Attempt, Policy, Scene};
use crate::replay::random::Random;
use crate::replay::rivals::ascending;
use crate::replay::world::{Request, World};

/// Latency that jumps up with every slow answer and fades otherwise, as in
/// Finagle and tower.
#[derive(Debug)]
struct PeakEwma {
    values: Each<(f64, f64)>,
    decay: f64,
}

impl PeakEwma {
    fn new(world: &World, assumed: f64, decay: f64) -> Self {
        PeakEwma { values: Each::new((assumed, 0.0), world.endpoints), decay }
    }

    fn load(&self, scene: &Scene<'_>, endpoint: usize, now: f64) -> f64 {
        let (value, at) = self.values[endpoint];
        value * (-(now - at).max(0.0) / self.decay).exp() * (f64::from(scene.pending[endpoint]) + 1.0)
    }

    fn learn(&mut self, endpoint: usize, seconds: f64, now: f64) {
        let (value, at) = self.values[endpoint];
        let kept = (-(now - at).max(0.0) / self.decay).exp();
        let next = if seconds > value { seconds } else { value * kept + seconds * (1.0 - kept) };
        self.values[endpoint] = (next, now);
    }
}

/// The better of two drawn at random goes first; the rest stays as drawn.
fn better_of_two(random: &mut Random, listed: &[usize], worse: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut order = listed.to_vec();
    random.shuffle(&mut order);
    if let [one, other, ..] = order.as_mut_slice()
        && worse(*one, *other)
    {
        std::mem::swap(one, other);
    }
    order
}

/// Of two at random the one with less load, by the time whole answers take
/// (tower and Finagle, decay 10 s, 1 s assumed).
#[derive(Debug)]
pub struct PowerOfTwo {
    random: Random,
    ewma: PeakEwma,
}

impl PowerOfTwo {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World, random: Random) -> Self {
        PowerOfTwo { random, ewma: PeakEwma::new(world, 1.0, 10.0) }
    }
}

impl Policy for PowerOfTwo {
    fn name(&self) -> &'static str {
        "P2C Peak-EWMA"
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        let load = |endpoint| self.ewma.load(scene, endpoint, request.at);
        better_of_two(&mut self.random, listed, |one, other| load(other) < load(one))
    }

    fn over(&mut self, attempt: &Attempt, now: f64) {
        self.ewma.learn(attempt.endpoint, attempt.seconds, now);
    }
}

/// Helicone's model-latency: the least loaded of all, by the time until headers
/// come (decay 30 s, 0.25 s assumed).
#[derive(Debug)]
pub struct Helicone(PeakEwma);

impl Helicone {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Helicone(PeakEwma::new(world, 0.25, 30.0))
    }
}

impl Policy for Helicone {
    fn name(&self) -> &'static str {
        "Helicone model-latency"
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        ascending(listed, |endpoint| self.0.load(scene, endpoint, request.at))
    }

    fn over(&mut self, attempt: &Attempt, now: f64) {
        // Where no headers came, the time until that was noticed counts.
        let seconds = if attempt.answered { attempt.ttft } else { attempt.seconds };
        self.0.learn(attempt.endpoint, seconds, now);
    }
}

/// agentgateway: of two at random the one with more health/(1 + latency × (1 +
/// pending/10)); both are running means of weight 0.3.
#[derive(Debug)]
pub struct AgentGateway {
    random: Random,
    health: Each<f64>,
    latency: Each<f64>,
}

impl AgentGateway {
    const WEIGHT: f64 = 0.3;

    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World, random: Random) -> Self {
        let count = world.endpoints;
        AgentGateway { random, health: Each::new(1.0, count), latency: Each::new(0.0, count) }
    }
}

impl Policy for AgentGateway {
    fn name(&self) -> &'static str {
        "agentgateway P2C"
    }

    fn rank(&mut self, scene: &Scene<'_>, _: &Request, listed: &[usize]) -> Vec<usize> {
        let (health, latency) = (&self.health, &self.latency);
        let value = |endpoint: usize| {
            let pending = f64::from(scene.pending[endpoint]);
            health[endpoint] / (1.0 + latency[endpoint] * (1.0 + 0.1 * pending))
        };
        better_of_two(&mut self.random, listed, |one, other| value(other) > value(one))
    }

    fn over(&mut self, attempt: &Attempt, _: f64) {
        let health = &mut self.health[attempt.endpoint];
        *health += Self::WEIGHT * (if attempt.answered { 1.0 } else { 0.0 } - *health);
        let latency = &mut self.latency[attempt.endpoint];
        let weight = if *latency == 0.0 { 1.0 } else { Self::WEIGHT };
        *latency += weight * (attempt.seconds - *latency);
    }
}
