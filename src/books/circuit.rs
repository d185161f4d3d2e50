//! An endpoint's health gate: closed while it answers, open while it does not,
//! half-open while one request is let through to see.
//!
//! Only the endpoint's own faults count. What it means for a request that every
//! circuit of a model is open is the market's to decide.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When circuits open and for how long (`[router.breaker]`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitSettings {
    /// Failures in a row that open it (5).
    pub consecutive_failures: u32,
    /// The share of failures above which it opens (0.5) …
    pub failure_ratio: f64,
    /// … when there were at least this many attempts (20) …
    pub min_requests: u32,
    /// … within this time (30 s).
    pub window: Duration,
    /// How long it is open the first time (5 s); doubles with every probe that
    /// fails …
    pub open: Duration,
    /// … up to this (300 s). Both vary by ± 20 %, so that replicas do not probe
    /// in step.
    pub open_max: Duration,
    /// After this a probe that has not reported counts as lost and another may
    /// go (180 s: longer than the longest wait for first content).
    pub probe_timeout: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        CircuitSettings {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_requests: 20,
            window: Duration::from_secs(30),
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(300),
            probe_timeout: Duration::from_secs(180),
        }
    }
}

/// A circuit, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Circuit {
    /// All requests may pass.
    Closed,
    /// One request at a time may pass.
    HalfOpen {
        /// Whether that one is under way.
        probing: bool,
    },
    /// None may pass.
    Open {
        /// Until then (since the process started).
        until: Duration,
    },
}

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Yes.
    Free,
    /// Yes, and the circuit's fate hangs on it.
    Probe,
    /// No.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    HalfOpen {
        /// When the probe that is under way began.
        probe: Option<Duration>,
    },
}

/// Attempts are counted in this many slices of the window.
const SLICES: u32 = 6;
/// Clocks of an attempt and of the process are read a moment apart.
const SLACK: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Slice {
    number: u64,
    attempts: u32,
    failures: u32,
}

/// The gate's state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    state: State,
    /// Times it opened since the endpoint was last well.
    times_opened: u32,
    #[serde(skip)]
    in_a_row: u32,
    #[serde(skip)]
    slices: [Slice; SLICES as usize],
}

/// How a gate stands, which says what passes it at any moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Standing(State);

impl Standing {
    /// What that comes to at `now`.
    pub(super) fn circuit(self, now: Duration, settings: &CircuitSettings) -> Circuit {
        match self.0 {
            State::Closed => Circuit::Closed,
            State::Open { until } if now < until => Circuit::Open { until },
            State::Open { .. } => Circuit::HalfOpen { probing: false },
            State::HalfOpen { probe } => Circuit::HalfOpen { probing: under_way(probe, now, settings) },
        }
    }

    /// All of it in one number: what it is in two bits, and since or until when.
    pub(super) fn packed(self) -> u64 {
        match self.0 {
            State::Closed => 0,
            State::Open { until } => moment(until) << 2 | 1,
            State::HalfOpen { probe: None } => 2,
            State::HalfOpen { probe: Some(at) } => moment(at) << 2 | 3,
        }
    }

    /// What was packed.
    pub(super) fn unpacked(word: u64) -> Self {
        let at = Duration::from_nanos(word >> 2);
        Standing(match word & 3 {
            0 => State::Closed,
            1 => State::Open { until: at },
            2 => State::HalfOpen { probe: None },
            _ => State::HalfOpen { probe: Some(at) },
        })
    }
}

/// Nanoseconds since the process started: 60 bits are 36 years.
pub(super) fn moment(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX >> 4)
}

impl Gate {
    /// How it stands at `now`.
    #[must_use]
    pub fn circuit(&self, now: Duration, settings: &CircuitSettings) -> Circuit {
        self.standing().circuit(now, settings)
    }

    /// Whether it is open, closed or half-open, and until when.
    pub(super) fn standing(&self) -> Standing {
        Standing(self.state)
    }

    /// Asks to make an attempt. A probe must be reported, or abandoned.
    pub fn try_pass(&mut self, now: Duration, settings: &CircuitSettings) -> Pass {
        match self.circuit(now, settings) {
            Circuit::Closed => Pass::Free,
            Circuit::Open { .. } | Circuit::HalfOpen { probing: true } => Pass::Refused,
            Circuit::HalfOpen { probing: false } => {
                self.state = State::HalfOpen { probe: Some(now) };
                Pass::Probe
            }
        }
    }

