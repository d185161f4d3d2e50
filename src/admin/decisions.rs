//! Decisions, of all callers and whole: this is the operator's view.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::decisions::whole;
use crate::api::error::Error;
use crate::app::App;
use crate::catalog::Dialect;

/// Decisions shown when the caller does not say how many.
const USUAL: usize = 20;
/// Most decisions in one answer.
const MOST: usize = 1000;

/// `GET /admin/v1/decisions?limit=N`: the newest, newest first.
#[utoipa::path(get, path = "/admin/v1/decisions", tag = "market",
    params(("limit" = Option<u32>, Query, description = "at most so many (20, at most 1000)")),
    responses((status = 200, body = Value)))]
pub async fn newest(State(app): State<App>, RawQuery(query): RawQuery) -> Json<Value> {
    let query = query.unwrap_or_default();
    let limit = query.split('&').find_map(|part| part.strip_prefix("limit=")?.parse().ok()).unwrap_or(USUAL);
    let records = app.shared.decisions.newest(limit.min(MOST));
    let data: Vec<Value> = records.iter().map(|record| whole(record)).collect();
    Json(json!({ "data": data }))
}

/// `GET /admin/v1/decisions/{id}`.
#[utoipa::path(get, path = "/admin/v1/decisions/{id}", tag = "market", params(("id" = String, Path)),
    responses((status = 200, body = Value), (status = 404, description = "none is kept under this request id")))]
pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Response {
    match Uuid::parse_str(&id).ok().and_then(|id| app.shared.decisions.find(id)) {
        Some(record) => Json(whole(&record)).into_response(),
        None => Error::unknown_decision().response(Dialect::OpenAi),
    }
}
