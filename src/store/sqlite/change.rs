//! Changes by the operator: rows with versions, and the audit log.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::rows::{Account, Budget, Id, KeyDigest, Level, Plan};
use super::super::{Change, Row, StoreError, Written};
use super::names::json;
use super::told;

type Answer = Result<Written, StoreError>;

/// Runs a statement that is kept prepared.
pub(super) fn cached(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| told(&error))?;
    statement.execute(values).map_err(|error| told(&error))
}

/// A refusal of one change is its own answer; only what stops everything is an
/// error. A savepoint keeps half a change from staying.
pub(super) fn changed(connection: &Connection, change: &Change) -> Result<Answer, StoreError> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(|error| told(&error));
    run("SAVEPOINT change")?;
    let answer = row(connection, change).and_then(|written| {
        audit(connection, change, written)?;
        Ok(written)
    });
    match answer {
        Ok(written) => run("RELEASE change").map(|()| Ok(written)),
        Err(error @ (StoreError::Full | StoreError::Unavailable(_))) => Err(error),
        Err(refused) => run("ROLLBACK TO change; RELEASE change").map(|()| Err(refused)),
    }
}

fn row(connection: &Connection, change: &Change) -> Answer {
    match &change.row {
        Row::Account(account, digests) => {
            let written = save_account(connection, account)?;
            if let (Some(digests), Written::Row(id, _)) = (digests, written) {
                save_digests(connection, id, digests)?;
            }
            Ok(written)
        }
        Row::Plan(plan) => save_plan(connection, plan),
        Row::Budget(budget) => save_budget(connection, budget),
        Row::NoBudget(id) => {
            cached(connection, "DELETE FROM credits WHERE budget = ?1", [id])?;
            match cached(connection, "DELETE FROM budgets WHERE id = ?1", [id])? {
                0 => Err(StoreError::NotFound),
                _ => Ok(Written::Done),
            }
        }
        Row::Credit { budget, amount, note } => {
            let grow = "UPDATE budgets SET amount = amount + ?2, version = version + 1 WHERE id = ?1";
            if cached(connection, grow, params![budget, amount.get()])? == 0 {
                return Err(StoreError::NotFound);
            }
            let insert = "INSERT INTO credits (budget, at, amount, note) VALUES (?1, ?2, ?3, ?4)";
            cached(connection, insert, params![budget, unix(change.at), amount.get(), note])?;
            version(connection, "SELECT version FROM budgets WHERE id = ?1", *budget)
        }
        Row::Forgive(line) => {
            let forgive = "UPDATE spend SET granted = granted - forfeited, forfeited = 0
                WHERE budget = ?1 AND start = ?2";
            match cached(connection, forgive, params![line.budget, unix(line.start)])? {
                0 => Err(StoreError::NotFound),
                _ => Ok(Written::Done),
            }
        }
    }
}

pub(super) fn unix(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn version(connection: &Connection, sql: &str, id: Id) -> Answer {
    let version =
        connection.query_row(sql, [id], |row| row.get(0)).optional().map_err(|error| told(&error))?;
    version.map(|version| Written::Row(id, version)).ok_or(StoreError::NotFound)
}

/// After an update that names the version it is based on: nothing changed means
/// somebody else was faster, or the row is gone.
fn updated(connection: &Connection, changed: usize, table: &str, id: Id, before: i64) -> Answer {
    if changed == 1 {
        return Ok(Written::Row(id, before + 1));
    }
    let known = version(connection, &format!("SELECT version FROM {table} WHERE id = ?1"), id);
    Err(known.err().unwrap_or(StoreError::Conflict))
}

fn save_account(connection: &Connection, account: &Account) -> Answer {
    let level: i64 = match account.level {
        Level::Organisation => 0,
        Level::Customer => 1,
        Level::Key => 2,
    };
    let (created, ended) = (unix(account.created), account.ended.map(unix));
    let terms = json(&account.terms)?;
    if account.id == 0 {
        let insert = "INSERT INTO accounts (level, parent, name, version, created, ended, terms)
            VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)";
        cached(connection, insert, params![level, account.parent, account.name, created, ended, terms])?;
        return Ok(Written::Row(connection.last_insert_rowid(), 1));
    }
    let update = "UPDATE accounts SET name = ?3, ended = ?4, terms = ?5, version = version + 1
        WHERE id = ?1 AND version = ?2";
    let values = params![account.id, account.version, account.name, ended, terms];
    let changed = cached(connection, update, values)?;
    updated(connection, changed, "accounts", account.id, account.version)
}

fn save_digests(connection: &Connection, account: Id, digests: &[KeyDigest]) -> Result<(), StoreError> {
    cached(connection, "DELETE FROM digests WHERE account = ?1", [account])?;
    let insert = "INSERT INTO digests (digest, account, until, hint) VALUES (?1, ?2, ?3, ?4)";
    for one in digests {
        cached(connection, insert, params![one.digest, account, one.until.map(unix), one.hint])?;
    }
    Ok(())
}

fn save_plan(connection: &Connection, plan: &Plan) -> Answer {
    let body = json(plan)?;
    if plan.id == 0 {
        let insert = "INSERT INTO plans (name, version, body) VALUES (?1, 1, ?2)";
        cached(connection, insert, params![plan.name, body])?;
        return Ok(Written::Row(connection.last_insert_rowid(), 1));
    }
    let update =
        "UPDATE plans SET name = ?3, body = ?4, version = version + 1 WHERE id = ?1 AND version = ?2";
    let changed = cached(connection, update, params![plan.id, plan.version, plan.name, body])?;
    updated(connection, changed, "plans", plan.id, plan.version)
}

fn save_budget(connection: &Connection, budget: &Budget) -> Answer {
    let (amount, body) = (budget.limit.get(), json(budget)?);
    if budget.id == 0 {
        let insert = "INSERT INTO budgets (account, version, amount, body) VALUES (?1, 1, ?2, ?3)";
        cached(connection, insert, params![budget.account, amount, body])?;
        return Ok(Written::Row(connection.last_insert_rowid(), 1));
    }
    let update =
        "UPDATE budgets SET amount = ?3, body = ?4, version = version + 1 WHERE id = ?1 AND version = ?2";
    let changed = cached(connection, update, params![budget.id, budget.version, amount, body])?;
    updated(connection, changed, "budgets", budget.id, budget.version)
}

fn audit(connection: &Connection, change: &Change, written: Written) -> Result<(), StoreError> {
    let id = match written {
        Written::Row(id, _) => Some(id),
        Written::Done | Written::Deleted(_) => None,
    };
    let (action, body) = match &change.row {
        Row::Account(account, digests) => {
            let hints: Option<Vec<&str>> =
                digests.as_ref().map(|digests| digests.iter().map(|one| one.hint.as_str()).collect());
            ("account", serde_json::json!({ "id": id, "account": account, "keys": hints }))
        }
        Row::Plan(plan) => ("plan", serde_json::json!({ "id": id, "plan": plan })),
        Row::Budget(budget) => ("budget", serde_json::json!({ "id": id, "budget": budget })),
        Row::NoBudget(budget) => ("budget.delete", serde_json::json!({ "id": budget })),
        Row::Credit { budget, amount, note } => {
            ("credit", serde_json::json!({ "id": budget, "amount": amount, "note": note }))
        }
        Row::Forgive(line) => ("forgive", serde_json::json!({ "id": line.budget, "start": line.start })),
    };
    let insert = "INSERT INTO audit (at, actor, action, body) VALUES (?1, ?2, ?3, ?4)";
    cached(connection, insert, params![unix(change.at), change.actor, action, body.to_string()]).map(drop)
}
