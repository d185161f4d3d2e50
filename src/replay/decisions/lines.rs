//! Reading recorded decisions: one JSON object a line, as `[decisions] export`
//! writes them, plain or compressed with gzip.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::super::table::{Problem, opened};
use super::estimate::Observed;
use crate::market::Decision;

/// One line: a request and its decision. Further members are ignored.
#[derive(Debug, Deserialize)]
pub struct Recorded {
    /// Arrival, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The name that was asked for.
    pub route: String,
    /// Why it was served as it was.
    pub decision: Decision,
    outcome: String,
    total_ms: f64,
    cost_usd: Option<String>,
    #[serde(default)]
    attempts: Vec<serde::de::IgnoredAny>,
}

impl Recorded {
    /// What came of it; `None` where that says nothing about the choice: the caller
    /// hung up or asked for what cannot be done.
    #[must_use]
    pub fn observed(&self) -> Option<Observed> {
        if matches!(self.outcome.as_str(), "client_cancelled" | "client_error" | "shed") {
            return None;
        }
        let failed = self.outcome != "ok";
        let cost_usd = self.cost_usd.as_ref().and_then(|cost| cost.parse().ok()).filter(|_| !failed);
        Some(Observed { cost_usd, seconds: self.total_ms * 1e-3, failed })
    }

    /// How many attempts it took.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.attempts.len()
    }

    /// What is wrong with it, though it can be read.
    fn complaint(&self) -> Option<String> {
        let decision = &self.decision;
        let unusable = |usd: f64| !usd.is_finite() || usd < 0.0;
        if let Some(bad) = decision.candidates.iter().find(|one| unusable(one.score.cost_usd)) {
            return Some(format!("the cost of {} is {}", bad.endpoint, bad.score.cost_usd));
        }
        let count = decision.candidates.len();
        let listed = decision.order.iter().chain(&decision.mean_order);
        if let Some(index) = listed.into_iter().find(|index| **index as usize >= count) {
            return Some(format!("its order names candidate {index} of {count}"));
        }
        unusable(self.total_ms).then(|| format!("total_ms is {}", self.total_ms))
    }
}

/// Hands every decision of `file` to `each`.
///
/// # Errors
/// When it cannot be read, and the first line that is no decision.
pub fn read(file: &Path, mut each: impl FnMut(Recorded)) -> Result<(), Problem> {
    let mut lines = BufReader::new(opened(file)?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        let wrong = |message: String| Problem::of(file, format!("line {number}: {message}"));
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(|error| wrong(unread(&error)))?;
        if read == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let recorded: Recorded = serde_json::from_slice(&line).map_err(|error| {
            // Its own line is always 1.
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            wrong(format!("column {}: {text}", error.column()))
        })?;
        if let Some(complaint) = recorded.complaint() {
            return Err(wrong(complaint));
        }
        each(recorded);
    }
    Ok(())
}

fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed file ends too early: it is truncated".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
