//! `POST /v1/chat/completions`: the nine stages of a request, in order.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::request::Parts;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::Error;
use super::wanted::{Whereabouts, find, offers};
use super::{body, browser, pay, respond};
use crate::accounts::counter::unix_ms;
use crate::accounts::keys::presented;
use crate::accounts::{Caller, Presented};
use crate::app::{App, Generation};
use crate::catalog::Dialect;
use crate::dispatch::relay::Running;
use crate::dispatch::{self, Relay, Ticket};
use crate::market::{self, Ask, Decision, Draw, Emptiness};
use crate::request::ChatRequest;

/// Answers a chat request, whatever happens. The ticket settles (stage 9) when
/// it is dropped: with the response, at the end of its stream, or because the
/// caller hung up.
pub async fn chat(app: App, http: Request<Incoming>, closing: Arc<Notify>) -> Response {
    let (head, body) = http.into_parts();
    let generation = app.generation();
    let mut ticket = app.arrive(&generation, &head.headers);
    let mut response = match stages(&app, &generation, &mut ticket, &head, body).await {
        Ok(()) => answer(ticket, closing).await,
        Err(error) => respond::error(ticket, &error, Dialect::OpenAi),
    };
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, super::NOSNIFF);
    response
}

/// Stages 1 to 6: from headers and bytes to a decision that is paid for.
async fn stages(
    app: &App,
    generation: &Generation,
    ticket: &mut Ticket,
    head: &Parts,
    body: Incoming,
) -> Result<(), Error> {
    let caller = authenticate(generation, &head.headers)?; // 1
    ticket.caller = Some(Arc::clone(&caller));
    let request = Arc::new(read(generation, &head.headers, body).await?); // 2
    decided(app, generation, ticket, &caller, &request).await
}

/// Stages 3 to 6, which are the same whoever asks.
pub async fn decided(
    app: &App,
    generation: &Generation,
    ticket: &mut Ticket,
    caller: &Arc<Caller>,
    request: &Arc<ChatRequest>,
) -> Result<(), Error> {
    ticket.request = Some(Arc::clone(request));
    ticket.warnings.clone_from(&request.warnings);
    pay::limit(app, ticket, caller, request)?;
    let wanted = find(generation, caller, request)?;
    ticket.route = Some(Arc::clone(wanted.name));
    let began = Instant::now();
    let ask = Ask::new(request, None);
    let now = app.shared.now();
    let whereabouts = Whereabouts::of(request, ticket.tenant(), &app.shared.warm, now);
    let offers = offers(now, generation, &wanted, &ask, whereabouts);
    let gathered = market::gather(&ask, &wanted.objective, offers); // 3
    let scored = market::score(&wanted.objective, gathered); // 4
    let decision = market::decide(&ask, &wanted.objective, scored, Draw(fastrand::u64(..))); // 5
    app.shared.metrics.decision.observe(began.elapsed().as_secs_f64());
    if decision.explored {
        app.shared.metrics.exploration.inc();
    }
    for candidate in &decision.candidates {
        generation.fleet.member(candidate.id).metrics.score.set(candidate.score.total);
    }
    let decision = Arc::new(decision);
    ticket.decision = Some(Arc::clone(&decision));
    served(app, generation, &decision)?;
    ticket.reservation = Some(pay::reserve(app, ticket, caller, &decision).await?); // 6
    Ok(())
}

/// Stages 7 and 8. A stream's headers wait for its first content, but not
/// longer than the hold-back; then the relay goes on waiting in their stead.
async fn answer(ticket: Ticket, closing: Arc<Notify>) -> Response {
    let stream = ticket.request.as_ref().is_some_and(|request| request.stream);
    let hold = ticket.shared.relay.hold;
    let shared = Arc::clone(&ticket.shared);
    let early = respond::Early::of(&ticket);
    let mut running: Running = Box::pin(dispatch::run(ticket)); // 7
    let finished = match stream {
        true => tokio::time::timeout(hold, running.as_mut()).await,
        false => Ok(running.as_mut().await),
    };
    match finished {
        Ok((ticket, Ok(won))) => respond::won(ticket, won, closing), // 8
        Ok((ticket, Err(failure))) => respond::failure(ticket, &failure),
        Err(_) => early.response(Relay::waiting(running, &shared, closing, respond::event)),
    }
}

/// Stage 1: who asks.
pub fn authenticate(generation: &Generation, headers: &HeaderMap) -> Result<Arc<Caller>, Error> {
    let presented = presented(headers);
    if presented == Presented::Conflicting {
        let message = "two different credentials; send one of Authorization: Bearer, x-api-key and api-key";
        return Err(Error::invalid_request(message, None));
    }
    let known = match (&generation.keys, presented) {
        (Some(keys), Presented::Key(key)) => keys.find(key).cloned(),
        _ => None,
    };
    let known = match (&generation.counter, presented) {
        (Some(counter), Presented::Key(key)) => known.or_else(|| counter.find(key, unix_ms())),
        _ => known,
    };
    match (known, presented) {
        (Some(caller), _) => Ok(caller),
        // Where there are keys, a wrong one is wrong also where none is needed.
        (None, Presented::Nothing) if !generation.keys_required => anonymous(generation, headers),
        (None, _) if !generation.keys_required && !generation.has_keys() => anonymous(generation, headers),
        (None, Presented::Nothing) => {
            Err(Error::invalid_api_key("no API key was given; send it as Authorization: Bearer KEY"))
        }
        (None, _) => Err(Error::invalid_api_key("this API key is not known here")),
    }
}

/// Anyone, but for the pages of other sites: a browser on this machine must not
/// be a way for them to spend the operator's money.
fn anonymous(generation: &Generation, headers: &HeaderMap) -> Result<Arc<Caller>, Error> {
    if browser::is_foreign(headers) {
        return Err(Error::forbidden("requests from other sites' pages need a key"));
    }
    Ok(Arc::clone(&generation.anonymous))
}

/// Stage 2: what is asked.
///
/// # Errors
/// Whatever is wrong with the body.
pub async fn read<B>(generation: &Generation, headers: &HeaderMap, body: B) -> Result<ChatRequest, Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let bytes = body::read(headers, body, generation.settings.server.request_body).await?;
    let bad = |bad: crate::request::BadRequest| Error::invalid_request(bad.message, bad.param);
    let mut request = ChatRequest::read(bytes).map_err(bad)?;
    request.control.apply_headers(headers).map_err(bad)?;
    Ok(request)
}

/// An empty decision is an error that names every endpoint's constraint.
fn served(app: &App, generation: &Generation, decision: &Decision) -> Result<(), Error> {
    let Some(emptiness) = decision.emptiness() else { return Ok(()) };
    let details = respond::rejects(generation, decision);
    Err(match emptiness {
        Emptiness::Lasting => Error::no_candidate(unserved(decision), details),
        Emptiness::Passing { until } => {
            let wait = until.saturating_sub(app.shared.now());
            Error::no_healthy_upstream("every endpoint of this model is resting", Some(wait), details)
        }
    })
}

/// Why nobody can serve a request, in a sentence.
fn unserved(decision: &Decision) -> String {
    let missed = decision.infeasible();
    if missed.is_empty() {
        return "no endpoint satisfies the constraints of this request".to_owned();
    }
    let missed: Vec<String> = missed.iter().map(|(code, count)| format!("{code} at {count}")).collect();
    format!("infeasible: no endpoint that could serve this keeps its limits ({})", missed.join(", "))
}
