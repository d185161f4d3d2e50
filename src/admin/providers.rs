//! Endpoints as they are now: health, prices, live statistics.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::catalog::{Endpoint, HeldReason};
use crate::request::class::CHAT;
use crate::units::PicoUsd;

/// Tokens of input for which times are shown.
const TYPICAL_INPUT: u32 = 1000;

/// `GET /admin/v1/providers`: every endpoint with its live view.
#[utoipa::path(get, path = "/admin/v1/providers", tag = "market", responses((status = 200, body = Value)))]
pub async fn list(State(app): State<App>) -> Json<Value> {
    let generation = app.generation();
    let now = app.shared.now();
    let catalog = &generation.fleet.catalog;
    let endpoints: Vec<Value> = catalog
        .endpoints
        .iter()
        .map(|endpoint| {
            let member = generation.fleet.member(endpoint.id);
            json!({
                "endpoint": endpoint.identity,
                "provider": endpoint.provider.name,
                "model": catalog.model(endpoint.model).name,
                "upstream": endpoint.upstream,
                "dialect": endpoint.provider.dialect.name(),
                "spoken": member.target.is_some(),
                "credential": member.target.as_ref().map(|target| target.signer.state()),
                "priced": endpoint.rates.is_some(),
                "context": endpoint.context,
                "max_output": endpoint.max_output,
                "capabilities": crate::catalog::Capabilities::NAMES
                    .iter()
                    .filter(|(_, bit)| endpoint.capabilities.has(*bit))
                    .map(|(name, _)| *name)
                    .collect::<Vec<_>>(),
                "quality": member.live.worth(CHAT, prior(endpoint), now),
                "drifting": member.live.is_drifting(),
                "live": member.live.view(TYPICAL_INPUT, CHAT, now),
                "measured": member.live.measured(now),
            })
        })
        .collect();
    Json(json!({ "generation": generation.number, "data": endpoints }))
}

#[expect(clippy::cast_possible_truncation, reason = "a quality in 0..1")]
fn prior(endpoint: &Endpoint) -> f32 {
    endpoint.quality as f32
}

/// `GET /admin/v1/prices`: prices in force, USD per million tokens, where each
/// comes from and which lists say something else, and how the sources do.
#[utoipa::path(get, path = "/admin/v1/prices", tag = "market", responses((status = 200, body = Value)))]
pub async fn prices(State(app): State<App>) -> Json<Value> {
    let generation = app.generation();
    let data: Vec<Value> = generation
        .fleet
        .catalog
        .endpoints
        .iter()
        .map(|endpoint| {
            let rates = endpoint.rates.as_ref();
            json!({
                "endpoint": endpoint.identity,
                "input": rates.map(|rates| rates.input.usd_per_mtok()),
                "cached_input": rates.and_then(|rates| rates.cached_input).map(PicoUsd::usd_per_mtok),
                "output": rates.map(|rates| rates.output.usd_per_mtok()),
                "tiers": rates.map_or(0, |rates| rates.tiers.len()),
                "source": endpoint.price_source,
            })
        })
        .collect();
    let alarms = HeldReason::ALL.map(|reason| (reason.name(), generation.fleet.held(reason)));
    Json(json!({
        "generation": generation.number,
        "data": data,
        "alarms": BTreeMap::from(alarms),
        "sources": app.sources.states(),
    }))
}
