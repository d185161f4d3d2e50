//! How good models are said to be, before anybody has seen them work.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

/// Built by `config/books/build_quality.py`.
const TABLE: &str = include_str!("../../../config/books/quality.toml");

static EMBEDDED: OnceLock<Quality> = OnceLock::new();

/// Prior quality by model name.
#[derive(Debug, Default)]
pub(super) struct Quality {
    entries: Vec<Entry>,
    names: HashMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    names: Vec<String>,
    /// 0..1.
    quality: f64,
    /// Which benchmarks' tables it is from, with their dates or versions.
    source: String,
}

#[derive(Deserialize)]
struct Table {
    models: Vec<Entry>,
}

impl Quality {
    /// The table that is compiled in, read when first asked.
    pub(super) fn embedded() -> &'static Quality {
        EMBEDDED.get_or_init(|| {
            Quality::parse(TABLE).unwrap_or_else(|error| {
                // Cannot happen to a binary that passed its tests.
                tracing::error!(%error, "the embedded quality table is damaged");
                Quality::default()
            })
        })
    }

    /// Reads a table; entries whose quality is not in 0..1 are left out.
    fn parse(text: &str) -> Result<Quality, toml::de::Error> {
        let mut entries = toml::from_str::<Table>(text)?.models;
        entries.retain(|entry| (0.0..=1.0).contains(&entry.quality));
        let mut names = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            for name in &entry.names {
                names.entry(name.clone()).or_insert(index);
            }
        }
        Ok(Quality { entries, names })
    }

    /// The quality and where it is from.
    pub(super) fn find(&self, model: &str) -> Option<(f64, &str)> {
        let entry = self.entries.get(*self.names.get(model)?)?;
        Some((entry.quality, &entry.source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_whole_and_in_range() {
        let table = Quality::parse(TABLE).unwrap();
        assert!(table.entries.len() > 80, "{}", table.entries.len());
        assert_eq!(table.entries.len(), TABLE.matches("[[models]]").count(), "an entry was out of range");
        assert!(table.entries.iter().all(|entry| !entry.source.is_empty() && !entry.names.is_empty()));
    }

    #[test]
    fn stronger_models_stand_above_weaker_ones() {
        let quality = |model| Quality::embedded().find(model).unwrap().0;
        assert!(quality("gpt-5.5") > quality("gpt-4o"));
        assert!(quality("gpt-4o") > quality("gpt-3.5-turbo"));
        assert!(quality("claude-3-5-sonnet-20241022") > quality("claude-3-haiku-20240307"));
        assert_eq!(Quality::embedded().find("no-such-model"), None);
    }

    #[test]
    fn nonsense_is_left_out() {
        let table = "[[models]]\nnames = [\"a\"]\nquality = 1.5\nsource = \"s\"\n";
        assert_eq!(Quality::parse(table).unwrap().find("a"), None);
        assert!(Quality::parse("models = 3").is_err());
    }
}
