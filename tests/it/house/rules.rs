//! The rules, each a function from a file to what is wrong with it.

use super::source::{Literals, has_word, strip, without_tests};

/// Longest file in lines, its tests at the bottom not counted: longer ones hold
/// more than one idea.
const MOST_LINES: usize = 400;

/// Modules in reading order: each uses only what stands before it.
const ORDER: &[&str] = &[
    "json",
    "units",
    "catalog",
    "request",
    "outcome",
    "dialect",
    "credential",
    "telemetry",
    "books",
    "market",
    "store",
    "accounts",
    "dispatch",
    "config",
    "app",
    "api",
    "admin",
    "replay",
    "cli",
    "main",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "helpers", "common", "types", "core", "manager", "mod"];

/// One source file: its path below `src`, with slashes, and its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
}

impl File<'_> {
    /// Production code: no comments, no insides of literals, no tests.
    fn code(&self) -> String {
        strip(without_tests(self.text), Literals::Blanked)
    }

    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// How many `super::` lead from it to the crate's root.
    fn depth(&self) -> usize {
        self.path.split('/').count()
    }

    fn complain_of(&self, words: &[&str], why: &str) -> Vec<String> {
        let code = self.code();
        words
            .iter()
            .filter(|word| has_word(&code, word))
            .map(|word| format!("src/{}: `{word}`: {why}", self.path))
            .collect()
    }
}

