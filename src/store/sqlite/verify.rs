//! Proves the ledger: every amount is computed again from what was kept of it,
//! every sum is added up again, and nothing is open or negative.

use std::collections::HashMap;

use rusqlite::params;

use super::super::StoreError;
use super::super::entry::{Entry, Line};
use super::change::unix;
use super::reader::Reader;
use super::rollup::GRAINS;
use super::told;

/// Records looked at together.
const PAGE: u32 = 2_000;
/// Complaints listed; the rest is only counted.
const MOST: usize = 100;

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records looked at.
    pub records: u64,
    /// Attempts that are under way, or were when a process died.
    pub open: u64,
    /// What does not agree, at most 100 of them.
    pub problems: Vec<String>,
    /// How many do not.
    pub wrong: u64,
}

impl Verified {
    fn complain(&mut self, problem: impl FnOnce() -> String) {
        self.wrong += 1;
        if self.problems.len() < MOST {
            self.problems.push(problem());
        }
    }
}

/// Looks at everything, in one view of the data.
pub(super) fn verify(reader: &Reader) -> Result<Verified, StoreError> {
    let run = |sql: &str| reader.connection().execute_batch(sql).map_err(|error| told(&error));
    run("BEGIN")?;
    let verified = look(reader);
    run("COMMIT")?;
    verified
}

fn look(reader: &Reader) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let mut spent: HashMap<Line, i128> = HashMap::new();
    let mut whole = [0_i128; 3];
    let mut after = 0;
    loop {
        let page = reader.page(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for found in &page {
            let entry = &found.entry;
            record(entry, &mut verified);
            for line in entry.lines.iter() {
                *spent.entry(*line).or_default() += i128::from(entry.revenue().get());
            }
            if let Some(allowance) = entry.allowance {
                *spent.entry(allowance).or_default() += i128::from(entry.free.get());
            }
            let more = [1, entry.cost.get(), entry.revenue().get()];
            for (sum, more) in whole.iter_mut().zip(more) {
                *sum += i128::from(more);
            }
        }
    }
    let connection = reader.connection();
    deleted(reader, &mut whole, &mut spent)?;
    let open: i64 = connection
        .query_row("SELECT COUNT(*) FROM open", [], |row| row.get(0))
        .map_err(|error| told(&error))?;
    verified.open = u64::try_from(open).unwrap_or(0);
    sums(reader, whole, &mut verified)?;
    standings(reader, &spent, &mut verified)?;
    Ok(verified)
}

/// Adds what deleted records had counted.
fn deleted(
    reader: &Reader,
    whole: &mut [i128; 3],
    spent: &mut HashMap<Line, i128>,
) -> Result<(), StoreError> {
    let connection = reader.connection();
    let sums: [i64; 3] = connection
        .query_row("SELECT attempts, cost, revenue FROM deleted", [], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?])
        })
        .map_err(|error| told(&error))?;
    for (sum, more) in whole.iter_mut().zip(sums) {
        *sum += i128::from(more);
    }
    let sql = "SELECT budget, start, amount FROM deleted_spend";
    let mut statement = connection.prepare(sql).map_err(|error| told(&error))?;
    let mut rows = statement.query([]).map_err(|error| told(&error))?;
    while let Some(row) = rows.next().map_err(|error| told(&error))? {
        let read = || -> rusqlite::Result<(i64, i64, i64)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (budget, start, amount) = read().map_err(|error| told(&error))?;
        let line = Line { budget, start: u64::try_from(start).unwrap_or(0) };
        *spent.entry(line).or_default() += i128::from(amount);
    }
    Ok(())
}

fn record(entry: &Entry, verified: &mut Verified) {
    verified.records += 1;
    let name = || format!("{} attempt {}", entry.request, entry.attempt);
    if entry.cost != entry.computed_cost() {
        verified.complain(|| format!("{}: cost {} is not {}", name(), entry.cost, entry.computed_cost()));
    }
    if entry.charged != entry.computed_charge() {
        verified
            .complain(|| format!("{}: charge {} is not {}", name(), entry.charged, entry.computed_charge()));
    }
    if entry.cost.get() < 0 || entry.free.get() < 0 || entry.free > entry.charged {
        verified.complain(|| format!("{}: an amount is negative", name()));
    }
}

/// Rollups are the ledger, added up, with what was deleted of it.
fn sums(reader: &Reader, whole: [i128; 3], verified: &mut Verified) -> Result<(), StoreError> {
    let sql = "SELECT COALESCE(SUM(attempts), 0), COALESCE(SUM(cost), 0), COALESCE(SUM(revenue), 0)
        FROM rollups WHERE grain = ?1";
    for grain in GRAINS {
        let sums: [i64; 3] = reader
            .connection()
            .query_row(sql, [unix(grain)], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
            .map_err(|error| told(&error))?;
        if sums.map(i128::from) != whole {
            verified
                .complain(|| format!("sums of {grain} s: {sums:?} (attempts, cost, revenue), not {whole:?}"));
        }
    }
    Ok(())
}

/// What budgets say was spent is what the ledger says.
fn standings(
    reader: &Reader,
    spent: &HashMap<Line, i128>,
    verified: &mut Verified,
) -> Result<(), StoreError> {
    let mut statement = reader
        .connection()
        .prepare("SELECT budget, start, granted, settled, forfeited FROM spend")
        .map_err(|error| told(&error))?;
    let rows = statement
        .query_map(params![], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                [row.get::<_, i64>(2)?, row.get(3)?, row.get(4)?],
            ))
        })
        .map_err(|error| told(&error))?;
    let mut seen = 0;
    for row in rows {
        let (budget, start, [granted, settled, forfeited]) = row.map_err(|error| told(&error))?;
        let line = Line { budget, start: u64::try_from(start).unwrap_or(0) };
        let ledger = spent.get(&line).copied().unwrap_or(0);
        seen += usize::from(spent.contains_key(&line));
        if i128::from(settled) != ledger {
            verified.complain(|| {
                format!("budget {budget} from {start}: settled {settled}, the ledger says {ledger}")
            });
        }
        if settled.saturating_add(forfeited) > granted {
            verified.complain(|| format!("budget {budget} from {start}: more spent than was granted"));
        }
    }
    let missing = spent.iter().filter(|(_, amount)| **amount != 0).count();
    if seen < missing {
        verified.complain(|| format!("{} budgets of the ledger have no standing", missing - seen));
    }
    Ok(())
}
