//! `merit ledger`: proofs over the ledger, and its export.

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use super::desk::{self, Desk, Failed, cell, number};
use super::gateway::Address;
use super::usage::comma_separated;
use super::{Source, UNAVAILABLE, say};
use crate::config::Environment;

/// `merit ledger …`.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Computes every amount again and adds up every sum; what does not agree is listed
    #[command(after_help = "Example: merit ledger verify")]
    Verify {
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Writes every record, oldest first
    #[command(after_help = "Example: merit ledger export --format csv > ledger.csv")]
    Export {
        /// How
        #[arg(long, default_value = "jsonl", value_parser = ["csv", "jsonl"])]
        format: String,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
}

/// Columns of an export: members of a record, and of its `usage`.
const MEMBERS: [&str; 20] = [
    "id",
    "request_id",
    "attempt",
    "kind",
    "at_unix_ms",
    "organisation",
    "customer",
    "key",
    "key_name",
    "route",
    "provider",
    "model",
    "plan",
    "cost_usd",
    "charged_usd",
    "free_usd",
    "revenue_usd",
    "billed",
    "result",
    "stream",
];
const USAGE: [&str; 5] = ["input", "cached_input", "output", "reasoning", "estimated"];

impl Ledger {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Ledger::Verify { address } => desk::run(address, source, environment, verify),
            Ledger::Export { format, address } => {
                desk::run(address, source, environment, async |desk| export(desk, format == "csv").await)
            }
        }
    }
}

async fn verify(desk: &Desk) -> Result<(), Failed> {
    let proof = desk.ask(Method::GET, "ledger/verify", None, None).await?;
    let (records, open) = (number(&proof, "records"), number(&proof, "open"));
    match number(&proof, "wrong") {
        0 => {
            say(&format!("{records} records agree with their prices, plans, sums and budgets; {open} open"));
            Ok(())
        }
        wrong => {
            let problems = proof.get("problems").and_then(Value::as_array).into_iter().flatten();
            problems.filter_map(Value::as_str).for_each(say);
            Err(Failed { code: UNAVAILABLE, message: format!("{wrong} problems in {records} records") })
        }
    }
}

async fn export(desk: &Desk, csv: bool) -> Result<(), Failed> {
    let headings: Vec<&str> = MEMBERS.into_iter().chain(USAGE).collect();
    let (mut next, mut first) = (Some(String::new()), true);
    while let Some(cursor) = next {
        let (rows, after) = desk.page("ledger", &[], &cursor).await?;
        if csv {
            let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
            let text = comma_separated(&headings, &cells)?;
            let body = text.split_once('\n').map_or("", |(_, body)| body);
            let shown = if first { text.as_str() } else { body };
            if !shown.is_empty() {
                say(shown.trim_end_matches('\n'));
            }
        } else {
            for row in &rows {
                say(&row.to_string());
            }
        }
        (next, first) = (after, false);
    }
    Ok(())
}

fn cells(row: &Value) -> Vec<String> {
    let usage = row.get("usage").unwrap_or(&Value::Null);
    let own = MEMBERS.into_iter().map(|member| (row, member));
    let all = own.chain(USAGE.into_iter().map(|member| (usage, member)));
    // An empty field, not a dash: programs read this.
    all.map(
        |(row, member)| {
            if row.get(member).is_none_or(Value::is_null) { String::new() } else { cell(row, member) }
        },
    )
    .collect()
}
