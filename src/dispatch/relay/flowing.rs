//! A stream that has had content: read, watched and accounted for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::Body;
use tokio::time::Instant;

use crate::accounts::Expose;
use crate::dialect::{Progress, Tail, Watch};
use crate::dispatch::attempt::{self, Upstream};
use crate::dispatch::flight::Flight;
use crate::dispatch::ticket::Ticket;
use crate::outcome::Failure;
use crate::units::Usage;

/// A stream that has had content.
pub(super) struct Flowing {
    pub(super) ticket: Ticket,
    pub(super) flight: Flight,
    pub(super) upstream: Upstream,
    pub(super) idle: Duration,
    /// When anything was last heard, comments and usage included.
    pub(super) last_event: Instant,
    /// When content was last heard.
    pub(super) last_content: Instant,
    pub(super) content_events: u32,
    /// Whether the finish reason has been noticed.
    pub(super) finished: bool,
    /// Output tokens that have been looked at by the budget.
    pub(super) paid_to: u64,
    /// Output tokens that the store knows of, and since when.
    pub(super) kept_to: u64,
    /// When that was.
    pub(super) kept_at: Instant,
    /// Whether it began with a refusal.
    pub(super) refused: bool,
}

/// Output tokens after which a stream's budget is looked at again: what it can
/// overshoot by.
const PAY_EVERY: u64 = 16;
/// Output tokens, or time, after which the store is told how far a stream is.
const KEEP_EVERY: u64 = 1_000;
const KEEP_AFTER: Duration = Duration::from_secs(2);

/// After the finish reason only usage and the terminal marker are still to come.
pub(super) const AFTER_FINISH: Duration = Duration::from_secs(5);

