//! A market to decide in: requests, and what would come of each at every
//! endpoint.
//!
//! Recorded are each day's prices and, for one window of 30 minutes, the
//! percentiles of times and throughput and whether the endpoint was degraded.
//! So a day becomes a *regime* of 30 minutes, and one regime follows another.
//! Requests are stretches of a recorded trace, fitted to the regime's length.
//! Recorded percentiles say nothing of how single times follow each other: that,
//! and how often a degraded endpoint fails, is assumed.
//!
//! All outcomes are drawn before the first decision, so that every rule meets
//! the same luck.

use super::grid::{Each, Grid};
use super::history::{Model, Row};
use super::random::Random;
use super::trace::Arrival;
use crate::books::normal;

/// Seconds in a regime: the window that figures are published for.
pub const REGIME: f64 = 1800.0;
/// Seconds after which a wave of load is down to 37 %.
const WAVE: f64 = 60.0;
/// Longest pause between two requests of a trace (seconds), longer ones are cut.
const PAUSE: f64 = 5.0;
/// Added to each pause (seconds), so that no two requests coincide.
const GAP: f64 = 0.01;
/// Share of failures that are noticed at once; the others are timeouts.
const FAST_FAILURES: f64 = 0.7;
/// Seconds until a failure is noticed that is not a timeout …
const FAST_FAILURE: f64 = 0.3;
/// … and that is one.
pub const TIMEOUT: f64 = 30.0;

/// How a world is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Requests in each regime.
    pub requests: usize,
    /// Share of the variance of times that belongs to waves, 0..1.
    pub waves: f64,
    /// Which of the worlds of this kind.
    pub seed: u64,
}

/// A request of the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// Seconds since the world began.
    pub at: f64,
    /// Which regime it falls into.
    pub regime: usize,
    /// Tokens of its prompt.
    pub input_tokens: f64,
    /// Tokens of its answer, known to nobody beforehand.
    pub output_tokens: f64,
    /// Its class of task.
    pub class: u8,
}

/// What comes of a request at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fate {
    /// Seconds to the first token.
    pub ttft: f32,
    /// Seconds between tokens.
    pub itl: f32,
    /// It fails after so many seconds.
    pub fails_after: Option<f32>,
}

/// One endpoint in one regime.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// USD per input token.
    pub input: f64,
    /// USD per output token.
    pub output: f64,
    /// Probability that an attempt fails.
    pub fails: f64,
    /// Expected seconds to the first token and between tokens; `None` where
    /// nothing was measured: such an endpoint always fails.
    pub expected: Option<(f64, f64)>,
    /// Medians of the same: what is published.
    pub median: Option<(f64, f64)>,
}

/// A model's market.
#[derive(Debug, Clone)]
pub struct World {
    /// How many endpoints there are.
    pub endpoints: usize,
    /// Requests in the order they come.
    pub requests: Vec<Request>,
    /// What comes of each request at each endpoint.
    pub fates: Grid<Fate>,
    /// Each endpoint in each regime; `None` where it is not listed.
    pub offers: Grid<Option<Offer>>,
    /// By regime, who is listed.
    pub listed: Each<Vec<usize>>,
}

impl World {
    /// The market that `model` was, with stretches of `trace` as its requests.
    #[must_use]
    pub fn of(model: &Model, trace: &[Arrival], recipe: Recipe) -> World {
        let mut random = Random::new(recipe.seed);
        let (regimes, endpoints) = (model.days.len(), model.endpoints.len());
        let requests = requests(trace, regimes, recipe.requests, &mut random);
        let mut offers = Grid::new(None, regimes, endpoints);
        for (regime, rows) in model.days.iter().enumerate() {
            for (endpoint, row) in rows.iter().enumerate() {
                offers[(regime, endpoint)] = row.as_ref().map(offer);
            }
        }
        let listed = (0..regimes)
            .map(|regime| (0..endpoints).filter(|endpoint| offers[(regime, *endpoint)].is_some()).collect())
            .collect();
        let mut fates = Grid::new(Fate::default(), requests.len(), endpoints);
        for endpoint in 0..endpoints {
            let mut wave = Wave::new(&mut random);
            for (number, request) in requests.iter().enumerate() {
                let load = wave.at(request.at, &mut random);
                let row = model.days.get(request.regime).and_then(|rows| rows.get(endpoint)?.as_ref());
                fates[(number, endpoint)] = fate(row, load, recipe.waves, &mut random);
            }
        }
        World { endpoints, requests, fates, offers, listed }
    }

