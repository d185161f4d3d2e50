//! Stage 8: passes a stream on to the caller, watching it.
//!
//! A [`Relay`] is the body of the caller's response. It pulls: the upstream is
//! read only when the caller's connection can take more, so a slow reader slows
//! its upstream down and no queue grows. It ends in one of three ways, and each
//! settles the ticket: properly, with an in-band error and a closed connection,
//! or by being dropped because the caller hung up, which drops the upstream's
//! connection with it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::attempt::Answer;
use super::run::Won;
use super::signals::{self, Said};
use super::ticket::Ticket;
use crate::outcome::Failure;
use crate::telemetry::Outcome;

use flowing::Flowing;
pub use flowing::estimate;

mod flowing;

/// How streams are relayed (defaults in `docs/configuration.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelaySettings {
    /// Status and headers are held back for content this long (10 s).
    pub hold: Duration,
    /// A comment goes out when nothing else did for this long (15 s).
    pub keep_alive: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        RelaySettings { hold: Duration::from_secs(10), keep_alive: Duration::from_secs(15) }
    }
}

/// An attempt loop that has not yet found content.
pub type Running = Pin<Box<dyn Future<Output = (Ticket, Result<Won, Failure>)> + Send>>;

/// Writes a failure as an event of the caller's dialect. The table of errors is
/// the API's; the relay only needs the bytes.
pub type RenderError = fn(Option<&mut Ticket>, &Failure) -> Bytes;

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// The body of a streamed response.
pub struct Relay {
    state: State,
    settings: RelaySettings,
    /// Wakes for keep-alives and to look whether the upstream is idle.
    timer: Pin<Box<Sleep>>,
    last_write: Instant,
    /// Closes the caller's connection after this response.
    closing: Arc<Notify>,
    deadline: Pin<Box<WaitForCancellationFutureOwned>>,
    render: RenderError,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relay")
    }
}

enum State {
    /// Headers went out before content; candidates are still being tried.
    Waiting(Running),
    /// Content is flowing.
    Flowing(Box<Flowing>),
    /// The last events, already settled.
    Last(VecDeque<Bytes>),
}

impl Relay {
    /// Relays a stream whose content has begun.
    #[must_use]
    pub fn flowing(mut ticket: Ticket, won: Won, closing: Arc<Notify>, render: RenderError) -> Self {
        ticket.ttft = Some(ticket.started.elapsed());
        let mut relay = Self::new(State::Last(VecDeque::new()), &ticket, closing, render);
        relay.begin(ticket, won);
        relay
    }

    /// Keeps the caller company while candidates are still being tried.
    #[must_use]
    pub fn waiting(
        running: Running,
        shared: &Arc<super::Shared>,
        closing: Arc<Notify>,
        render: RenderError,
    ) -> Self {
        Self::start(State::Waiting(running), shared, closing, render)
    }

    fn new(state: State, ticket: &Ticket, closing: Arc<Notify>, render: RenderError) -> Self {
        Self::start(state, &ticket.shared, closing, render)
    }

    fn start(state: State, shared: &Arc<super::Shared>, closing: Arc<Notify>, render: RenderError) -> Self {
        let settings = shared.relay;
        Relay {
            state,
            settings,
            timer: Box::pin(tokio::time::sleep(settings.keep_alive)),
            last_write: Instant::now(),
            closing,
            deadline: Box::pin(shared.deadline.clone().cancelled_owned()),
            render,
        }
    }

    /// Content has come: from here on there is one upstream and no way back.
    fn begin(&mut self, mut ticket: Ticket, won: Won) {
        ticket.listen();
        // Nobody will be asked again: an open stream need not keep its request.
        if let Some(request) = ticket.request.as_mut().and_then(Arc::get_mut) {
            request.body = Bytes::new();
        }
        let idle = ticket.fleet.catalog.endpoint(won.flight.endpoint).provider.timeouts.idle;
        match won.answer {
            Answer::Stream(mut upstream) => {
                let refused = upstream.ready.iter().any(|event| signals::is_refusal(event));
                upstream.ear = ticket.asked.as_ref().and_then(|asked| ticket.shared.signals.ear(asked));
                if let Some(ear) = &mut upstream.ear {
                    ear.hear(&upstream.ready);
                }
                let content_events = upstream.decoder.watch().content_events;
                let now = Instant::now();
                let finished = !upstream.ended && upstream.decoder.watch().finish.is_some();
                if finished {
                    self.timer.as_mut().reset(now + flowing::AFTER_FINISH);
                } else if let Some(due) = ticket.due() {
                    self.timer.as_mut().reset(due.min(self.last_write + self.settings.keep_alive));
                }
                self.state = State::Flowing(Box::new(Flowing {
                    ticket,
                    flight: won.flight,
                    upstream,
                    idle,
                    last_event: now,
                    last_content: now,
                    content_events,
                    finished,
                    paid_to: 0,
                    kept_to: 0,
                    kept_at: now,
                    refused,
                }));
            }
            // A stream is only asked for as a stream, so this does not happen;
            // if it did, an honest error is better than silence.
            Answer::Whole(_) => {
                self.fail(&mut ticket, &Failure::Protocol { detail: "not a stream" });
            }
        }
    }

    /// Ends the stream with an in-band error and a closed connection.
    fn fail(&mut self, ticket: &mut Ticket, failure: &Failure) {
        let event = (self.render)(Some(ticket), failure);
        ticket.settle();
        self.last(event);
    }

