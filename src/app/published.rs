//! What others publish of prices and of endpoints is looked for while the gateway
//! runs, as far as the configuration says where.
//!
//! One task asks one after the other: nobody is in a hurry, and a list that has
//! changed costs processor time. Replicas are kept apart by chance. A source that
//! fails is asked again after a pause that doubles, and what it said before stays.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::App;
use super::control::{FetchError, Fetched, Validators};
use crate::catalog::Secret;
use crate::dispatch::ticket::unix_ms;
use crate::telemetry::metrics::PollResult;

pub mod prices;
pub mod statistics;

/// How often it is looked whether somebody is to be asked: the configuration may
/// have changed.
const LOOK: Duration = Duration::from_secs(2);
/// The first pause after a failure …
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// … and no pause is longer than the usual one.
const DOUBLINGS: u32 = 16;
/// The first answer is asked for within this.
const AT_START: Duration = Duration::from_secs(5);
/// Pauses vary by this share, so that replicas do not ask in step.
const JITTER: f64 = 0.1;

/// How each source does, by its name.
#[derive(Debug, Default)]
pub struct Sources(Mutex<HashMap<String, Source>>);

/// One source as it was asked last.
#[derive(Debug, Clone)]
struct Source {
    known: Validators,
    due: Instant,
    failures: u32,
    state: State,
}

/// How a source does, as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// `models.dev`, `openrouter of NAME`, `statistics of MODEL`.
    pub source: String,
    /// When it was asked last (seconds since 1970); `None` before.
    pub asked_at: Option<u64>,
    /// When it last had a good answer.
    pub good_at: Option<u64>,
    /// What came of asking last.
    pub result: Option<&'static str>,
    /// What was wrong with that.
    pub problem: Option<String>,
    /// Entries in the last good answer.
    pub entries: usize,
}

/// Where something is published.
struct Place<'p> {
    name: String,
    /// How it is called in metrics.
    list: &'static str,
    url: &'p str,
    every: Duration,
    key: Option<&'p Secret>,
}

/// What came of asking: how it is counted, what was wrong, how many entries.
struct Heard {
    result: PollResult,
    problem: Option<String>,
    entries: Option<usize>,
}

impl Sources {
    /// All of them, by name.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        let mut all: Vec<State> = self.lock().values().map(|source| source.state.clone()).collect();
        all.sort_by(|a, b| a.source.cmp(&b.source));
        all
    }

    /// How many had no good answer the last time.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.lock().values().filter(|source| source.failures > 0).count()
    }

    /// Whether it is to be asked now, and what is known of it.
    fn due(&self, place: &Place<'_>) -> Option<Validators> {
        let mut sources = self.lock();
        let source = sources.entry(place.name.clone()).or_insert_with(|| Source {
            known: Validators::default(),
            due: Instant::now() + AT_START.min(place.every / 10).mul_f64(fastrand::f64()),
            failures: 0,
            state: State {
                source: place.name.clone(),
                asked_at: None,
                good_at: None,
                result: None,
                problem: None,
                entries: 0,
            },
        });
        // A configured pause may have become shorter.
        source.due = source.due.min(Instant::now() + place.every.mul_f64(1.0 + JITTER));
        (source.due <= Instant::now()).then(|| source.known.clone())
    }

    fn note(&self, place: &Place<'_>, heard: Heard, known: Option<Validators>) {
        let mut sources = self.lock();
        let Some(source) = sources.get_mut(&place.name) else { return };
        let now = unix_ms() / 1000;
        source.failures = if heard.result.is_good() { 0 } else { source.failures + 1 };
        source.known = known.unwrap_or_else(|| std::mem::take(&mut source.known));
        source.due = Instant::now() + pause(place.every, source.failures, fastrand::f64());
        let state = &mut source.state;
        (state.asked_at, state.result) = (Some(now), Some(heard.result.label()));
        state.problem = heard.problem;
        state.entries = heard.entries.unwrap_or(state.entries);
        if heard.result.is_good() {
            state.good_at = Some(now);
        }
    }

    fn keep_only(&self, names: &[String]) {
        self.lock().retain(|name, _| names.contains(name));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait after so many failures in a row; `draw` is uniform in 0..1.
fn pause(every: Duration, failures: u32, draw: f64) -> Duration {
    let usual = match failures {
        0 => every,
        failures => every.min(FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(DOUBLINGS))),
    };
    usual.mul_f64(1.0 - JITTER + 2.0 * JITTER * draw)
}

/// Asks whoever is due until `stop`.
pub async fn follow(app: App, stop: CancellationToken) {
    let mut file = statistics::File::default();
    loop {
        let round = async {
            file.look(&app).await;
            let mut names = prices::look(&app).await;
            names.extend(statistics::look(&app).await);
            app.sources.keep_only(&names);
            tokio::time::sleep(wait(&app)).await;
        };
        tokio::select! {
            () = round => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Until the next source is due, or the configuration is looked at again.
fn wait(app: &App) -> Duration {
    let now = Instant::now();
    let due = app.sources.lock().values().map(|source| source.due.saturating_duration_since(now)).min();
    due.unwrap_or(LOOK).clamp(Duration::from_millis(20), LOOK)
}

/// Asks at `place` if it is due. `take` is told what is there when it is another
/// than last time.
async fn ask<T: AsyncFnOnce(Vec<u8>) -> Heard>(app: &App, place: &Place<'_>, take: T) {
    let Some(known) = app.sources.due(place) else { return };
    let (heard, validators) = match app.control.fetch(place.url, &known, place.key).await {
        Ok(Fetched::Unchanged) => {
            (Heard { result: PollResult::Unchanged, problem: None, entries: None }, None)
        }
        Ok(Fetched::New(body, validators)) => {
            let heard = take(body).await;
            // What was not understood is to be sent again.
            let validators = if heard.result.is_good() { validators } else { Validators::default() };
            (heard, Some(validators))
        }
        Err(error) => {
            let result = match error {
                FetchError::Unreachable(_) => PollResult::Unreachable,
                FetchError::Status(_) => PollResult::Status,
                FetchError::TooLarge => PollResult::TooLarge,
            };
            (Heard { result, problem: Some(error.to_string()), entries: None }, None)
        }
    };
    if let Some(problem) = &heard.problem {
        tracing::warn!(source = place.name, problem, "what is published is not used; what was known stays");
    }
    app.shared.metrics.polls.with_label_values(&[place.list, heard.result.label()]).inc();
    app.sources.note(place, heard, validators);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_usual_one() {
        let hour = Duration::from_secs(3600);
        let seconds = |failures| pause(hour, failures, 0.5).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 99].map(seconds), [3600, 15, 30, 60, 120, 3600]);
        assert_eq!(pause(Duration::from_secs(1), 5, 0.5), Duration::from_secs(1));
        assert!(pause(hour, 0, 0.0) < hour && pause(hour, 0, 1.0) > hour);
    }
}
