//! `merit healthcheck`: for containers without a shell.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Source, UNAVAILABLE, complain, gateway, say};
use crate::config::Environment;

/// `merit healthcheck`.
#[derive(Debug, Args)]
pub struct Healthcheck {
    #[command(flatten)]
    address: gateway::Address,
    /// Asks whether it is ready for requests, not only whether it lives
    #[arg(long)]
    ready: bool,
}

impl Healthcheck {
    /// Exit code 0 when the gateway answers well, 69 otherwise.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        let path = if self.ready { "readyz" } else { "livez" };
        let url = format!("{}/{path}", self.address.base(source, environment));
        let asked = super::small_runtime().map_err(|error| error.to_string()).and_then(|runtime| {
            runtime.block_on(async {
                let client = gateway::client(Duration::from_secs(3))?;
                let response =
                    client.get(&url).send().await.map_err(|error| error.without_url().to_string())?;
                match response.status().is_success() {
                    true => Ok(()),
                    false => Err(format!("status {}", response.status().as_u16())),
                }
            })
        });
        match asked {
            Ok(()) => {
                say("ok");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                complain(&format!("{url}: {problem}"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    }
}
