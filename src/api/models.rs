//! `GET /v1/models`: the models and routes a key may use.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::chat::authenticate;
use super::error::Error;
use super::respond;
use crate::accounts::{Caller, Expose};
use crate::app::{App, Generation};
use crate::catalog::{Catalog, Dialect, Target};

/// All names the key may ask for, in order.
pub async fn list(State(app): State<App>, request: Request<Body>) -> Response {
    let generation = app.generation();
    let caller = match authenticate(&generation, request.headers()) {
        Ok(caller) => caller,
        Err(error) => return refuse(&app, &request, &error),
    };
    let catalog = &generation.fleet.catalog;
    let mut names: Vec<&String> = catalog.names.keys().filter(|name| caller.may_use(name)).collect();
    names.sort_unstable();
    if request.headers().contains_key("anthropic-version") {
        let data: Vec<Value> = names.iter().map(|name| anthropic(name)).collect();
        let (first, last) = (names.first(), names.last());
        return Json(json!({"data": data, "has_more": false, "first_id": first, "last_id": last}))
            .into_response();
    }
    let data: Vec<Value> = names.iter().filter_map(|name| entry(&generation, &caller, name)).collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

/// One name; ids may contain slashes.
pub async fn one(State(app): State<App>, Path(id): Path<String>, request: Request<Body>) -> Response {
    let generation = app.generation();
    let caller = match authenticate(&generation, request.headers()) {
        Ok(caller) => caller,
        Err(error) => return refuse(&app, &request, &error),
    };
    let catalog = &generation.fleet.catalog;
    match entry(&generation, &caller, &id).filter(|_| caller.may_use(&id)) {
        Some(entry) => Json(entry).into_response(),
        None if catalog.names.contains_key(&id) => refuse(&app, &request, &Error::model_not_allowed(&id)),
        None => {
            let near = catalog.near(&id);
            let near: Vec<&str> = near.into_iter().filter(|name| caller.may_use(name)).collect();
            refuse(&app, &request, &Error::model_not_found(&id, &near))
        }
    }
}

fn refuse(app: &App, request: &Request<Body>, error: &Error) -> Response {
    let ticket = app.arrive(&app.generation(), request.headers());
    respond::error(ticket, error, Dialect::OpenAi)
}

/// OpenAI's four members, and for those who may see it who offers the model.
fn entry(generation: &Generation, caller: &Caller, name: &str) -> Option<Value> {
    let catalog = &generation.fleet.catalog;
    let target = catalog.names.get(name)?;
    let mut entry = json!({
        "id": name,
        "object": "model",
        // When a model was made is not known here; clients only need a number.
        "created": 0,
        "owned_by": "merit",
    });
    if caller.expose == Expose::Full
        && let Some(members) = entry.as_object_mut()
    {
        members.insert("merit".to_owned(), details(catalog, *target));
    }
    Some(entry)
}

fn details(catalog: &Catalog, target: Target) -> Value {
    let endpoints = match target {
        Target::Model(index) => catalog.models.get(index).map(|model| model.endpoints.as_slice()),
        Target::Route(index) => catalog.routes.get(index).map(|route| route.endpoints.as_slice()),
    };
    let endpoints: Vec<Value> = endpoints
        .unwrap_or_default()
        .iter()
        .map(|id| {
            let endpoint = catalog.endpoint(*id);
            json!({
                "endpoint": endpoint.identity,
                "context": endpoint.context,
                "max_output": endpoint.max_output,
                "input_usd_per_mtok": endpoint.rates.as_ref().map(|rates| rates.input.usd_per_mtok()),
                "output_usd_per_mtok": endpoint.rates.as_ref().map(|rates| rates.output.usd_per_mtok()),
            })
        })
        .collect();
    let kind = match target {
        Target::Model(_) => "model",
        Target::Route(_) => "route",
    };
    json!({ "kind": kind, "endpoints": endpoints })
}

/// The shape Anthropic's clients expect.
fn anthropic(name: &str) -> Value {
    json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
}
