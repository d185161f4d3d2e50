//! Reloading: a new configuration replaces the old one whole, or not at all.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::generation::Generation;
use super::{App, StartError, published};
use crate::catalog::Endpoint;
use crate::config::settings::{Mode, Settings};
use crate::config::{LoadError, Loaded, Problem, Severity};
use crate::dispatch::ticket::unix_ms;

/// How often files are looked at. A look is one `stat` per file; unlike
/// notifications it works on every file system and with files that are replaced
/// through a symbolic link.
const LOOK: Duration = Duration::from_millis(500);

/// What a reload did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reloaded {
    /// The generation in force afterwards.
    pub generation: u64,
    /// Whether anything differs.
    pub changed: bool,
    /// Endpoints that are new.
    pub added: Vec<String>,
    /// Endpoints that are gone.
    pub removed: Vec<String>,
    /// Settings that differ and only take effect after a restart.
    pub needs_restart: Vec<String>,
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug)]
pub struct ReloadError {
    /// All that is wrong, one line each.
    pub problems: Vec<String>,
}

impl From<LoadError> for ReloadError {
    fn from(error: LoadError) -> Self {
        let problems = match &error {
            LoadError::NothingConfigured => vec![error.to_string()],
            LoadError::Problems(problems) => {
                let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
                errors.map(Problem::to_string).collect()
            }
        };
        ReloadError { problems }
    }
}

impl App {
    /// Loads the configuration and puts it in force, or with `dry_run` only
    /// says what that would change.
    ///
    /// # Errors
    /// Everything that is wrong; the old configuration stays in force.
    pub async fn reload(&self, dry_run: bool) -> Result<Reloaded, ReloadError> {
        let one_at_a_time = self.reloading.lock().await;
        let app = self.clone();
        // Files and name services may block.
        let loaded = tokio::task::spawn_blocking(move || app.origin.load(&app.prices)).await;
        let result = match loaded {
            Ok(Ok(loaded)) => self.replace(loaded, dry_run),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(ReloadError { problems: vec!["the configuration could not be read".to_owned()] }),
        };
        drop(one_at_a_time);
        if !dry_run {
            self.remember(&result);
        }
        result
    }

    fn remember(&self, result: &Result<Reloaded, ReloadError>) {
        let reloads = &self.shared.metrics.reloads;
        let rejected = match result {
            Ok(_) => {
                reloads.with_label_values(&["ok"]).inc();
                None
            }
            Err(error) => {
                reloads.with_label_values(&["rejected"]).inc();
                for problem in &error.problems {
                    tracing::error!(problem, "the configuration was not reloaded");
                }
                Some(error.problems.join("\n"))
            }
        };
        *self.last_rejected.lock().unwrap_or_else(PoisonError::into_inner) = rejected;
    }

    fn replace(&self, mut loaded: Loaded, dry_run: bool) -> Result<Reloaded, ReloadError> {
        let old = self.generation();
        self.keep_closed(&mut loaded)?;
        let mut report = compare(&old, &loaded, &self.started_with);
        report.generation = old.number;
        if dry_run || !report.changed {
            return Ok(report);
        }
        let number = old.number + 1;
        let new =
            Generation::build(number, loaded, &self.books, &self.shared, |provider| self.outlet(provider))
                .map_err(|(path, error)| {
                    let problem = StartError::Pepper(path, error).to_string();
                    ReloadError { problems: vec![problem] }
                })?;
        for warning in &report.warnings {
            tracing::warn!(warning, "configuration");
        }
        tracing::info!(generation = number, added = ?report.added, removed = ?report.removed, "configuration reloaded");
        published::prices::tell(&old, &new);
        self.outlets.keep(&new.fleet.catalog);
        new.fleet.wake(&old.fleet);
        let new = Arc::new(new);
        self.current.store(Arc::clone(&new));
        self.forget_series(&old, &new);
        report.generation = number;
        Ok(report)
    }

    /// Series of endpoints that are gone are dropped.
    fn forget_series(&self, old: &Generation, new: &Generation) {
        let labels = |generation: &Generation| -> BTreeSet<(String, String)> {
            let catalog = &generation.fleet.catalog;
            let label = |endpoint: &Endpoint| {
                (endpoint.provider.name.clone(), catalog.model(endpoint.model).name.to_string())
            };
            catalog.endpoints.iter().map(label).collect()
        };
        for (provider, model) in labels(old).difference(&labels(new)) {
            self.shared.metrics.forget(provider, model);
        }
    }

