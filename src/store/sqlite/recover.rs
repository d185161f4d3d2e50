//! What a start does about a crash, and an end about slices.
//!
//! An attempt that was open when the process died is settled at what its last
//! checkpoint said, or at its input: that was sent at least. Of a slice it is not
//! known how much went to attempts whose opening had not reached the disk: all
//! that is not accounted for is *forfeited*. It counts against the budget and is
//! on nobody's bill, so that a crash can only err towards the operator; whoever
//! knows better gives it back ([`Row::Forgive`](super::super::Row::Forgive)).

use rusqlite::{Connection, TransactionBehavior};

use super::super::StoreError;
use super::super::entry::{Entry, Kind};
use super::ledger::{Sums, append};
use super::names::{Documents, parse};
use super::told;
use crate::units::{NanoUsd, Usage};

/// Settles what is open and forfeits what is not accounted for.
pub(super) fn recover(connection: &mut Connection, documents: &mut Documents) -> Result<(), StoreError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| told(&error))?;
    let open = left_open(&transaction)?;
    let mut sums = Sums::default();
    for entry in &open {
        append(&transaction, documents, &mut sums, entry)?;
    }
    sums.write(&transaction)?;
    transaction.execute("DELETE FROM open", []).map_err(|error| told(&error))?;
    let forfeit = "UPDATE spend SET forfeited = granted - settled WHERE granted > settled + forfeited";
    let forfeited = transaction.execute(forfeit, []).map_err(|error| told(&error))?;
    transaction.commit().map_err(|error| told(&error))?;
    documents.clear();
    if !open.is_empty() || forfeited > 0 {
        tracing::warn!(attempts = open.len(), slices = forfeited, "recovered from a process that died");
    }
    Ok(())
}

fn left_open(connection: &Connection) -> Result<Vec<Entry>, StoreError> {
    let mut open = connection.prepare("SELECT entry, checkpoint FROM open").map_err(|error| told(&error))?;
    let rows = open
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
        .map_err(|error| told(&error))?;
    let mut entries = Vec::new();
    for row in rows {
        let (entry, checkpoint) = row.map_err(|error| told(&error))?;
        let mut entry: Entry = parse(&entry)?;
        let usage = match checkpoint {
            Some(checkpoint) => parse(&checkpoint)?,
            None => entry.usage,
        };
        entry.kind = Kind::Recovered;
        entry.billed = true;
        "recovered".clone_into(&mut entry.result);
        entry.price(Usage { estimated: true, ..usage }, NanoUsd::ZERO);
        entries.push(entry);
    }
    Ok(entries)
}

/// Gives back what was granted and not spent: there is nothing under way.
pub(super) fn give_back(connection: &Connection) -> Result<(), StoreError> {
    let give = "UPDATE spend SET granted = settled + forfeited WHERE granted > settled + forfeited
        AND NOT EXISTS (SELECT 1 FROM open)";
    connection.execute(give, []).map_err(|error| told(&error))?;
    Ok(())
}
