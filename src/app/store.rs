//! Opens the store, or finds out that none is needed (`docs/adr/0013-…`).
//!
//! An installation without accounts must work where nothing can be written: as a
//! sidecar with a read-only file system, or as a second gateway in the same
//! folder. One *with* accounts must not start without them: its customers' keys
//! would be refused as unknown, and their budgets would not hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::generation::pepper;
use super::{App, StartError};
use crate::accounts::Counter;
use crate::accounts::counter::unix_ms;
use crate::config::settings::{self, Settings};
use crate::store::queue::Gauges;
use crate::store::sqlite::{Reader, Sqlite};
use crate::store::{Database, Store, StoreError, Write, Written};
use crate::telemetry::Metrics;

/// Records deleted in one transaction: a few milliseconds of the writer's time.
const PRUNED: u32 = 500;
/// Pause while there are more: some 5,000 a second, faster than most records come.
const BETWEEN: Duration = Duration::from_millis(100);
/// How often it is looked whether there are any.
const LOOK: Duration = Duration::from_secs(60);

/// How long the end of the process waits for the ledger.
const CLOSE: Duration = Duration::from_secs(5);

/// Opens the store and reads what it holds; `None` where there is none.
///
/// # Errors
/// When there is one that must be there and cannot be used.
pub(super) fn open(settings: &Settings, metrics: &Metrics) -> Result<Option<Arc<Counter>>, StartError> {
    let Some(path) = settings.store.file() else { return Ok(None) };
    match start(path, &settings.auth, metrics) {
        Ok(counter) => Ok(Some(counter)),
        Err(error) if settings.store.is_default() && !has_accounts(path) => {
            tracing::warn!(path = %path.display(), %error, "no store: keys are those of the configuration, and nothing is recorded");
            Ok(None)
        }
        Err(error) => Err(StartError::Store(path.to_owned(), error)),
    }
}

/// Opens the store on behalf of a command, when no gateway runs.
///
/// # Errors
/// When it cannot be opened, or a gateway uses it.
pub fn open_alone(settings: &Settings) -> Result<Arc<Counter>, StartError> {
    let path = settings.store.file().unwrap_or_else(|| Path::new(""));
    start(path, &settings.auth, &Metrics::new()).map_err(|error| StartError::Store(path.to_owned(), error))
}

/// Everything is durable, and others may open it.
///
/// # Errors
/// When the store does not answer.
pub async fn close_alone(counter: &Counter) -> Result<(), StoreError> {
    counter.store.close().await.map(drop)
}

fn start(path: &Path, auth: &settings::Auth, metrics: &Metrics) -> Result<Arc<Counter>, StoreError> {
    let mut database = Sqlite::open(path)?;
    let pepper = pepper(&auth.pepper)
        .map_err(|(path, error)| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
    let snapshot = database.recover()?;
    let gauges =
        Gauges { up: metrics.store_up.with_label_values(&["sqlite"]), append: metrics.ledger_append.clone() };
    let (store, _thread) =
        Store::start(database, gauges).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(Counter::new(store, snapshot, pepper, PathBuf::from(path)))
}

/// Whether anybody would be missed. What cannot be read may well hold accounts.
fn has_accounts(path: &Path) -> bool {
    match path.try_exists() {
        Ok(true) => Reader::open(path).and_then(|reader| reader.has_accounts()).unwrap_or(true),
        // Where the folder cannot even be looked into, nothing was ever kept by us.
        Ok(false) | Err(_) => false,
    }
}

/// Deletes records that have been kept long enough, as far as that is wanted, until
/// `kill`. Another batch follows when the writer has had time for others.
pub(super) async fn forget(app: App, kill: CancellationToken) {
    let (Some(counter), Some(kept)) = (&app.shared.counter, app.started_with.store.keep_records) else {
        return;
    };
    let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = kill.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let before = unix_ms().saturating_sub(kept);
        let full = Ok(Written::Deleted(PRUNED));
        let more = counter.store.write(Write::Prune { before, most: PRUNED }).await == full;
        pause = if more { BETWEEN } else { LOOK };
    }
}

/// Everything is durable, and slices are given back.
pub(super) async fn close(counter: Option<&Arc<Counter>>) {
    let Some(counter) = counter else { return };
    match tokio::time::timeout(CLOSE, counter.store.close()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the store was not closed properly"),
        Err(_) => tracing::error!(waiting = counter.store.waiting(), "the store did not close in time"),
    }
}
