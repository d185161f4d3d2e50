//! Questions, on a connection that only reads.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::super::entry::{Entry, Kind, Line};
use super::super::question::{Group, Totals, UsageFilter};
use super::super::rows::{Account, Budget, Id, KeyDigest, Level, Plan, Spend};
use super::super::{Snapshot, StoreError};
use super::change::unix;
use super::ledger::Lines;
use super::names::parse;
use super::rollup::GRAINS;
use super::{read_only, told, verify};
use crate::units::{NanoUsd, Usage};

/// A connection that only reads. Not to be shared between threads; opening one
/// takes less than a millisecond.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// A record of the ledger with its number, by which one pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Grows with every record.
    pub id: i64,
    /// The record.
    pub entry: Entry,
}

/// A change that an operator made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Grows with every change.
    pub id: i64,
    /// When (milliseconds since 1970).
    pub at: u64,
    /// Who.
    pub actor: String,
    /// What kind of thing was changed.
    pub action: String,
    /// What it is now, as JSON.
    pub body: String,
}

impl Reader {
    /// Opens a file that exists.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Reader, StoreError> {
        Ok(Reader { connection: read_only(path)? })
    }

    /// Accounts, plans, budgets and how they stand.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        snapshot(&self.connection)
    }

    /// Whether there is any account.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_accounts(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM accounts)";
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| told(&error))
    }

    /// A budget as it is set.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn budget(&self, id: Id) -> Result<Option<Budget>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{BUDGETS} WHERE id = ?1"))
            .map_err(|error| told(&error))?;
        statement.query_row([id], budget).optional().map_err(|error| told(&error))?.transpose()
    }

    /// How a budget stands in one window; nothing was spent where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn standing(&self, line: Line) -> Result<Spend, StoreError> {
        let sql =
            "SELECT budget, start, granted, settled, forfeited FROM spend WHERE budget = ?1 AND start = ?2";
        let found = self.connection.query_row(sql, params![line.budget, unix(line.start)], spend).optional();
        Ok(found.map_err(|error| told(&error))?.unwrap_or(Spend {
            budget: line.budget,
            start: line.start,
            ..Spend::default()
        }))
    }

    /// Usage, added up from the rollups.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn usage(&self, filter: &UsageFilter, group: Group) -> Result<Vec<Totals>, StoreError> {
        let name = match group {
            Group::Nothing => "'all'",
            Group::Customer => "CASE customer WHEN 0 THEN '-' ELSE customer END",
            Group::Key => "key_name",
            Group::Model => "model",
            Group::Provider => "provider",
            Group::Day => "strftime('%Y-%m-%d', start, 'unixepoch')",
        };
        let grain = grain(filter);
        let floor = |time: u64| time - time % grain;
        let sql = format!(
            "SELECT {name} AS name, SUM(attempts), SUM(billed), SUM(input), SUM(cached_input), SUM(output),
             SUM(cost), SUM(revenue) FROM rollups WHERE grain = ?1 AND start >= ?2 AND start < ?3
             {} {} GROUP BY 1 ORDER BY 1",
            filter.customer.map(|id| format!("AND customer = {id}")).unwrap_or_default(),
            filter.key.map(|id| format!("AND key = {id}")).unwrap_or_default(),
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(|error| told(&error))?;
        let span = [unix(grain), unix(floor(filter.from.unwrap_or(0))), unix(filter.to.unwrap_or(u64::MAX))];
        let rows = statement.query_map(params_from_iter(span), totals).map_err(|error| told(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| told(&error))
    }

    /// The latest records of a key before record `before`, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn latest(&self, key: Id, before: Option<i64>, limit: u32) -> Result<Vec<Found>, StoreError> {
        let sql = format!("{RECORDS} WHERE l.key = ?1 AND l.id < ?2 ORDER BY l.id DESC LIMIT ?3");
        self.records(&sql, params![key, before.unwrap_or(i64::MAX), limit])
    }

    /// Records after record `after`, oldest first: for exports, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn page(&self, after: i64, limit: u32) -> Result<Vec<Found>, StoreError> {
        let sql = format!("{RECORDS} WHERE l.id > ?1 ORDER BY l.id LIMIT ?2");
        self.records(&sql, params![after, limit])
    }

    /// What operators changed before number `before`, newest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<Audited>, StoreError> {
        let sql = "SELECT id, at, actor, action, body FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| told(&error))?;
        let rows = statement
            .query_map(params![before.unwrap_or(i64::MAX), limit], |row| {
                let (id, at) = (row.get(0)?, number(row, 1)?);
                Ok(Audited { id, at, actor: row.get(2)?, action: row.get(3)?, body: row.get(4)? })
            })
            .map_err(|error| told(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| told(&error))
    }

    fn records(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Found>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| told(&error))?;
        let mut rows = statement.query(values).map_err(|error| told(&error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| told(&error))? {
            found.push(record(row)?);
        }
        Ok(found)
    }

    /// Recomputes everything from what is stored and says what does not agree.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn verify(&self) -> Result<verify::Verified, StoreError> {
        verify::verify(self)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

