//! `merit keys`: keys for callers.
//!
//! Until accounts have a store, a key is listed in the configuration by its
//! digest: `create` makes one and prints both.

use std::process::ExitCode;

use clap::Subcommand;

use super::{CONFIG, Source, UNAVAILABLE, complain, say};
use crate::accounts::keys::{hex, make_key};
use crate::app::generation::pepper;
use crate::config::settings;
use crate::config::{Environment, Sources};

/// `merit keys …`.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Makes a key and prints it, once, with the lines for the configuration
    Create {
        /// What the key is called in logs and decisions
        #[arg(value_name = "NAME", default_value = "app")]
        named: String,
        /// The same as an option
        #[arg(long, conflicts_with = "named")]
        name: Option<String>,
        /// How much of provider and upstream it may see
        #[arg(long, default_value = "full", value_parser = ["full", "model", "none"])]
        expose: String,
    },
    /// Lists the configured keys
    List,
    /// Replaces a key with overlap (not built yet)
    Rotate,
    /// Ends a key (not built yet: remove its lines from the configuration)
    Revoke,
}

impl Keys {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Keys::Create { named, name, expose } => {
                create(name.as_ref().unwrap_or(named), expose, source, environment)
            }
            Keys::List => list(source, environment),
            Keys::Rotate | Keys::Revoke => {
                complain(
                    "not built yet; keys are listed in the configuration: remove or add their lines there",
                );
                ExitCode::from(UNAVAILABLE)
            }
        }
    }
}

/// The settings by which keys are made. A configuration that offers nothing
/// yet, or is not there at all, is no reason not to make a key.
fn settings(source: &Source, environment: &Environment) -> Result<settings::Settings, String> {
    let flags = source.flags()?;
    let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
    crate::config::settings_alone(&sources).map_err(|error| error.to_string())
}

fn create(name: &str, expose: &str, source: &Source, environment: &Environment) -> ExitCode {
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

fn list(source: &Source, environment: &Environment) -> ExitCode {
    match settings(source, environment) {
        Ok(settings) => {
            for key in &settings.auth.keys {
                let digest = hex(&key.digest);
                say(&format!("{}  {}…", key.name, digest.get(..12).unwrap_or_default()));
            }
            if settings.auth.keys.is_empty() {
                say("no keys are configured; make one with merit keys create");
            }
            ExitCode::SUCCESS
        }
        Err(problem) => {
            complain(&problem);
            ExitCode::from(CONFIG)
        }
    }
}
