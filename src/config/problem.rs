//! What is wrong with a configuration, said to the operator: where, which key,
//! what, and what to do. All problems are collected before any is shown, since
//! mending one at a time is a restart at a time.

use std::fmt;

use super::tree::{Node, Origin, Path};

/// Whether the gateway can start with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but this is probably not meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the gateway can start with it.
    pub severity: Severity,
    /// The file, environment variable or flag; empty where nothing was set.
    pub file: String,
    /// Line in the file, from 1.
    pub line: Option<u32>,
    /// Column in the line in characters, from 1.
    pub column: Option<u32>,
    /// The key, dotted; empty where there is none, as for broken syntax.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub suggestion: Option<String>,
}

/// `providers.d/x.toml:12: providers.x.base_urll: unknown key; did you mean base_url?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// An error at a place.
    pub(super) fn at(origin: &Origin, key: String, message: impl Into<String>) -> Self {
        let (file, line, column) = origin.place();
        Problem {
            severity: Severity::Error,
            file,
            line,
            column,
            key,
            message: message.into(),
            suggestion: None,
        }
    }

    /// With advice; an empty one is none.
    pub(super) fn advise(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into()).filter(|suggestion| !suggestion.is_empty());
        self
    }
}

/// Problems as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    /// Keys that are already known to be wrong: what follows from that is not
    /// told as well.
    blamed: Vec<Path>,
}

impl Problems {
    /// Adds one that belongs to no key.
    pub(super) fn add(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Adds an error at a key, unless that key is already blamed.
    pub(super) fn error(
        &mut self,
        tree: &Node,
        path: &Path,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.blame(tree, path, Severity::Error, message.into(), advice.into());
    }

    /// Adds a warning at a key.
    pub(super) fn warn(
        &mut self,
        tree: &Node,
        path: &Path,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.blame(tree, path, Severity::Warning, message.into(), advice.into());
    }

    fn blame(&mut self, tree: &Node, path: &Path, severity: Severity, message: String, advice: String) {
        if self.is_blamed(path) {
            return;
        }
        let problem = Problem::at(tree.nearest(path), path.to_string(), message).advise(advice);
        self.found.push(Problem { severity, ..problem });
        if severity == Severity::Error {
            self.blamed.push(path.clone());
        }
    }

    /// Whether the key, or a table it is in, is already known to be wrong.
    pub(super) fn is_blamed(&self, path: &Path) -> bool {
        self.blamed.iter().any(|blamed| path.is_within(blamed))
    }

    /// All of them in the order of the files, and whether any is an error.
    pub(super) fn finish(mut self) -> (Vec<Problem>, bool) {
        self.found
            .sort_by(|a, b| (&a.file, a.line, a.column, &a.key).cmp(&(&b.file, b.line, b.column, &b.key)));
        self.found.dedup();
        let fatal = self.found.iter().any(|problem| problem.severity == Severity::Error);
        (self.found, fatal)
    }
}

/// More than this many names are not listed to who mistook one.
const LISTED: usize = 50;

/// `did you mean X?` for the nearest of what is known, or all that is known.
pub(super) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let word = word.to_lowercase();
    // 0.75 finds transpositions, missing and doubled letters, plurals, and
    // little else.
    let near = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), *candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("did you mean {near}?"),
        None if known.is_empty() => String::new(),
        None if known.len() > LISTED => String::new(),
        None => format!("known are {}", known.join(", ")),
    }
}
