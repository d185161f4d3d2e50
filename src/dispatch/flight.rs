//! One attempt under way: what the books and metrics learn from it, once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::fleet::Fleet;
use crate::books::pace::BEGINNING;
use crate::catalog::EndpointId;
use crate::outcome::{Failure, Sample};
use crate::units::Usage;

/// Fewer output tokens say nothing about the time between two of them: they
/// arrive in one or two packets.
const FEWEST_TOKENS: u64 = 4;

/// The task class of every request, until classes are told apart.
pub const CLASS: u8 = 0;

/// An attempt under way. Whoever ends it says how with [`Flight::finish`]; if
/// nobody does, because the caller hung up and everything was dropped, the
/// drop says so.
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
#[derive(Debug)]
pub struct Flight {
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    /// Who is being asked.
    pub endpoint: EndpointId,
    /// Whether it is the half-open probe of its endpoint's circuit.
    probe: bool,
    input_tokens: u64,
    started: Instant,
    /// Whether a stream was asked for.
    streamed: bool,
    first: Option<Instant>,
    /// Whether its pace has been told.
    followed: bool,
    finished: bool,
}

impl Flight {
    /// An attempt begins.
    #[must_use]
    pub fn begin(
        shared: &Arc<Shared>,
        fleet: &Arc<Fleet>,
        endpoint: EndpointId,
        probe: bool,
        input_tokens: u32,
        streamed: bool,
    ) -> Self {
        let live = &fleet.member(endpoint).live;
        live.begin();
        if streamed {
            live.await_content(shared.now());
        }
        Flight {
            shared: Arc::clone(shared),
            fleet: Arc::clone(fleet),
            endpoint,
            probe,
            input_tokens: u64::from(input_tokens),
            started: Instant::now(),
            streamed,
            first: None,
            followed: false,
            finished: false,
        }
    }

    /// The first content of a stream has come.
    pub fn first_content(&mut self) {
        let now = Instant::now();
        self.first = Some(now);
        let member = self.fleet.member(self.endpoint);
        let seconds = (now - self.started).as_secs_f64();
        member.live.first_content(seconds, self.input_tokens, self.shared.now());
        member.metrics.ttft.observe(seconds);
    }

    /// `output_tokens` have come until `now`, by an estimate. The pace of a stream is
    /// told early, once, so that a slow endpoint is known before its answers end.
    pub fn progress(&mut self, now: Instant, output_tokens: u64) {
        let Some(first) = self.first.filter(|_| !self.followed && output_tokens > 1) else { return };
        let elapsed = now.saturating_duration_since(first);
        if elapsed.as_secs_f64() < BEGINNING {
            return;
        }
        self.followed = true;
        let live = &self.fleet.member(self.endpoint).live;
        live.progress(pace(elapsed, output_tokens), elapsed.as_secs_f64(), self.shared.now());
    }

    /// Seconds to the first content, if it has come.
    #[must_use]
    pub fn ttft(&self) -> Option<f64> {
        self.first.map(|first| (first - self.started).as_secs_f64())
    }

    /// The attempt is over. Returns how long it took.
    pub fn finish(&mut self, failure: Option<&Failure>, usage: &Usage) -> Duration {
        self.finish_at(Instant::now(), failure, usage)
    }

    /// The same for a stream whose last content came at `last`, which may be a
    /// while before its end.
    pub fn finish_at(&mut self, last: Instant, failure: Option<&Failure>, usage: &Usage) -> Duration {
        let took = self.started.elapsed();
        if std::mem::replace(&mut self.finished, true) {
            return took;
        }
        let member = self.fleet.member(self.endpoint);
        let itl = self.itl(last, usage.output);
        let sample = Sample {
            ttft: self.ttft(),
            itl,
            streamed: self.streamed,
            followed: self.followed,
            seconds: took.as_secs_f64(),
            input_tokens: self.input_tokens,
            output_tokens: usage.output,
            failure: failure.cloned(),
        };
        member.live.end();
        let now = self.shared.now();
        if self.probe && failure.is_some_and(|failure| !failure.is_endpoints_fault()) {
            member.live.abandon_probe(now);
        }
        match self.first {
            Some(_) => member.live.record_rest(&sample, now),
            None => member.live.record(&sample, now),
        }
        if failure.is_none() && !usage.estimated && usage.output > 0 {
            member.lengths.record(CLASS, usage.output);
        }
        member.metrics.attempt(failure);
        if let Some(itl) = itl {
            member.metrics.itl.observe(itl);
        }
        took
    }

    fn itl(&self, last: Instant, output_tokens: u64) -> Option<f64> {
        let first = self.first.filter(|_| output_tokens >= FEWEST_TOKENS)?;
        Some(pace(last.saturating_duration_since(first), output_tokens))
    }
}

/// Seconds per token after the first, of at least two.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn pace(since_first: Duration, output_tokens: u64) -> f64 {
    since_first.as_secs_f64() / output_tokens.saturating_sub(1).max(1) as f64
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.finished {
            self.finish(Some(&Failure::CallerGone), &Usage::default());
        }
    }
}
