//! Connections and signers of accounts, which outlive configuration generations:
//! a reload must not cost a connection, and still less a login.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::StartError;
use crate::catalog::{Catalog, Provider};
use crate::credential::{Control, Signer};
use crate::dispatch::connect::{self, HttpClient, Trust};
use crate::dispatch::target::Outlet;

/// Asking for a token takes at most this long.
const CONTROL: Duration = Duration::from_secs(10);

/// What makes two providers share connections: nothing but themselves. A
/// provider whose address or timeout changes gets a new client.
type ClientKey = (String, String, Duration);

/// Connections and signers of accounts, kept over reloads.
#[derive(Debug)]
pub struct Outlets {
    open: Mutex<HashMap<ClientKey, HttpClient>>,
    /// By the account's label.
    signers: Mutex<HashMap<String, Arc<Signer>>>,
    control: Control,
}

impl Outlets {
    /// None yet.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new() -> Result<Outlets, StartError> {
        let control = Control::new(CONTROL).map_err(StartError::Control)?;
        Ok(Outlets { open: Mutex::default(), signers: Mutex::default(), control })
    }

    /// An account's, as it was before if nothing about it has changed.
    pub fn of(&self, trust: &Trust, provider: &Provider) -> Outlet {
        let connect = provider.timeouts.connect;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let client = open.entry(key_of(provider)).or_insert_with(|| connect::client(trust, connect)).clone();
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        let label = provider.label();
        let known = signers.get(&label).filter(|signer| signer.is_for(provider)).cloned();
        let signer = known.unwrap_or_else(|| Arc::new(Signer::new(provider, &self.control)));
        signers.insert(label, Arc::clone(&signer));
        Outlet { client, signer }
    }

    /// Drops what belongs to no account of `catalog` any more, and with it idle
    /// connections and tokens; requests under way keep their own handle.
    pub fn keep(&self, catalog: &Catalog) {
        let providers = &catalog.providers;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|key, _| providers.iter().any(|provider| key_of(provider) == *key));
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        signers.retain(|label, _| providers.iter().any(|provider| provider.label() == *label));
    }
}

fn key_of(provider: &Provider) -> ClientKey {
    (provider.name.clone(), provider.base_url.to_string(), provider.timeouts.connect)
}
