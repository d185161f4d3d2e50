//! `merit explain`: what a running gateway would decide, term by term.

pub mod table;

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::table::{Ink, table};
use super::{Source, UNAVAILABLE, USAGE, complain, gateway, say};
use crate::config::Environment;

/// `merit explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The request; `-` or none reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The objective to decide by, instead of the request's own
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
    /// Prints the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    address: gateway::Address,
}

impl Explain {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        let body = match self.request() {
            Ok(body) => body,
            Err(problem) => {
                complain(&problem);
                return ExitCode::from(USAGE);
            }
        };
        let path = match &self.objective {
            Some(name) => {
                let query =
                    form_urlencoded::Serializer::new(String::new()).append_pair("objective", name).finish();
                format!("/admin/v1/explain?{query}")
            }
            None => "/admin/v1/explain".to_owned(),
        };
        let asked = super::small_runtime()
            .map_err(|error| error.to_string())
            .and_then(|runtime| runtime.block_on(self.address.ask(&path, Some(body), source, environment)));
        match asked {
            Ok((200, answer)) => {
                let colours = std::io::stdout().is_terminal() && environment.get("NO_COLOR").is_none();
                let whole = || serde_json::to_string_pretty(&answer).unwrap_or_default();
                say(&if self.json { whole() } else { table(&answer, Ink { colours }) });
                ExitCode::SUCCESS
            }
            Ok((_, answer)) => {
                complain(gateway::message(&answer));
                ExitCode::from(USAGE)
            }
            Err(problem) => {
                complain(&problem);
                ExitCode::from(UNAVAILABLE)
            }
        }
    }

    fn request(&self) -> Result<Vec<u8>, String> {
        if let Some(path) = self.file.as_ref().filter(|path| path.as_os_str() != "-") {
            return std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        }
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).map_err(|error| error.to_string())?;
        Ok(body)
    }
}
