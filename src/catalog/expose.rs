//! How much a caller may see of who serves it.

use serde::{Deserialize, Serialize};

/// How much of provider and upstream a caller may see; ordered from most to
/// least, so that the larger of two is what both allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// Provider, upstream and costs.
    #[default]
    Full,
    /// The model that answered, not who provided it.
    Model,
    /// Only the name that was asked for.
    None,
}
