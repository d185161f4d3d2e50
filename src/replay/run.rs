//! One rule in one world, on a virtual clock.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::decisions::estimate::median;
use super::policy::{Attempt, FirstToken, Policy, Progress, Scene};
use super::world::{Request, World};

/// Most attempts for one request.
const ATTEMPTS: usize = 3;
/// What a request costs that gets no answer, beside the waiting (USD).
pub const LOST: f64 = 2e-3;

/// What a rule's decisions came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally {
    /// USD per request, with the waiting and what is lost.
    pub loss: f64,
    /// USD per request paid.
    pub cost: f64,
    /// Mean seconds a request took.
    pub seconds: f64,
    /// The 95th percentile of that.
    pub p95: f64,
    /// Share of requests without an answer.
    pub failed: f64,
    /// Half of all costs were estimated within this factor; `None` where nobody did.
    pub cost_within: Option<f64>,
}

/// Something that happens later.
struct Event {
    at: f64,
    number: usize,
    what: What,
}

enum What {
    First(FirstToken),
    Progress(Progress),
    Over(Attempt),
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

/// Lets `policy` decide every request of `world`. A second of waiting is worth
/// `usd_per_second`.
#[must_use]
pub fn run(world: &World, policy: &mut dyn Policy, usd_per_second: f64) -> Tally {
    let mut course = Course {
        scene: Scene::new(world),
        events: BinaryHeap::new(),
        numbers: 0,
        cost: 0.0,
        lost: 0.0,
        waits: Vec::with_capacity(world.requests.len()),
    };
    let mut regime = None;
    for (number, request) in world.requests.iter().enumerate() {
        course.until(request.at, policy);
        if regime != Some(request.regime) {
            regime = Some(request.regime);
            policy.regime(&course.scene, request.regime, request.at);
        }
        course.serve(number, request, policy);
    }
    let errors = policy.cost_errors().iter().map(|error| error.abs()).collect();
    Tally { cost_within: median(errors).map(f64::exp), ..course.tally(usd_per_second) }
}

struct Course<'w> {
    scene: Scene<'w>,
    events: BinaryHeap<Reverse<Event>>,
    numbers: usize,
    cost: f64,
    lost: f64,
    waits: Vec<f64>,
}

impl Course<'_> {
    /// Lets happen what happens until `now`.
    fn until(&mut self, now: f64, policy: &mut dyn Policy) {
        while self.events.peek().is_some_and(|event| event.0.at <= now) {
            let Some(Reverse(event)) = self.events.pop() else { break };
            match event.what {
                What::First(first) => policy.first_token(&first, event.at),
                What::Progress(progress) => policy.progress(&progress, event.at),
                What::Over(attempt) => {
                    self.scene.over(&attempt);
                    policy.over(&attempt, event.at);
                }
            }
        }
    }

    fn serve(&mut self, number: usize, request: &Request, policy: &mut dyn Policy) {
        let world = self.scene.world;
        let order = policy.rank(&self.scene, request, &world.listed[request.regime]);
        let (mut waited, mut answered, mut tries) = (0.0, false, 0);
        for endpoint in order {
            if tries == ATTEMPTS || answered {
                break;
            }
            if !policy.admits(endpoint, request.at + waited) {
                continue;
            }
            tries += 1;
            let attempt = self.attempt(number, request, endpoint);
            policy.began(endpoint, request.at + waited);
            self.scene.pending[endpoint] += 1;
            answered = attempt.answered;
            if answered {
                self.cost += world.price(request, endpoint, request.output_tokens);
                let first =
                    FirstToken { endpoint, input_tokens: request.input_tokens, seconds: attempt.ttft };
                self.later(request.at + waited + attempt.ttft, What::First(first));
            }
            if let Some(since_first) = attempt.progress() {
                let at = request.at + waited + attempt.ttft + since_first;
                self.later(at, What::Progress(Progress { endpoint, itl: attempt.itl, since_first }));
            }
            waited += attempt.seconds;
            self.later(request.at + waited, What::Over(attempt));
        }
        if !answered {
            self.lost += 1.0;
        }
        self.waits.push(waited);
    }

    fn attempt(&self, number: usize, request: &Request, endpoint: usize) -> Attempt {
        let fate = self.scene.world.fates[(number, endpoint)];
        let failed = Attempt {
            endpoint,
            input_tokens: request.input_tokens,
            answered: false,
            ttft: 0.0,
            itl: 0.0,
            seconds: 0.0,
            output_tokens: 0.0,
            class: request.class,
        };
        if let Some(after) = fate.fails_after {
            return Attempt { seconds: f64::from(after), ..failed };
        }
        let (ttft, itl) = (f64::from(fate.ttft), f64::from(fate.itl));
        let seconds = ttft + request.output_tokens * itl;
        Attempt { answered: true, ttft, itl, seconds, output_tokens: request.output_tokens, ..failed }
    }

    fn later(&mut self, at: f64, what: What) {
        self.numbers += 1;
        self.events.push(Reverse(Event { at, number: self.numbers, what }));
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn tally(mut self, usd_per_second: f64) -> Tally {
        let count = self.waits.len().max(1) as f64;
        let seconds = self.waits.iter().sum::<f64>() / count;
        self.waits.sort_unstable_by(f64::total_cmp);
        let p95 = self.waits.get(self.waits.len() * 95 / 100).copied().unwrap_or_default();
        let (cost, failed) = (self.cost / count, self.lost / count);
        let loss = cost + usd_per_second * seconds + LOST * failed;
        Tally { loss, cost, seconds, p95, failed, cost_within: None }
    }
}
