//! The configuration: from files, environment and flags to what the parts of
//! the gateway are built from.
//!
//! The way of a value: `sources` reads the layers into a `tree` in which each
//! value knows where it was set; `vendors` puts templates underneath; `shape`
//! compares it with the schema and gives the settings as written (`raw`);
//! [`settings`] and `offers` check what they mean together. Each step reports
//! all that is wrong and goes on with the rest, because an operator who mends
//! one problem at a time restarts once for each. No other module reads the
//! environment or a configuration file.

use std::fmt;
use std::path::PathBuf;

use crate::catalog::{Catalog, Secret};

pub mod environment;
pub mod human;
pub mod lookup;
pub mod problem;
pub mod raw;
pub mod secrets;
pub mod settings;
pub mod sources;
pub mod tree;
pub mod vendors;
mod assemble;
mod check;
mod judging;
mod objectives;
mod offers;
mod print;
mod shape;

pub use environment::Environment;
pub use lookup::{Listed, ModelFacts, NoPrices, PriceLookup};
pub use print::{Effective, print};
pub use problem::{Problem, Severity};
pub use settings::Settings;
pub use sources::Sources;
pub use tree::Origin;

use check::Check;
use problem::Problems;
use raw::Raw;
use sources::Gathered;

/// A configuration that can be served.
#[derive(Debug)]
pub struct Loaded {
    /// What is offered.
    pub catalog: Catalog,
    /// All else.
    pub settings: Settings,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    /// Files and folders whose change can change the configuration, whether or
    /// not they exist: configuration files, folders of includes, secrets.
    pub files: Vec<PathBuf>,
    /// Equal for configurations that mean the same.
    pub fingerprint: Fingerprint,
}

/// A digest of all that a configuration comes to, with the values of its
/// secrets and the prices found. Good for nothing but comparison: it is not
/// shown, since a short secret could be guessed from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(blake3::Hash);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(***)")
    }
}

/// Why a configuration cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// No provider is configured and no vendor's key variable is set.
    NothingConfigured,
    /// All that is wrong, errors and warnings, in the order of the files.
    Problems(Vec<Problem>),
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NothingConfigured => f.write_str(NOTHING_CONFIGURED),
            LoadError::Problems(problems) => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

/// What to do on a fresh machine.
const NOTHING_CONFIGURED: &str = "nothing to serve: no provider is configured, and no vendor's key is in the environment
  to look around without keys:   merit demo
  to serve a vendor at once:     export OPENAI_API_KEY=…   (or ANTHROPIC_API_KEY, GEMINI_API_KEY, DEEPSEEK_API_KEY, …)
  to serve your own server:      write this into merit.toml
      [providers.local]
      vendor = \"vllm\"              # or ollama, lmstudio, llamacpp, sglang, tgi
      [[providers.local.models]]
      name = \"the-model-it-serves\"";

/// Reads, checks and resolves everything.
///
/// # Errors
/// When nothing is configured, or with everything that is wrong.
pub fn load(sources: &Sources, prices: &dyn PriceLookup) -> Result<Loaded, LoadError> {
    let Layers { tree, raw, problems, files } = layers(sources);
    let mut check =
        Check { tree: &tree, environment: &sources.environment, strict: sources.strict, problems, files };
    let objectives = objectives::Objectives::build(&raw.objectives, &mut check);
    let settings = settings::check(&raw, &objectives, &mut check);
    settings::exposure(&raw, &mut check);
    let catalog = offers::build(&raw, objectives, prices, &mut check);
    judging::known(&raw, &catalog, &mut check);
    let Check { problems, files, .. } = check;
    let warnings = finish(problems)?;
    if catalog.providers.is_empty() {
        return Err(LoadError::NothingConfigured);
    }
    let fingerprint = fingerprint(&tree, &catalog, &settings);
    Ok(Loaded { catalog, settings, warnings, files, fingerprint })
}

/// Reads and checks all but what is offered and who can reach it: enough to
/// make the keys without which the rest would be refused.
///
/// # Errors
/// With everything that is wrong.
pub fn settings_alone(sources: &Sources) -> Result<Settings, LoadError> {
    let Layers { tree, raw, problems, files } = layers(sources);
    let mut check =
        Check { tree: &tree, environment: &sources.environment, strict: sources.strict, problems, files };
    let objectives = objectives::Objectives::build(&raw.objectives, &mut check);
    let settings = settings::check(&raw, &objectives, &mut check);
    finish(check.problems).map(|_| settings)
}

/// The warnings, where there is nothing worse.
fn finish(problems: Problems) -> Result<Vec<Problem>, LoadError> {
    match problems.finish() {
        (found, true) => Err(LoadError::Problems(found)),
        (warnings, false) => Ok(warnings),
    }
}

/// The merged layers, and the settings as they are written there.
fn layers(sources: &Sources) -> Layers {
    let Gathered { mut tree, files, problems: unread } = sources.gather();
    vendors::switch_on(&mut tree, &sources.environment);
    vendors::underlay(&mut tree, &sources.environment);
    let mut problems = Problems::default();
    for problem in unread {
        problems.add(problem);
    }
    let raw = shape::read(&tree, &mut problems);
    Layers { tree, raw, problems, files }
}

/// What is written, before it is checked what it means.
struct Layers {
    tree: tree::Node,
    raw: Raw,
    problems: Problems,
    files: Vec<PathBuf>,
}

/// The JSON Schema (draft 2020-12) of a configuration file.
#[must_use]
pub fn schema() -> serde_json::Value {
    shape::schema().clone()
}

fn fingerprint(tree: &tree::Node, catalog: &Catalog, settings: &Settings) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&u64::try_from(text.len()).unwrap_or_default().to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(&tree.to_json().to_string());
    for endpoint in &catalog.endpoints {
        let looked_up = (&endpoint.rates, &endpoint.price_source, endpoint.context, endpoint.max_output);
        part(&format!(
            "{} {looked_up:?} {:?} {}",
            endpoint.identity, endpoint.capabilities, endpoint.quality
        ));
    }
    let pepper = match &settings.auth.pepper {
        settings::Pepper::Value(secret) => Some(secret.clone()),
        // Its owner reads it, and makes it when it is missing.
        settings::Pepper::File(file) if !settings.auth.keys.is_empty() => secrets::read(file).ok(),
        settings::Pepper::File(_) => None,
    };
    let keys = catalog.providers.iter().flat_map(|provider| {
        let more = provider.auth.secrets().into_iter().map(Some);
        std::iter::once(provider.key.clone()).chain(more)
    });
    for secret in keys.chain([settings.admin.token.clone(), pepper]) {
        part(secret.as_ref().map_or("", Secret::expose));
    }
    Fingerprint(hasher.finalize())
}

#[cfg(test)]
mod tests;
