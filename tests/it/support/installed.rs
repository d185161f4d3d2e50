//! Where `make test` has installed what is not Rust.

use std::path::{Path, PathBuf};

use super::Fallible;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python with the client and llama.cpp.
pub(crate) fn python() -> Fallible<PathBuf> {
    found(".venv/merit-installed").map(|_| root().join(".venv/bin/python"))
}

/// The script that drives the Node client, beside its packages.
pub(crate) fn node_story() -> Fallible<PathBuf> {
    found("tests/sdk/node/node_modules/.merit-installed").map(|_| root().join("tests/sdk/node/story.mjs"))
}

fn found(stamp: &str) -> Fallible<PathBuf> {
    let path = root().join(stamp);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{stamp} is missing: run `make test`, or `tests/install.sh` alone").into())
}
