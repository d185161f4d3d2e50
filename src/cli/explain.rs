//! `merit explain`: what a running gateway would decide, term by term.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

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
            Some(name) => format!("/admin/v1/explain?objective={name}"),
            None => "/admin/v1/explain".to_owned(),
        };
        let asked = super::small_runtime()
            .map_err(|error| error.to_string())
            .and_then(|runtime| runtime.block_on(self.address.ask(&path, Some(body), source, environment)));
        match asked {
            Ok((200, answer)) => {
                let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
                say(&if self.json { text } else { table(&answer) });
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

/// The explanation for people. Members this does not know are shown as they are.
fn table(answer: &Value) -> String {
    let text = |pointer: &str| answer.pointer(pointer).map(plain).unwrap_or_default();
    let mut out = format!(
        "route {}, objective {}, {} input tokens (estimated), generation {}\n",
        text("/route"),
        text("/objective/name"),
        text("/input_tokens"),
        text("/generation")
    );
    for candidate in answer.pointer("/decision/candidates").and_then(Value::as_array).into_iter().flatten() {
        describe(&mut out, candidate);
    }
    for reject in answer.pointer("/decision/rejects").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| reject.get(name).map(plain).unwrap_or_default();
        let _ = writeln!(out, "  ✗ {}: {} ({})", part("endpoint"), part("message"), part("code"));
    }
    if let Some(send) = answer.get("would_send").filter(|send| !send.is_null()) {
        let part = |name: &str| send.get(name).map(plain).unwrap_or_default();
        let _ = writeln!(out, "would send {} bytes to {}", part("body_bytes"), part("url"));
    }
    out
}

/// One candidate: its name, its total, then every term.
fn describe(out: &mut String, candidate: &Value) {
    let name = candidate.get("endpoint").map(plain).unwrap_or_default();
    let Some(score) = candidate.get("score").and_then(Value::as_object) else { return };
    let usd = |value: &Value| value.as_f64().map_or_else(|| plain(value), |usd| format!("{usd:.9}"));
    let total = score.get("total").map(usd).unwrap_or_default();
    let _ = writeln!(out, "  ${total}  {name}");
    for (term, value) in score.iter().filter(|(term, _)| *term != "total") {
        let _ = writeln!(out, "      {term:<22} {}", usd(value));
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