    /// The listeners stay where they were bound, whatever the new configuration
    /// says of them: who may use them is decided for those addresses.
    fn keep_closed(&self, new: &mut Loaded) -> Result<(), ReloadError> {
        let bound = &self.started_with.server;
        let auth = &mut new.settings.auth;
        auth.keys_required = match auth.mode {
            Mode::Auto => !bound.listen.ip().is_loopback(),
            Mode::None => false,
            Mode::Keys => true,
        };
        let stored = self.shared.counter.as_ref().is_some_and(|counter| counter.directory.has_keys());
        let mut problems = Vec::new();
        if auth.keys_required && auth.keys.is_empty() && !stored {
            problems.push(format!("auth.keys: callers of {} need keys, and there are none", bound.listen));
        }
        let was_open = self.started_with.auth.mode == Mode::None;
        if auth.mode == Mode::None && !was_open && !bound.listen.ip().is_loopback() {
            problems.push(format!("auth.mode: opening {} to everybody needs a restart", bound.listen));
        }
        if new.settings.admin.token.is_none() && !bound.admin.ip().is_loopback() {
            problems.push(format!("admin.token: the admin listener is on {} and needs one", bound.admin));
        }
        if problems.is_empty() { Ok(()) } else { Err(ReloadError { problems }) }
    }
}

fn compare(old: &Generation, new: &Loaded, started_with: &Settings) -> Reloaded {
    let identities = |catalog: &crate::catalog::Catalog| -> BTreeSet<String> {
        catalog.endpoints.iter().map(|endpoint| endpoint.identity.to_string()).collect()
    };
    let (before, after) = (identities(&old.fleet.catalog), identities(&new.catalog));
    let mut needs_restart = Vec::new();
    let (then, now) = (started_with, &new.settings);
    if then.server != now.server {
        needs_restart.push("server".to_owned());
    }
    if then.log != now.log {
        needs_restart.push("log".to_owned());
    }
    if then.store != now.store {
        needs_restart.push("store".to_owned());
    }
    if then.decisions != now.decisions {
        needs_restart.push("decisions".to_owned());
    }
    if then.statistics != now.statistics {
        needs_restart.push("statistics".to_owned());
    }
    let fixed = |settings: &Settings| {
        let router = &settings.router;
        let retries = (router.attempts, router.retry_budget.to_bits(), router.retry_min_per_second);
        (retries, router.hold, router.keep_alive, router.breaker)
    };
    if fixed(then) != fixed(now) {
        needs_restart.push("router".to_owned());
    }
    Reloaded {
        generation: 0,
        changed: old.loaded.fingerprint != new.fingerprint,
        added: after.difference(&before).cloned().collect(),
        removed: before.difference(&after).cloned().collect(),
        needs_restart,
        warnings: new.warnings.iter().map(Problem::to_string).collect(),
    }
}

/// How often it is looked whether a price has changed with the date or the time of
/// day. Clocks are set, and machines sleep: no longer wait is to be relied on.
const PRICES: Duration = Duration::from_secs(30);

/// Looks prices up again whenever one changes because of the date or the time of
/// day. Where none has changed, nothing does.
pub async fn follow_prices(app: App, stop: CancellationToken) {
    let mut next: Option<u64> = None;
    loop {
        // Loading a configuration asks for all prices, and so tells the next change.
        next = next.into_iter().chain(app.prices.next_change()).min();
        let now = unix_ms() / 1000;
        let left = next.map_or(PRICES, |at| Duration::from_secs(at.saturating_sub(now)).min(PRICES));
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = stop.cancelled() => return,
        }
        if next.is_none_or(|at| unix_ms() / 1000 < at) {
            continue;
        }
        next = None;
        // A configuration that cannot be used now has been told of when it changed.
        if app.reload(true).await.is_ok_and(|report| report.changed) {
            drop(app.reload(false).await);
        }
    }
}

/// Reloads when a file of the configuration changes.
pub async fn watch(app: App, stop: CancellationToken) {
    let mut seen = marks(&app).await;
    // These marks are younger than what was read: a change in between shows
    // only when everything is read again.
    let mut sure = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        let same = marks(&app).await == seen;
        if same && sure {
            continue;
        }
        if !same {
            // Writers often write twice: wait until it is quiet.
            tokio::time::sleep(LOOK / 5).await;
        }
        // Before reading, so that the next look notices what changes meanwhile.
        seen = marks(&app).await;
        if same && app.reload(true).await.is_ok_and(|report| !report.changed) {
            sure = true;
            continue;
        }
        // What went wrong is logged, counted and shown by /readyz?verbose.
        drop(app.reload(false).await);
        let now = marks(&app).await;
        sure = now.iter().map(|(file, _)| file).eq(seen.iter().map(|(file, _)| file));
        if !sure {
            seen = now;
        }
    }
}

/// What tells one state of a file from another.
type Mark = (PathBuf, Option<(SystemTime, u64, u64)>);

/// All files of the configuration in force, as they are now.
async fn marks(app: &App) -> Vec<Mark> {
    let files = app.generation().loaded.files.clone();
    let look = move || {
        files
            .into_iter()
            .map(|file| {
                let mark = std::fs::metadata(&file).ok().map(|found| {
                    let inode = std::os::unix::fs::MetadataExt::ino(&found);
                    (found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len(), inode)
                });
                (file, mark)
            })
            .collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