const RECORDS: &str = "SELECT l.*, r.body AS rates_body, p.body AS plan_body FROM ledger l
    LEFT JOIN documents r ON r.id = l.rates LEFT JOIN documents p ON p.id = l.plan";

/// The coarsest grain whose borders the span respects.
fn grain(filter: &UsageFilter) -> u64 {
    let [minute, hour, day] = GRAINS;
    let fits = |grain: u64| {
        [filter.from, filter.to].into_iter().flatten().all(|border| border % grain == 0 || border == u64::MAX)
    };
    if fits(day) {
        day
    } else if fits(hour) {
        hour
    } else {
        minute
    }
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn totals(row: &Row<'_>) -> rusqlite::Result<Totals> {
    let name = match row.get_ref(0)? {
        rusqlite::types::ValueRef::Integer(id) => id.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    Ok(Totals {
        name,
        attempts: number(row, 1)?,
        requests: number(row, 2)?,
        input: number(row, 3)?,
        cached_input: number(row, 4)?,
        output: number(row, 5)?,
        cost: NanoUsd::new(row.get(6)?),
        revenue: NanoUsd::new(row.get(7)?),
    })
}

fn spend(row: &Row<'_>) -> rusqlite::Result<Spend> {
    Ok(Spend {
        budget: row.get(0)?,
        start: number(row, 1)?,
        granted: NanoUsd::new(row.get(2)?),
        settled: NanoUsd::new(row.get(3)?),
        forfeited: NanoUsd::new(row.get(4)?),
    })
}

/// A record, and the texts of its lines, its prices and its plan.
type Columns = (Found, String, Option<String>, Option<String>);

/// A record with what it was computed from. Columns are named: it is read far
/// less often than written.
fn record(row: &Row<'_>) -> Result<Found, StoreError> {
    let read = || -> rusqlite::Result<Columns> {
        let count =
            |name: &str| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(name)?).unwrap_or(0));
        let text = |name: &str| Ok::<_, rusqlite::Error>(Arc::from(row.get::<_, String>(name)?));
        let request: [u8; 16] = row.get("request")?;
        let usage = Usage {
            input: count("input")?,
            cached_input: count("cached_input")?,
            cache_write_5m: count("cache_write_5m")?,
            cache_write_1h: count("cache_write_1h")?,
            output: count("output")?,
            reasoning: count("reasoning")?,
            audio_input: count("audio_input")?,
            audio_output: count("audio_output")?,
            image_input: count("image_input")?,
            requests: count("requests")?,
            tool_calls: count("tool_calls")?,
            estimated: row.get("estimated")?,
        };
        let entry = Entry {
            request: uuid::Uuid::from_bytes(request),
            attempt: row.get("attempt")?,
            kind: if row.get::<_, i64>("kind")? == 0 { Kind::Settled } else { Kind::Recovered },
            at: count("at")?,
            organisation: row.get("organisation")?,
            customer: row.get("customer")?,
            key: row.get("key")?,
            key_name: text("key_name")?,
            route: text("route")?,
            provider: text("provider")?,
            model: text("model")?,
            plan: None,
            rates: None,
            usage,
            cost: NanoUsd::new(row.get("cost")?),
            charged: NanoUsd::new(row.get("charged")?),
            free: NanoUsd::new(row.get("free")?),
            billed: row.get("billed")?,
            result: row.get("result")?,
            stream: row.get("stream")?,
            end_user: row.get("end_user")?,
            tags: row.get("tags")?,
            lines: Arc::from([]),
            allowance: None,
        };
        let id = row.get("id")?;
        Ok((Found { id, entry }, row.get("lines")?, row.get("rates_body")?, row.get("plan_body")?))
    };
    let (mut found, lines, rates, plan) = read().map_err(|error| told(&error))?;
    let lines: Lines = parse(&lines)?;
    found.entry.lines = lines.budgets.into();
    found.entry.allowance = lines.allowance;
    found.entry.rates = rates.as_deref().map(parse).transpose()?.map(Arc::new);
    found.entry.plan = plan.as_deref().map(parse).transpose()?.map(Arc::new);
    Ok(found)
}

