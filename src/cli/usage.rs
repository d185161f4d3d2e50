//! `merit usage`: what was asked for, what it cost, and what was earned with it.

use std::process::ExitCode;

use clap::Args;
use form_urlencoded::Serializer;
use http::Method;
use serde_json::Value;

use super::desk::{self, Failed, cell, table};
use super::gateway::Address;
use super::{Source, say};
use crate::config::Environment;

/// `merit usage`.
#[derive(Debug, Args)]
pub struct Usage {
    /// Adds up by this; without it all in one row
    #[arg(long, value_parser = ["customer", "key", "model", "provider", "day"])]
    by: Option<String>,
    /// Of this customer alone, by name or number
    #[arg(long)]
    customer: Option<String>,
    /// Of this key alone, by name or number
    #[arg(long)]
    key: Option<String>,
    /// From this day on (YYYY-MM-DD, UTC)
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Until this day, exclusive
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// As comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Who is asked
    #[command(flatten)]
    address: Address,
}

/// Members of a row, which are the headings too.
const MEMBERS: [&str; 9] = [
    "name",
    "requests",
    "attempts",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_usd",
    "revenue_usd",
    "margin_usd",
];

impl Usage {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        desk::run(&self.address, source, environment, async |desk| {
            let mut asked = Serializer::new(String::new());
            let ids = [
                ("customer", desk.id("customers", self.customer.as_deref()).await?),
                ("key", desk.id("keys", self.key.as_deref()).await?),
            ];
            for (name, id) in ids.into_iter().filter_map(|(name, id)| Some((name, id?))) {
                asked.append_pair(name, &id.to_string());
            }
            for (name, value) in [("by", &self.by), ("from", &self.from), ("to", &self.to)] {
                if let Some(value) = value {
                    asked.append_pair(name, value);
                }
            }
            let answer = desk.ask(Method::GET, &format!("usage?{}", asked.finish()), None, None).await?;
            let rows = answer.get("data").and_then(Value::as_array).into_iter().flatten();
            let cells: Vec<Vec<String>> =
                rows.map(|row| MEMBERS.map(|member| cell(row, member)).to_vec()).collect();
            match (self.json, self.csv) {
                (true, _) => say(&answer.to_string()),
                (_, true) => say(comma_separated(&MEMBERS, &cells)?.trim_end()),
                (false, false) => say(&table(&MEMBERS, &cells)),
            }
            Ok(())
        })
    }
}

/// Rows under headings, as spreadsheets read them.
///
/// # Errors
/// When they do not fit memory.
pub fn comma_separated(headings: &[&str], rows: &[Vec<String>]) -> Result<String, Failed> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |error: String| Failed::usage(error);
    writer.write_record(headings).map_err(|error| broken(error.to_string()))?;
    for row in rows {
        writer.write_record(row).map_err(|error| broken(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| broken(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| broken(error.to_string()))
}
