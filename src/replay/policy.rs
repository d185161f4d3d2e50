//! What every rule for choosing endpoints is: something that puts them into an
//! order and is told what came of it.

use super::grid::Each;
use super::world::{Request, World};
use crate::books::pace::BEGINNING;

/// What all rules may see when they decide.
#[derive(Debug)]
pub struct Scene<'w> {
    /// The market.
    pub world: &'w World,
    /// Attempts under way at each endpoint.
    pub pending: Each<u32>,
    /// Output tokens to be expected by class, as simple rules estimate them.
    pub lengths: [f64; crate::books::CLASSES],
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// Where.
    pub endpoint: usize,
    /// Tokens of the prompt.
    pub input_tokens: f64,
    /// Whether it gave an answer.
    pub answered: bool,
    /// Seconds to the first token; 0 without an answer.
    pub ttft: f64,
    /// Seconds between tokens; 0 without an answer.
    pub itl: f64,
    /// Seconds it took in all.
    pub seconds: f64,
    /// Tokens of the answer; 0 without one.
    pub output_tokens: f64,
    /// The request's class of task.
    pub class: u8,
}

impl Attempt {
    /// Seconds after the first token until the pace is known before the end, if
    /// it is: as in the gateway, or with the second token if that comes later.
    #[must_use]
    pub fn progress(&self) -> Option<f64> {
        let known = BEGINNING.max(self.itl);
        (self.answered && self.ttft + known < self.seconds).then_some(known)
    }
}

/// What is known of an attempt when its first token comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstToken {
    /// Where.
    pub endpoint: usize,
    /// Tokens of the prompt.
    pub input_tokens: f64,
    /// Seconds since the attempt began.
    pub seconds: f64,
}

/// What is known of a stream while it goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Where.
    pub endpoint: usize,
    /// Seconds between tokens.
    pub itl: f64,
    /// Seconds since the first token.
    pub since_first: f64,
}

/// A rule.
pub trait Policy {
    /// The name it is reported under.
    fn name(&self) -> &'static str;

    /// At `now` (seconds) a regime begins: prices change, and what was published
    /// of the one before becomes known.
    fn regime(&mut self, _scene: &Scene<'_>, _regime: usize, _now: f64) {}

    /// The endpoints `listed` in the order in which `request` tries them.
    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize>;

    /// By which factors the costs of requests were estimated too high beforehand, as
    /// logarithms; empty for rules that estimate none.
    fn cost_errors(&self) -> &[f64] {
        &[]
    }

    /// Whether `endpoint` may be asked at `now` (seconds).
    fn admits(&mut self, _endpoint: usize, _now: f64) -> bool {
        true
    }

    /// An attempt begins at `now` (seconds).
    fn began(&mut self, _endpoint: usize, _now: f64) {}

    /// At `now` (seconds) the first token came.
    fn first_token(&mut self, _first: &FirstToken, _now: f64) {}

    /// At `now` (seconds) the pace of a stream is known.
    fn progress(&mut self, _progress: &Progress, _now: f64) {}

    /// At `now` (seconds) an attempt was over.
    fn over(&mut self, _attempt: &Attempt, _now: f64) {}
}

/// Output tokens that rules assume before the first answer.
const ASSUMED_TOKENS: f64 = 200.0;
/// The weight of each answer in the running mean of lengths.
const LENGTH_WEIGHT: f64 = 0.02;

impl<'w> Scene<'w> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(world: &'w World) -> Self {
        Scene {
            world,
            pending: Each::new(0, world.endpoints),
            lengths: [ASSUMED_TOKENS; crate::books::CLASSES],
        }
    }

    /// What `endpoint` is expected to charge for `request` (USD).
    #[must_use]
    pub fn price(&self, request: &Request, endpoint: usize) -> f64 {
        let expected = self.lengths.get(usize::from(request.class)).copied().unwrap_or(ASSUMED_TOKENS);
        self.world.price(request, endpoint, expected)
    }

    /// USD for one input and one output token.
    #[must_use]
    pub fn list_price(&self, request: &Request, endpoint: usize) -> f64 {
        self.world.offers[(request.regime, endpoint)]
            .map_or(f64::INFINITY, |offer| offer.input + offer.output)
    }

    /// An attempt is over.
    pub fn over(&mut self, attempt: &Attempt) {
        let pending = &mut self.pending[attempt.endpoint];
        *pending = pending.saturating_sub(1);
        if attempt.answered
            && let Some(length) = self.lengths.get_mut(usize::from(attempt.class))
        {
            *length += LENGTH_WEIGHT * (attempt.output_tokens - *length);
        }
    }
}
