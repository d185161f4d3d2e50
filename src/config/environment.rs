//! The process environment, read once: whoever needs a variable is given this,
//! so that tests need not change what all threads share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalog::Secret;

/// A snapshot of environment variables. Cheap to clone; its `Debug` shows no
/// values, for many of them are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(Arc<BTreeMap<String, Secret>>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), Secret::new(value.into())));
        Environment(Arc::new(pairs.collect()))
    }
}

impl Environment {
    /// That of this process, as of now. Variables that are not Unicode are left
    /// out.
    #[must_use]
    pub fn process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable; `None` when it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose).filter(|value| !value.is_empty())
    }

    /// Names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// A variable as a secret; an empty one is empty, not unset.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.0.get(name).map(|value| Secret::new(value.expose().trim().to_owned()))
    }
}
