//! `merit replay`: what the decision rule would have saved.

mod cache;
pub mod decisions;
mod quality;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use self::quality::Quality;
use super::{Source, USAGE, complain, say};
use crate::config::Environment;
use crate::replay::world::Recipe;
use crate::replay::{Figures, Problem, Settings, generate, history, market, trace};

/// `merit replay`.
#[derive(Debug, Subcommand)]
pub enum Replay {
    /// Recorded prices, times and outages of the endpoints of several models
    #[command(
        after_help = "Example: merit replay market --generate\nExample: merit replay market --endpoints endpoints_daily.csv.gz --trace conversation.csv.gz --trace code.csv.gz --usd-per-second 2e-4"
    )]
    Market(Market),
    /// Recorded prompts, and how well and at what price models answered them
    #[command(
        after_help = "Example: merit replay quality --prompts prompts.csv.gz --outcomes outcomes.csv.gz --models models.csv"
    )]
    Quality(Quality),
    /// A trace of prompts with common beginnings, over several endpoints
    #[command(after_help = "Example: merit replay cache --trace trace.jsonl.gz --endpoints 8")]
    Cache(cache::Cache),
    /// Recorded decisions under another objective or configuration
    #[command(after_help = "Example: merit replay decisions data/decisions.jsonl --objective fastest")]
    Decisions(decisions::Decisions),
}

/// `merit replay market`.
#[derive(Debug, Args)]
pub struct Market {
    /// Daily rows of endpoints (CSV, may be gzipped): see docs/replay.md
    #[arg(long, value_name = "FILE", required_unless_present = "generate")]
    endpoints: Option<PathBuf>,
    /// A trace of requests (CSV, may be gzipped); each file is a class of task
    #[arg(long, value_name = "FILE", required_unless_present = "generate")]
    trace: Vec<PathBuf>,
    /// A made-up market with the moments of the recorded one, where no files are given
    #[arg(long)]
    generate: bool,
    /// What a second of waiting is worth (USD)
    #[arg(long, value_name = "USD", default_value_t = 2e-4, value_parser = amount)]
    usd_per_second: f64,
    /// Only these models
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    models: Vec<String>,
    /// What our rule knows beforehand: what was published of the day before, or nothing
    #[arg(long, value_enum, default_value_t = Prior::Published)]
    prior: Prior,
    /// Requests a day and model
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// Share of the variance of times that is due to waves of load
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    waves: f64,
    /// Another seed is another world of the same kind
    #[arg(long, default_value_t = 100)]
    seed: u64,
    /// Only our rule and the oracle: much faster
    #[arg(long)]
    only_merit: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Prior {
    Published,
    None,
}

fn number(text: &str, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    if (0.0..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{text} is not within 0 and {most}"))
    }
}

fn amount(text: &str) -> Result<f64, String> {
    number(text, 1000.0)
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 1.0)
}

impl Replay {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        match self {
            Replay::Market(market) => market.run(),
            Replay::Quality(quality) => quality.run(),
            Replay::Cache(cache) => cache.run(),
            Replay::Decisions(decisions) => decisions.run(source, environment),
        }
    }
}

impl Market {
    fn run(&self) -> ExitCode {
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
        let mut history = match &self.endpoints {
            Some(file) => history::read(file)?,
            None => generate::history(self.seed),
        };
        let trace = match self.trace.is_empty() {
            true => generate::trace(self.seed),
            false => trace::read(&self.trace)?,
        };
        for name in &self.models {
            if !history.models.iter().any(|model| model.name == *name) {
                let known: Vec<&str> = history.models.iter().map(|model| &*model.name).collect();
                let message = format!("no model {name} with enough data; there are {}", known.join(", "));
                let file = self.endpoints.clone().unwrap_or_else(|| "--models".into());
                return Err(Problem::of(&file, message));
            }
        }
        history.models.retain(|model| self.models.is_empty() || self.models.contains(&model.name));
        let settings = Settings {
            usd_per_second: self.usd_per_second,
            published: self.prior == Prior::Published,
            only_merit: self.only_merit,
            recipe: Recipe {
                requests: usize::try_from(self.requests).unwrap_or_default(),
                waves: self.waves,
                seed: self.seed,
            },
        };
        let count = history.models.len();
        Ok(market::replay(&history, &trace, &settings, |number, model| {
            complain(&format!("{}/{count} {}, {} endpoints", number + 1, model.name, model.endpoints.len()));
        }))
    }
}

/// The figures for people.
fn table(figures: &[Figures]) -> String {
    let mut out = format!(
        "{:<24}{:>10}{:>13}{:>13}{:>11}{:>9}{:>10}",
        "rule", "regret %", "loss $/1k", "cost $/1k", "latency s", "p95 s", "failed %"
    );
    for rule in figures {
        let _ = write!(
            out,
            "\n{:<24}{:>10.2}{:>13.4}{:>13.4}{:>11.2}{:>9.2}{:>10.3}",
            rule.name,
            rule.regret_pct,
            rule.loss_usd_per_1k,
            rule.cost_usd_per_1k,
            rule.latency_s,
            rule.p95_s,
            rule.failed_pct
        );
    }
    if let Some(factor) = figures.iter().find_map(|rule| rule.cost_within_factor) {
        let _ = write!(out, "\nmerit estimated half of all costs within ×{factor:.2} before the call");
    }
    out
}
