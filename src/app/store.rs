//! Opens the store, or finds out that none is needed (`docs/adr/0013-…`).
//!
//! An installation without accounts must work where nothing can be written: as a
//! sidecar with a read-only file system, or as a second gateway in the same
//! folder. One *with* accounts must not start without them: its customers' keys
//! would be refused as unknown, and their budgets would not hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::generation::pepper;
use crate::accounts::Counter;
use crate::config::settings::{self, Settings};
use crate::store::queue::Gauges;
use crate::store::sqlite::{Reader, Sqlite};
use crate::store::{Database, Store, StoreError};
use crate::telemetry::Metrics;

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

/// Everything is durable, and slices are given back.
pub(super) async fn close(counter: Option<&Arc<Counter>>) {
    let Some(counter) = counter else { return };
    match tokio::time::timeout(CLOSE, counter.store.close()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the store was not closed properly"),
        Err(_) => tracing::error!(waiting = counter.store.waiting(), "the store did not close in time"),
    }
}
