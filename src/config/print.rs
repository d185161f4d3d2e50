//! The effective settings and where each was set, for `merit config print`.

use serde_json::Value as Json;

use super::layers;
use super::problem::Problem;
use super::sources::Sources;
use super::tree::{Node, Origin, Path};

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
    let (gathered, raw, mut problems) = layers(sources);
    gathered.problems.into_iter().for_each(|problem| problems.add(problem));
    let mut effective = Vec::new();
    let json = serde_json::to_value(&raw).unwrap_or_default();
    walk(&json, &Path::default(), &gathered.tree, &mut effective);
    effective.sort_by(|a, b| a.key.cmp(&b.key));
    (effective, problems.finish().0)
}

fn walk(value: &Json, path: &Path, tree: &Node, found: &mut Vec<Effective>) {
    match value {
        // Not set, and without a default.
        Json::Null => {}
        Json::Object(entries) => {
            entries.iter().for_each(|(key, value)| walk(value, &path.key(key), tree, found))
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, &path.index(index), tree, found));
        }
        leaf => {
            let origin = tree.at(path).map_or(Origin::BuiltIn, |node| node.origin.clone());
            found.push(Effective { key: path.to_string(), value: leaf.to_string(), origin });
        }
    }
}
