//! Records that have been kept long enough are deleted, oldest first and a few at
//! a time, so that nobody who waits for the writer notices.
//!
//! Rollups and what budgets have spent stay: usage and margins of any past day are
//! told as before. What the deleted records had counted is added up, so that a
//! verification still proves the rest.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::super::{Line, StoreError};
use super::change::{cached, unix};
use super::ledger::Lines;
use super::names::parse;
use super::told;

/// What deleted records come to.
#[derive(Debug, Default)]
struct Gone {
    attempts: u32,
    /// The last of them.
    last: i64,
    cost: i64,
    revenue: i64,
    spent: HashMap<Line, i64>,
}

/// Deletes at most `most` of the oldest records of requests that arrived before
/// `before` (milliseconds since 1970), and says how many. Stops at the first that
/// is younger: a record's number grows with when its attempt ended.
pub(super) fn prune(connection: &Connection, before: u64, most: u32) -> Result<u32, StoreError> {
    let gone = oldest(connection, before, most)?;
    if gone.attempts == 0 {
        return Ok(0);
    }
    cached(connection, "DELETE FROM ledger WHERE id <= ?1", [gone.last])?;
    let add = "UPDATE deleted SET attempts = attempts + ?1, cost = cost + ?2, revenue = revenue + ?3";
    cached(connection, add, params![gone.attempts, gone.cost, gone.revenue])?;
    for (line, amount) in gone.spent.iter().filter(|(_, amount)| **amount != 0) {
        let add = "INSERT INTO deleted_spend VALUES (?1, ?2, ?3)
            ON CONFLICT DO UPDATE SET amount = amount + excluded.amount";
        cached(connection, add, params![line.budget, unix(line.start), amount])?;
    }
    Ok(gone.attempts)
}

fn oldest(connection: &Connection, before: u64, most: u32) -> Result<Gone, StoreError> {
    let sql = "SELECT id, at, cost, charged, free, lines FROM ledger ORDER BY id LIMIT ?1";
    let mut statement = connection.prepare_cached(sql).map_err(|error| told(&error))?;
    let mut rows = statement.query([most]).map_err(|error| told(&error))?;
    let mut gone = Gone::default();
    while let Some(row) = rows.next().map_err(|error| told(&error))? {
        let read = || -> rusqlite::Result<_> {
            let amounts: [i64; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, amounts, row.get::<_, String>(5)?))
        };
        let (id, at, [cost, charged, free], lines) = read().map_err(|error| told(&error))?;
        if at >= unix(before) {
            break;
        }
        let (lines, revenue): (Lines, _) = (parse(&lines)?, charged - free);
        gone.attempts += 1;
        gone.last = id;
        gone.cost = gone.cost.saturating_add(cost);
        gone.revenue = gone.revenue.saturating_add(revenue);
        for line in lines.budgets {
            *gone.spent.entry(line).or_default() += revenue;
        }
        if let Some(allowance) = lines.allowance {
            *gone.spent.entry(allowance).or_default() += free;
        }
    }
    Ok(gone)
}
