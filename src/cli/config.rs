//! `merit config`: the schema, and the values in force with their origin.

use std::process::ExitCode;

use clap::Subcommand;

use super::{CONFIG, Source, USAGE, complain, say};
use crate::config::{Environment, Severity, Sources};

/// `merit config …`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Prints the JSON Schema of the configuration
    Schema,
    /// Prints the effective values, secrets masked
    Print {
        /// Also says which layer set each value
        #[arg(long)]
        origin: bool,
    },
}

impl Config {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Config::Schema => {
                say(&serde_json::to_string_pretty(&crate::config::schema()).unwrap_or_default());
                ExitCode::SUCCESS
            }
            Config::Print { origin } => print(source, environment, *origin),
        }
    }
}

fn print(source: &Source, environment: &Environment, origin: bool) -> ExitCode {
    let flags = match source.flags() {
        Ok(flags) => flags,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(USAGE);
        }
    };
    let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
    let (values, problems) = crate::config::print(&sources);
    for value in values {
        let line = format!("{} = {}", value.key, value.value);
        say(&if origin { format!("{line}  # {}", value.origin) } else { line });
    }
    for problem in &problems {
        complain(&problem.to_string());
    }
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    if wrong { ExitCode::from(CONFIG) } else { ExitCode::SUCCESS }
}
