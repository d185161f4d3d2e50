//! `merit customers`: who is billed.

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::desk::{self, cell, number, table};
use super::gateway::Address;
use super::terms::Terms;
use super::{Source, say};
use crate::config::Environment;

/// `merit customers …`.
#[derive(Debug, Subcommand)]
pub enum Customers {
    /// Makes a customer
    #[command(after_help = "Example: merit customers create acme --plan retail --budget 100 --per month")]
    Create {
        /// Its name
        name: String,
        /// How much of provider and upstream its keys may see
        #[arg(long, value_parser = ["full", "model", "none"])]
        expose: Option<String>,
        /// Its terms
        #[command(flatten)]
        terms: Terms,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Lists customers
    #[command(after_help = "Example: merit customers list")]
    List {
        /// As JSON lines
        #[arg(long)]
        json: bool,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Changes what a customer may do; what is not named stays
    #[command(after_help = "Example: merit customers set acme --plan wholesale")]
    Set {
        /// Its name or number
        customer: String,
        /// Its terms
        #[command(flatten)]
        terms: Terms,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Deletes a customer: its keys work no more, what was recorded stays
    #[command(after_help = "Example: merit customers delete acme")]
    Delete {
        /// Its name or number
        customer: String,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
}

impl Customers {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Customers::Create { name, expose, terms, address } => {
                desk::run(address, source, environment, async |desk| {
                    let mut members = terms.members(desk).await?;
                    members.insert("name".to_owned(), json!(name));
                    if let Some(expose) = expose {
                        members.insert("expose".to_owned(), json!(expose));
                    }
                    let made =
                        desk.ask(Method::POST, "customers", Some(&Value::Object(members)), None).await?;
                    terms.limit(desk, "customers", &made).await?;
                    say(&format!("customer {name} has number {}", cell(&made, "id")));
                    Ok(())
                })
            }
            Customers::List { json, address } => desk::run(address, source, environment, async |desk| {
                let rows = desk.all("customers", &[]).await?;
                if *json {
                    for row in &rows {
                        say(&row.to_string());
                    }
                    return Ok(());
                }
                let members = ["id", "name", "plan", "models", "requests_per_minute"];
                let cells: Vec<_> =
                    rows.iter().map(|row| members.map(|member| cell(row, member)).to_vec()).collect();
                say(&table(&["number", "name", "plan", "models", "requests/min"], &cells));
                Ok(())
            }),
            Customers::Set { customer, terms, address } => {
                desk::run(address, source, environment, async |desk| {
                    let found = desk.find("customers", customer).await?;
                    let (path, version) =
                        (format!("customers/{}", number(&found, "id")), number(&found, "version"));
                    let members = Value::Object(terms.members(desk).await?);
                    desk.ask(Method::PATCH, &path, Some(&members), Some(version)).await?;
                    if let Some(body) = terms.budget(number(&found, "id")) {
                        desk.ask(Method::POST, "budgets", Some(&body), None).await?;
                    }
                    say(&format!("changed: {}", cell(&found, "name")));
                    Ok(())
                })
            }
            Customers::Delete { customer, address } => {
                desk::run(address, source, environment, async |desk| {
                    let found = desk.find("customers", customer).await?;
                    let path = format!("customers/{}", number(&found, "id"));
                    desk.ask(Method::DELETE, &path, None, Some(number(&found, "version"))).await?;
                    say(&format!("deleted: {} (number {})", cell(&found, "name"), cell(&found, "id")));
                    Ok(())
                })
            }
        }
    }
}
