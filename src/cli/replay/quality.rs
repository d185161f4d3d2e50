//! `merit replay quality`: which model for which kind of task.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::{USAGE, complain, say};
use crate::replay::Problem;
use crate::replay::quality::{self, Report};

/// `merit replay quality`.
#[derive(Debug, Args)]
pub struct Quality {
    /// Prompts with their texts (CSV, may be gzipped): see docs/replay.md
    #[arg(long, value_name = "FILE")]
    prompts: PathBuf,
    /// How well each model answered each prompt (CSV, may be gzipped)
    #[arg(long, value_name = "FILE")]
    outcomes: PathBuf,
    /// The models and their prices (CSV, may be gzipped)
    #[arg(long, value_name = "FILE")]
    models: PathBuf,
    /// Another seed divides and shuffles the prompts otherwise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Quality {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        match self.report() {
            Ok(report) => {
                say(&if self.json { serde_json::json!(report).to_string() } else { table(&report) });
                ExitCode::SUCCESS
            }
            Err(problem) => {
                complain(&problem.to_string());
                ExitCode::from(USAGE)
            }
        }
    }

    fn report(&self) -> Result<Report, Problem> {
        let data = quality::data::read(&self.prompts, &self.outcomes, &self.models)?;
        if data.left_out > 0 {
            complain(&format!("{} prompts left out: not all models have answered them", data.left_out));
        }
        Ok(quality::replay(&data, self.seed, complain))
    }
}

/// The figures for people.
fn table(report: &Report) -> String {
    let mut out = format!("{:<40}{:>12}{:>10}{:>9}{:>10}", "rule", "accuracy %", "$/1k", "AIQ", "saving %");
    let number =
        |value: Option<f64>, digits| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    for rule in &report.offline {
        let _ = write!(
            out,
            "\n{:<40}{:>12.2}{:>10.4}{:>9}{:>10}",
            rule.policy,
            rule.accuracy_pct,
            rule.usd_per_1k,
            number(rule.aiq, 2),
            number(rule.saving_at_best_single_pct, 1)
        );
    }
    let _ = write!(out, "\n\n{:<40}", "regret, points of a good answer");
    let mut cases: Vec<(f64, bool)> = Vec::new();
    for figures in &report.online {
        if !cases.contains(&(figures.feedback, figures.drift)) {
            cases.push((figures.feedback, figures.drift));
            let drift = if figures.drift { " drift" } else { "" };
            let _ = write!(out, "{:>12}", format!("{} %{drift}", 100.0 * figures.feedback));
        }
    }
    let rules = report.online.iter().take_while(|figures| (figures.feedback, figures.drift) == (1.0, false));
    for rule in rules {
        let _ = write!(out, "\n{:<40}", rule.policy);
        for figures in report.online.iter().filter(|figures| figures.policy == rule.policy) {
            let _ = write!(out, "{:>12.2}", figures.regret_points);
        }
    }
    out
}
