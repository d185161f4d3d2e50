//! Endpoints that cache prompts: all alike, and the slower the more they do.

use std::collections::HashMap;

use super::rules::Choice;
use super::trace::Request;

/// USD per token of input, cached input and output: 1, 0.1 and 4 per million,
/// the relations of the current models of `OpenAI` and Anthropic (2026).
pub(super) const PRICES: (f64, f64, f64) = (1e-6, 1e-7, 4e-6);
/// Seconds to the first token of an empty prompt.
const LEAST_TTFT: f64 = 0.3;
/// Tokens read a second, of those that are not in the cache.
const READS: f64 = 10_000.0;
/// Seconds between two tokens of an answer.
const ITL: f64 = 0.015;
/// Requests under way with which everything takes twice as long.
const CROWD: f64 = 32.0;
/// Standard deviation of the logarithm of the time to the first token.
const SPREAD: f64 = 0.3;

/// How an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    /// Which.
    pub(super) endpoint: usize,
    /// Which share of the prompt the rule took it to have read lately (0..1).
    pub(super) known: f64,
    /// Tokens of the prompt that were in its cache.
    pub(super) cached: f64,
    /// Seconds to the first token.
    pub(super) ttft: f64,
    /// Seconds between tokens.
    pub(super) itl: f64,
    /// Seconds until the answer is complete.
    pub(super) seconds: f64,
}

/// All endpoints, with what is in their caches.
#[derive(Debug)]
pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    /// Seconds for which a block stays after its last use.
    ttl: f64,
}

#[derive(Debug, Clone, Default)]
struct Endpoint {
    /// When each block was used last.
    used: HashMap<u64, f64>,
    in_flight: u32,
}

impl Endpoints {
    pub(super) fn new(count: usize, ttl: f64) -> Self {
        Endpoints { all: vec![Endpoint::default(); count], ttl }
    }

    /// A request begins; `luck` is standard normal.
    pub(super) fn ask(&mut self, choice: Choice, request: &Request, luck: f64) -> Option<Answer> {
        let ttl = self.ttl;
        let endpoint = self.all.get_mut(choice.endpoint)?;
        let fresh = |block: &&u64| endpoint.used.get(block).is_some_and(|used| request.at < used + ttl);
        let found = u32::try_from(request.blocks.iter().take_while(fresh).count()).unwrap_or(u32::MAX);
        let cached = f64::from(found.saturating_mul(request.block).min(request.input_tokens));
        let slower = 1.0 + f64::from(endpoint.in_flight) / CROWD;
        endpoint.in_flight += 1;
        let reading = (f64::from(request.input_tokens) - cached) / READS;
        let ttft = (LEAST_TTFT + reading) * slower * (SPREAD * luck).exp();
        let itl = ITL * slower;
        let seconds = ttft + f64::from(request.output_tokens - 1) * itl;
        Some(Answer { endpoint: choice.endpoint, known: choice.known, cached, ttft, itl, seconds })
    }

    /// The prompt has been read at `now`.
    pub(super) fn keep(&mut self, number: usize, request: &Request, now: f64) {
        if let Some(endpoint) = self.all.get_mut(number) {
            endpoint.used.extend(request.blocks.iter().map(|block| (*block, now)));
        }
    }

    /// The answer is complete.
    pub(super) fn over(&mut self, number: usize) {
        if let Some(endpoint) = self.all.get_mut(number) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        }
    }
}
