//! Prompts with the numbers of their blocks, as Mooncake's traces have them:
//! JSON lines with `timestamp` (ms), `input_length`, `output_length` (tokens)
//! and `hash_ids`. Equal numbers are equal blocks with an equal past.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use crate::replay::table::{Problem, damage, opened};
use crate::request::Prefix;

/// Tokens in a block unless the trace has others.
pub const BLOCK: u32 = 512;
/// No prompt or answer is longer (tokens).
const MOST: u64 = 100_000_000;

/// One request of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Seconds since the trace began.
    pub at: f64,
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the answer.
    pub output_tokens: u32,
    /// The numbers of the prompt's blocks.
    pub blocks: Vec<u64>,
    /// Tokens in each block.
    pub block: u32,
    /// The same as the gateway would remember it.
    pub prefix: Prefix,
}

/// Reads a trace whose blocks have `block` tokens.
///
/// # Errors
/// The first thing that is wrong, with file, row and column: a line that is not
/// JSON, a member that is missing or no number, times that go backwards, blocks
/// that do not make up the prompt, a file that is truncated or empty.
pub fn read(file: &Path, block: u32) -> Result<Vec<Request>, Problem> {
    let mut lines = BufReader::new(opened(file)?);
    let (mut requests, mut text) = (Vec::new(), String::new());
    let mut last = 0.0;
    for row in 1.. {
        text.clear();
        let at = |column: Option<&str>, message: String| Problem {
            row: Some(row),
            column: column.map(ToOwned::to_owned),
            ..Problem::of(file, message)
        };
        if lines.read_line(&mut text).map_err(|error| at(None, damage(&error)))? == 0 {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        let line: Value =
            serde_json::from_str(&text).map_err(|error| at(None, format!("not a JSON object: {error}")))?;
        let request = one(&line, block).map_err(|(column, message)| at(Some(column), message))?;
        if request.at < last {
            let message = format!("{} is before {last} s: times must not go backwards", request.at);
            return Err(at(Some("timestamp"), message));
        }
        last = request.at;
        requests.push(request);
    }
    if requests.is_empty() { Err(Problem::of(file, "no request in it")) } else { Ok(requests) }
}

/// What is wrong with a column of a row.
type Wrong = (&'static str, String);

fn one(line: &Value, block: u32) -> Result<Request, Wrong> {
    let milliseconds = member(line, "timestamp")?.as_f64().filter(|ms| ms.is_finite() && *ms >= 0.0);
    let milliseconds = milliseconds.ok_or(("timestamp", "not a number of milliseconds".to_owned()))?;
    let input_tokens = count(line, "input_length")?;
    let output_tokens = count(line, "output_length")?.max(1);
    let ids = member(line, "hash_ids")?.as_array().ok_or(("hash_ids", "not a list".to_owned()))?;
    let blocks: Option<Vec<u64>> = ids.iter().map(Value::as_u64).collect();
    let blocks = blocks.ok_or(("hash_ids", "a number of a block is not a whole number".to_owned()))?;
    if blocks.len() as u64 != u64::from(input_tokens.div_ceil(block)) {
        let message =
            format!("{} blocks of {block} tokens do not make a prompt of {input_tokens}", blocks.len());
        return Err(("hash_ids", message));
    }
    let prefix = Prefix::of_blocks(&blocks, u64::from(block), u64::from(input_tokens));
    Ok(Request { at: milliseconds * 1e-3, input_tokens, output_tokens, blocks, block, prefix })
}

fn member<'l>(line: &'l Value, name: &'static str) -> Result<&'l Value, Wrong> {
    line.get(name).ok_or_else(|| (name, "missing".to_owned()))
}

fn count(line: &Value, name: &'static str) -> Result<u32, Wrong> {
    let value = member(line, name)?;
    let count = value.as_u64().filter(|count| *count <= MOST).and_then(|count| u32::try_from(count).ok());
    count.ok_or_else(|| (name, format!("{value} is not a number of tokens")))
}
