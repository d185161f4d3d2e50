//! Configurations as a whole: what operators write, and what they are told.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::catalog::{Auth, Capabilities, Dialect, PriceSource, Quirk, Target};
use crate::units::Rates;

mod accounts;
mod catalog;
mod example;
mod layers;
mod problems;

const ALONE: &str = "[providers.a]\nbase_url = \"http://127.0.0.1:9\"\nmodels = [{ name = \"m\", price = { input = 1, output = 2 } }]\n";

/// A folder with files, and an environment.
struct Place {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Place {
    fn new(environment: &[(&str, &str)]) -> Self {
        let sources = Sources { environment: environment.iter().copied().collect(), ..Sources::default() };
        Place { folder: tempfile::tempdir().unwrap(), sources }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// With this file as a further `--config`.
    fn with(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.write(name, text);
        self.sources.files.push(path);
        self
    }

    fn load(&self) -> Result<Loaded, LoadError> {
        load(&self.sources, &NoPrices)
    }

    /// All problems, without the folder's name.
    fn told(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(LoadError::Problems(problems)) => problems,
            Err(LoadError::NothingConfigured) => return vec!["nothing".to_owned()],
        };
        let folder = format!("{}/", self.folder.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

fn one(text: &str) -> Place {
    Place::new(&[]).with("merit.toml", text)
}
