//! Published statistics of endpoints: a file to begin with, and listings that are
//! fetched. They are told to the books as one measurement that others made, so
//! that what is measured here soon outweighs them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Heard, Place};
use crate::app::{App, Generation};
use crate::books::published::{Figures, NoFigures, read_file, read_listing};
use crate::catalog::Endpoint;
use crate::config::settings::StatisticsSource;
use crate::dispatch::ticket::unix_ms;
use crate::telemetry::metrics::PollResult;

/// The file with published statistics, as it was read last.
#[derive(Debug, Default)]
pub(super) struct File {
    seen: Option<(PathBuf, Option<SystemTime>)>,
    figures: Vec<Figures>,
    /// The generation whose endpoints have been told, and who has been told ever.
    generation: u64,
    told: HashSet<Arc<str>>,
}

impl File {
    /// Reads the file when it has changed, and tells its figures to endpoints of
    /// which nothing is known: at the start, and when they are new.
    pub(super) async fn look(&mut self, app: &App) {
        let generation = app.generation();
        let Some(file) = generation.settings.published.statistics_file.clone() else { return };
        let changed = tokio::fs::metadata(&file).await.and_then(|found| found.modified()).ok();
        let mark = Some((file.clone(), changed));
        if self.seen != mark {
            self.seen = mark;
            self.told.clear();
            self.generation = 0;
            self.figures = self.read(&file).await;
        }
        if self.generation != generation.number {
            self.generation = generation.number;
            self.tell(app, &generation);
        }
    }

    async fn read(&self, file: &PathBuf) -> Vec<Figures> {
        let read = match tokio::fs::read_to_string(file).await {
            Ok(text) => read_file(&text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        read.unwrap_or_else(|problem| {
            tracing::warn!(file = %file.display(), problem, "published statistics are not used");
            Vec::new()
        })
    }

    fn tell(&mut self, app: &App, generation: &Generation) {
        let mut count = 0;
        for endpoint in &generation.fleet.catalog.endpoints {
            let live = &generation.fleet.member(endpoint.id).live;
            if !live.is_unknown() || !self.told.insert(Arc::clone(&endpoint.identity)) {
                continue;
            }
            let names = names(generation, endpoint);
            let model = &*generation.fleet.catalog.model(endpoint.model).name;
            let of_model = |figures: &&Figures| {
                figures.model.as_deref().is_some_and(|listed| listed == model || listed == endpoint.upstream)
            };
            if let Some(figures) = self.figures.iter().filter(of_model).find(|figures| figures.is_of(&names))
            {
                publish(app, generation, endpoint, figures);
                count += 1;
            }
        }
        if count > 0 {
            tracing::info!(endpoints = count, "published statistics read");
        }
    }
}

/// Asks the listings that are due. Returns the names of all.
pub(super) async fn look(app: &App) -> Vec<String> {
    let wanted = app.generation().settings.published.statistics.clone();
    for source in &wanted {
        let name = name(source);
        let place = Place {
            name,
            list: "statistics",
            url: &source.url,
            every: source.every,
            key: source.key.as_ref(),
        };
        super::ask(app, &place, async |body| take(app, source, &body)).await;
    }
    wanted.iter().map(name).collect()
}

fn name(source: &StatisticsSource) -> String {
    format!("statistics of {}", source.model)
}

fn take(app: &App, source: &StatisticsSource, body: &[u8]) -> Heard {
    let all = match read_listing(body) {
        Ok(all) => all,
        Err(error) => {
            let result = match error {
                NoFigures::Garbage(_) => PollResult::Garbage,
                NoFigures::Empty => PollResult::Empty,
            };
            return Heard { result, problem: Some(error.to_string()), entries: None };
        }
    };
    let generation = app.generation();
    let catalog = &generation.fleet.catalog;
    for endpoint in catalog.endpoints.iter().filter(|one| *catalog.model(one.model).name == *source.model) {
        let names = names(&generation, endpoint);
        if let Some(figures) = all.iter().find(|figures| figures.is_of(&names)) {
            publish(app, &generation, endpoint, figures);
        }
    }
    Heard { result: PollResult::Changed, problem: None, entries: Some(all.len()) }
}

/// What the endpoint's provider may be called: its own name, and its vendor's.
fn names<'g>(generation: &'g Generation, endpoint: &'g Endpoint) -> Vec<&'g str> {
    let name = endpoint.provider.name.as_str();
    let vendor = generation.settings.published.vendors.get(name).map(String::as_str);
    std::iter::once(name).chain(vendor).collect()
}

fn publish(app: &App, generation: &Generation, endpoint: &Endpoint, figures: &Figures) {
    let live = &generation.fleet.member(endpoint.id).live;
    live.publish(figures, figures.age(unix_ms() / 1000), app.shared.now());
}