    /// What `endpoint` charges for `request` (USD).
    #[must_use]
    pub fn price(&self, request: &Request, endpoint: usize, output_tokens: f64) -> f64 {
        self.offers[(request.regime, endpoint)]
            .map_or(f64::INFINITY, |offer| offer.input * request.input_tokens + offer.output * output_tokens)
    }
}

fn offer(row: &Row) -> Offer {
    let expected = row.speed.map(|speed| (speed.ttft_ms.mean(1.0) / 1000.0, speed.throughput.mean(-1.0)));
    let median = row
        .speed
        .map(|speed| (speed.ttft_ms.log_at(0.5).exp() / 1000.0, (-speed.throughput.log_at(0.5)).exp()));
    Offer { input: row.input, output: row.output, fails: fails(row), expected, median }
}

/// How often attempts fail. Nothing is published but the status; where nobody
/// got an answer in half an hour, nobody will.
fn fails(row: &Row) -> f64 {
    match (row.speed, row.status) {
        (None, _) => 1.0,
        (_, 0) => 0.005,
        (_, -2) => 0.05,
        (_, -3) => 0.15,
        _ => 0.3,
    }
}

/// `count` requests for each regime: a stretch of the trace from a random place.
fn requests(trace: &[Arrival], regimes: usize, count: usize, random: &mut Random) -> Vec<Request> {
    let mut requests = Vec::with_capacity(regimes * count);
    let mut at = 0.0;
    for regime in 0..regimes {
        let start = random.below(trace.len().saturating_sub(count));
        let stretch = || trace.iter().cycle().skip(start).take(count);
        let mut last = start.checked_sub(1).and_then(|before| trace.get(before)).map_or(0.0, |one| one.at_ms);
        let pauses: Vec<f64> = stretch()
            .map(|arrival| {
                let pause = (arrival.at_ms - last) / 1000.0;
                last = arrival.at_ms;
                pause.clamp(0.0, PAUSE) + GAP
            })
            .collect();
        let scale = REGIME / pauses.iter().sum::<f64>();
        for (arrival, pause) in stretch().zip(pauses) {
            at += pause * scale;
            requests.push(Request {
                at,
                regime,
                input_tokens: arrival.input_tokens,
                output_tokens: arrival.output_tokens,
                class: arrival.class,
            });
        }
    }
    requests
}

/// How loaded an endpoint is, as a standard normal number that returns to the
/// mean (Ornstein and Uhlenbeck's process).
struct Wave {
    load: f64,
    at: f64,
}

impl Wave {
    fn new(random: &mut Random) -> Self {
        Wave { load: random.normal(), at: 0.0 }
    }

    fn at(&mut self, now: f64, random: &mut Random) -> f64 {
        let kept = (-(now - self.at) / WAVE).exp();
        self.load = kept * self.load + (1.0 - kept * kept).sqrt() * random.normal();
        self.at = now;
        self.load
    }
}

/// What comes of a request under `load`. The same load delays the first token
/// and slows the others down.
#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than is known")]
fn fate(row: Option<&Row>, load: f64, waves: f64, random: &mut Random) -> Fate {
    let mut share = || normal::below(waves.sqrt() * load + (1.0 - waves).sqrt() * random.normal());
    let (first, between) = (share(), share());
    let (failing, slowly) = (random.uniform(), random.uniform());
    let failed = row.is_none_or(|row| failing < fails(row));
    let fails_after =
        failed.then_some(if slowly < FAST_FAILURES { FAST_FAILURE as f32 } else { TIMEOUT as f32 });
    let Some(speed) = row.and_then(|row| row.speed) else {
        return Fate { ttft: 1.0, itl: 0.05, fails_after };
    };
    let ttft = (speed.ttft_ms.log_at(first).exp() / 1000.0) as f32;
    let itl = (-speed.throughput.log_at(1.0 - between)).exp() as f32;
    Fate { ttft, itl, fails_after }
}
