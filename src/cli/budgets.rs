//! `merit budgets`: what customers and keys may spend, and how that stands.

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::desk::{self, Desk, Failed, cell, number, table};
use super::gateway::Address;
use super::{Source, say};
use crate::config::Environment;

/// `merit budgets …`.
#[derive(Debug, Subcommand)]
pub enum Budgets {
    /// Lists budgets and how they stand
    #[command(after_help = "Example: merit budgets list --customer acme")]
    List {
        /// Of this customer alone
        #[arg(long, conflicts_with = "key")]
        customer: Option<String>,
        /// Of this key alone
        #[arg(long)]
        key: Option<String>,
        /// As JSON lines
        #[arg(long)]
        json: bool,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Makes a budget
    #[command(
        after_help = "Example: merit budgets create --customer acme --limit 100 --per month --mode fit"
    )]
    Create {
        /// Of this customer
        #[arg(long, conflicts_with = "key", required_unless_present = "key")]
        customer: Option<String>,
        /// Of this key
        #[arg(long)]
        key: Option<String>,
        /// USD
        #[arg(long, value_name = "USD")]
        limit: String,
        /// When it begins anew
        #[arg(long, default_value = "month", value_parser = ["hour", "day", "month", "total"])]
        per: String,
        /// When a request does not fit
        #[arg(long, default_value = "strict", value_parser = ["strict", "fit", "soft"])]
        mode: String,
        /// Only counts what it would have refused
        #[arg(long)]
        shadow: bool,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Sets another limit
    #[command(after_help = "Example: merit budgets set 3 --limit 10")]
    Set {
        /// Its number
        budget: i64,
        /// USD
        #[arg(long, value_name = "USD")]
        limit: String,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Money was paid in: the budget grows by it
    #[command(after_help = "Example: merit budgets credit 3 25 --note 'invoice 17'")]
    Credit {
        /// Its number
        budget: i64,
        /// USD
        amount: String,
        /// What for; kept in the audit log
        #[arg(long, default_value = "")]
        note: String,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Deletes a budget: its account is not limited by it any more
    #[command(after_help = "Example: merit budgets delete 3")]
    Delete {
        /// Its number
        budget: i64,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
}

impl Budgets {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        let address = match self {
            Budgets::List { address, .. }
            | Budgets::Create { address, .. }
            | Budgets::Set { address, .. }
            | Budgets::Credit { address, .. }
            | Budgets::Delete { address, .. } => address,
        };
        desk::run(address, source, environment, async |desk| self.done(desk).await)
    }

    async fn done(&self, desk: &Desk) -> Result<(), Failed> {
        let changed = match self {
            Budgets::List { customer, key, json, .. } => {
                return list(desk, account(desk, customer.as_deref(), key.as_deref()).await?, *json).await;
            }
            Budgets::Create { customer, key, limit, per, mode, shadow, .. } => {
                let account = account(desk, customer.as_deref(), key.as_deref()).await?;
                let body = json!({
                    "account": account, "limit_usd": limit, "window": per, "mode": mode, "shadow": shadow,
                });
                desk.ask(Method::POST, "budgets", Some(&body), None).await?
            }
            Budgets::Set { budget, limit, .. } => {
                let path = format!("budgets/{budget}");
                let version = number(&desk.ask(Method::GET, &path, None, None).await?, "version");
                let body = json!({ "limit_usd": limit });
                desk.ask(Method::PATCH, &path, Some(&body), Some(version)).await?
            }
            Budgets::Credit { budget, amount, note, .. } => {
                let body = json!({ "amount_usd": amount, "note": note });
                desk.ask(Method::POST, &format!("budgets/{budget}/credit"), Some(&body), None).await?
            }
            Budgets::Delete { budget, .. } => {
                let path = format!("budgets/{budget}");
                let version = number(&desk.ask(Method::GET, &path, None, None).await?, "version");
                desk.ask(Method::DELETE, &path, None, Some(version)).await?;
                say(&format!("deleted: budget {budget}"));
                return Ok(());
            }
        };
        show(&[changed]);
        Ok(())
    }
}

async fn account(desk: &Desk, customer: Option<&str>, key: Option<&str>) -> Result<Option<i64>, Failed> {
    Ok(desk.id("customers", customer).await?.or(desk.id("keys", key).await?))
}

async fn list(desk: &Desk, account: Option<i64>, json: bool) -> Result<(), Failed> {
    let account = account.map(|id| id.to_string());
    let query: Vec<(&str, &str)> = account.iter().map(|id| ("account", id.as_str())).collect();
    let rows = desk.all("budgets", &query).await?;
    match json {
        true => rows.iter().for_each(|row| say(&row.to_string())),
        false => show(&rows),
    }
    Ok(())
}

fn show(rows: &[Value]) {
    let members = ["id", "account", "window", "mode", "limit_usd", "spent_usd", "held_usd", "left_usd"];
    let cells: Vec<_> = rows.iter().map(|row| members.map(|member| cell(row, member)).to_vec()).collect();
    let headings = ["number", "account", "window", "mode", "limit USD", "spent USD", "held USD", "left USD"];
    say(&table(&headings, &cells));
}
