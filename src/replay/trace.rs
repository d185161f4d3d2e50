//! Arrivals of requests and their sizes, as recorded somewhere.

use std::path::PathBuf;

use super::table::{Problem, Table};
use crate::books::CLASSES;

/// One request of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Milliseconds since the trace began.
    pub at_ms: f64,
    /// Tokens of its prompt.
    pub input_tokens: f64,
    /// Tokens of its answer, at least 1.
    pub output_tokens: f64,
    /// Its class of task: the number of the file it was in.
    pub class: u8,
}

/// Reads traces and merges them by time. Each needs the columns `t_ms`, `in_tok`
/// and `out_tok`.
///
/// # Errors
/// The first thing that is wrong: see [`Table`]; also times that go backwards
/// and a trace without requests.
pub fn read(files: &[PathBuf]) -> Result<Vec<Arrival>, Problem> {
    let mut all = Vec::new();
    for (class, file) in files.iter().enumerate() {
        let class = u8::try_from(class).ok().filter(|class| usize::from(*class) < CLASSES);
        let class = class.ok_or_else(|| Problem::of(file, format!("more than {CLASSES} traces")))?;
        let before = all.len();
        one(file, class, &mut all)?;
        if all.len() == before {
            return Err(Problem::of(file, "no request in it"));
        }
    }
    all.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    Ok(all)
}

fn one(file: &std::path::Path, class: u8, all: &mut Vec<Arrival>) -> Result<(), Problem> {
    let mut table = Table::open(file)?;
    let [time, input, output] = ["t_ms", "in_tok", "out_tok"].map(|name| table.column(name));
    let (time, input, output) = (time?, input?, output?);
    let mut last = 0.0;
    while table.advance()? {
        let at_ms = table.amount(&time)?;
        if at_ms < last {
            return Err(table.wrong(&time, format!("{at_ms} is before {last}: times must not go backwards")));
        }
        last = at_ms;
        let (input_tokens, output_tokens) = (table.amount(&input)?, table.amount(&output)?.max(1.0));
        all.push(Arrival { at_ms, input_tokens, output_tokens, class });
    }
    Ok(())
}
