//! Stage 7: attempts, in the decision's order, until one gives content.
//!
//! Everything that goes wrong here is invisible to the caller as long as some
//! candidate answers: nothing has been sent yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::attempt::{self, Answer, Limits, Passed, Sent};
use super::flight::{Flight, Prompt};
use super::retry::{Kind, Plan, backoff, worst};
use super::ticket::Ticket;
use crate::accounts::Expose;
use crate::books::headroom::Allowed;
use crate::books::{Live, Pass};
use crate::catalog::{EndpointId, Provider};
use crate::dialect::Style;
use crate::market::Candidate;
use crate::outcome::{Failure, Next};
use crate::telemetry::metrics::OTHER;
use crate::units::Usage;

/// What won: an answer, and the attempt it comes from.
#[derive(Debug)]
pub struct Won {
    /// The answer, or its beginning.
    pub answer: Answer,
    /// Upstream headers the caller may see.
    pub passed: Passed,
    /// The attempt; over for a whole answer, under way for a stream.
    pub flight: Flight,
}

/// Seconds that generating one token may take in an answer that is not
/// streamed, before the attempt is given up: 10 tokens/s is slower than any
/// provider in the routing data.
const SLOWEST_TOKEN: f64 = 0.1;
/// Output tokens to wait for when the request sets no limit.
const LONGEST_ANSWER: u32 = 4096;
/// No answer is waited for longer than this: the SDKs' own timeout.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Tries candidates until one gives content. The ticket comes back with every
/// attempt in its record.
pub async fn run(mut ticket: Ticket) -> (Ticket, Result<Won, Failure>) {
    let Some(decision) = ticket.decision.clone() else { return (ticket, Err(Failure::NotFound)) };
    let shared = Arc::clone(&ticket.shared);
    shared.retries.deposit();
    let mut plan = Plan::new(decision.order.len());
    let mut failures: Vec<Failure> = Vec::new();
    // Providers that refused our credential: their other models would too.
    let mut refused_by: Vec<Arc<Provider>> = Vec::new();
    let due = ticket.due();
    while failures.len() < shared.retry.attempts as usize {
        if due.is_some_and(|due| due <= Instant::now()) {
            failures.push(Failure::OutOfTime);
            break;
        }
        let Some(step) = plan.step() else { break };
        let Some(candidate) = decision.ranked().nth(step.candidate) else { break };
        let provider = &ticket.fleet.catalog.endpoint(candidate.id).provider;
        if refused_by.iter().any(|refused| Arc::ptr_eq(refused, provider)) {
            continue;
        }
        let live = Arc::clone(&ticket.fleet.member(candidate.id).live);
        let pass = live.try_pass(shared.now());
        // Where circuits have left nobody, asking one is better than asking none.
        if pass == Pass::Refused && !step.forced && !candidate.facts.last_resort {
            plan.refused(step.candidate);
            continue;
        }
        let probe = Probe((pass == Pass::Probe).then(|| (live, Arc::clone(&shared))));
        if let Some(before) = failures.last() {
            if !shared.retries.allows(before) {
                break;
            }
            again(&ticket, step.kind, before, failures.len()).await;
        }
        let attempted = attempt_in_time(&mut ticket, candidate, probe, due).await;
        match attempted {
            Ok(won) => return (ticket, Ok(won)),
            Err(failure) => {
                let hopeless = failure.next() == Next::Stop;
                if ticket.fleet.rest_account(candidate.id, &failure, shared.now()) {
                    refused_by.push(Arc::clone(&ticket.fleet.catalog.endpoint(candidate.id).provider));
                }
                plan.failed(step.candidate, &failure);
                failures.push(failure);
                if hopeless {
                    break;
                }
            }
        }
    }
    let failure = worst(failures).unwrap_or(Failure::Overloaded { retry_after: None });
    (ticket, Err(failure))
}

/// One attempt, as far as there is time for it: until `due` for the caller, and until
/// the drain deadline for us, after which an honest error is better than a dead
/// connection.
async fn attempt_in_time(
    ticket: &mut Ticket,
    candidate: &Candidate,
    probe: Probe,
    due: Option<Instant>,
) -> Result<Won, Failure> {
    let shared = Arc::clone(&ticket.shared);
    let attempted = tokio::select! {
        attempted = attempt_one(ticket, candidate, probe) => attempted,
        () = shared.deadline.cancelled() => Err(Failure::ShuttingDown),
        () = over(due) => Err(Failure::OutOfTime),
    };
    if let Err(failure) = &attempted {
        ticket.abandon(failure);
    }
    attempted
}

