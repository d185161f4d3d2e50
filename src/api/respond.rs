//! From a result to the caller's response: headers, body, and nothing the
//! caller may not see.

use std::fmt::{Display, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::error::Error;
use crate::accounts::Expose;
use crate::accounts::limiter::Left;
use crate::app::Generation;
use crate::catalog::{Dialect, EndpointId};
use crate::dialect::Reply;
use crate::dispatch::attempt::Answer;
use crate::dispatch::relay::estimate;
use crate::dispatch::ticket::milliseconds;
use crate::dispatch::{Relay, Ticket, Won};
use crate::market::Decision;
use crate::outcome::Failure;
use crate::telemetry::Outcome;

/// The response to a request that some upstream answers.
pub fn won(ticket: Ticket, mut won: Won, closing: Arc<Notify>) -> Response {
    match won.answer {
        Answer::Whole(reply) => whole(ticket, reply, won.passed, won.flight.endpoint),
        Answer::Stream(_) => {
            let mut lines = identity(&ticket);
            provenance(&ticket, won.flight.endpoint, true, &mut lines);
            let passed = shown(&ticket, std::mem::take(&mut won.passed));
            stream(lines.with(passed), Relay::flowing(ticket, won, closing, event))
        }
    }
}

/// A complete answer: charged, settled, and sent with its cost.
fn whole(mut ticket: Ticket, reply: Reply, passed: HeaderMap, endpoint: EndpointId) -> Response {
    let usage = reply.usage.unwrap_or_else(|| {
        let reason = if reply.usage_implausible { "invalid" } else { "missing" };
        ticket.shared.metrics.usage_estimated.with_label_values(&[reason]).inc();
        let input = ticket.request.as_ref().map_or(0, |request| u64::from(request.input_tokens));
        estimate(input, reply.output_bytes, 0)
    });
    ticket.charge(endpoint, usage, "ok", true);
    ticket.reconcile(reply.reported_cost_usd);
    ticket.listen();
    ticket.said = ticket.asked.as_ref().map(|asked| ticket.shared.signals.whole(asked, &reply));
    ticket.ttft = None;
    ticket.outcome = Outcome::Ok;
    ticket.status = 200;
    let mut lines = identity(&ticket);
    provenance(&ticket, endpoint, false, &mut lines);
    if let Some(cost) = ticket.served.as_ref().and_then(|served| served.charged) {
        lines.put(COST, cost);
    }
    timing(&ticket, &mut lines);
    let mut headers = lines.with(shown(&ticket, passed));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ticket.settle();
    let mut response = Response::new(Body::from(reply.body));
    *response.headers_mut() = headers;
    response
}

/// An error before anything was sent.
pub fn error(mut ticket: Ticket, error: &Error, dialect: Dialect) -> Response {
    ticket.outcome = error.outcome;
    ticket.status = error.status.as_u16();
    ticket.error = Some(error.code);
    if error.code == "shutting_down" {
        ticket.shared.metrics.shed.with_label_values(&["draining"]).inc();
    }
    let exposed = ticket.caller.as_ref().is_some_and(|caller| caller.expose == Expose::Full);
    let mut response = match (&error.details, exposed) {
        (Some(_), false) => Error { details: None, ..error.clone() }.response(dialect),
        _ => error.response(dialect),
    };
    response.headers_mut().extend(identity(&ticket).headers);
    if exposed && !ticket.attempts.is_empty() {
        response.headers_mut().insert(ATTEMPTS, HeaderValue::from(ticket.attempts.len()));
    }
    ticket.settle();
    response
}

/// No upstream gave an answer.
pub fn failure(ticket: Ticket, failure: &Failure) -> Response {
    let expose = ticket.caller.as_ref().map_or(Expose::None, |caller| caller.expose);
    let mut told = Error::from_failure(failure, expose);
    if expose == Expose::Full && !ticket.attempts.is_empty() {
        told.details = Some(Box::new(json!({ "request_id": ticket.id, "attempts": ticket.attempts })));
    }
    clean(&ticket, &mut told);
    error(ticket, &told, Dialect::OpenAi)
}

/// Takes anything secret that an upstream may have echoed out of its words.
fn clean(ticket: &Ticket, told: &mut Error) {
    let texts = [Some(&mut told.message), told.param.as_mut(), told.upstream_code.as_mut()];
    for text in texts.into_iter().flatten() {
        *text = ticket.shared.redactor.clean(text).into_owned();
    }
}

/// A failure as an event inside a stream; also tells the ticket.
pub fn event(ticket: Option<&mut Ticket>, failure: &Failure) -> Bytes {
    let Some(ticket) = ticket else { return Error::from_failure(failure, Expose::None).event() };
    let expose = ticket.caller.as_ref().map_or(Expose::None, |caller| caller.expose);
    let mut told = Error::from_failure(failure, expose);
    clean(ticket, &mut told);
    ticket.error = Some(told.code);
    ticket.status = 200;
    ticket.outcome = match (&ticket.served, ticket.ttft) {
        (Some(_), Some(_)) => Outcome::Truncated,
        _ => told.outcome,
    };
    told.event()
}

/// Headers that can be sent before it is known who answers.
#[derive(Debug)]
pub struct Early(HeaderMap);

impl Early {
    /// Taken before the ticket goes on its way.
    #[must_use]
    pub fn of(ticket: &Ticket) -> Self {
        Early(identity(ticket).headers)
    }

    /// A response whose stream begins with waiting.
    pub fn response(self, relay: Relay) -> Response {
        stream(self.0, relay)
    }
}

fn stream(mut headers: HeaderMap, relay: Relay) -> Response {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    let mut response = Response::new(Body::new(relay));
    *response.status_mut() = StatusCode::OK;
    *response.headers_mut() = headers;
    response
}

/// Names of our own headers, parsed when this is compiled.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const WARNINGS: HeaderName = HeaderName::from_static("x-merit-warnings");
const MODEL: HeaderName = HeaderName::from_static("x-merit-model");
const PROVIDER: HeaderName = HeaderName::from_static("x-merit-provider");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-merit-attempts");
const FALLBACK: HeaderName = HeaderName::from_static("x-merit-fallback");
const DECISION: HeaderName = HeaderName::from_static("x-merit-decision");
const COST: HeaderName = HeaderName::from_static("x-merit-cost-usd");
/// Requests, then tokens: the limit, what is left, and when it is full again.
const RATE_LIMITS: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
const TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Response headers being written. All their values are pieces of one buffer:
/// one allocation for a response, not two for each header.
struct Lines {
    headers: HeaderMap,
    text: BytesMut,
}

impl Lines {
    /// Room for what a usual response says; the map is kept with the connection.
    fn new() -> Self {
        Lines { headers: HeaderMap::with_capacity(12), text: BytesMut::with_capacity(448) }
    }

    /// Sets a header whose value comes from configuration or from us; what cannot
    /// be a header is left out.
    fn put(&mut self, name: HeaderName, value: impl Display) {
        // Writing to memory cannot fail.
        let _ = write!(self.text, "{value}");
        if let Ok(value) = HeaderValue::from_maybe_shared(self.text.split().freeze()) {
            self.headers.insert(name, value);
        }
    }

    /// Together with what an upstream said.
    fn with(mut self, passed: HeaderMap) -> HeaderMap {
        self.headers.extend(passed);
        self.headers
    }
}

/// Who this request is: on every response.
fn identity(ticket: &Ticket) -> Lines {
    let mut lines = Lines::new();
    lines.put(REQUEST_ID, ticket.id.hyphenated());
    if let Some(id) = &ticket.client_id {
        lines.put(CLIENT_REQUEST_ID, id);
    }
    if !ticket.warnings.is_empty() {
        lines.put(WARNINGS, ticket.warnings.join("; "));
    }
    limits(ticket, &mut lines);
    lines
}

/// What is left of the caller's own limits, in OpenAI's names: of each kind the
/// limit of which least is left.
fn limits(ticket: &Ticket, lines: &mut Lines) {
    let Some(path) = ticket.caller.as_ref().and_then(|caller| caller.account.as_ref()) else { return };
    let now = ticket.shared.now();
    let mut tightest: [Option<Left>; 2] = [None, None];
    for limiter in &path.limiters {
        for (tightest, left) in tightest.iter_mut().zip(limiter.left(now)) {
            if let Some(left) = left.filter(|left| tightest.is_none_or(|most| left.left < most.left)) {
                *tightest = Some(left);
            }
        }
    }
    for (left, [limit, remaining, reset]) in tightest.into_iter().zip(RATE_LIMITS) {
        if let Some(left) = left {
            lines.put(limit, left.most);
            lines.put(remaining, left.left);
            lines.put(reset, format_args!("{}ms", left.reset.as_millis()));
        }
    }
}

/// Who answered and why, as far as the caller may see it. `under_way`: the
/// attempt that won is not in the record yet.
fn provenance(ticket: &Ticket, endpoint: EndpointId, under_way: bool, lines: &mut Lines) {
    let expose = ticket.caller.as_ref().map_or(Expose::None, |caller| caller.expose);
    let catalog = &ticket.fleet.catalog;
    let chosen = catalog.endpoint(endpoint);
    let attempts = ticket.attempts.len() + usize::from(under_way);
    if expose != Expose::None {
        lines.put(MODEL, &catalog.model(chosen.model).name);
    }
    lines.put(ATTEMPTS, attempts);
    if expose == Expose::Full {
        lines.put(PROVIDER, &chosen.provider.name);
        if let Some(first) = ticket.attempts.first().filter(|_| attempts > 1) {
            lines.put(FALLBACK, format_args!("{}>{}:{}", first.endpoint, chosen.identity, first.result));
        }
        if let Some(decision) = &ticket.decision {
            let first = decision.first().map_or("none", |first| &catalog.endpoint(first.id).identity);
            let generation = ticket.fleet.generation;
            let rest = format_args!("config={generation}; prices={generation}");
            match decision.margin_usd {
                Some(margin) => {
                    lines.put(DECISION, format_args!("winner={first}; margin_usd={margin:.9}; {rest}"));
                }
                None => lines.put(DECISION, format_args!("winner={first}; margin_usd=none; {rest}")),
            }
        }
    } else if attempts > 1 {
        lines.put(FALLBACK, "yes");
    }
}

/// The upstream's own headers, for those who may see it: they tell the vendor.
fn shown(ticket: &Ticket, passed: HeaderMap) -> HeaderMap {
    let full = ticket.caller.as_ref().is_some_and(|caller| caller.expose == Expose::Full);
    if full { passed } else { HeaderMap::new() }
}

/// Where the time went.
fn timing(ticket: &Ticket, lines: &mut Lines) {
    let total = ticket.started.elapsed();
    let ours = milliseconds(total.saturating_sub(ticket.upstream));
    let upstream = milliseconds(ticket.upstream);
    lines.put(TIMING, format_args!("merit;dur={ours:.3}, upstream;dur={upstream:.3}"));
}

/// Every endpoint that cannot serve, with the constraint that binds.
pub fn rejects(generation: &Generation, decision: &Decision) -> Value {
    let catalog = &generation.fleet.catalog;
    let list: Vec<Value> = decision
        .rejects
        .iter()
        .map(|rejected| {
            json!({
                "endpoint": catalog.endpoint(rejected.id).identity,
                "code": rejected.reject.code(),
                "message": rejected.reject.to_string(),
            })
        })
        .collect();
    let infeasible = !decision.infeasible().is_empty();
    json!({ "infeasible": infeasible, "rejects": list })
}
