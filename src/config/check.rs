//! What checking needs at hand: where each value was set, the environment, and
//! the list of problems.

use std::path::PathBuf;

use super::environment::Environment;
use super::problem::{Problems, did_you_mean};
use super::tree::{Node, Origin, Path};

/// A check under way.
#[derive(Debug)]
pub(super) struct Check<'c> {
    /// The merged layers.
    pub(super) tree: &'c Node,
    /// The environment.
    pub(super) environment: &'c Environment,
    /// Whether literal secrets are errors.
    pub(super) strict: bool,
    /// What was found.
    pub(super) problems: Problems,
    /// Files that secrets were read from.
    pub(super) files: Vec<PathBuf>,
}

impl Check<'_> {
    /// Something is wrong at a key.
    pub(super) fn error(&mut self, path: &Path, message: impl Into<String>, advice: impl Into<String>) {
        self.problems.error(self.tree, path, message, advice);
    }

    /// Something is probably not meant at a key.
    pub(super) fn warn(&mut self, path: &Path, message: impl Into<String>, advice: impl Into<String>) {
        self.problems.warn(self.tree, path, message, advice);
    }

    /// A secret stands in the configuration itself. In a variable that sets the
    /// key it is as well kept as in one that the key refers to.
    pub(super) fn literal(&mut self, path: &Path) {
        if matches!(self.tree.nearest(path), Origin::Environment(_)) {
            return;
        }
        let message = "a secret in the configuration itself";
        let advice = "name a variable or a file instead: { env = \"NAME\" } or { file = \"/path\" }";
        if self.strict { self.error(path, message, advice) } else { self.warn(path, message, advice) }
    }

    /// Whether a value was set by the operator, and not by a vendor's template.
    pub(super) fn is_the_operators(&self, path: &Path) -> bool {
        !matches!(self.tree.nearest(path), Origin::Vendor(_) | Origin::BuiltIn)
    }

    /// A name that must be given.
    pub(super) fn require(&mut self, path: &Path, key: &str, given: bool) {
        let path = path.key(key);
        if !given {
            self.error(&path, format!("{key} is missing"), format!("add {key} = …"));
        }
    }

    /// A name that stands for nothing.
    pub(super) fn dangling<'k>(
        &mut self,
        path: &Path,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        self.error(path, format!("there is no {what} {name:?}"), did_you_mean(name, known));
    }
}
