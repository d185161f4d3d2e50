//! `merit keys`: keys for callers.
//!
//! There are two kinds. A customer's keys live in the store: they can be limited,
//! rotated and revoked while the gateway runs. A key without a customer is listed
//! in the configuration by its digest, for sidecars and for whoever keeps no
//! accounts: `create` makes one and prints both.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::desk::{self, Desk, Failed, cell, number, table};
use super::gateway::Address;
use super::terms::Terms;
use super::{CONFIG, Source, USAGE, complain, say};
use crate::accounts::keys::{hex, make_key};
use crate::app::generation::pepper;
use crate::config::settings;
use crate::config::{Environment, Sources};

/// `merit keys …`.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Makes a key and prints it, once
    #[command(
        after_help = "With --customer the key is in the store and works at once. Without, the lines for the \
            configuration are printed with it, and it works once they are there.\n\
            Example: merit keys create --name app\n\
            Example: merit keys create --customer acme --name app --budget 5 --per month"
    )]
    Create(Create),
    /// Lists the keys of the store and of the configuration
    #[command(after_help = "Example: merit keys list --customer acme")]
    List {
        /// Only those of this customer
        #[arg(long)]
        customer: Option<String>,
        /// As JSON lines; only keys of the store
        #[arg(long)]
        json: bool,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Gives a key of the store a new text and prints it, once
    #[command(after_help = "Example: merit keys rotate app --overlap-seconds 86400")]
    Rotate {
        /// Its name or number
        key: String,
        /// Seconds for which the old text goes on working
        #[arg(long, default_value_t = 0)]
        overlap_seconds: u64,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
    /// Ends a key of the store; one of the configuration ends when its lines are taken out there
    #[command(after_help = "Example: merit keys revoke app")]
    Revoke {
        /// Its name or number
        key: String,
        /// Who is asked
        #[command(flatten)]
        address: Address,
    },
}

/// `merit keys create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What the key is called in logs and decisions
    #[arg(value_name = "NAME", default_value = "app")]
    named: String,
    /// The same as an option
    #[arg(long, conflicts_with = "named")]
    name: Option<String>,
    /// How much of provider and upstream it may see (full; a customer's key: as the customer)
    #[arg(long, value_parser = ["full", "model", "none"])]
    expose: Option<String>,
    /// Whose key it is, by name or number: it is kept in the store
    #[arg(long)]
    customer: Option<String>,
    /// Its terms
    #[command(flatten)]
    terms: Terms,
    /// Who is asked
    #[command(flatten)]
    address: Address,
}

impl Keys {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Keys::Create(create) => create.run(source, environment),
            Keys::List { customer, json, address } => {
                if !*json && customer.is_none() && !configured(source, environment) && address.url.is_none() {
                    return ExitCode::SUCCESS;
                }
                desk::run(address, source, environment, async |desk| {
                    stored(desk, customer.as_deref(), *json).await
                })
            }
            Keys::Rotate { key, overlap_seconds, address } => {
                desk::run(address, source, environment, async |desk| {
                    let found = desk.find("keys", key).await?;
                    let path =
                        format!("keys/{}/rotate?overlap_seconds={overlap_seconds}", number(&found, "id"));
                    let version = Some(number(&found, "version"));
                    let rotated = desk.ask(Method::POST, &path, None, version).await?;
                    say(&format!("key (shown once): {}", cell(&rotated, "key")));
                    Ok(())
                })
            }
            Keys::Revoke { key, address } => desk::run(address, source, environment, async |desk| {
                let found = desk.find("keys", key).await?;
                let path = format!("keys/{}", number(&found, "id"));
                desk.ask(Method::DELETE, &path, None, Some(number(&found, "version"))).await?;
                say(&format!("revoked: {} (number {})", cell(&found, "name"), cell(&found, "id")));
                Ok(())
            }),
        }
    }
}

impl Create {
    fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        let name = self.name.as_ref().unwrap_or(&self.named);
        let Some(customer) = &self.customer else {
            if !self.terms.is_empty() {
                complain("limits are kept in the store: say whose key it is with --customer");
                return ExitCode::from(USAGE);
            }
            return for_configuration(name, self.expose.as_deref().unwrap_or("full"), source, environment);
        };
        desk::run(&self.address, source, environment, async |desk| {
            let mut members = self.terms.members(desk).await?;
            members.insert("name".to_owned(), json!(name));
            members.insert("parent".to_owned(), json!(desk.id("customers", Some(customer)).await?));
            if let Some(expose) = &self.expose {
                members.insert("expose".to_owned(), json!(expose));
            }
            let made = desk.ask(Method::POST, "keys", Some(&Value::Object(members)), None).await?;
            self.terms.limit(desk, "keys", &made).await?;
            say(&format!("key (shown once): {}", cell(&made, "key")));
            Ok(())
        })
    }
}

/// The settings by which keys are made. A configuration that offers nothing
/// yet, or is not there at all, is no reason not to make a key.
fn settings(source: &Source, environment: &Environment) -> Result<settings::Settings, String> {
    let flags = source.flags()?;
    let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
    crate::config::settings_alone(&sources).map_err(|error| error.to_string())
}

fn for_configuration(name: &str, expose: &str, source: &Source, environment: &Environment) -> ExitCode {
    let made = settings(source, environment).and_then(|settings| {
        let pepper =
            pepper(&settings.auth.pepper).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
        let key = make_key().map_err(|error| error.to_string())?;
        Ok((hex(&pepper.digest(key.expose())), key))
    });
    match made {
        Ok((digest, key)) => {
            say(&format!("key (shown once): {}\n\nfor the configuration:", key.expose()));
            say(&format!("[[auth.keys]]\nname   = {name:?}\ndigest = \"{digest}\"\nexpose = \"{expose}\""));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            complain(&problem);
            ExitCode::from(CONFIG)
        }
    }
}

/// Lists what the configuration has, if it can be read. Gives whether there may be
/// more in a store: none is made just to look into it.
fn configured(source: &Source, environment: &Environment) -> bool {
    match settings(source, environment) {
        Ok(settings) => {
            for key in &settings.auth.keys {
                let digest = hex(&key.digest);
                say(&format!("{}  {}… (configuration)", key.name, digest.get(..12).unwrap_or_default()));
            }
            if settings.auth.keys.is_empty() {
                say("no keys are configured; make one with merit keys create");
            }
            settings.store.file().is_some_and(std::path::Path::exists)
        }
        Err(problem) => {
            complain(&problem);
            true
        }
    }
}

async fn stored(desk: &Desk, customer: Option<&str>, json: bool) -> Result<(), Failed> {
    let parent = desk.id("customers", customer).await?.map(|id| id.to_string());
    let query: Vec<(&str, &str)> = parent.iter().map(|id| ("parent", id.as_str())).collect();
    let rows = desk.all("keys", &query).await?;
    if json {
        for row in &rows {
            say(&row.to_string());
        }
        return Ok(());
    }
    let headings = ["number", "name", "parent", "ends with", "plan", "models"];
    let cells = rows.iter().map(|row| {
        let texts = row.get("texts").and_then(Value::as_array);
        let hints: Vec<String> =
            texts.into_iter().flatten().map(|text| format!("…{}", cell(text, "ends_with"))).collect();
        let [number, name, parent] = ["id", "name", "parent"].map(|member| cell(row, member));
        vec![number, name, parent, hints.join(","), cell(row, "plan"), cell(row, "models")]
    });
    let cells: Vec<_> = cells.collect();
    if !cells.is_empty() {
        say(&table(&headings, &cells));
    }
    Ok(())
}
