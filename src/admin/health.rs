//! `/readyz` and `/metrics`.
//!
//! Readiness says whether *this process* can take requests. It does not fail
//! because a provider is down: that would take every replica out of service at
//! once, for something that fallback and circuits already handle.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::permitted;
use crate::app::App;
use crate::books::Circuit;
use crate::books::sketch::Measured;
use crate::catalog::{Dialect, HeldReason};

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`, with `?verbose` as JSON.
#[utoipa::path(get, path = "/readyz", tag = "health",
    params(("verbose" = Option<String>, Query, description = "what is degraded, as JSON")),
    responses((status = 200, body = String), (status = 503, description = "it drains")))]
pub async fn ready(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let draining = app.is_draining();
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let verbose =
        query.as_deref().unwrap_or_default().split('&').any(|part| part.split('=').next() == Some("verbose"));
    if !verbose {
        return (status, if draining { "draining\n" } else { "ok\n" }).into_response();
    }
    let generation = app.generation();
    let now = app.shared.now();
    let endpoints = &generation.fleet.catalog.endpoints;
    let resting: Vec<&str> = endpoints
        .iter()
        .filter(|endpoint| {
            let view = generation.fleet.member(endpoint.id).live.view(0, 0, now);
            !matches!(view.circuit, Circuit::Closed) || view.resting.is_some()
        })
        .map(|endpoint| endpoint.identity.as_ref())
        .collect();
    let latency: BTreeMap<&str, Measured> = endpoints
        .iter()
        .map(|endpoint| (endpoint.identity.as_ref(), generation.fleet.member(endpoint.id).live.measured(now)))
        .filter(|(_, measured)| measured.ttft.is_some() || measured.itl.is_some())
        .collect();
    let drifting: Vec<&str> = endpoints
        .iter()
        .filter(|endpoint| generation.fleet.member(endpoint.id).live.is_drifting())
        .map(|endpoint| endpoint.identity.as_ref())
        .collect();
    // Problems quote the configuration: that is for operators.
    let rejected = app.last_rejected();
    let shown = rejected.as_deref().filter(|_| permitted(&app, &headers).is_ok());
    let shown = shown.map(|text| app.shared.redactor.clean(text).into_owned());
    let body = json!({
        "status": if draining { "draining" } else { "ok" },
        "version": env!("CARGO_PKG_VERSION"),
        "config": {
            "generation": generation.number,
            "stale": rejected.is_some(),
            "rejected": shown,
            "files": generation.loaded.files,
        },
        "inflight": app.shared.metrics.inflight.get(),
        "store": match &app.shared.counter {
            None => "none",
            Some(counter) if counter.store.is_up() => "up",
            Some(_) => "down",
        },
        "endpoints": endpoints.len(),
        "degraded": resting,
        "latency": latency,
        "drifting": drifting,
        "prices": {
            "alarms": HeldReason::ALL.map(|reason| generation.fleet.held(reason)).iter().sum::<usize>(),
            "sources_failing": app.sources.failing(),
        },
    });
    (status, Json(body)).into_response()
}

/// `GET /metrics`, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String)))]
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    if app.generation().settings.admin.protect_metrics
        && let Err(error) = permitted(&app, &headers)
    {
        return error.response(Dialect::OpenAi);
    }
    app.generation().fleet.publish(&app.shared.metrics, app.shared.now());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.shared.metrics.render())
        .into_response()
}
