//! `merit sim`: simulated providers alone, for trying things out against them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CONFIG, UNAVAILABLE, complain, say};
use crate::sim::{self, Scenario, StartError};

/// `merit sim`.
#[derive(Debug, Args)]
pub struct Sim {
    /// The scenario; without one, the market of the demo
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

impl Sim {
    /// Runs until it is told to stop.
    pub fn run(&self) -> ExitCode {
        super::serve::block_on(self.play())
    }

    async fn play(&self) -> ExitCode {
        let scenario = match &self.scenario {
            Some(path) => Scenario::load(path),
            None => Scenario::market(),
        };
        let started = match scenario {
            Ok(scenario) => sim::Sim::start(scenario).await,
            Err(error) => Err(StartError::Scenario(error)),
        };
        let sim = match started {
            Ok(sim) => sim,
            Err(error) => {
                complain(&error.to_string());
                let code = if matches!(error, StartError::Scenario(_)) { CONFIG } else { UNAVAILABLE };
                return ExitCode::from(code);
            }
        };
        for provider in sim.providers() {
            let models: Vec<&str> = provider.spec().models.iter().map(|model| model.name.as_str()).collect();
            say(&format!("{:<12} {}  {}", provider.spec().name, provider.base_url(), models.join(" ")));
        }
        say("simulated; each provider's journal is at GET /__journal on its port. Ctrl-C ends it");
        match super::serve::until_told().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("signals cannot be received: {error}"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    }
}
