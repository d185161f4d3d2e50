//! What decisions read of an endpoint: without a lock and without computing.
//!
//! Whoever changes the state does not compute what follows from that; it only
//! says that something has changed. The first decision that finds what is
//! published too old computes it anew, for all that come after. So a busy
//! endpoint costs its readers next to nothing, and its writers nothing.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::{Live, State, View};
use crate::books::circuit::{CircuitSettings, Gate};
use crate::books::failures::Risk;
use crate::books::headroom::Headroom;
use crate::books::keeping::Keeps;
use crate::books::quality::{self, Count};
use crate::books::rest::Rest;
use crate::books::stats::{Forecast, SIZES, size};
use crate::request::Demand;

/// What is published may be this old while nothing has changed: within it what
/// fades fades by less than half a percent.
const CALM: Duration = Duration::from_millis(250);
/// And this old when something has: five milliseconds of news are a few answers
/// of many.
const BUSY: Duration = Duration::from_millis(5);

/// An endpoint at one moment, for all kinds of requests.
#[derive(Debug)]
pub(super) struct Outlook {
    at: Duration,
    ttft: [Forecast; SIZES.len() + 1],
    itl: Forecast,
    risk: Risk,
    gate: Gate,
    rest: Rest,
    headroom: Headroom,
    keeps: Keeps,
    judged: quality::Table,
    deviation: Count,
    unusable: [f64; Demand::COUNT],
}

/// The latest outlook, if it is of any use.
#[derive(Debug, Default)]
pub(super) struct Published {
    outlook: ArcSwapOption<Outlook>,
    changed: AtomicBool,
}

impl Outlook {
    fn serves(&self, now: Duration, changed: bool) -> bool {
        now.checked_sub(self.at).is_some_and(|age| age < if changed { BUSY } else { CALM })
    }

    /// Circuits, rests and limits are read as of `now`: they end by themselves.
    fn view(
        &self,
        input_tokens: u32,
        class: u8,
        (now, settings): (Duration, &CircuitSettings),
        in_flight: u32,
    ) -> View {
        View {
            ttft: self.ttft.get(size(u64::from(input_tokens))).copied().unwrap_or(self.itl),
            itl: self.itl,
            risk: self.risk,
            in_flight,
            circuit: self.gate.circuit(now, settings),
            resting: self.rest.resting(now),
            quality: self.judged.of(class, self.deviation),
            unusable: self.unusable,
            keeps: self.keeps,
            left: self.headroom.left(now),
        }
    }
}

impl Live {
    /// The endpoint at `now`, for a request of `class` with `input_tokens`, as of a
    /// few milliseconds ago: what [`Live::view`] tells exactly. A circuit that has
    /// opened and a rest that has begun are seen at once.
    #[must_use]
    pub fn glance(&self, input_tokens: u32, class: u8, now: Duration) -> View {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let at = (now, &self.settings);
        let published = self.published.outlook.load();
        let changed = self.published.changed.load(Ordering::Relaxed);
        match published.as_ref().filter(|outlook| outlook.serves(now, changed)) {
            Some(outlook) => outlook.view(input_tokens, class, at, in_flight),
            None => self.look(now).view(input_tokens, class, at, in_flight),
        }
    }

    /// The endpoint's cache, likewise.
    #[must_use]
    pub fn keeps(&self) -> Keeps {
        let published = self.published.outlook.load();
        published.as_ref().map_or_else(|| self.lock().keeping.keeps(), |outlook| outlook.keeps)
    }

    /// Computes the outlook and publishes it.
    fn look(&self, now: Duration) -> Arc<Outlook> {
        let judged = self.judgements.table();
        let state = self.lock();
        self.published.changed.store(false, Ordering::Relaxed);
        let (waiting, beginning) = (state.waiting.longest(now), state.beginning.longest(now));
        let outlook = Arc::new(Outlook {
            at: now,
            ttft: std::array::from_fn(|size| state.pace.first_token(size, waiting, now)),
            itl: state.pace.next_token(beginning, now),
            risk: state.failures.risk(now),
            gate: state.gate.clone(),
            rest: state.rest,
            headroom: state.headroom,
            keeps: state.keeping.keeps(),
            judged,
            deviation: state.deviation,
            unusable: self.place.shares(),
        });
        // Under the lock, so that no older outlook replaces a newer one.
        self.published.outlook.store(Some(Arc::clone(&outlook)));
        outlook
    }
}

/// The state, to be changed. When it is let go readers are told: at the latest
/// after [`BUSY`], or at once where the circuit or a rest is another than before.
pub(super) struct Change<'l> {
    state: MutexGuard<'l, State>,
    published: &'l Published,
    before: (Gate, Rest),
}

impl<'l> Change<'l> {
    pub(super) fn of(state: MutexGuard<'l, State>, published: &'l Published) -> Self {
        let before = (state.gate.clone(), state.rest);
        Change { state, published, before }
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
        let (gate, rest) = &self.before;
        if self.state.gate.stands_as(gate) && self.state.rest == *rest {
            self.published.changed.store(true, Ordering::Relaxed);
        } else {
            self.published.outlook.store(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Sample};

    const AT: Duration = Duration::from_secs(100);

    fn live() -> Live {
        Live::new(CircuitSettings::default(), Arc::default(), 1)
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
    }
}
