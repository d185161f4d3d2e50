//! The effective settings and where each was set, for `merit config print`.

use serde_json::Value as Json;

use super::problem::Problem;
use super::sources::Sources;
use super::tree::{Node, Origin, Path};
use super::{Layers, layers};

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The key, dotted.
    pub key: String,
    /// The value as TOML would have it; secrets are `"***"`.
    pub value: String,
    /// Which layer set it.
    pub origin: Origin,
}

/// All settings in force in the order of their keys, and what is wrong with
/// how they are written. Secrets are not looked up.
#[must_use]
pub fn print(sources: &Sources) -> (Vec<Effective>, Vec<Problem>) {
    let Layers { tree, raw, problems, .. } = layers(sources);
    let mut effective = Vec::new();
    let json = serde_json::to_value(&raw).unwrap_or_default();
    walk(&json, &Path::default(), &tree, &mut effective);
    effective.sort_by(|a, b| a.key.cmp(&b.key));
    (effective, problems.finish().0)
}

fn walk(value: &Json, path: &Path, tree: &Node, found: &mut Vec<Effective>) {
    match value {
        // Not set, and without a default.
        Json::Null => {}
        Json::Object(entries) => {
            for (key, value) in entries {
                walk(value, &path.key(key), tree, found);
            }
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &path.index(index), tree, found);
            }
        }
        leaf => {
            let origin = tree.at(path).map_or(Origin::BuiltIn, |node| node.origin.clone());
            found.push(Effective { key: path.to_string(), value: leaf.to_string(), origin });
        }
    }
}
