//! The tables, and how an older file becomes a newer one.
//!
//! Migrations only add, so that the version before can still read what it knows.
//! A file from a later version is refused: it may mean something else.

use rusqlite::Connection;

use super::super::StoreError;
use super::told;

/// One script per version, applied in order; what has been released is never
/// changed.
const MIGRATIONS: [&str; 2] = [V1, V2];

const V1: &str = "
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY, level INTEGER NOT NULL, parent INTEGER REFERENCES accounts (id),
    name TEXT NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL, ended INTEGER, terms TEXT NOT NULL
);
CREATE UNIQUE INDEX accounts_name ON accounts (level, COALESCE(parent, 0), name) WHERE ended IS NULL;
CREATE TABLE digests (
    digest BLOB PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts (id), until INTEGER, hint TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX digests_account ON digests (account);
CREATE TABLE plans (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE budgets (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts (id), version INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0), body TEXT NOT NULL
);
CREATE INDEX budgets_account ON budgets (account);
CREATE TABLE credits (
    id INTEGER PRIMARY KEY, budget INTEGER NOT NULL REFERENCES budgets (id), at INTEGER NOT NULL,
    amount INTEGER NOT NULL, note TEXT NOT NULL
);
-- Not bound to budgets: what was spent stays when a budget goes. Allowances are
-- kept under the account's negative id.
CREATE TABLE spend (
    budget INTEGER NOT NULL, start INTEGER NOT NULL, granted INTEGER NOT NULL DEFAULT 0 CHECK (granted >= 0),
    settled INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    forfeited INTEGER NOT NULL DEFAULT 0 CHECK (forfeited >= 0),
    PRIMARY KEY (budget, start)
) WITHOUT ROWID;
-- Prices and plans as they were, by a digest of their text.
CREATE TABLE documents (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE open (
    request BLOB NOT NULL, attempt INTEGER NOT NULL, entry TEXT NOT NULL, checkpoint TEXT,
    PRIMARY KEY (request, attempt)
) WITHOUT ROWID;
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY, request BLOB NOT NULL, attempt INTEGER NOT NULL, kind INTEGER NOT NULL,
    at INTEGER NOT NULL, organisation INTEGER, customer INTEGER, key INTEGER, key_name TEXT NOT NULL,
    route TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, plan INTEGER, rates INTEGER,
    input INTEGER NOT NULL, cached_input INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    audio_input INTEGER NOT NULL, audio_output INTEGER NOT NULL, image_input INTEGER NOT NULL,
    requests INTEGER NOT NULL, tool_calls INTEGER NOT NULL, estimated INTEGER NOT NULL,
    cost INTEGER NOT NULL CHECK (cost >= 0), charged INTEGER NOT NULL CHECK (charged >= 0),
    free INTEGER NOT NULL CHECK (free BETWEEN 0 AND charged), billed INTEGER NOT NULL,
    result TEXT NOT NULL, stream INTEGER NOT NULL, lines TEXT NOT NULL
);
CREATE UNIQUE INDEX ledger_once ON ledger (request, attempt);
CREATE INDEX ledger_key ON ledger (key, id) WHERE key IS NOT NULL;
CREATE TABLE rollups (
    grain INTEGER NOT NULL, customer INTEGER NOT NULL, start INTEGER NOT NULL, key INTEGER NOT NULL,
    key_name TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, attempts INTEGER NOT NULL,
    billed INTEGER NOT NULL, input INTEGER NOT NULL, cached_input INTEGER NOT NULL, output INTEGER NOT NULL,
    cost INTEGER NOT NULL, revenue INTEGER NOT NULL,
    PRIMARY KEY (grain, customer, start, key, key_name, provider, model)
) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, body TEXT NOT NULL
);
CREATE TABLE heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), beats INTEGER NOT NULL);
INSERT INTO heartbeat VALUES (1, 0);
";

const V2: &str = "
ALTER TABLE ledger ADD COLUMN end_user TEXT;
ALTER TABLE ledger ADD COLUMN tags TEXT;
-- What deleted records had counted, so that the rest can still be proved.
CREATE TABLE deleted (
    id INTEGER PRIMARY KEY CHECK (id = 1), attempts INTEGER NOT NULL, cost INTEGER NOT NULL, revenue INTEGER NOT NULL
);
INSERT INTO deleted VALUES (1, 0, 0, 0);
CREATE TABLE deleted_spend (
    budget INTEGER NOT NULL, start INTEGER NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (budget, start)
) WITHOUT ROWID;
";

/// Sets the connection up and applies what migrations are missing.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
        PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16000;";
    connection.execute_batch(settings).map_err(|error| told(&error))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found = version(connection)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (number, script) in (1_i64..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        let script = format!("BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;");
        connection.execute_batch(&script).map_err(|error| told(&error))?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| told(&error))
}

/// The schema as it was first released.
#[cfg(test)]
pub(super) fn first(connection: &Connection) {
    connection.execute_batch(&format!("{V1} PRAGMA user_version = 1;")).unwrap();
}
