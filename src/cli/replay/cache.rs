//! `merit replay cache`: what prompt caches are worth over several endpoints.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::amount;
use crate::cli::{USAGE, complain, say};
use crate::replay::Problem;
use crate::replay::cache::{Figures, Settings, replay, trace};

/// `merit replay cache`.
#[derive(Debug, Args)]
pub struct Cache {
    /// A trace of prompts by blocks (JSON lines, may be gzipped): see docs/replay.md
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// Over how many endpoints
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    endpoints: u16,
    /// Seconds for which a cache keeps a block after its last use
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    ttl: f64,
    /// Tokens in a block of the trace
    #[arg(long, value_name = "TOKENS", default_value_t = trace::BLOCK, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    block: u32,
    /// What a second of waiting is worth (USD)
    #[arg(long, value_name = "USD", default_value_t = 2e-4, value_parser = amount)]
    usd_per_second: f64,
    /// Another seed is other luck
    #[arg(long, default_value_t = 100)]
    seed: u64,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    super::number(text, 1e6)
}

impl Cache {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        match self.figures() {
            Ok(figures) => {
                let json = serde_json::json!({ "policies": figures });
                say(&if self.json { json.to_string() } else { table(&figures) });
                ExitCode::SUCCESS
            }
            Err(problem) => {
                complain(&problem.to_string());
                ExitCode::from(USAGE)
            }
        }
    }

    fn figures(&self) -> Result<Vec<Figures>, Problem> {
        let requests = trace::read(&self.trace, self.block)?;
        let settings = Settings {
            endpoints: usize::from(self.endpoints),
            ttl: Duration::from_secs_f64(self.ttl),
            usd_per_second: self.usd_per_second,
            seed: self.seed,
        };
        Ok(replay(&requests, &settings, |rule| {
            complain(&format!("{} requests over {} endpoints: {rule}", requests.len(), self.endpoints));
        }))
    }
}

/// The figures for people.
fn table(figures: &[Figures]) -> String {
    let mut out = format!(
        "{:<16}{:>8}{:>11}{:>11}{:>11}{:>9}{:>11}{:>11}",
        "rule", "hits %", "of one %", "cost $/1k", "loss $/1k", "ttft s", "latency s", "busiest %"
    );
    for rule in figures {
        let _ = write!(
            out,
            "\n{:<16}{:>8.1}{:>11.1}{:>11.3}{:>11.3}{:>9.2}{:>11.2}{:>11.1}",
            rule.name,
            rule.hit_share_pct,
            rule.relative_to_one_pct,
            rule.usd_per_1k,
            rule.loss_usd_per_1k,
            rule.ttft_s,
            rule.latency_s,
            rule.busiest_pct
        );
    }
    out
}
