//! One endpoint as it is now.
//!
//! Everything that changes with every request lies behind one short lock, so
//! that a view of it is consistent: no decision sees a closed circuit with the
//! failures that opened it.

mod board;
mod outlook;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::board::Board;
use self::outlook::Change;
use super::circuit::{Circuit, CircuitSettings, Gate, Pass};
use super::drift::Disliked;
use super::failures::{Blame, Failures, Risk, blame};
use super::headroom::{Headroom, Left};
use super::keeping::{Keeping, Keeps};
use super::pace::{Pace, Part};
use super::quality::{Count, Judgements, Quality};
use super::rest::{Rest, Resting, Why};
use super::sketch::Times;
use super::soundness::{Place, Siblings, Standing};
use super::stats::{Forecast, size};
use super::waiting::Waiting;
use crate::catalog::Timeouts;
use crate::outcome::{Failure, Sample};
use crate::request::Demand;

/// First content is waited for this many times its 95th percentile …
const PATIENCE: f64 = 4.0;
/// … within these (seconds) …
const FIRST_CONTENT: (f64, f64) = (10.0, 120.0);
/// … and for this long while nothing is known.
const FIRST_CONTENT_UNKNOWN: Duration = Duration::from_secs(60);

/// The live state of one endpoint, shared by all generations of the
/// configuration.
#[derive(Debug)]
pub struct Live {
    settings: CircuitSettings,
    in_flight: AtomicU32,
    state: Mutex<State>,
    judgements: Arc<Judgements>,
    board: Board,
    /// What was measured of late; nobody decides by it.
    times: Mutex<Times>,
    /// How sound its answers are, among the endpoints of its model.
    place: Place,
    /// Differs between endpoints and draws: the source of jitter.
    seed: AtomicU64,
}

/// What [`Live`] remembers, and what is saved of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pace: Pace,
    /// Not saved: what was under way when a process ended is over.
    #[serde(skip)]
    waiting: Waiting,
    /// Likewise: streams that have begun and of whose pace nothing is known.
    #[serde(skip)]
    beginning: Waiting,
    failures: Failures,
    gate: Gate,
    rest: Rest,
    deviation: Count,
    #[serde(default)]
    keeping: Keeping,
    /// Not saved: it is over in a minute.
    #[serde(skip)]
    headroom: Headroom,
    /// Evidence of judgements that it is worse than its model.
    #[serde(default)]
    disliked: Disliked,
    /// Only filled in where it is saved: while it lives, its [`Place`] keeps it.
    #[serde(default)]
    standing: Standing,
}

/// An endpoint at one moment, for one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct View {
    /// Time to the first token.
    pub ttft: Forecast,
    /// Time between two tokens.
    pub itl: Forecast,
    /// How likely and costly a failure is.
    pub risk: Risk,
    /// Attempts under way.
    pub in_flight: u32,
    /// Its circuit.
    pub circuit: Circuit,
    /// Until when it rests, if it does.
    pub resting: Option<Resting>,
    /// How good its answers are.
    pub quality: Quality,
    /// What its prompt cache keeps.
    pub keeps: Keeps,
    /// What its limits leave, as far as that is known.
    pub left: Option<Left>,
    /// The share of its answers that is of no use in form, 0..1, in the order of
    /// [`Demand::ALL`].
    pub unusable: [f64; Demand::COUNT],
}

impl Live {
    /// An endpoint about which nothing is known. `seed` tells it from others.
    #[must_use]
    pub fn new(settings: CircuitSettings, judgements: Arc<Judgements>, seed: u64) -> Self {
        Live {
            settings,
            in_flight: AtomicU32::new(0),
            state: Mutex::default(),
            judgements,
            board: Board::default(),
            times: Mutex::default(),
            place: Arc::new(Siblings::default()).join(),
            seed: AtomicU64::new(seed),
        }
    }

    /// The same endpoint among others of its model.
    #[must_use]
    pub fn beside(self, siblings: &Arc<Siblings>) -> Self {
        Live { place: siblings.join(), ..self }
    }

    /// The endpoint is asked with another credential from now on.
    pub fn new_credential(&self) {
        self.change().rest.new_credential();
    }

    /// An attempt begins.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream is asked for at `now`: its first content is waited for until
    /// [`Live::first_content`] or [`Live::record`] of a sample that is `streamed`.
    pub fn await_content(&self, now: Duration) {
        self.change().waiting.begin(now);
    }

