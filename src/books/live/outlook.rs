//! What decisions read of an endpoint: without a lock and without computing.
//!
//! Whoever changes the state does not compute what follows from that; it only
//! says that something has changed. The first decision that finds what is posted
//! too old computes it anew, for all that come after. So a busy endpoint costs its
//! readers next to nothing, and its writers nothing.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::board::Board;
use super::{Live, State, View};
use crate::books::circuit::Standing;
use crate::books::failures::Risk;
use crate::books::headroom::Headroom;
use crate::books::keeping::Keeps;
use crate::books::quality::{self, Count};
use crate::books::rest::Rest;
use crate::books::stats::{Forecast, SIZES, size};
use crate::request::Demand;

/// An endpoint at one moment, for all kinds of requests.
#[derive(Debug)]
pub(super) struct Outlook {
    pub(super) at: Duration,
    pub(super) ttft: [Forecast; SIZES.len() + 1],
    pub(super) itl: Forecast,
    pub(super) risk: Risk,
    pub(super) standing: Standing,
    pub(super) rest: Rest,
    pub(super) headroom: Headroom,
    pub(super) keeps: Keeps,
    pub(super) judged: quality::Judged,
    pub(super) deviation: Count,
    pub(super) unusable: [f64; Demand::COUNT],
}

impl Live {
    /// The endpoint at `now`, for a request of `class` with `input_tokens`, as of a
    /// few milliseconds ago: what [`Live::view`] tells exactly. A circuit that has
    /// opened and a rest that has begun are seen at once, and both end by the clock
    /// of whoever looks.
    #[must_use]
    #[inline]
    pub fn glance(&self, input_tokens: u32, class: u8, now: Duration) -> View {
        let size = size(u64::from(input_tokens));
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        match self.board.read((size, class), now, &self.settings, in_flight) {
            Some(view) => view,
            None => self.look((size, class), now, in_flight),
        }
    }

    /// The time to the first token to expect for a prompt of another size.
    #[must_use]
    pub fn first_token(&self, input_tokens: u32, now: Duration) -> Forecast {
        self.glance(input_tokens, 0, now).ttft
    }

    /// What to expect of its prompt cache.
    #[must_use]
    pub fn keeps(&self) -> Keeps {
        self.lock().keeping.keeps()
    }

    /// Computes the outlook and posts it.
    #[cold]
    fn look(&self, (size, class): (usize, u8), now: Duration, in_flight: u32) -> View {
        let judged = self.judgements.judged();
        let state = self.lock();
        let (waiting, beginning) = (state.waiting.longest(now), state.beginning.longest(now));
        let outlook = Outlook {
            at: now,
            ttft: std::array::from_fn(|size| state.pace.first_token(size, waiting, now)),
            itl: state.pace.next_token(beginning, now),
            risk: state.failures.risk(now),
            standing: state.gate.standing(),
            rest: state.rest,
            headroom: state.headroom,
            keeps: state.keeping.keeps(),
            judged,
            deviation: state.deviation,
            unusable: self.place.shares(),
        };
        // Under the lock, so that no older outlook replaces a newer one.
        self.board.post(&outlook);
        drop(state);
        View {
            ttft: outlook.ttft.get(size).copied().unwrap_or(outlook.itl),
            itl: outlook.itl,
            risk: outlook.risk,
            in_flight,
            circuit: outlook.standing.circuit(now, &self.settings),
            resting: outlook.rest.resting(now),
            quality: outlook.judged.of(class, outlook.deviation),
            unusable: outlook.unusable,
            keeps: outlook.keeps,
            left: outlook.headroom.left(now),
        }
    }
}

/// The state, to be changed. When it is let go readers are told: a few
/// milliseconds later, or at once where the circuit or a rest is another than before, or a
/// limit begins or ceases to leave nothing.
pub(super) struct Change<'l> {
    state: MutexGuard<'l, State>,
    board: &'l Board,
    before: (Standing, Rest, bool),
}

impl State {
    /// What readers are told of at once.
    fn stands(&self) -> (Standing, Rest, bool) {
        (self.gate.standing(), self.rest, self.headroom.is_used_up())
    }
}

impl<'l> Change<'l> {
    pub(super) fn of(state: MutexGuard<'l, State>, board: &'l Board) -> Self {
        let before = state.stands();
        Change { state, board, before }
    }
}

impl Deref for Change<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if self.state.stands() == self.before {
            self.board.note_change();
        } else {
            self.board.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::{BUSY, CALM};
    use super::*;
    use crate::books::CircuitSettings;
    use crate::books::headroom::{Allowance, Allowed};
    use crate::outcome::{Failure, Sample};

    const AT: Duration = Duration::from_secs(100);

    fn live() -> Live {
        Live::new(CircuitSettings::default(), std::sync::Arc::default(), 1)
    }

    fn slow() -> Sample {
        Sample { ttft: Some(9.0), seconds: 9.0, ..Sample::default() }
    }

    #[test]
    fn a_glance_is_the_view_of_a_moment_ago() {
        let live = live();
        let ttft = |now| live.glance(1000, 0, now).ttft.seconds;
        let before = ttft(AT);
        assert_eq!(live.glance(1000, 0, AT), live.view(1000, 0, AT));
        live.record(&slow(), AT);
        assert!((ttft(AT + BUSY / 2) - before).abs() < 1e-12, "not computed anew for each answer");
        assert_eq!(live.glance(1000, 0, AT + BUSY), live.view(1000, 0, AT + BUSY));
        assert!(ttft(AT + BUSY) > before);
        let calm = AT + BUSY + CALM;
        assert_eq!(live.glance(70_000, 0, calm), live.view(70_000, 0, calm));
        assert!((ttft(AT) - live.view(1000, 0, AT).ttft.seconds).abs() < 1e-12, "a clock that went back");
    }

    #[test]
    fn circuits_and_rests_are_seen_at_once_and_end_by_themselves() {
        let live = live();
        let _ = live.glance(0, 0, AT);
        let failed = Sample { failure: Some(Failure::Connect), ..Sample::default() };
        (0..5).for_each(|_| live.record(&failed, AT));
        assert_eq!(live.glance(0, 0, AT).circuit, live.view(0, 0, AT).circuit);
        assert_ne!(live.glance(0, 0, AT).circuit, crate::books::Circuit::Closed);
        let asked = Failure::RateLimited { retry_after: Some(Duration::from_millis(100)) };
        live.record(&Sample { failure: Some(asked), ..Sample::default() }, AT);
        assert!(live.glance(0, 0, AT).resting.is_some());
        assert!(live.glance(0, 0, AT + Duration::from_millis(120)).resting.is_none());
        let later = AT + Duration::from_millis(120);
        let none = Allowance { left: 0.0, most: 0.0, full_in: Duration::from_secs(1) };
        live.told_headroom(Allowed { requests: Some(none), tokens: None }, later);
        assert!(live.glance(0, 0, later).left.is_some_and(|left| !left.suffices(1.0)));
    }
}
