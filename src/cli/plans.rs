//! `merit plans`: what customers pay.

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::desk::{self, Failed, cell, table};
use super::gateway::Address;
use super::{Source, say};
use crate::config::Environment;

/// `merit plans …`.
#[derive(Debug, Subcommand)]
pub enum Plans {
    /// Makes a plan
    #[command(after_help = "Example: merit plans create retail --margin 20\n\
            Example: merit plans create own --flat assistant=0.5/2 --minimum 0.0001")]
    Create {
        /// Its name
        name: String,
        /// Percent added to what a request costs at its provider
        #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
        margin: f64,
        /// A price of your own: MODEL=INPUT/OUTPUT in USD per million tokens; may be given several times
        #[arg(long, value_name = "MODEL=IN/OUT")]
        flat: Vec<String>,
        /// The least that an answered request is charged, in USD
        #[arg(long, value_name = "USD")]
        minimum: Option<String>,
        /// So much in each calendar month is free, in USD
        #[arg(long, value_name = "USD")]
        allowance: Option<String>,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Lists plans
    #[command(after_help = "Example: merit plans list")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
}

impl Plans {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Plans::Create { name, margin, flat, minimum, allowance, address } => {
                desk::run(address, source, environment, async |desk| {
                    let flat = flat.iter().map(|text| price(text)).collect::<Result<_, _>>()?;
                    let amounts = [("minimum_usd", minimum.as_ref()), ("allowance_usd", allowance.as_ref())];
                    let body = plan(name, *margin, flat, amounts);
                    let made = desk.ask(Method::POST, "plans", Some(&body), None).await?;
                    say(&format!("plan {name} has number {}", cell(&made, "id")));
                    Ok(())
                })
            }
            Plans::List { json, address } => desk::run(address, source, environment, async |desk| {
                let answer = desk.ask(Method::GET, "plans", None, None).await?;
                if *json {
                    say(&answer.to_string());
                    return Ok(());
                }
                let members = ["id", "name", "margin_percent", "minimum_usd", "allowance_usd"];
                let rows = answer.get("data").and_then(Value::as_array).into_iter().flatten();
                let cells: Vec<_> =
                    rows.map(|row| members.map(|member| cell(row, member)).to_vec()).collect();
                say(&table(&["number", "name", "margin %", "minimum USD", "free USD/month"], &cells));
                Ok(())
            }),
        }
    }
}

/// A plan as the admin API wants it; amounts that are not given are left out.
fn plan(name: &str, margin: f64, flat: Map<String, Value>, amounts: [(&str, Option<&String>); 2]) -> Value {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(name));
    body.insert("margin_percent".to_owned(), json!(margin));
    body.insert("flat".to_owned(), Value::Object(flat));
    let given = amounts.into_iter().filter_map(|(member, amount)| Some((member.to_owned(), json!(amount?))));
    body.extend(given);
    Value::Object(body)
}

/// `MODEL=INPUT/OUTPUT`.
fn price(text: &str) -> Result<(String, Value), Failed> {
    let parsed = text.rsplit_once('=').and_then(|(model, prices)| {
        let (input, output) = prices.split_once('/')?;
        Some((
            model.to_owned(),
            json!({ "input": input.parse::<f64>().ok()?, "output": output.parse::<f64>().ok()? }),
        ))
    });
    parsed.ok_or_else(|| {
        Failed::usage(format!("--flat {text}: not MODEL=INPUT/OUTPUT in USD per million tokens"))
    })
}