    /// An attempt is over.
    pub fn end(&self) {
        // More ends than beginnings would be a defect of the caller's; counting
        // on from u32::MAX would make it everybody's.
        let _ = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    }

    /// The endpoint at `now`, for a request of `class` with `input_tokens`.
    #[must_use]
    pub fn view(&self, input_tokens: u32, class: u8, now: Duration) -> View {
        let (mut view, deviation) = {
            let state = self.lock();
            let view = View {
                ttft: state.pace.first_token(size(u64::from(input_tokens)), state.waiting.longest(now), now),
                itl: state.pace.next_token(state.beginning.longest(now), now),
                risk: state.failures.risk(now),
                in_flight: self.in_flight.load(Ordering::Relaxed),
                circuit: state.gate.circuit(now, &self.settings),
                resting: state.rest.resting(now),
                quality: Quality::default(),
                unusable: self.place.shares(),
                keeps: state.keeping.keeps(),
                left: state.headroom.left(now),
            };
            (view, state.deviation)
        };
        view.quality = self.judgements.of(class, deviation);
        view
    }

    /// Asks to make an attempt at `now`. A [`Pass::Probe`] is over with the
    /// record of the attempt, or with [`Live::abandon_probe`].
    #[must_use]
    pub fn try_pass(&self, now: Duration) -> Pass {
        self.change().gate.try_pass(now, &self.settings)
    }

    /// The probe ended without saying anything about the endpoint.
    pub fn abandon_probe(&self, _now: Duration) {
        self.change().gate.abandon_probe();
    }

    /// How long to wait for the first content.
    #[must_use]
    pub fn first_content_timeout(&self, timeouts: &Timeouts) -> Duration {
        if let Some(set) = timeouts.first_content {
            return set;
        }
        let p95 = self.lock().pace.p95();
        p95.map_or(FIRST_CONTENT_UNKNOWN, |p95| {
            Duration::from_secs_f64((PATIENCE * p95).clamp(FIRST_CONTENT.0, FIRST_CONTENT.1))
        })
    }

    /// First content came `seconds` after an attempt with `input_tokens` was
    /// sent.
    pub fn first_content(&self, seconds: f64, input_tokens: u64, now: Duration) {
        let mut state = self.change();
        let began = before(now, seconds);
        state.waiting.end(began);
        state.beginning.begin(now);
        state.pace.learn_first(seconds, size(input_tokens), now);
        self.times().ttft.record(seconds, now);
        state.gate.answered(began);
    }

    /// A stream goes on and has brought a token every `itl` seconds so far. To
    /// be told once of each, [`BEGINNING`](super::pace::BEGINNING) seconds after
    /// its first content (`since_first`) or with the first token after that: an
    /// endpoint that has become slow would otherwise be known to be so only when
    /// the first slow answer ends.
    pub fn progress(&self, itl: f64, since_first: f64, now: Duration) {
        let mut state = self.change();
        state.beginning.end(before(now, since_first));
        state.pace.learn_next(itl, Part::Beginning, now);
    }

    /// An attempt is over, and [`Live::first_content`] was not called for it.
    pub fn record(&self, sample: &Sample, now: Duration) {
        let mut state = self.change();
        if sample.streamed {
            state.waiting.end(before(now, sample.seconds));
        }
        let size = size(sample.input_tokens);
        match (sample.ttft, &sample.failure) {
            (Some(ttft), _) => {
                state.pace.learn_first(ttft, size, now);
                self.times().ttft.record(ttft, now);
            }
            (None, None) => state.learn_whole(sample, now),
            // A whole answer that was not waited for says nothing about first tokens.
            (None, Some(failure)) if sample.streamed && gave_up_waiting(failure) => {
                state.pace.learn_longer(sample.seconds, size, now);
            }
            (None, Some(_)) => {}
        }
        self.finish(&mut state, sample, now);
    }

    /// Another endpoint of the same account was refused because of its credential
    /// or its credit: this one would be too, and rests without being asked.
    pub fn account_rests(&self, why: Why, now: Duration) {
        self.change().rest.begin(why, None, self.random(), now);
    }

    /// An attempt is over whose first content was recorded when it came.
    pub fn record_rest(&self, sample: &Sample, now: Duration) {
        let mut state = self.change();
        if !sample.followed {
            let first = sample.seconds - sample.ttft.unwrap_or_default();
            state.beginning.end(before(now, first));
        }
        self.finish(&mut state, sample, now);
    }

