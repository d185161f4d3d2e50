//! A request's ticket: everything known about it from arrival to settlement.
//!
//! A ticket is made when a request arrives, is owned by whatever stage the
//! request is in, and settles when it is dropped: exactly once, on every path,
//! also when the caller hangs up and hyper drops the future that owned it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::Shared;
use super::billing::Pending;
use super::fleet::Fleet;
use super::record::Record;
use super::signals::{Asked, Said};
use crate::accounts::limiter::Counted;
use crate::accounts::{Caller, Reservation};
use crate::books::warm::Tenant;
use crate::catalog::EndpointId;
use crate::market::Decision;
use crate::outcome::Failure;
use crate::request::ChatRequest;
use crate::telemetry::Outcome;
use crate::telemetry::log::Entry;
use crate::telemetry::metrics::OTHER;
use crate::units::{NanoUsd, Usage};

/// A provider's own figure may be this far off ours.
const DRIFT: f64 = 0.02;
/// Providers state costs with six digits or more: what is less than that says nothing.
const ROUNDING_USD: f64 = 1e-6;

/// One upstream try, as the decision record and the log tell it.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptRecord {
    /// `provider/model[@region][#key]`.
    pub endpoint: Arc<str>,
    /// `ok`, or [`Failure::label`].
    pub result: &'static str,
    /// Milliseconds from sending to the end of the attempt.
    pub ms: f64,
    /// Milliseconds from sending to the first content.
    pub ttft_ms: Option<f64>,
}

/// Who answered, and what it cost.
#[derive(Debug, Clone)]
pub struct Served {
    /// The endpoint that answered.
    pub endpoint: EndpointId,
    /// What it consumed.
    pub usage: Usage,
    /// What it costs; `None` when the price is unknown.
    pub cost: Option<NanoUsd>,
    /// What the caller's key is charged for it; without a plan that is the cost.
    pub charged: Option<NanoUsd>,
    /// What the provider says it costs.
    pub stated: Option<NanoUsd>,
}

/// A request from arrival to settlement.
#[derive(Debug)]
pub struct Ticket {
    /// Ours: a `UUIDv7`.
    pub id: Uuid,
    /// The caller's own id, when it is harmless to repeat.
    pub client_id: Option<String>,
    /// When it arrived.
    pub started: Instant,
    /// When it arrived, as milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Parts that live as long as the process.
    pub shared: Arc<Shared>,
    /// The configuration generation that serves it, from first to last.
    pub fleet: Arc<Fleet>,
    /// Who asks; known after stage 1.
    pub caller: Option<Arc<Caller>>,
    /// What is asked; known after stage 2.
    pub request: Option<Arc<ChatRequest>>,
    /// The configured name that was asked for.
    pub route: Option<Arc<str>>,
    /// Known after stage 5.
    pub decision: Option<Arc<Decision>>,
    /// Held from stage 6 on.
    pub reservation: Option<Reservation>,
    /// All tries so far that are over.
    pub attempts: Vec<AttemptRecord>,
    /// The try that has had no content yet, and when it began.
    pub under_way: Option<(EndpointId, Instant)>,
    /// Attempts that were begun, the one under way included.
    pub begun: u16,
    /// The attempt that has no record in the ledger yet.
    pub(super) pending: Option<Pending>,
    /// What was counted against the caller's rate limits, at each account.
    pub counted: Vec<Counted>,
    /// What was adjusted, for `x-merit-warnings`.
    pub warnings: Vec<String>,
    /// Who answered.
    pub served: Option<Served>,
    /// Time spent waiting for upstreams.
    pub upstream: Duration,
    /// From arrival to first content.
    pub ttft: Option<Duration>,
    /// How it ended; a caller who hangs up needs nobody to say so.
    pub outcome: Outcome,
    /// The HTTP status that was sent.
    pub status: u16,
    /// The code of the error that was sent.
    pub error: Option<&'static str>,
    /// What is kept of the request to look at its answer by.
    pub asked: Option<Asked>,
    /// The answer that was given in full.
    pub said: Option<Said>,
    /// It is the judge's own request, whose answer nobody judges.
    pub is_judges: bool,
    settled: bool,
}

impl Ticket {
    /// A request has arrived.
    #[must_use]
    pub fn new(shared: Arc<Shared>, fleet: Arc<Fleet>, client_id: Option<String>) -> Self {
        let at_unix_ms = unix_ms();
        shared.metrics.inflight.inc();
        Ticket {
            id: request_id(at_unix_ms),
            client_id,
            started: Instant::now(),
            at_unix_ms,
            shared,
            fleet,
            caller: None,
            request: None,
            route: None,
            decision: None,
            reservation: None,
            attempts: Vec::new(),
            under_way: None,
            begun: 0,
            pending: None,
            counted: Vec::new(),
            warnings: Vec::new(),
            served: None,
            upstream: Duration::ZERO,
            ttft: None,
            outcome: Outcome::CallerCancelled,
            status: 499,
            error: None,
            asked: None,
            said: None,
            is_judges: false,
            settled: false,
        }
    }