    /// The probe ended without saying anything about the endpoint.
    pub fn abandon_probe(&mut self) {
        if let State::HalfOpen { probe } = &mut self.state {
            *probe = None;
        }
    }

    /// The attempt that began at `began` ended without saying anything about the
    /// endpoint's health: if it was the probe, another may go.
    pub fn inconclusive(&mut self, began: Duration) {
        if self.concerns(began) {
            self.abandon_probe();
        }
    }

    /// The endpoint has begun to answer the attempt that began at `began`. That
    /// is enough to let others through: a stream may last for minutes.
    pub fn answered(&mut self, began: Duration) {
        if self.concerns(began) {
            self.close();
        }
    }

    /// The attempt that began at `began` ended well.
    pub fn succeeded(&mut self, began: Duration, now: Duration, settings: &CircuitSettings) {
        match self.state {
            State::Closed => {
                self.times_opened = 0;
                self.in_a_row = 0;
                self.count(false, now, settings);
            }
            State::HalfOpen { .. } if self.concerns(began) => {
                self.close();
                self.times_opened = 0;
            }
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    /// The attempt that began at `began` failed by the endpoint's fault.
    /// Returns whether that opened the circuit. `random` is uniform in 0..1.
    pub fn failed(
        &mut self,
        began: Duration,
        now: Duration,
        random: f64,
        settings: &CircuitSettings,
    ) -> bool {
        let opens = match self.state {
            State::Closed => {
                self.in_a_row += 1;
                self.count(true, now, settings);
                self.in_a_row >= settings.consecutive_failures || self.mostly_fails(now, settings)
            }
            State::HalfOpen { .. } => self.concerns(began),
            State::Open { .. } => false,
        };
        if opens {
            let open =
                settings.open.saturating_mul(1_u32 << self.times_opened.min(20)).min(settings.open_max);
            self.state = State::Open { until: now + jittered(open, random) };
            self.times_opened += 1;
        }
        opens
    }

    fn close(&mut self) {
        *self = Gate { times_opened: self.times_opened, ..Gate::default() };
    }

    /// Whether the circuit is half-open and that attempt began since: earlier
    /// ones tell of the time before it opened.
    fn concerns(&self, began: Duration) -> bool {
        matches!(self.state, State::HalfOpen { probe: Some(since) } if began + SLACK >= since)
    }

    fn count(&mut self, failure: bool, now: Duration, settings: &CircuitSettings) {
        let number = slice(now, settings);
        let place = usize::try_from(number % u64::from(SLICES)).unwrap_or(0);
        let Some(slice) = self.slices.get_mut(place) else { return };
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice.attempts += 1;
        slice.failures += u32::from(failure);
    }

    fn mostly_fails(&self, now: Duration, settings: &CircuitSettings) -> bool {
        let newest = slice(now, settings);
        let recent = self.slices.iter().filter(|slice| slice.number + u64::from(SLICES) > newest);
        let (attempts, failures) =
            recent.fold((0, 0), |sum, slice| (sum.0 + slice.attempts, sum.1 + slice.failures));
        attempts >= settings.min_requests
            && f64::from(failures) > settings.failure_ratio * f64::from(attempts)
    }

    /// Tells times by another clock: what was `until` is now `at`.
    pub(super) fn shift(&mut self, until: Duration, at: Duration) {
        self.state = match self.state {
            State::Open { until: opens } => State::Open { until: at + opens.saturating_sub(until) },
            // The probe belonged to a process that is gone.
            State::HalfOpen { .. } => State::HalfOpen { probe: None },
            State::Closed => State::Closed,
        };
        (self.in_a_row, self.slices) = (0, Default::default());
    }
}

/// `duration` ± 20 %.
pub(super) fn jittered(duration: Duration, random: f64) -> Duration {
    duration.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
}

fn under_way(probe: Option<Duration>, now: Duration, settings: &CircuitSettings) -> bool {
    probe.is_some_and(|began| now.saturating_sub(began) < settings.probe_timeout)
}

/// The number of the slice of time in which `now` lies, from 1 on: 0 is a slice
/// that was never used.
fn slice(now: Duration, settings: &CircuitSettings) -> u64 {
    let length = (settings.window / SLICES).as_millis().max(1);
    u64::try_from(now.as_millis() / length)
        .unwrap_or(u64::MAX - u64::from(SLICES))
        .saturating_add(u64::from(SLICES))
}

#[cfg(test)]
mod tests;
