//! Prices and plans as the ledger refers to them.
//!
//! Thousands of records share the same prices. Each text is stored once, under a
//! number made from its digest, and a record keeps the number: what it was
//! computed from can be read as long as the record can.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::super::StoreError;
use super::super::rows::Plan;
use super::told;
use crate::units::Rates;

/// Most prices and plans remembered: a generation of the configuration has a few
/// hundred, and each is kept alive by being here.
const MOST: usize = 10_000;

/// Values with their numbers, by address.
type Known<T> = HashMap<usize, (Arc<T>, i64)>;

/// What has been stored already, by address; the `Arc` keeps an address from
/// being used again.
#[derive(Debug, Default)]
pub(super) struct Documents {
    rates: Known<Rates>,
    plans: Known<Plan>,
}

impl Documents {
    /// The number of these prices; stores them when they are new.
    pub(super) fn rates(&mut self, connection: &Connection, rates: &Arc<Rates>) -> Result<i64, StoreError> {
        number(connection, &mut self.rates, rates)
    }

    /// The number of this plan; stores it when it is new.
    pub(super) fn plan(&mut self, connection: &Connection, plan: &Arc<Plan>) -> Result<i64, StoreError> {
        number(connection, &mut self.plans, plan)
    }

    /// Forgets everything: what was stored in a transaction that failed is not.
    pub(super) fn clear(&mut self) {
        self.rates.clear();
        self.plans.clear();
    }
}

fn number<T: Serialize>(
    connection: &Connection,
    known: &mut Known<T>,
    value: &Arc<T>,
) -> Result<i64, StoreError> {
    let address = Arc::as_ptr(value).addr();
    if let Some((_, number)) = known.get(&address) {
        return Ok(*number);
    }
    if known.len() >= MOST {
        known.clear();
    }
    let body = json(&**value)?;
    let digest = blake3::hash(body.as_bytes());
    let number = digest.as_bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
    let insert = "INSERT INTO documents (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
    connection.execute(insert, params![number, body]).map_err(|error| told(&error))?;
    known.insert(address, (Arc::clone(value), number));
    Ok(number)
}

/// A value as it is stored.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// A stored value.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unavailable(format!("a stored value is damaged: {error}")))
}
