//! A value that must never be seen.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A credential. It has no `Display` and no `Serialize`, its `Debug` prints
/// `***`, and its memory is wiped when the last copy is dropped. Whoever needs
/// the text says so with [`Secret::expose`], which is easy to search for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Secret(Arc::new(Zeroizing::new(value)))
    }

    /// The value itself: for the one place that sends or hashes it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("sk-very-secret".to_owned()))), "Some(***)");
    }
}
