//! Price lists: fetched, judged as a whole, and put in force as one new
//! generation when a price of an endpoint has changed.

use std::collections::HashMap;

use super::{Heard, Place};
use crate::app::{App, Generation};
use crate::books::prices::{Refused, SourceError, Updated};
use crate::catalog::Held;
use crate::config::settings::PriceSource;
use crate::dispatch::ticket::unix_ms;
use crate::telemetry::metrics::PollResult;
use crate::units::PicoUsd;

/// Asks the price sources that are due. Returns the names of all.
pub(super) async fn look(app: &App) -> Vec<String> {
    let wanted = app.generation().settings.published.prices.clone();
    let is_wanted = |source: &PriceSource, kind, vendor: &str| source.kind == kind && source.vendor == vendor;
    if app.prices.keep_only(|kind, vendor| wanted.iter().any(|source| is_wanted(source, kind, vendor))) {
        refresh(app).await;
    }
    for source in &wanted {
        let place = Place {
            name: name(source),
            list: source.kind.name(),
            url: &source.url,
            every: source.every,
            key: None,
        };
        super::ask(app, &place, async |body| {
            let heard = take(app, source, body).await;
            if heard.result == PollResult::Changed {
                refresh(app).await;
            }
            heard
        })
        .await;
    }
    wanted.iter().map(name).collect()
}

fn name(source: &PriceSource) -> String {
    match source.vendor.as_str() {
        "" => source.kind.name().to_owned(),
        vendor => format!("{} of {vendor}", source.kind.name()),
    }
}

async fn take(app: &App, source: &PriceSource, body: Vec<u8>) -> Heard {
    let (app, kind, vendor) = (app.clone(), source.kind, source.vendor.clone());
    let reading = move || app.prices.update(kind, &vendor, &body, unix_ms() / 1000);
    // A list is megabytes of JSON.
    let refused = |result, problem: String| Heard { result, problem: Some(problem), entries: None };
    match tokio::task::spawn_blocking(reading).await {
        Ok(Ok(Updated { models, changed })) => {
            let result = if changed { PollResult::Changed } else { PollResult::Unchanged };
            Heard { result, problem: None, entries: Some(models) }
        }
        Ok(Err(error)) => {
            let result = match &error {
                Refused::Source(SourceError::Empty) => PollResult::Empty,
                Refused::Source(SourceError::Garbage(_)) => PollResult::Garbage,
                Refused::Shrunk { .. } => PollResult::Shrunk,
            };
            refused(result, error.to_string())
        }
        Err(_) => refused(PollResult::Garbage, "the list could not be read".to_owned()),
    }
}

/// Looks all prices up again; where none has changed, nothing does.
async fn refresh(app: &App) {
    // A configuration that cannot be used now has been told of when it changed.
    if app.reload(true).await.is_ok_and(|report| report.changed) {
        drop(app.reload(false).await);
    }
}

/// Says which prices are held now and were not before.
pub(in crate::app) fn tell(old: &Generation, new: &Generation) {
    let before: HashMap<&str, &Held> = held(old).collect();
    let usd = |price: Option<PicoUsd>| price.map(PicoUsd::usd_per_mtok);
    for (endpoint, held) in held(new).filter(|(endpoint, held)| before.get(endpoint) != Some(held)) {
        tracing::warn!(
            endpoint,
            reason = held.reason.name(),
            list = held.list,
            input_usd_per_mtok = usd(held.input_pico_usd),
            output_usd_per_mtok = usd(held.output_pico_usd),
            "a listed price is not believed; the one in force stays"
        );
    }
}

/// The endpoints whose price is held.
fn held(generation: &Generation) -> impl Iterator<Item = (&str, &Held)> {
    let endpoints = generation.fleet.catalog.endpoints.iter();
    endpoints.filter_map(|endpoint| Some((&*endpoint.identity, endpoint.price_source.as_ref()?.held()?)))
}