/// Waits until `due`; for ever where nothing is.
async fn over(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The right to probe an endpoint whose circuit is half open; given back when it
/// is dropped unused, whatever the reason.
struct Probe(Option<Unwell>);

/// An endpoint, and the clock its circuit goes by.
type Unwell = (Arc<Live>, Arc<Shared>);

impl Probe {
    /// Whether there is such a right; it is used from now on.
    fn take(mut self) -> bool {
        self.0.take().is_some()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some((live, shared)) = &self.0 {
            live.abandon_probe(shared.now());
        }
    }
}

/// Counts that another attempt follows the failure `before`; the same endpoint is
/// given a pause.
async fn again(ticket: &Ticket, kind: Kind, before: &Failure, failures: usize) {
    let metrics = &ticket.shared.metrics;
    let counter = match kind {
        Kind::Retry => &metrics.retries,
        Kind::First | Kind::Fallback => &metrics.fallbacks,
    };
    counter.with_label_values(&[before.label()]).inc();
    if kind == Kind::Retry {
        let wait = backoff(u32::try_from(failures).unwrap_or(u32::MAX) + 1, fastrand::f64());
        tokio::time::sleep(wait).await;
    }
}

/// One attempt, recorded.
async fn attempt_one(ticket: &mut Ticket, candidate: &Candidate, probe: Probe) -> Result<Won, Failure> {
    let id = candidate.id;
    ticket.cover(candidate).await?;
    let fleet = Arc::clone(&ticket.fleet);
    let endpoint = fleet.catalog.endpoint(id);
    let member = fleet.member(id);
    // A decision names no endpoint whose dialect is not spoken, and none is made
    // without a request.
    let (Some(request), Some(target)) = (ticket.request.clone(), &member.target) else {
        return Err(Failure::Unsupported { what: format!("dialect {}", endpoint.provider.dialect.name()) });
    };
    let limits =
        limits(member.live.first_content_timeout(&endpoint.provider.timeouts), request.max_output_tokens);
    let style = style(ticket, id, request.include_usage);
    let prompt = Prompt { tenant: ticket.tenant(), request: Arc::clone(&request) };
    let mut flight = Flight::begin(&ticket.shared, &fleet, id, probe.take(), prompt);
    let mut warnings = Vec::new();
    ticket.under_way = Some((id, Instant::now()));
    ticket.open_attempt(id);
    let result = attempt::send(target, endpoint, &flight.restored(), &style, limits, &mut warnings).await;
    ticket.under_way = None;
    match result {
        Ok(Sent { answer, passed, allowed }) => {
            if allowed != Allowed::default() {
                member.live.told_headroom(allowed, ticket.shared.now());
            }
            ticket.warnings.extend(warnings);
            match &answer {
                Answer::Stream(_) => flight.first_content(),
                Answer::Whole(reply) => {
                    flight.hear_whole(&reply.body);
                    let took = flight.finish(None, &reply.usage.unwrap_or_default());
                    ticket.upstream += took;
                    ticket.attempted(Arc::clone(&endpoint.identity), None, took, None);
                }
            }
            Ok(Won { answer, passed, flight })
        }
        Err(failure) => {
            let took = flight.finish(Some(&failure), &Usage::default());
            ticket.upstream += took;
            ticket.attempted(Arc::clone(&endpoint.identity), Some(&failure), took, None);
            ticket.close_attempt(&failure);
            tracing::debug!(endpoint = %endpoint.identity, failure = failure.label(), request_id = %ticket.id, "attempt failed");
            Err(failure)
        }
    }
}

/// A whole answer takes as long as a first token and the generating of the rest.
fn limits(first_content: Duration, max_output_tokens: Option<u32>) -> Limits {
    let tokens = max_output_tokens.unwrap_or(LONGEST_ANSWER);
    let generating = Duration::from_secs_f64(f64::from(tokens) * SLOWEST_TOKEN);
    Limits { first_content, whole: (first_content + generating).min(LONGEST_WAIT.max(first_content)) }
}

/// How the answer must look to this caller.
fn style(ticket: &Ticket, id: EndpointId, include_usage: bool) -> Style {
    let expose = ticket.caller.as_ref().map_or(Expose::None, |caller| caller.expose);
    let model = match expose {
        Expose::Full => None,
        Expose::Model => {
            let catalog = &ticket.fleet.catalog;
            Some(Arc::clone(&catalog.model(catalog.endpoint(id).model).name))
        }
        // There is always a route by now; if there were none, nothing is shown.
        Expose::None => Some(ticket.route.clone().unwrap_or_else(|| OTHER.into())),
    };
    let upstream = ticket.fleet.catalog.endpoint(id).upstream.as_str().into();
    let request = ticket.id.to_string().into();
    Style { model, include_usage, id: request, upstream, created: ticket.at_unix_ms / 1000 }
}
