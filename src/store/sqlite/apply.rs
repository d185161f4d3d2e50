//! One batch of writes, one transaction.

use std::collections::HashSet;

use rusqlite::{Connection, TransactionBehavior, params};

use super::super::{Answers, Line, StoreError, Write, Written};
use super::change::{cached, changed};
use super::ledger::{Sums, append};
use super::names::{Documents, json};
use super::prune::prune;
use super::told;

/// Applies a batch. An error leaves everything as it was.
pub(super) fn batch(
    connection: &mut Connection,
    documents: &mut Documents,
    writes: &[Write],
) -> Result<Answers, StoreError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| told(&error))?;
    let result = apply(&transaction, documents, writes);
    let committed = result.and_then(|answers| {
        transaction.commit().map_err(|error| told(&error))?;
        Ok(answers)
    });
    if committed.is_err() {
        documents.clear();
    }
    committed
}

fn apply(
    connection: &Connection,
    documents: &mut Documents,
    writes: &[Write],
) -> Result<Answers, StoreError> {
    if writes.is_empty() {
        // To find out whether it works again.
        let beat = "UPDATE heartbeat SET beats = beats + 1";
        connection.execute(beat, []).map_err(|error| told(&error))?;
    }
    // What ends in the same batch need not be opened.
    let ended: HashSet<(uuid::Uuid, u16)> = writes.iter().filter_map(end).collect();
    let mut opened: HashSet<(uuid::Uuid, u16)> = HashSet::new();
    let mut sums = Sums::default();
    let mut answers = Vec::with_capacity(writes.len());
    for write in writes {
        let mut answer = Ok(Written::Done);
        match write {
            Write::Flush => {}
            Write::Open(entry) => {
                let name = (entry.request, entry.attempt);
                if ended.contains(&name) {
                    opened.insert(name);
                } else {
                    open(connection, entry)?;
                }
            }
            Write::Checkpoint { request, attempt, usage } => {
                if !ended.contains(&(*request, *attempt)) {
                    let update = "UPDATE open SET checkpoint = ?3 WHERE request = ?1 AND attempt = ?2";
                    let values = params![request.as_bytes(), attempt, json(usage)?];
                    cached(connection, update, values)?;
                }
            }
            Write::Settle(entry) => {
                if !opened.contains(&(entry.request, entry.attempt)) {
                    close(connection, &entry.request, entry.attempt)?;
                }
                match append(connection, documents, &mut sums, entry) {
                    // What cannot be stored at all must not keep the rest out.
                    Err(error @ (StoreError::Exists | StoreError::NotFound)) => {
                        tracing::error!(request = %entry.request, attempt = entry.attempt, "a record was refused");
                        answer = Err(error);
                    }
                    appended => appended?,
                }
            }
            Write::Void { request, attempt } => {
                if !opened.contains(&(*request, *attempt)) {
                    close(connection, request, *attempt)?;
                }
            }
            Write::Grant { line, granted } => grant(connection, *line, granted.get())?,
            Write::Prune { before, most } => {
                answer = Ok(Written::Deleted(prune(connection, *before, *most)?));
            }
            Write::Change(change) => answer = changed(connection, change)?,
        }
        answers.push(answer);
    }
    sums.write(connection)?;
    Ok(answers)
}

fn end(write: &Write) -> Option<(uuid::Uuid, u16)> {
    match write {
        Write::Settle(entry) => Some((entry.request, entry.attempt)),
        Write::Void { request, attempt } => Some((*request, *attempt)),
        _ => None,
    }
}

fn open(connection: &Connection, entry: &super::super::Entry) -> Result<(), StoreError> {
    let insert = "INSERT INTO open (request, attempt, entry) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    cached(connection, insert, params![entry.request.as_bytes(), entry.attempt, json(entry)?]).map(drop)
}

fn close(connection: &Connection, request: &uuid::Uuid, attempt: u16) -> Result<(), StoreError> {
    let delete = "DELETE FROM open WHERE request = ?1 AND attempt = ?2";
    cached(connection, delete, params![request.as_bytes(), attempt]).map(drop)
}

fn grant(connection: &Connection, line: Line, granted: i64) -> Result<(), StoreError> {
    let start = i64::try_from(line.start).unwrap_or(i64::MAX);
    let upsert = "INSERT INTO spend (budget, start, granted) VALUES (?1, ?2, ?3)
        ON CONFLICT DO UPDATE SET granted = MAX(granted, excluded.granted)";
    cached(connection, upsert, params![line.budget, start, granted]).map(drop)
}