/// All that is kept in memory.
pub(super) fn snapshot(connection: &Connection) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        accounts: all(
            connection,
            "SELECT id, level, parent, name, version, created, ended, terms FROM accounts",
            account,
        )?,
        digests: all(connection, "SELECT digest, account, until, hint FROM digests", |row| {
            let until = row.get::<_, Option<i64>>(2)?.map(|until| u64::try_from(until).unwrap_or(0));
            Ok(Ok(KeyDigest { digest: row.get(0)?, account: row.get(1)?, until, hint: row.get(3)? }))
        })?,
        plans: all(connection, "SELECT id, version, body FROM plans", |row| {
            let (id, version) = (row.get(0)?, row.get(1)?);
            Ok(parse::<Plan>(row.get_ref(2)?.as_str()?).map(|plan| Plan { id, version, ..plan }))
        })?,
        budgets: all(connection, BUDGETS, budget)?,
        spend: all(
            connection,
            "SELECT budget, MAX(start), granted, settled, forfeited FROM spend GROUP BY budget",
            |row| spend(row).map(Ok),
        )?,
    })
}

const BUDGETS: &str = "SELECT id, version, amount, body FROM budgets";

fn budget(row: &Row<'_>) -> rusqlite::Result<Result<Budget, StoreError>> {
    let (id, version, limit) = (row.get(0)?, row.get(1)?, NanoUsd::new(row.get(2)?));
    Ok(parse::<Budget>(row.get_ref(3)?.as_str()?).map(|budget| Budget { id, version, limit, ..budget }))
}

fn account(row: &Row<'_>) -> rusqlite::Result<Result<Account, StoreError>> {
    let level = match row.get::<_, i64>(1)? {
        0 => Level::Organisation,
        1 => Level::Customer,
        _ => Level::Key,
    };
    let ended = row.get::<_, Option<i64>>(6)?.map(|ended| u64::try_from(ended).unwrap_or(0));
    let account = |terms| -> rusqlite::Result<Account> {
        Ok(Account {
            id: row.get(0)?,
            level,
            parent: row.get(2)?,
            name: row.get(3)?,
            version: row.get(4)?,
            terms,
            created: number(row, 5)?,
            ended,
        })
    };
    match parse(row.get_ref(7)?.as_str()?) {
        Ok(terms) => account(terms).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Result<T, StoreError>>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(sql).map_err(|error| told(&error))?;
    let rows = statement.query_map([], |row| read(row)).map_err(|error| told(&error))?;
    rows.map(|row| row.map_err(|error| told(&error))?).collect()
}