    /// What is remembered at `now`, with times that count from `now`.
    #[must_use]
    pub fn state(&self, now: Duration) -> State {
        let mut state = self.lock().clone();
        state.standing = self.place.standing();
        state.shift(now, Duration::ZERO);
        state
    }

    /// Goes on from `state`, whose times are those of this process.
    pub(super) fn replace(&self, state: State) {
        self.place.restore(state.standing);
        let mut current = self.change();
        let (waiting, beginning) =
            (std::mem::take(&mut current.waiting), std::mem::take(&mut current.beginning));
        *current = State { waiting, beginning, ..state };
    }

    fn finish(&self, state: &mut State, sample: &Sample, now: Duration) {
        if let Some(itl) = sample.itl {
            let part = if sample.followed { Part::Rest } else { Part::Whole };
            state.pace.learn_next(itl, part, now);
            self.times().itl.record(itl, now);
        }
        let began = before(now, sample.seconds);
        match &sample.failure {
            None => {
                state.gate.succeeded(began, now, &self.settings);
                state.rest.succeeded();
                state.failures.succeeded(now);
            }
            Some(failure) => self.failed(state, failure, sample.seconds, now),
        }
    }

    fn failed(&self, state: &mut State, failure: &Failure, seconds: f64, now: Duration) {
        let why = match blame(failure) {
            Blame::Nobody => return,
            Blame::Health => None,
            Blame::Rate => Some(Why::RateLimit),
            Blame::Quota => Some(Why::Quota),
            Blame::Key => Some(Why::Key),
        };
        if let Some(why) = why {
            // It answered, if only to refuse: that says nothing about its health.
            state.gate.inconclusive(before(now, seconds));
            state.rest.begin(why, failure.retry_after(), self.random(), now);
        }
        match why {
            Some(Why::Quota | Why::Key) => {}
            Some(Why::RateLimit) => state.failures.failed(failure, seconds, now),
            None => {
                if let Some(asked) = failure.retry_after() {
                    state.rest.begin(Why::RateLimit, Some(asked), 0.0, now);
                }
                let open = state.gate.circuit(now, &self.settings) != Circuit::Closed;
                let opened = state.gate.failed(before(now, seconds), now, self.random(), &self.settings);
                // What the circuit answers for is not held against it twice.
                if !open {
                    state.failures.failed(failure, seconds, now);
                }
                if opened {
                    state.failures.forgive();
                }
            }
        }
    }

    /// Uniform in 0..1 (`SplitMix64`).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn random(&self) -> f64 {
        let seed = self.seed.fetch_add(crate::books::GOLDEN, Ordering::Relaxed);
        (super::mixed(seed) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The state, to change it: readers are told.
    fn change(&self) -> Change<'_> {
        Change::of(self.lock(), &self.board)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An answer that came in one piece tells only how long all of it took:
    /// both times are taken to deviate from what is expected by one factor. Of
    /// an answer of unknown length it tells nothing.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    fn learn_whole(&mut self, sample: &Sample, now: Duration) {
        if sample.output_tokens == 0 {
            return;
        }
        let size = size(sample.input_tokens);
        let (ttft, itl) = (self.pace.first_token(size, 0.0, now), self.pace.next_token(0.0, now));
        let tokens = sample.output_tokens.saturating_sub(1) as f64;
        let (first, between) = (ttft.quantile(0.0), itl.quantile(0.0));
        let factor = sample.seconds / (first + tokens * between);
        self.pace.learn_first(first * factor, size, now);
        if tokens > 0.0 {
            self.pace.learn_next(between * factor, Part::Whole, now);
        }
    }

    /// See [`Rest::new_credential`].
    pub(super) fn new_credential(&mut self) {
        self.rest.new_credential();
    }

    /// Lets everything fade until `until`, and calls that moment `at`.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        self.pace.shift(until, at);
        self.failures.shift(until, at);
        self.gate.shift(until, at);
        self.rest.shift(until, at);
        self.standing.shift(until, at);
    }
}

/// When an attempt began that has taken `seconds` at `now`.
fn before(now: Duration, seconds: f64) -> Duration {
    now.saturating_sub(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Whether somebody waited for first content and left without it, for a reason
/// that is not held against the endpoint. Where we gave up ourselves the failure
/// counts with the seconds it took; as a time it would count twice.
fn gave_up_waiting(failure: &Failure) -> bool {
    matches!(failure, Failure::CallerGone | Failure::ShuttingDown | Failure::OutOfTime)
}

mod judged;
mod told;
#[cfg(test)]
mod tests;