pub(crate) type Rule = fn(File<'_>) -> Vec<String>;

/// All rules that look at one file of `src` at a time.
pub(crate) const RULES: &[Rule] = &[
    length,
    name,
    direction,
    market_is_pure,
    dialect_does_no_io,
    one_place_sends,
    config_reads_the_environment,
];

pub(crate) fn length(file: File<'_>) -> Vec<String> {
    let lines = without_tests(file.text).lines().count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    vec![format!("src/{}: {lines} lines, more than {MOST_LINES}", file.path)]
}

pub(crate) fn name(file: File<'_>) -> Vec<String> {
    file.path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .filter(|part| EMPTY_NAMES.contains(part))
        .map(|part| format!("src/{}: a module called `{part}` says nothing about what is inside", file.path))
        .collect()
}

pub(crate) fn direction(file: File<'_>) -> Vec<String> {
    let from = file.module();
    if from == "lib" || file.is_test() {
        return Vec::new();
    }
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    let may_use = |to: &str| match (from, to) {
        _ if from == to => true,
        // The simulator stands beside: it knows the wire formats and what these
        // need, and only the commands that start it know it.
        ("sim", _) => place(to) <= place("dialect") && place(to).is_some(),
        ("cli" | "main", "sim") => true,
        _ => place(from).is_some() && place(to).is_some() && place(to) < place(from),
    };
    if from != "sim" && place(from).is_none() {
        return vec![format!("src/{}: module `{from}` has no place in the order of modules", file.path)];
    }
    used(&file.code(), file.depth())
        .into_iter()
        .filter(|to| !may_use(to))
        .map(|to| format!("src/{}: `{from}` must not use `{to}`", file.path))
        .collect()
}

/// Top-level modules that `code` names: `crate::x`, `crate::{x, y::z}`, and
/// `super::` repeated up to the root. Only lower-case names are modules.
fn used(code: &str, depth: usize) -> Vec<String> {
    let squeezed: String =
        code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ::", "::").replace(":: ", "::");
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for root in ["crate::", "merit::", up.as_str()] {
        for (at, _) in squeezed.match_indices(root) {
            let before = squeezed.get(..at).and_then(|text| text.chars().next_back());
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let after = squeezed.get(at + root.len()..).unwrap_or_default();
            match after.strip_prefix('{') {
                Some(group) => found.extend(members(group)),
                None => found.extend(identifier(after)),
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// First names of the members of `a, b::{c, d}, e}`.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    let mut start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                found.extend(group.get(at..).and_then(identifier));
                start = false;
            }
            _ => {}
        }
    }
    found
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    name.starts_with(|c: char| c.is_ascii_lowercase()).then_some(name)
}

pub(crate) fn market_is_pure(file: File<'_>) -> Vec<String> {
    if file.module() != "market" || file.is_test() {
        return Vec::new();
    }
    let words = [
        "async",
        "await",
        "tokio",
        "Instant",
        "SystemTime",
        "Mutex",
        "RwLock",
        "ArcSwap",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "getrandom",
        "thread_rng",
    ];
    file.complain_of(&words, "`market` is pure, so that a decision can be replayed exactly")
}

pub(crate) fn dialect_does_no_io(file: File<'_>) -> Vec<String> {
    if file.module() != "dialect" || file.is_test() {
        return Vec::new();
    }
    let words = [
        "async",
        "await",
        "tokio",
        "reqwest",
        "hyper",
        "Instant::now",
        "SystemTime::now",
        "std::fs",
        "std::net",
    ];
    let mut found = file.complain_of(&words, "`dialect` does no I/O and has no clock");
    if strip(without_tests(file.text), Literals::Kept).contains("://") {
        found.push(format!("src/{}: `dialect` knows no vendor's address", file.path));
    }
    found
}

pub(crate) fn one_place_sends(file: File<'_>) -> Vec<String> {
    // `cli` and `sim` may send: by the order of modules no request of a caller
    // can reach them.
    if file.is_test() || file.path == "dispatch/attempt.rs" || matches!(file.module(), "cli" | "sim") {
        return Vec::new();
    }
    let words = [".request(", "send_request(", "client::conn"];
    let mut found = file.complain_of(&words, "only dispatch/attempt.rs sends callers' requests");
    if matches!(file.module(), "dispatch" | "api" | "market" | "dialect") {
        found.extend(file.complain_of(&["reqwest"], "callers' requests go out through dispatch/attempt.rs"));
    }
    found
}

pub(crate) fn config_reads_the_environment(file: File<'_>) -> Vec<String> {
    if file.is_test() || file.module() == "config" {
        return Vec::new();
    }
    let words = ["env::var", "env::var_os", "env::vars", "env::vars_os"];
    file.complain_of(&words, "only `config` reads the environment")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rule` says nothing about `good` and something about `bad`.
    fn tells_apart(rule: Rule, path: &str, good: &str, bad: &str) {
        assert_eq!(rule(File { path, text: good }), Vec::<String>::new());
        assert!(!rule(File { path, text: bad }).is_empty(), "nothing said about {path}: {bad}");
    }

    #[test]
    fn long_files_are_found_and_their_tests_do_not_count() {
        let most = "x\n".repeat(MOST_LINES);
        tells_apart(
            length,
            "a.rs",
            &format!("{most}#[cfg(test)]\nmod tests {{\n}}\n"),
            &format!("{most}y\n"),
        );
    }

    #[test]
    fn empty_names_are_found() {
        assert!(name(File { path: "api/chat.rs", text: "" }).is_empty());
        for path in ["utils.rs", "api/mod.rs", "common/x.rs"] {
            assert_eq!(name(File { path, text: "" }).len(), 1, "{path}");
        }
    }

    #[test]
    fn direction_is_held() {
        let good =
            "use crate::{catalog::{Secret, Uri}, units::Usage}; // crate::api\nlet x = \"crate::cli\";";
        tells_apart(direction, "books/stats.rs", good, "use crate::{units::Usage, dispatch::Shared};");
        tells_apart(
            direction,
            "units/money.rs",
            "use super::rates::Rates;",
            "use super::super::catalog::Uri;",
        );
        tells_apart(direction, "units.rs", "use crate::json;", "fn f() -> crate::catalog::Uri {}");
        tells_apart(direction, "units.rs", "use super::json;", "use super::catalog::Uri;");
        tells_apart(direction, "sim.rs", "use crate::dialect::Codec;", "use crate::dispatch::Shared;");
        tells_apart(direction, "app.rs", "use crate::config::Loaded;", "use crate::sim::Sim;");
        tells_apart(direction, "main.rs", "merit::cli::run();", "merit::nowhere::run();");
        tells_apart(direction, "api.rs", "use crate::app::App;", "use crate ::\n  admin::x;");
        assert!(!direction(File { path: "stray.rs", text: "" }).is_empty());
        // What only tests use does not bind the code.
        let text = "use crate::units;\n#[cfg(test)]\nmod tests { use crate::api; }";
        assert!(direction(File { path: "catalog.rs", text }).is_empty());
    }

    #[test]
    fn an_impure_market_is_found() {
        let good = "//! No async, no Mutex.\nfn decide(now: Duration) {}";
        tells_apart(market_is_pure, "market/score.rs", good, "async fn decide() {}");
        tells_apart(market_is_pure, "market.rs", good, "use std::sync::Mutex;");
        assert!(market_is_pure(File { path: "books.rs", text: "use std::sync::Mutex;" }).is_empty());
    }

    #[test]
    fn a_dialect_that_reaches_out_is_found() {
        let good = "// https://example.com\nconst PATH: &str = \"/chat/completions\";";
        tells_apart(
            dialect_does_no_io,
            "dialect/openai.rs",
            good,
            "const URL: &str = \"https://example.com\";",
        );
        tells_apart(dialect_does_no_io, "dialect.rs", good, "use tokio::net::TcpStream;");
        tells_apart(dialect_does_no_io, "dialect.rs", "fn f(now: SystemTime) {}", "SystemTime::now()");
    }

    #[test]
    fn a_second_sender_is_found() {
        let send = "client.request(http).await";
        assert!(one_place_sends(File { path: "dispatch/attempt.rs", text: send }).is_empty());
        tells_apart(one_place_sends, "dispatch/hedge.rs", "request(http)", send);
        tells_apart(one_place_sends, "api/chat.rs", "// reqwest", "reqwest::get(url)");
        assert!(one_place_sends(File { path: "cli/explain.rs", text: send }).is_empty());
    }

    #[test]
    fn a_second_reader_of_the_environment_is_found() {
        let read = "let home = std::env::var(\"HOME\");";
        assert!(config_reads_the_environment(File { path: "config/layers.rs", text: read }).is_empty());
        tells_apart(config_reads_the_environment, "app.rs", "env!(\"CARGO_PKG_VERSION\")", read);
    }
}
