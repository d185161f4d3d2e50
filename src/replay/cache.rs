//! `merit replay cache`: what prompt caches are worth over several endpoints.
//!
//! A trace says which blocks each prompt consists of. One endpoint that gets all
//! requests finds as much in its cache as can be found; the more endpoints share
//! them, the less each has seen. How much of that a rule keeps is what is
//! measured here, together with what it costs in dollars and in waiting: for an
//! endpoint that gets everything also becomes slow.

mod endpoints;
mod rules;
pub mod trace;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::Serialize;

use self::endpoints::{Answer, Endpoints, PRICES};
use self::rules::{Merit, Rule, rivals};
use self::trace::Request;
use super::random::Random;

/// What is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How many endpoints there are.
    pub endpoints: usize,
    /// How long a cache keeps what it has read, after its last use.
    pub ttl: Duration,
    /// What a second of waiting is worth (USD).
    pub usd_per_second: f64,
    /// Where chance begins.
    pub seed: u64,
}

/// How a rule did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The rule.
    pub name: &'static str,
    /// Tokens of prompts that were found in a cache (%).
    pub hit_share_pct: f64,
    /// The same in relation to one endpoint that gets everything (%).
    pub relative_to_one_pct: f64,
    /// What was paid (USD per 1000 requests).
    pub usd_per_1k: f64,
    /// Paid, and the waiting at what a second is worth (USD per 1000 requests).
    pub loss_usd_per_1k: f64,
    /// Mean seconds to the first token.
    pub ttft_s: f64,
    /// Mean seconds until an answer was complete.
    pub latency_s: f64,
    /// Requests that the busiest endpoint got (%).
    pub busiest_pct: f64,
}

/// What happens later.
#[derive(Debug, Clone, Copy)]
struct Event {
    at: f64,
    /// The request, by its number in the trace.
    number: usize,
    answer: Answer,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    First,
    Over,
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
        self.at.total_cmp(&other.at).then(self.what.cmp(&other.what)).then(self.number.cmp(&other.number))
    }
}

/// Sums over all requests.
#[derive(Debug, Clone, Default)]
struct Tally {
    input: f64,
    cached: f64,
    usd: f64,
    ttft: f64,
    seconds: f64,
    by_endpoint: Vec<u32>,
}

/// Replays `trace` under every rule; `progress` is told which one comes next.
/// Rules come back by descending share of hits, ours first among equals.
pub fn replay(trace: &[Request], settings: &Settings, mut progress: impl FnMut(&str)) -> Vec<Figures> {
    let mut rules: Vec<Box<dyn Rule>> = vec![Box::new(Merit::new(settings))];
    rules.extend(rivals(settings));
    let tallies: Vec<(&'static str, Tally)> = rules
        .iter_mut()
        .map(|rule| {
            progress(rule.name());
            (rule.name(), run(trace, settings, rule.as_mut()))
        })
        .collect();
    let one = tallies.iter().find(|(name, _)| *name == rules::ONE);
    let one = one.map_or(f64::NAN, |(_, tally)| tally.cached / tally.input);
    let mut figures: Vec<Figures> =
        tallies.iter().map(|(name, tally)| tally.figures(name, one, trace.len(), settings)).collect();
    figures.sort_by(|a, b| b.hit_share_pct.total_cmp(&a.hit_share_pct));
    figures
}

fn run(trace: &[Request], settings: &Settings, rule: &mut dyn Rule) -> Tally {
    let mut endpoints = Endpoints::new(settings.endpoints, settings.ttl.as_secs_f64());
    let mut random = Random::new(settings.seed);
    let mut later: BinaryHeap<Reverse<Event>> = BinaryHeap::new();
    let mut tally = Tally { by_endpoint: vec![0; settings.endpoints], ..Tally::default() };
    for (number, request) in trace.iter().enumerate() {
        while later.peek().is_some_and(|event| event.0.at <= request.at) {
            let Some(Reverse(event)) = later.pop() else { break };
            happen(event, trace, &mut endpoints, rule);
        }
        // Drawn by arrival, so that every rule has the same luck.
        let luck = random.normal();
        let Some(answer) = endpoints.ask(rule.choose(request), request, luck) else { continue };
        tally.add(request, &answer);
        let (first, over) = (request.at + answer.ttft, request.at + answer.seconds);
        for (at, what) in [(first, What::First), (over, What::Over)] {
            later.push(Reverse(Event { at, number, answer, what }));
        }
    }
    tally
}

fn happen(event: Event, trace: &[Request], endpoints: &mut Endpoints, rule: &mut dyn Rule) {
    let Some(request) = trace.get(event.number) else { return };
    match event.what {
        What::First => {
            endpoints.keep(event.answer.endpoint, request, event.at);
            rule.first(request, &event.answer, event.at);
        }
        What::Over => {
            endpoints.over(event.answer.endpoint);
            rule.over(request, &event.answer, event.at);
        }
    }
}

impl Tally {
    fn add(&mut self, request: &Request, answer: &Answer) {
        let input = f64::from(request.input_tokens);
        self.input += input;
        self.cached += answer.cached;
        self.usd += (input - answer.cached) * PRICES.0
            + answer.cached * PRICES.1
            + f64::from(request.output_tokens) * PRICES.2;
        self.ttft += answer.ttft;
        self.seconds += answer.seconds;
        if let Some(count) = self.by_endpoint.get_mut(answer.endpoint) {
            *count += 1;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
    fn figures(&self, name: &'static str, one: f64, requests: usize, settings: &Settings) -> Figures {
        let (requests, share) = (requests as f64, self.cached / self.input);
        let usd_per_1k = 1e3 * self.usd / requests;
        let latency_s = self.seconds / requests;
        Figures {
            name,
            hit_share_pct: 100.0 * share,
            relative_to_one_pct: 100.0 * share / one,
            usd_per_1k,
            loss_usd_per_1k: usd_per_1k + 1e3 * settings.usd_per_second * latency_s,
            ttft_s: self.ttft / requests,
            latency_s,
            busiest_pct: 100.0 * f64::from(self.by_endpoint.iter().copied().max().unwrap_or(0)) / requests,
        }
    }
}

#[cfg(test)]
mod tests;
