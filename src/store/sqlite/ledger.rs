//! Appending to the ledger.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::super::StoreError;
use super::super::entry::{Entry, Kind, Line};
use super::names::{Documents, json};
use super::rollup::Rollups;
use super::told;

/// What a batch adds to budgets and rollups; written once per batch.
#[derive(Debug, Default)]
pub(super) struct Sums {
    spent: HashMap<Line, i64>,
    rollups: Rollups,
}

const INSERT: &str = "INSERT INTO ledger (request, attempt, kind, at, organisation, customer, key, key_name, route,
    provider, model, plan, rates, input, cached_input, cache_write_5m, cache_write_1h, output, reasoning,
    audio_input, audio_output, image_input, requests, tool_calls, estimated, cost, charged, free, billed, result,
    stream, lines, end_user, tags)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)
    ON CONFLICT (request, attempt) DO NOTHING";

/// A count as SQLite stores it; none is that large.
fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

/// Where a record counts, as it is stored: budgets, then the allowance.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Lines {
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) budgets: Vec<Line>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) allowance: Option<Line>,
}

/// Appends a record, once: one that is there already is left as it is and counts
/// nothing.
pub(super) fn append(
    connection: &Connection,
    documents: &mut Documents,
    sums: &mut Sums,
    entry: &Entry,
) -> Result<(), StoreError> {
    debug_assert!(entry.cost.get() >= 0 && entry.charged >= entry.free && entry.free.get() >= 0, "{entry:?}");
    let rates = entry.rates.as_ref().map(|rates| documents.rates(connection, rates)).transpose()?;
    let plan = entry.plan.as_ref().map(|plan| documents.plan(connection, plan)).transpose()?;
    let lines = match entry.lines.is_empty() && entry.allowance.is_none() {
        true => "{}".to_owned(),
        false => json(&Lines { budgets: entry.lines.to_vec(), allowance: entry.allowance })?,
    };
    let usage = &entry.usage;
    let values = params![
        entry.request.as_bytes(),
        entry.attempt,
        i64::from(entry.kind == Kind::Recovered),
        count(entry.at),
        entry.organisation,
        entry.customer,
        entry.key,
        entry.key_name,
        entry.route,
        entry.provider,
        entry.model,
        plan,
        rates,
        count(usage.input),
        count(usage.cached_input),
        count(usage.cache_write_5m),
        count(usage.cache_write_1h),
        count(usage.output),
        count(usage.reasoning),
        count(usage.audio_input),
        count(usage.audio_output),
        count(usage.image_input),
        count(usage.requests),
        count(usage.tool_calls),
        usage.estimated,
        entry.cost.get(),
        entry.charged.get(),
        entry.free.get(),
        entry.billed,
        entry.result,
        entry.stream,
        lines,
        entry.end_user,
        entry.tags,
    ];
    let mut insert = connection.prepare_cached(INSERT).map_err(|error| told(&error))?;
    if insert.execute(values).map_err(|error| told(&error))? == 1 {
        sums.add(entry);
    }
    Ok(())
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        for line in entry.lines.iter() {
            *self.spent.entry(*line).or_default() += entry.revenue().get();
        }
        if let Some(allowance) = entry.allowance {
            *self.spent.entry(allowance).or_default() += entry.free.get();
        }
        self.rollups.add(entry);
    }

    /// Writes what has been added up.
    pub(super) fn write(self, connection: &Connection) -> Result<(), StoreError> {
        // A record may be charged more than was granted (a provider that ignores
        // its limit): the truth is kept.
        let add = "INSERT INTO spend (budget, start, granted, settled) VALUES (?1, ?2, ?3, ?3)
            ON CONFLICT (budget, start) DO UPDATE SET settled = settled + excluded.settled,
            granted = MAX(granted, settled + excluded.settled + forfeited)";
        let mut add = connection.prepare_cached(add).map_err(|error| told(&error))?;
        for (line, amount) in self.spent.iter().filter(|(_, amount)| **amount != 0) {
            add.execute(params![line.budget, count(line.start), amount]).map_err(|error| told(&error))?;
        }
        self.rollups.write(connection)
    }
}
