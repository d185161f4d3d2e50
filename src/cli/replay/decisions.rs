//! `merit replay decisions`: what another objective or configuration would have
//! done with recorded requests.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::amount;
use crate::app::lookup::FromBook;
use crate::books::prices::PriceBook;
use crate::catalog::Objective;
use crate::cli::{CONFIG, Source, USAGE, complain, say};
use crate::config::{Environment, Sources};
use crate::replay::decisions::aim::Offers;
use crate::replay::decisions::estimate::Change;
use crate::replay::decisions::report::Figures;
use crate::replay::decisions::{Aim, Report, replay};

/// `merit replay decisions`.
#[derive(Debug, Args)]
pub struct Decisions {
    /// What `[decisions] export` has written (may be gzipped); several are one record
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Decides by this objective: a preset's, or one of `--config`
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
    /// Decides with this value of a second (USD)
    #[arg(long, value_name = "USD", value_parser = amount)]
    usd_per_second: Option<f64>,
    /// Decides with this value of a good answer (USD)
    #[arg(long, value_name = "USD", value_parser = amount)]
    usd_per_good_answer: Option<f64>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Decisions {
    /// Runs the command. `--config` decides by that configuration's prices, routes and
    /// objectives.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        let aim = match self.aim(source, environment) {
            Ok(aim) => aim,
            Err((code, problem)) => {
                complain(&problem);
                return ExitCode::from(code);
            }
        };
        match replay(&self.files, &aim, |done| complain(&format!("{done} decisions"))) {
            Ok(report) => {
                let json = serde_json::to_string(&report).unwrap_or_default();
                say(&if self.json { json } else { table(&report) });
                ExitCode::SUCCESS
            }
            Err(problem) => {
                complain(&problem.to_string());
                ExitCode::from(USAGE)
            }
        }
    }

    fn aim(&self, source: &Source, environment: &Environment) -> Result<Aim, (u8, String)> {
        let offers = match source.config.is_empty() {
            true => None,
            false => Some(offers(source, environment)?),
        };
        let named = |name: &String| {
            let known = match &offers {
                Some(offers) => offers.objective(name).cloned(),
                None => Objective::preset(name),
            };
            known.ok_or_else(|| {
                let presets = Objective::PRESETS.map(|preset| preset.0).join(", ");
                let message =
                    format!("there is no objective {name:?}; there are {presets}, and with --config its own");
                (USAGE, message)
            })
        };
        Ok(Aim {
            objective: self.objective.as_ref().map(named).transpose()?,
            usd_per_second: self.usd_per_second,
            usd_per_good_answer: self.usd_per_good_answer,
            offers,
        })
    }
}

fn offers(source: &Source, environment: &Environment) -> Result<Offers, (u8, String)> {
    let flags = source.flags().map_err(|problem| (USAGE, problem))?;
    let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
    let loaded = crate::config::load(&sources, &FromBook::new(&PriceBook::embedded()))
        .map_err(|error| (CONFIG, error.to_string()))?;
    Ok(Offers::new(loaded.catalog, loaded.settings.router.objective))
}

/// The report for people.
fn table(report: &Report) -> String {
    let mut out = headline(report);
    let _ = writeln!(out, "\n\n{:<34}{:>12}{:>12}{:>12}  95 %", "", "before", "after", "change");
    figures(&mut out, "expected", &report.expected);
    match &report.observed {
        Some(observed) => figures(&mut out, "observed", observed),
        None => out.push_str("observed: too few requests bear on the other rule\n"),
    }
    let _ = writeln!(
        out,
        "\nobserved figures are worth {:.0} of {} requests; {:.1} % of what would be chosen was never tried{}",
        report.effective_sample_size,
        report.decisions,
        report.unsupported_pct,
        if report.clipped > 0 { format!("; {} weights were cut", report.clipped) } else { String::new() }
    );
    if let Some(factor) = report.cost_within_factor {
        let _ = writeln!(out, "half of all costs were estimated within ×{factor:.2} before the call");
    }
    let _ = writeln!(
        out,
        "\n{:<34}{:>10}{:>10}{:>14}{:>12}",
        "asked for", "requests", "moved %", "change $/1k", "change ms"
    );
    for row in &report.routes {
        let difference = |change: Option<Change>| change.map_or(0.0, |change| change.difference);
        let (cost, latency) =
            (difference(row.expected.cost_usd_per_1k), difference(row.expected.latency_s) * 1e3);
        let _ = writeln!(
            out,
            "{:<34}{:>10}{:>10.1}{:>+14.4}{:>+12.0}",
            row.route, row.decisions, row.moved_pct, cost, latency
        );
    }
    let _ = write!(out, "\n{:<34}{:>10}{:>10}", "first asked", "before %", "after %");
    for row in &report.endpoints {
        let _ = write!(out, "\n{:<34}{:>10.1}{:>10.1}", row.endpoint, row.before_pct, row.after_pct);
    }
    out
}

fn headline(report: &Report) -> String {
    let mut out = format!(
        "{} decisions over {}, {} of them come out the same when decided again as they were\n",
        report.decisions,
        span(report.span_seconds),
        report.reproduced
    );
    let _ = write!(out, "moves {:.1} % of requests", report.moved_pct);
    if let Some(usd) = report.usd_per_day {
        let _ = write!(out, ", {}${:.2} a day", sign(usd), usd.abs());
    }
    if let Some(ms) = report.ms_per_request {
        let _ = write!(out, ", {}{:.0} ms", sign(ms), ms.abs());
    }
    if report.no_candidate_pct > 0.0 {
        let _ = write!(out, "; {:.1} % would find no candidate", report.no_candidate_pct);
    }
    if report.by_caller_pct > 0.0 {
        let _ = write!(out, " ({:.1} % had their order from the caller)", report.by_caller_pct);
    }
    out
}

fn sign(value: f64) -> char {
    if value < 0.0 { '−' } else { '+' }
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s >= 172_800.0 => format!("{:.1} days", s / 86_400.0),
        s if s >= 7200.0 => format!("{:.1} hours", s / 3600.0),
        s if s >= 120.0 => format!("{:.1} minutes", s / 60.0),
        s => format!("{s:.1} seconds"),
    }
}

fn figures(out: &mut String, kind: &str, figures: &Figures) {
    let rows = [
        ("cost, USD per 1000 requests", figures.cost_usd_per_1k),
        ("latency, s", figures.latency_s),
        ("quality", figures.quality),
        ("failed, %", figures.failed_pct),
    ];
    for (name, change) in rows {
        let Some(Change { before, after, difference, interval }) = change else { continue };
        let _ = writeln!(
            out,
            "{kind:<10}{name:<27}{before:>9.4}{after:>12.4}{difference:>+12.4}  {:+.4} … {:+.4}",
            interval.0, interval.1
        );
    }
}
