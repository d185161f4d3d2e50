//! The rules applied to the repository as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::rules::{File, RULES};
use crate::support::Fallible;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` whose names end in `ending`. Build products and
/// installed packages are passed over.
fn files(folder: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !matches!(name.as_ref(), "target" | "node_modules" | ".venv" | ".git") {
                found.extend(files(&path, ending)?);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn the_source_keeps_the_rules() -> Fallible<()> {
    let source = root().join("src");
    let mut complaints = Vec::new();
    for path in files(&source, ".rs")? {
        let text = fs::read_to_string(&path)?;
        let path = path.strip_prefix(&source)?.to_string_lossy();
        let file = File { path: &path, text: &text };
        complaints.extend(RULES.iter().flat_map(|rule| rule(file)));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// Targets of relative links in a text that do not exist from `folder`.
fn dead_links(text: &str, folder: &Path) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|after| after.split([')', ' ', '#']).next());
    targets
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .filter(|target| !folder.join(target).exists())
        .map(str::to_owned)
        .collect()
}

#[test]
fn links_in_documents_lead_somewhere() -> Fallible<()> {
    let sample = "[a](https://example.com) [b](Cargo.toml#x) [c](docs/nowhere.md) [d](#here)";
    assert_eq!(dead_links(sample, root()), ["docs/nowhere.md"]);
    let documents = files(root(), ".md")?;
    assert!(documents.len() > 2, "documents were not found");
    let mut dead = Vec::new();
    for path in documents {
        let folder = path.parent().unwrap_or(root());
        let links = dead_links(&fs::read_to_string(&path)?, folder);
        dead.extend(links.into_iter().map(|link| format!("{}: {link}", path.display())));
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    Ok(())
}

/// A record of decisions has all four parts.
#[test]
fn decision_records_are_whole() -> Fallible<()> {
    let mut records = files(&root().join("docs/adr"), ".md")?;
    records.retain(|path| !path.ends_with("README.md"));
    assert!(!records.is_empty(), "no decision records were found");
    for path in records {
        let text = fs::read_to_string(&path)?;
        for part in
            ["\n## Context\n", "\n## Decision\n", "\n## Consequences\n", "\n## What would change our mind\n"]
        {
            assert!(text.contains(part), "{}: no {}", path.display(), part.trim());
        }
    }
    Ok(())
}

/// Vendors' templates, examples and tools' settings alike.
#[test]
fn every_toml_file_parses() -> Fallible<()> {
    assert!("a = [1,\n b".parse::<toml::Table>().is_err());
    let found = files(root(), ".toml")?;
    assert!(found.len() > 2, "files were not found");
    for path in found {
        let parsed = fs::read_to_string(&path)?.parse::<toml::Table>();
        assert!(parsed.is_ok(), "{}: {:?}", path.display(), parsed.err());
    }
    Ok(())
}

/// Builds are `--locked`: what is tested is what is shipped.
#[test]
fn the_lock_file_is_kept() -> Fallible<()> {
    let lock = fs::read_to_string(root().join("Cargo.lock"))?;
    assert!(lock.contains("name = \"merit\""));
    let ignored = fs::read_to_string(root().join(".gitignore"))?;
    assert!(!ignored.lines().any(|line| line.contains("Cargo.lock")), "Cargo.lock is ignored by git");
    Ok(())
}
