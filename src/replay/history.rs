//! What endpoints charged and how they did, day by day.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::curve::{Curve, KNOWN};
use super::table::{Column, Problem, Table};

/// A model is replayed when at least this many of its endpoints …
const ENDPOINTS: usize = 4;
/// … had at least this many requests in a day's window …
const REQUESTS: f64 = 50.0;
/// … on all days but this many.
const DAYS_MISSED: usize = 1;
/// Slowest throughput that is believed (tokens/s): 0 is published for answers
/// without any.
const SLOWEST: f64 = 0.5;

/// What was recorded of all models.
#[derive(Debug, Clone)]
pub struct History {
    /// Models that enough is known of, the busiest first.
    pub models: Vec<Model>,
}

/// What was recorded of one model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its endpoints' identities.
    pub endpoints: Vec<String>,
    /// By day: each endpoint's row, or `None` where it was not listed.
    pub days: Vec<Vec<Option<Row>>>,
}

/// One endpoint on one day.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// USD per input token.
    pub input: f64,
    /// USD per output token.
    pub output: f64,
    /// 0 is healthy, negative is degraded.
    pub status: i32,
    /// How fast it was, when anybody measured.
    pub speed: Option<Speed>,
    pub(super) requests: f64,
}

/// How fast an endpoint was in a day's window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Milliseconds to the first token.
    pub ttft_ms: Curve,
    /// Tokens per second: high shares are fast.
    pub throughput: Curve,
}

struct Columns {
    day: Column,
    model: Column,
    variant: Column,
    endpoint: Column,
    status: Column,
    prices: [Column; 2],
    ttft: [Column; KNOWN.len()],
    throughput: [Column; KNOWN.len()],
    requests: Column,
}

type Days = BTreeMap<String, BTreeMap<String, Row>>;

/// Reads daily rows of endpoints.
///
/// # Errors
/// The first thing that is wrong: see [`Table`]; also days that go backwards, an
/// endpoint that is listed twice on a day, and no model with enough rows.
pub fn read(file: &Path) -> Result<History, Problem> {
    let mut table = Table::open(file)?;
    let columns = Columns::of(&table)?;
    let mut by_model: BTreeMap<String, Days> = BTreeMap::new();
    let mut days: BTreeSet<String> = BTreeSet::new();
    while table.advance()? {
        let day = table.text(&columns.day).to_owned();
        if day.is_empty() {
            return Err(table.wrong(&columns.day, "missing"));
        }
        if days.last().is_some_and(|last| day < *last) {
            return Err(table.wrong(&columns.day, format!("{day} comes after a later day")));
        }
        days.insert(day.clone());
        let row = columns.row(&table)?;
        // Free offers and aliases of other models are not part of a market.
        let model = table.text(&columns.model);
        if table.text(&columns.variant) != "standard" || model.starts_with('~') || row.output <= 0.0 {
            continue;
        }
        let rows = by_model.entry(model.to_owned()).or_default().entry(day).or_default();
        let endpoint = table.text(&columns.endpoint).to_owned();
        if rows.insert(endpoint, row).is_some() {
            return Err(table.wrong(&columns.endpoint, "listed twice on this day"));
        }
    }
    let mut models: Vec<(f64, Model)> =
        by_model.into_iter().filter_map(|(name, rows)| model(name, &rows, &days)).collect();
    if models.is_empty() {
        let message =
            format!("no model has {ENDPOINTS} endpoints with {REQUESTS} requests a window every day");
        return Err(Problem::of(file, message));
    }
    models.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    Ok(History { models: models.into_iter().map(|(_, model)| model).collect() })
}

/// The model with the requests it had, if enough is known of it.
fn model(name: String, rows: &Days, days: &BTreeSet<String>) -> Option<(f64, Model)> {
    let busy = |row: &&Row| row.speed.is_some() && row.requests >= REQUESTS;
    let requests = rows.values().flat_map(BTreeMap::values).filter(busy).map(|row| row.requests).sum();
    let known: BTreeSet<&String> =
        rows.values().flatten().filter(|(_, row)| busy(row)).map(|(endpoint, _)| endpoint).collect();
    let active = rows.values().filter(|rows| rows.values().any(|row| busy(&row))).count();
    if known.len() < ENDPOINTS || active + DAYS_MISSED < days.len() {
        return None;
    }
    let endpoints: BTreeSet<String> = rows.values().flat_map(BTreeMap::keys).cloned().collect();
    let of_day = |day| endpoints.iter().map(|endpoint| rows.get(day)?.get(endpoint).copied()).collect();
    let days = days.iter().map(of_day).collect();
    Some((requests, Model { name, endpoints: endpoints.into_iter().collect(), days }))
}

impl Columns {
    fn of(table: &Table) -> Result<Columns, Problem> {
        let percentiles = |of: &str| -> Result<[Column; KNOWN.len()], Problem> {
            let column = |percent: &str| table.column(&format!("{of}_p{percent}"));
            Ok([column("50")?, column("75")?, column("90")?, column("95")?, column("99")?])
        };
        Ok(Columns {
            day: table.column("day")?,
            model: table.column("model")?,
            variant: table.column("variant")?,
            endpoint: table.column("endpoint_id")?,
            status: table.column("status")?,
            prices: [table.column("p_in")?, table.column("p_out")?],
            ttft: percentiles("ttft")?,
            throughput: percentiles("tps")?,
            requests: table.column("req30m")?,
        })
    }

    fn row(&self, table: &Table) -> Result<Row, Problem> {
        let [input, output] = &self.prices;
        let ttft = percentiles(table, &self.ttft, 0.0)?;
        let throughput = percentiles(table, &self.throughput, SLOWEST)?;
        let speed = ttft.zip(throughput);
        #[expect(clippy::cast_possible_truncation, reason = "a small number, and saturating")]
        let status = table.number(&self.status)?.unwrap_or_default() as i32;
        Ok(Row {
            input: table.amount(input)?,
            output: table.amount(output)?,
            status,
            speed: speed.map(|(ttft_ms, throughput)| Speed { ttft_ms, throughput }),
            requests: table.number(&self.requests)?.unwrap_or_default(),
        })
    }
}

/// The curve through the percentiles in `columns`; `None` where none was
/// measured. What is below `least` is raised to that.
fn percentiles(table: &Table, columns: &[Column; KNOWN.len()], least: f64) -> Result<Option<Curve>, Problem> {
    if columns.iter().all(|column| table.text(column).is_empty()) {
        return Ok(None);
    }
    let mut values = [0.0; KNOWN.len()];
    for (value, column) in values.iter_mut().zip(columns) {
        *value = table.amount(column)?.max(least);
    }
    Ok(Some(Curve::through(values)))
}
