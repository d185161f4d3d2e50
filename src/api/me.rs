//! `GET /v1/me`: what a key may do, what is left of it, and what it has asked.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::chat::authenticate;
use super::error::Error;
use super::{decisions, respond};
use crate::accounts::counter::unix_ms;
use crate::accounts::limiter::Left;
use crate::accounts::{AccountPath, Caller, Counter, Expose};
use crate::app::App;
use crate::catalog::Dialect;
use crate::store::Entry;
use crate::units::NanoUsd;

/// Requests that are shown.
const RECENT: u32 = 20;
/// Kept decisions looked through for those of a key without an account.
const LOOKED_AT: usize = 1000;

/// The caller's own limits, spend and requests.
pub async fn me(State(app): State<App>, request: Request<Body>) -> Response {
    let generation = app.generation();
    let told = match authenticate(&generation, request.headers()) {
        Ok(caller) => told(&app, &caller).await,
        Err(error) => Err(error),
    };
    match told {
        Ok(told) => Json(told).into_response(),
        Err(error) => respond::error(app.arrive(&generation, request.headers()), &error, Dialect::OpenAi),
    }
}

async fn told(app: &App, caller: &Arc<Caller>) -> Result<Value, Error> {
    let mut models: Option<Vec<&String>> = caller.models.as_ref().map(|models| models.iter().collect());
    if let Some(models) = &mut models {
        models.sort_unstable();
    }
    let account = caller.account.as_ref().zip(app.shared.counter.as_ref());
    let (name, budgets, allowance, recent) = match account {
        Some((path, counter)) => (
            path.customer.and_then(|id| counter.directory.account(id)).map(|customer| customer.name),
            budgets(counter, path),
            path.allowance.map(|id| allowance(counter, id)),
            recent(counter, path, caller.expose).await?,
        ),
        None => (None, Vec::new(), None, kept(app, caller)),
    };
    Ok(json!({
        "object": "me",
        "key": caller.name,
        "customer": name,
        "models": models,
        "valid_until_unix_ms": caller.account.as_ref().and_then(|path| path.until),
        "limits": caller.account.as_ref().map_or_else(Vec::new, |path| limits(app, path)),
        "budgets": budgets,
        "allowance": allowance,
        "recent": recent,
    }))
}

/// Rates and numbers of requests, of the key and of whose it is.
fn limits(app: &App, path: &AccountPath) -> Vec<Value> {
    let now = app.shared.now();
    let mut limits = Vec::new();
    for (limiter, level) in path.limiters.iter().zip(&path.limited) {
        let kinds = ["requests_per_minute", "tokens_per_minute"];
        for (kind, left) in kinds.into_iter().zip(limiter.left(now)) {
            if let Some(Left { most, left, reset }) = left {
                let reset = u64::try_from(reset.as_millis()).unwrap_or(u64::MAX);
                limits.push(json!({
                    "of": level.name(), "kind": kind, "limit": most, "remaining": left, "reset_ms": reset,
                }));
            }
        }
        if let Some(most) = limiter.allowed.at_once {
            limits.push(json!({ "of": level.name(), "kind": "concurrency", "limit": most }));
        }
    }
    limits
}

fn remaining(limit: NanoUsd, spent: NanoUsd, held: NanoUsd) -> String {
    let left = limit.get().saturating_sub(spent.get()).saturating_sub(held.get());
    NanoUsd::new(left.max(0)).to_string()
}

fn budgets(counter: &Counter, path: &AccountPath) -> Vec<Value> {
    let now = unix_ms() / 1000;
    let views = path.budgets.iter().filter_map(|(id, level)| Some((level, counter.vault.view(*id, now)?)));
    views
        .filter(|(_, view)| !view.budget.shadow)
        .map(|(level, view)| {
            json!({
                "of": level.name(),
                "window": view.budget.window,
                "mode": view.budget.mode,
                "limit_usd": view.budget.limit.to_string(),
                "spent_usd": view.spent.to_string(),
                "held_usd": view.held.to_string(),
                "remaining_usd": remaining(view.budget.limit, view.spent, view.held),
                "resets_unix_ms": view.resets.map(|resets| resets.saturating_mul(1000)),
            })
        })
        .collect()
}

/// What of the month's free allowance is left.
fn allowance(counter: &Counter, id: i64) -> Value {
    let Some(view) = counter.vault.view(id, unix_ms() / 1000) else { return Value::Null };
    json!({
        "limit_usd": view.budget.limit.to_string(),
        "remaining_usd": remaining(view.budget.limit, view.spent, view.held),
        "resets_unix_ms": view.resets.map(|resets| resets.saturating_mul(1000)),
    })
}

/// The latest of the ledger.
async fn recent(counter: &Arc<Counter>, path: &AccountPath, expose: Expose) -> Result<Vec<Value>, Error> {
    let (counter, key) = (Arc::clone(counter), path.key);
    let looking = tokio::task::spawn_blocking(move || counter.reader()?.latest(key, None, RECENT));
    let found = looking.await.map_err(|_| Error::internal())?;
    let found = found.map_err(|error| Error::from_store(&error))?;
    // What was tried in vain and is not paid for is only for those who may see who
    // provides.
    let shown = found.iter().filter(|found| found.entry.billed || expose == Expose::Full);
    Ok(shown.map(|found| record(&found.entry, expose)).collect())
}

fn record(entry: &Entry, expose: Expose) -> Value {
    let full = expose == Expose::Full;
    json!({
        "request_id": entry.request,
        "at_unix_ms": entry.at,
        "route": entry.route,
        "model": (expose != Expose::None).then_some(&entry.model),
        "provider": full.then_some(&entry.provider),
        "result": full.then_some(&entry.result),
        "input_tokens": entry.usage.input,
        "output_tokens": entry.usage.output,
        "estimated": entry.usage.estimated,
        "stream": entry.stream,
        "cost_usd": entry.revenue().to_string(),
    })
}

/// What is still in memory of a key that has no account.
fn kept(app: &App, caller: &Caller) -> Vec<Value> {
    let records = app.shared.decisions.newest(LOOKED_AT);
    let own = records.iter().filter(|record| record.key == caller.name);
    own.take(RECENT as usize).map(|record| decisions::summary(record, caller.expose)).collect()
}