    /// One last event, after which the caller's connection is closed.
    fn last(&mut self, event: Bytes) {
        self.closing.notify_one();
        self.state = State::Last(VecDeque::from([event]));
    }

    /// The upstream has said its last. When all of the answer had come, only
    /// without its terminal marker, that is a proper end.
    fn broke(&mut self, failure: &Failure) {
        let State::Flowing(flowing) = &mut self.state else { return };
        let only_silent = matches!(failure, Failure::Stalled | Failure::Truncated);
        let mut out = Vec::new();
        if only_silent && flowing.upstream.decoder.end_of_input(&mut out).is_ok() {
            flowing.upstream.push(out);
            flowing.upstream.ended = true;
            flowing.upstream.body = None;
            return;
        }
        // What came before the failure is good and goes out first.
        let before = std::mem::take(&mut flowing.upstream.ready);
        self.cut(failure);
        if let State::Last(events) = &mut self.state {
            let error = std::mem::replace(events, before);
            events.extend(error);
        }
    }

    /// Ends a flowing stream because of `failure`.
    fn cut(&mut self, failure: &Failure) {
        let State::Flowing(mut flowing) = std::mem::replace(&mut self.state, State::Last(VecDeque::new()))
        else {
            return;
        };
        flowing.account(Some(failure));
        let side = match failure {
            Failure::ShuttingDown => "gateway",
            Failure::OutOfTime => "caller",
            _ => "upstream",
        };
        flowing.ticket.shared.metrics.truncated.with_label_values(&[side]).inc();
        self.fail(&mut flowing.ticket, failure);
    }

    /// Ends a flowing stream properly.
    fn complete(&mut self) {
        let State::Flowing(mut flowing) = std::mem::replace(&mut self.state, State::Last(VecDeque::new()))
        else {
            return;
        };
        flowing.flight.keep();
        flowing.account(None);
        let tail = flowing.tail();
        let mut out = Vec::new();
        flowing.upstream.decoder.close(&tail, &mut out);
        let ear = flowing.upstream.ear.take();
        flowing.ticket.said = Some(Said::streamed(flowing.upstream.decoder.watch(), flowing.refused, ear));
        flowing.ticket.outcome = Outcome::Ok;
        flowing.ticket.status = 200;
        // Settled before the last bytes leave: whoever has seen them can ask
        // for the decision.
        flowing.ticket.settle();
        // These bytes too may carry what the upstream said.
        flowing.upstream.push(out);
        self.state = State::Last(std::mem::take(&mut flowing.upstream.ready));
    }

    /// The timer is coarse: it is not moved with every event, but looks around
    /// when it fires. Gives the comment that is due, if one is.
    fn tick(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        if let State::Flowing(flowing) = &mut self.state
            && flowing.is_silent(now)
        {
            self.broke(&Failure::Stalled);
            return Poll::Ready(None);
        }
        if matches!(&self.state, State::Flowing(flowing) if flowing.is_late(now)) {
            self.cut(&Failure::OutOfTime);
            return Poll::Ready(None);
        }
        let due = now >= self.last_write + self.settings.keep_alive;
        if due {
            self.last_write = now;
        }
        let idle_at = match &self.state {
            State::Flowing(flowing) if flowing.finished => flowing.last_event + flowing::AFTER_FINISH,
            State::Flowing(flowing) => flowing.until(flowing.last_content + flowing.idle),
            State::Waiting(_) | State::Last(_) => now + self.settings.keep_alive,
        };
        self.timer.as_mut().reset(idle_at.min(self.last_write + self.settings.keep_alive));
        Poll::Ready(due.then_some(KEEP_ALIVE))
    }

    /// Moves the state on by one step. `Ready(None)` means: look again.
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.state {
            State::Last(events) => return Poll::Ready(events.pop_front()),
            State::Waiting(running) => {
                if let Poll::Ready((mut ticket, result)) = running.as_mut().poll(context) {
                    match result {
                        Ok(won) => {
                            ticket.ttft = Some(ticket.started.elapsed());
                            self.begin(ticket, won);
                        }
                        Err(failure) => self.fail(&mut ticket, &failure),
                    }
                    return Poll::Ready(None);
                }
            }
            State::Flowing(flowing) => {
                if let Some(event) = flowing.upstream.ready.pop_front() {
                    flowing.flight.hear(&event);
                    return Poll::Ready(Some(event));
                }
                if flowing.upstream.ended {
                    self.complete();
                    return Poll::Ready(None);
                }
                match flowing.read(context) {
                    Poll::Ready(Ok(())) => {
                        if flowing.has_just_finished() {
                            self.timer.as_mut().reset(Instant::now() + flowing::AFTER_FINISH);
                        }
                        return Poll::Ready(None);
                    }
                    Poll::Ready(Err(failure)) => {
                        self.broke(&failure);
                        return Poll::Ready(None);
                    }
                    Poll::Pending => {}
                }
            }
        }
        // An attempt loop that still runs looks at the deadline itself.
        if matches!(self.state, State::Flowing(_)) && self.deadline.as_mut().poll(context).is_ready() {
            self.cut(&Failure::ShuttingDown);
            return Poll::Ready(None);
        }
        self.tick(context)
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let step = match self.step(context) {
                Poll::Ready(step) => step,
                Poll::Pending => return Poll::Pending,
            };
            match step {
                Some(event) => {
                    self.last_write = Instant::now();
                    return Poll::Ready(Some(Ok(Frame::data(event))));
                }
                None if matches!(&self.state, State::Last(events) if events.is_empty()) => {
                    return Poll::Ready(None);
                }
                None => {}
            }
        }
    }
}