impl Flowing {
    /// Whether nothing more is waited for: there was no content for the idle
    /// timeout, or all had come and nothing at all was heard since.
    pub(super) fn is_silent(&mut self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.last_content) >= self.idle;
        if silent || !self.finished || now < self.last_event + AFTER_FINISH {
            return silent;
        }
        let mut out = Vec::new();
        let complete = self.upstream.decoder.end_of_input(&mut out).is_ok();
        self.upstream.push(out);
        complete
    }

    /// Whether the caller's time is over and the answer has not come to its end.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        !self.finished && self.ticket.due().is_some_and(|due| due <= now)
    }

    /// `at`, or when the caller's time is over if that is earlier.
    pub(super) fn until(&self, at: Instant) -> Instant {
        self.ticket.due().map_or(at, |due| due.min(at))
    }

    /// Whether the finish reason has come since this was last asked.
    pub(super) fn has_just_finished(&mut self) -> bool {
        let finished = !self.upstream.ended && self.upstream.decoder.watch().finish.is_some();
        finished && !std::mem::replace(&mut self.finished, true)
    }

    /// Reads the next bytes of the upstream and feeds them to the decoder.
    pub(super) fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(body) = &mut self.upstream.body else {
            self.upstream.ended = true;
            return Poll::Ready(Ok(()));
        };
        let frame = match Pin::new(body).poll_frame(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        let mut out = Vec::new();
        let result = match frame {
            None => self.upstream.decoder.end_of_input(&mut out).map(|()| Progress::Ended),
            // Once every choice has given its reason to end, nothing that matters
            // can have been lost with the connection.
            Some(Err(error)) => match self.upstream.decoder.end_of_input(&mut out) {
                Ok(()) => Ok(Progress::Ended),
                Err(_) => Err(attempt::broken(&error)),
            },
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.upstream.decoder.feed(data, &mut out),
                Err(_trailers) => Ok(Progress::More),
            },
        };
        self.upstream.push(out);
        self.last_event = Instant::now();
        let seen = self.upstream.decoder.watch().content_events;
        if seen != self.content_events {
            self.content_events = seen;
            self.last_content = self.last_event;
            let watch = self.upstream.decoder.watch();
            let tokens = estimate(0, watch.output_bytes, u64::from(seen)).output;
            self.flight.progress(self.last_event, tokens);
            self.keep_books(tokens)?;
        }
        let result = result.map_err(|failure| self.upstream.scrub.failure(failure));
        Poll::Ready(result.map(|progress| {
            if progress == Progress::Ended {
                self.upstream.end();
            }
        }))
    }

    /// Every so often: what has been consumed is paid for, and kept for the case
    /// that this process dies.
    fn keep_books(&mut self, output: u64) -> Result<(), Failure> {
        if output < self.paid_to + PAY_EVERY {
            return Ok(());
        }
        self.paid_to = output;
        let input = self.ticket.request.as_ref().map_or(0, |request| u64::from(request.input_tokens));
        let usage = Usage { input, output, estimated: true, ..Usage::default() };
        if output >= self.kept_to + KEEP_EVERY || self.last_event >= self.kept_at + KEEP_AFTER {
            (self.kept_to, self.kept_at) = (output, self.last_event);
            self.ticket.checkpoint(usage);
        }
        self.ticket.keep_up(self.flight.endpoint, &usage)
    }

    /// Tells books, metrics and ticket how the attempt went.
    pub(super) fn account(&mut self, failure: Option<&Failure>) {
        let usage = usage_or_estimate(self.upstream.decoder.watch(), &self.ticket, failure);
        let ttft = self.flight.ttft();
        let took = self.flight.finish_at(self.last_content, failure, &usage);
        self.ticket.upstream += took;
        let endpoint = self.flight.endpoint;
        let identity = Arc::clone(&self.ticket.fleet.catalog.endpoint(endpoint).identity);
        self.ticket.attempted(identity, failure, took, ttft);
        let result = failure.map_or("ok", Failure::label);
        self.ticket.charge(endpoint, usage, result, true);
        self.ticket.reconcile(self.upstream.decoder.watch().reported_cost_usd);
    }

    /// What travels in the last usage chunk.
    pub(super) fn tail(&self) -> Tail {
        let Some(served) = &self.ticket.served else { return Tail::default() };
        let catalog = &self.ticket.fleet.catalog;
        let endpoint = catalog.endpoint(served.endpoint);
        let expose = self.ticket.caller.as_ref().map_or(Expose::None, |caller| caller.expose);
        let mut merit = serde_json::json!({
            "request_id": self.ticket.id,
            "attempts": self.ticket.attempts.len(),
        });
        if let Some(members) = merit.as_object_mut() {
            if expose != Expose::None {
                members.insert("model".to_owned(), catalog.model(endpoint.model).name.as_ref().into());
            }
            if expose == Expose::Full {
                members.insert("provider".to_owned(), endpoint.provider.name.as_str().into());
            }
            if let Some(cost) = served.charged {
                members.insert("cost_usd".to_owned(), cost.to_string().into());
            }
        }
        Tail {
            usage: Some(served.usage),
            cost: served.charged.map(|cost| cost.to_string()),
            merit: Some(merit.to_string()),
        }
    }
}

impl Drop for Flowing {
    /// The caller hung up: what was generated until then is accounted for.
    fn drop(&mut self) {
        if self.ticket.served.is_none() {
            self.account(Some(&Failure::CallerGone));
            self.ticket.shared.metrics.truncated.with_label_values(&["caller"]).inc();
        }
    }
}

/// The upstream's word, or an estimate from what was seen of its answer.
fn usage_or_estimate(watch: &Watch, ticket: &Ticket, failure: Option<&Failure>) -> Usage {
    if let Some(usage) = watch.usage.filter(|usage| !usage.estimated) {
        return usage;
    }
    let reason = match failure {
        _ if watch.usage_implausible => "invalid",
        Some(_) => "cancelled",
        None => "missing",
    };
    ticket.shared.metrics.usage_estimated.with_label_values(&[reason]).inc();
    // Some dialects state the input at the beginning, so that half is known.
    watch.usage.unwrap_or_else(|| {
        let input = ticket.request.as_ref().map_or(0, |request| u64::from(request.input_tokens));
        estimate(input, watch.output_bytes, u64::from(watch.content_events))
    })
}

/// Tokens from bytes: about four bytes of text are one token, and an event
/// carries at least one.
#[must_use]
pub fn estimate(input: u64, output_bytes: u64, events: u64) -> Usage {
    let output = output_bytes.div_ceil(4).max(events.min(output_bytes));
    Usage { input, output, estimated: true, ..Usage::default() }
}
