//! What can be said of the container image without building it.

use std::fs;
use std::path::Path;

use crate::support::Fallible;

/// Instructions of a Dockerfile: word and rest, continued lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let split = joined.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    split.map(|(word, rest)| (word.to_uppercase(), rest.trim().to_owned())).collect()
}

/// What is wrong with an image built from `text` in `folder`.
fn complaints(text: &str, folder: &Path) -> Vec<String> {
    let all = instructions(text);
    let last = all.iter().rposition(|(word, _)| word == "FROM").unwrap_or(0);
    let shipped = all.get(last..).unwrap_or_default();
    let value = |wanted: &str| {
        shipped
            .iter()
            .rev()
            .find(|(word, _)| word == wanted)
            .map(|(_, rest)| rest.as_str())
            .unwrap_or_default()
    };
    let mut found = Vec::new();
    let mut want = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    want(value("FROM").contains("distroless") || value("FROM") == "scratch", "the last stage has a shell");
    want(
        value("USER").split(':').all(|id| id.parse().is_ok_and(|id: u32| id > 0)),
        "it runs as root or by name",
    );
    want(value("STOPSIGNAL") == "SIGTERM", "it is not stopped by SIGTERM");
    want(
        value("HEALTHCHECK").contains("CMD [\"/merit\", \"healthcheck\"]"),
        "it has no health check of its own",
    );
    want(value("ENTRYPOINT").starts_with("[\"/merit\""), "its entry point is not the program itself");
    want(value("EXPOSE") == "8080 9090", "it exposes other ports than the two listeners'");
    want(!shipped.iter().any(|(word, _)| word == "RUN"), "the last stage runs commands, but has no shell");
    let shell = |(word, rest): &(String, String)| {
        matches!(word.as_str(), "CMD" | "ENTRYPOINT") && !rest.starts_with('[')
    };
    want(!shipped.iter().any(shell), "a command is in shell form");
    want(text.contains("cargo build --locked --release"), "it is not built from the lock file");
    for (_, rest) in all.iter().filter(|(word, rest)| word == "COPY" && !rest.contains("--from=")) {
        let mut paths: Vec<&str> = rest.split_whitespace().filter(|part| !part.starts_with("--")).collect();
        paths.pop();
        for path in paths {
            want(folder.join(path).exists(), &format!("{path} is copied but does not exist"));
        }
    }
    found
}

#[test]
fn the_image_is_small_safe_and_stoppable() -> Fallible<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("Dockerfile"))?;
    assert_eq!(complaints(&text, root), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_careless_image_is_found() {
    let text = "FROM debian\nCOPY Cargo.toml nowhere.txt \\\n  ./\nRUN make\nENTRYPOINT merit\n";
    let found = complaints(text, Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(found.len(), 10, "{found:#?}");
    assert!(found.iter().any(|complaint| complaint.starts_with("nowhere.txt")));
}
