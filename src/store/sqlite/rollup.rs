//! Sums by minute, hour and day, kept in the transaction that appends: whoever
//! asks for usage never has to read the ledger itself.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::super::StoreError;
use super::super::entry::Entry;
use super::told;

/// Seconds in a minute, an hour and a day: the grains.
pub(super) const GRAINS: [u64; 3] = [60, 3_600, 86_400];

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cell {
    grain: u64,
    start: u64,
    customer: i64,
    key: i64,
    key_name: Arc<str>,
    provider: Arc<str>,
    model: Arc<str>,
}

#[derive(Debug, Default)]
struct Sum {
    attempts: i64,
    billed: i64,
    input: i64,
    cached_input: i64,
    output: i64,
    cost: i64,
    revenue: i64,
}

/// The sums of one batch.
#[derive(Debug, Default)]
pub(super) struct Rollups(HashMap<Cell, Sum>);

/// Sums stay what they are at the largest amount instead of wrapping around.
fn add(sum: &mut i64, more: u64) {
    *sum = sum.saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
}

impl Rollups {
    pub(super) fn add(&mut self, entry: &Entry) {
        let at = entry.at / 1000;
        for grain in GRAINS {
            let cell = Cell {
                grain,
                start: at - at % grain,
                customer: entry.customer.unwrap_or(0),
                key: entry.key.unwrap_or(0),
                key_name: Arc::clone(&entry.key_name),
                provider: Arc::clone(&entry.provider),
                model: Arc::clone(&entry.model),
            };
            let sum = self.0.entry(cell).or_default();
            sum.attempts += 1;
            sum.billed += i64::from(entry.billed);
            add(&mut sum.input, entry.usage.input);
            add(&mut sum.cached_input, entry.usage.cached_input);
            add(&mut sum.output, entry.usage.output);
            sum.cost = sum.cost.saturating_add(entry.cost.get());
            sum.revenue = sum.revenue.saturating_add(entry.revenue().get());
        }
    }

    pub(super) fn write(self, connection: &Connection) -> Result<(), StoreError> {
        let upsert = "INSERT INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
            ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, billed = billed + excluded.billed,
            input = input + excluded.input, cached_input = cached_input + excluded.cached_input,
            output = output + excluded.output, cost = cost + excluded.cost, revenue = revenue + excluded.revenue";
        let mut upsert = connection.prepare_cached(upsert).map_err(|error| told(&error))?;
        for (cell, sum) in self.0 {
            let (grain, start) = (i64::try_from(cell.grain), i64::try_from(cell.start));
            let values = params![
                grain.unwrap_or(i64::MAX),
                cell.customer,
                start.unwrap_or(i64::MAX),
                cell.key,
                cell.key_name,
                cell.provider,
                cell.model,
                sum.attempts,
                sum.billed,
                sum.input,
                sum.cached_input,
                sum.output,
                sum.cost,
                sum.revenue,
            ];
            upsert.execute(values).map_err(|error| told(&error))?;
        }
        Ok(())
    }
}
