//! `GET /v1/decisions/{request_id}`: why a request was answered as it was.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::chat::authenticate;
use super::error::Error;
use super::respond;
use crate::accounts::{Caller, Expose};
use crate::app::App;
use crate::catalog::Dialect;
use crate::dispatch::record::Record;
use crate::market;

/// The decision of one of the caller's own requests.
pub async fn one(State(app): State<App>, Path(id): Path<String>, request: Request<Body>) -> Response {
    let generation = app.generation();
    let found = authenticate(&generation, request.headers()).and_then(|caller| {
        let record = Uuid::parse_str(&id).ok().and_then(|id| app.shared.decisions.find(id));
        // Somebody else's decision does not exist.
        let record = record.filter(|record| record.key == caller.name).ok_or_else(Error::unknown_decision)?;
        Ok(shown(&record, &caller))
    });
    match found {
        Ok(decision) => Json(decision).into_response(),
        Err(error) => {
            let ticket = app.arrive(&generation, request.headers());
            respond::error(ticket, &error, Dialect::OpenAi)
        }
    }
}

/// As much of a record as the caller may see.
fn shown(record: &Record, caller: &Caller) -> Value {
    match caller.expose {
        Expose::Full => whole(record),
        Expose::Model | Expose::None => summary(record, caller.expose),
    }
}

/// How a request ended, without who provided it.
#[must_use]
pub fn summary(record: &Record, expose: Expose) -> Value {
    json!({
        "request_id": record.request_id,
        "at_unix_ms": record.at_unix_ms,
        "route": record.route,
        "model": record.model.as_ref().filter(|_| expose != Expose::None),
        "outcome": record.outcome,
        "status": record.status,
        "attempts": record.attempts.len(),
        "total_ms": record.total_ms,
        "cost_usd": record.charged_usd.map(|cost| cost.to_string()),
    })
}

/// Everything: what happened, and the decision term by term.
#[must_use]
pub fn whole(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let (Some(score), Some(members)) = (record.feedback.get(), value.as_object_mut()) {
        members.insert("feedback".to_owned(), json!(score));
    }
    if let (Some(decision), Some(members)) = (record.decided(), value.as_object_mut()) {
        let explanation = market::explain(&decision, &record.catalog);
        members.insert("decision".to_owned(), explanation.json());
    }
    value
}
