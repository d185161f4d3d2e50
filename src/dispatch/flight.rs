//! One attempt under way: what the books and metrics learn from it, once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::fleet::Fleet;
use crate::books::carried::{Heard, Owner};
use crate::books::pace::BEGINNING;
use crate::books::warm::{Served, Tenant};
use crate::catalog::{Dialect, EndpointId};
use crate::outcome::{Failure, Sample};
use crate::request::ChatRequest;
use crate::units::Usage;

/// Fewer output tokens say nothing about the time between two of them: they
/// arrive in one or two packets.
const FEWEST_TOKENS: u64 = 4;

/// What is sent, and by whom.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Who asks.
    pub tenant: Tenant,
    /// What is asked.
    pub request: Arc<ChatRequest>,
}

/// Tokens of `input` that are not among the `warm` ones.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and a count of tokens"
)]
pub fn cold(input: u32, warm: f64) -> u64 {
    (f64::from(input) - warm).clamp(0.0, f64::from(input)) as u64
}

/// Whether an endpoint is spoken to in another dialect than callers.
fn translated(fleet: &Fleet, endpoint: EndpointId) -> bool {
    fleet.catalog.endpoint(endpoint).provider.dialect != Dialect::OpenAi
}

/// An attempt under way. Whoever ends it says how with [`Flight::finish`]; if
/// nobody does, because the caller hung up and everything was dropped, the
/// drop says so.
#[derive(Debug)]
pub struct Flight {
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    /// Who is being asked.
    pub endpoint: EndpointId,
    /// Whether it is the half-open probe of its endpoint's circuit.
    probe: bool,
    prompt: Prompt,
    /// Which share of the prompt the endpoint had read lately (0..1).
    known: f64,
    /// What its answer says that must go back with its calls; nothing where
    /// OpenAI's own dialect is passed through.
    heard: Option<Heard>,
    started: Instant,
    first: Option<Instant>,
    /// Whether its pace has been told.
    followed: bool,
    finished: bool,
}

impl Flight {
    /// An attempt for `request` begins.
    #[must_use]
    pub fn begin(
        shared: &Arc<Shared>,
        fleet: &Arc<Fleet>,
        endpoint: EndpointId,
        probe: bool,
        prompt: Prompt,
    ) -> Self {
        let member = fleet.member(endpoint);
        member.live.begin();
        let now = shared.now();
        if prompt.request.stream {
            member.live.await_content(now);
        }
        let known = shared.warm.known(prompt.tenant, &prompt.request.prefix, now).share(member.identity);
        Flight {
            shared: Arc::clone(shared),
            fleet: Arc::clone(fleet),
            endpoint,
            probe,
            prompt,
            known,
            heard: translated(fleet, endpoint).then(Heard::default),
            started: Instant::now(),
            first: None,
            followed: false,
            finished: false,
        }
    }

    /// The request as its endpoint is asked: with what the caller left out of the
    /// model's own words, where that is known.
    #[must_use]
    pub fn restored(&self) -> Arc<ChatRequest> {
        let request = &self.prompt.request;
        let restored = || {
            self.heard.as_ref()?;
            let body = self.shared.carried.restored(self.owner(), &request.body)?;
            let ChatRequest { body, spans, .. } = ChatRequest::read(body).ok()?;
            Some(Arc::new(ChatRequest { body, spans, ..ChatRequest::clone(request) }))
        };
        restored().unwrap_or_else(|| Arc::clone(request))
    }

    /// Events on their way to the caller.
    pub fn hear(&mut self, events: &[u8]) {
        if let Some(heard) = &mut self.heard {
            heard.events(events);
        }
    }

    /// A whole answer on its way to the caller.
    pub fn hear_whole(&mut self, body: &[u8]) {
        if let Some(heard) = &mut self.heard {
            heard.answer(body);
        }
        self.keep();
    }

    /// All of the answer has been heard.
    pub fn keep(&mut self) {
        if let Some(heard) = self.heard.take() {
            self.shared.carried.keep(self.owner(), heard);
        }
    }

    fn owner(&self) -> Owner {
        Owner { tenant: self.prompt.tenant, model: self.fleet.member(self.endpoint).model }
    }

    /// The first content of a stream has come.
    pub fn first_content(&mut self) {
        let now = Instant::now();
        self.first = Some(now);
        let member = self.fleet.member(self.endpoint);
        let seconds = (now - self.started).as_secs_f64();
        member.live.first_content(seconds, self.cold_tokens(), self.shared.now());
        member.metrics.ttft.observe(seconds);
        self.was_read();
    }

    /// The endpoint has read the prompt, and serves the session from now on.
    fn was_read(&self) {
        let Shared { warm, .. } = &*self.shared;
        let (now, Prompt { tenant, request }) = (self.shared.now(), &self.prompt);
        let member = self.fleet.member(self.endpoint);
        let lasts = self.fleet.catalog.endpoint(self.endpoint).terms.cache_lasts;
        warm.read(*tenant, &request.prefix, member.identity, lasts, now);
        if let Some(session) = &request.control.session {
            let served = Served { endpoint: member.identity, model: member.model };
            warm.serve(*tenant, session, served, now);
        }
    }

    /// Tokens of the prompt that the endpoint has to read, estimated: what its
    /// time to the first token depends on.
    fn cold_tokens(&self) -> u64 {
        let input = self.prompt.request.input_tokens;
        let keeps = self.fleet.member(self.endpoint).live.keeps();
        cold(input, keeps.warm(self.known * f64::from(input)))
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
            streamed: self.prompt.request.stream,
            followed: self.followed,
            seconds: took.as_secs_f64(),
            input_tokens: self.cold_tokens(),
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
        if failure.is_none() {
            member.live.learn_kept(self.known, usage);
            if self.first.is_none() {
                self.was_read();
            }
        }
        if failure.is_none() && !usage.estimated && usage.output > 0 {
            member.lengths.record(self.prompt.request.class, usage.output);
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