    /// Whose prompts the request's may be told to be warm by.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        self.shared.warm.tenant(self.caller.as_ref().map_or("", |caller| &caller.name))
    }

    /// When the time is over that the caller gave the whole answer, if it gave any.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let deadline = self.request.as_ref()?.control.bounds.deadline?;
        self.started.checked_add(deadline)
    }

    /// Adds one try to the record.
    pub fn attempted(
        &mut self,
        endpoint: Arc<str>,
        failure: Option<&Failure>,
        took: Duration,
        ttft: Option<f64>,
    ) {
        // There is hardly ever a second: room for four would be kept with each of
        // 100,000 decisions.
        self.attempts.reserve_exact(1);
        self.attempts.push(AttemptRecord {
            endpoint,
            result: failure.map_or("ok", Failure::label),
            ms: milliseconds(took),
            ttft_ms: ttft.map(|seconds| (seconds * 1e6).round() / 1e3),
        });
    }

    /// Compares what was booked with what the provider says it costs (USD). Our
    /// figure stays: it is what prices in force come to, and what was decided by.
    pub fn reconcile(&mut self, stated_usd: Option<f64>) {
        let (Some(served), Some(stated)) = (&mut self.served, stated_usd) else { return };
        served.stated = Some(NanoUsd::nearest(stated));
        let Some(cost) = served.cost.filter(|_| !served.usage.estimated) else { return };
        if drifted(cost, stated) {
            self.fleet.member(served.endpoint).metrics.drift.inc();
            let endpoint = &self.fleet.catalog.endpoint(served.endpoint).identity;
            tracing::warn!(%endpoint, request_id = %self.id, %cost, stated, "a provider charges another price than is in force");
        }
    }

    /// Keeps what its answer will be looked at by. To be called while the request's
    /// body is there.
    pub fn listen(&mut self) {
        let Some(request) = &self.request else { return };
        let caller = self.caller.as_ref().map_or("", |caller| &*caller.name);
        let route = self.route.as_deref().unwrap_or(OTHER);
        self.asked = Some(self.shared.signals.asked(request, caller, route, !self.is_judges));
    }

    /// The caller hung up before there was any content: the upstream that was
    /// working on it has been let go of, and has read the prompt at least.
    pub(super) fn abandon(&mut self, failure: &Failure) {
        let Some((endpoint, since)) = self.under_way.take() else { return };
        let identity = Arc::clone(&self.fleet.catalog.endpoint(endpoint).identity);
        let took = since.elapsed();
        self.upstream += took;
        self.attempted(identity, Some(failure), took, None);
        let input = self.request.as_ref().map_or(0, |request| u64::from(request.input_tokens));
        self.shared.metrics.usage_estimated.with_label_values(&["cancelled"]).inc();
        // Whoever hangs up pays for what was asked; nobody else's failure is theirs.
        let billed = matches!(failure, Failure::CallerGone);
        self.charge(endpoint, Usage { input, estimated: true, ..Usage::default() }, failure.label(), billed);
    }

    /// Stage 9. Idempotent; the drop of a ticket calls it if nobody else did.
    pub fn settle(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        if std::thread::panicking() {
            (self.outcome, self.status, self.error) = (Outcome::Internal, 500, Some("internal_error"));
        }
        self.abandon(&Failure::CallerGone);
        self.close_books();
        let total = self.started.elapsed();
        let metrics = &self.shared.metrics;
        metrics.inflight.dec();
        let route = self.route.as_deref().unwrap_or(OTHER);
        metrics.requests.with_label_values(&[route, self.outcome.label()]).inc();
        metrics.request_duration.observe(total.as_secs_f64());
        if !self.attempts.is_empty() {
            metrics.overhead.observe(total.saturating_sub(self.upstream).as_secs_f64());
        }
        if let (Some(asked), Some(said)) = (self.asked.take(), self.said.take()) {
            self.shared.signals.finished(self, asked, said);
        }
        let decided = self.decision.is_some();
        let record = Arc::new(Record::of(self, total));
        self.shared.log.entry(Arc::clone(&record) as Arc<dyn Entry>);
        if decided {
            self.shared.decisions.keep(record);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle();
    }
}

/// Whether a provider's cost (USD) is more than 2 % off ours, and by more than it
/// may be rounded.
fn drifted(ours: NanoUsd, stated: f64) -> bool {
    let off = (ours.usd() - stated).abs();
    off > DRIFT * ours.usd().max(stated) && off > ROUNDING_USD
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A fresh `UUIDv7`: sortable by time, never taken from the wire.
#[must_use]
pub fn request_id(at_unix_ms: u64) -> Uuid {
    let random = fastrand::u128(..).to_le_bytes();
    let bytes = std::array::from_fn(|index| random.get(index).copied().unwrap_or_default());
    uuid::Builder::from_unix_timestamp_millis(at_unix_ms, &bytes).into_uuid()
}

/// Milliseconds with three decimals.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
