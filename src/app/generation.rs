//! One generation of the configuration, ready to serve. A request keeps the
//! generation it began with; a reload puts the next one in its place.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::accounts::{Caller, Counter, KeyTable, Pepper};
use crate::books::Books;
use crate::catalog::{Objective, Provider, Secret};
use crate::config::Loaded;
use crate::config::settings::{self, Settings};
use crate::dispatch::target::Outlet;
use crate::dispatch::{Fleet, Shared};

/// One generation of the configuration.
#[derive(Debug)]
pub struct Generation {
    /// Counts reloads, from 1.
    pub number: u64,
    /// The endpoints, ready to be used.
    pub fleet: Arc<Fleet>,
    /// Callers' keys; `None` where there are none.
    pub keys: Option<KeyTable>,
    /// Accounts and the ledger, where there is a store.
    pub counter: Option<Arc<Counter>>,
    /// Whether callers need one.
    pub keys_required: bool,
    /// Who a caller without a key is.
    pub anonymous: Arc<Caller>,
    /// What is valued when a request does not say.
    pub objective: Arc<Objective>,
    /// All else.
    pub settings: Settings,
    /// The checked configuration.
    pub loaded: Loaded,
}

impl Generation {
    /// Prepares a checked configuration.
    ///
    /// # Errors
    /// When the pepper cannot be read or made; with its path.
    pub fn build(
        number: u64,
        mut loaded: Loaded,
        books: &Books,
        shared: &Shared,
        outlet: impl Fn(&Provider) -> Outlet,
    ) -> Result<Generation, (PathBuf, io::Error)> {
        let catalog = std::mem::take(&mut loaded.catalog);
        let settings = loaded.settings.clone();
        let keys = keys(&settings.auth)?;
        shared.redactor.set(&secrets(&catalog.providers, &settings));
        let fleet = Fleet::new(number, catalog, books, &shared.metrics, outlet);
        shared.signals.judge(settings.judge.as_ref().map_or(0.0, |judge| judge.share));
        shared.metrics.generation.set(i64::try_from(number).unwrap_or(i64::MAX));
        Ok(Generation {
            number,
            fleet: Arc::new(fleet),
            keys,
            counter: shared.counter.clone(),
            keys_required: settings.auth.keys_required,
            anonymous: Arc::new(Caller::anonymous()),
            objective: Arc::clone(&settings.router.objective),
            settings,
            loaded,
        })
    }

    /// Whether any key is known, in the configuration or in the store.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.keys.is_some() || self.counter.as_ref().is_some_and(|counter| counter.directory.has_keys())
    }
}

fn keys(auth: &settings::Auth) -> Result<Option<KeyTable>, (PathBuf, io::Error)> {
    if auth.keys.is_empty() {
        // Made at the first start, so that the first key can be. Where nothing
        // can be written that is no reason not to serve.
        if let Err((path, error)) = pepper(&auth.pepper) {
            tracing::debug!(path = %path.display(), %error, "no pepper was made");
        }
        return Ok(None);
    }
    let pepper = match &auth.pepper {
        // A new one would make every key in the configuration worthless.
        settings::Pepper::File(path) => Pepper::load(path).map_err(|error| (path.clone(), error))?,
        given @ settings::Pepper::Value(_) => pepper(given)?,
    };
    let callers: HashMap<_, _> = auth.keys.iter().map(|key| (key.digest, Arc::new(caller(key)))).collect();
    Ok(Some(KeyTable::new(pepper, callers)))
}

/// The pepper that the configuration names.
///
/// # Errors
/// When its file cannot be read or made; with its path.
pub fn pepper(pepper: &settings::Pepper) -> Result<Pepper, (PathBuf, io::Error)> {
    match pepper {
        settings::Pepper::File(path) => Pepper::load_or_make(path).map_err(|error| (path.clone(), error)),
        settings::Pepper::Value(secret) => Ok(Pepper::from_text(secret.expose())),
    }
}

fn caller(key: &settings::StaticKey) -> Caller {
    let models = key.models.as_ref().map(|models| models.iter().cloned().collect());
    Caller { name: key.name.as_str().into(), expose: key.expose, models, account: None }
}

/// Everything that must never be written anywhere.
fn secrets(providers: &[Arc<Provider>], settings: &Settings) -> Vec<Secret> {
    let keys =
        providers.iter().flat_map(|provider| provider.auth.secrets().into_iter().chain(provider.key.clone()));
    let pepper = match &settings.auth.pepper {
        settings::Pepper::Value(secret) => Some(secret.clone()),
        settings::Pepper::File(_) => None,
    };
    let published = settings.published.statistics.iter().filter_map(|source| source.key.clone());
    keys.chain(settings.admin.token.clone()).chain(pepper).chain(published).collect()
}
