//! What a model accepts, from a table that ships as data.

use std::sync::LazyLock;

use serde::Deserialize;

/// The table; its head explains the columns and names the sources.
const TABLE: &str = include_str!("../../../config/books/anthropic.toml");

/// Models that accept the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::dialect) struct Family {
    /// How their names begin, from `claude` on.
    prefix: String,
    /// Most output tokens.
    pub(in crate::dialect) max_output: u32,
    /// Whether a JSON schema can be asked for as such.
    pub(in crate::dialect) json_schema: bool,
    /// How thinking is asked for.
    pub(in crate::dialect) thinking: Thinking,
    /// Whether it thinks unless told not to.
    pub(in crate::dialect) by_default: bool,
    /// Whether it knows the effort `xhigh`.
    pub(in crate::dialect) xhigh: bool,
    /// Which sampling parameters are accepted.
    pub(in crate::dialect) sampling: Sampling,
}

/// How thinking is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::dialect) enum Thinking {
    /// The model decides, guided by an effort.
    Adaptive,
    /// With a budget of tokens.
    Budget,
    /// It cannot.
    None,
}

/// Which of `temperature` and `top_p` are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::dialect) enum Sampling {
    /// Both, also together.
    All,
    /// One of them at a time.
    One,
    /// Neither, not even at its default.
    None,
}

#[derive(Deserialize)]
struct Table {
    family: Vec<Family>,
}

/// Taken where the table has nothing, which a test rules out.
static CAUTIOUS: Family = Family {
    prefix: String::new(),
    max_output: 4096,
    json_schema: false,
    thinking: Thinking::None,
    by_default: false,
    xhigh: false,
    sampling: Sampling::All,
};

static FAMILIES: LazyLock<Vec<Family>> =
    LazyLock::new(|| toml::from_str(TABLE).map(|table: Table| table.family).unwrap_or_default());

impl Family {
    /// The family of the model that the provider calls `upstream`. Platforms
    /// put words around the name (`us.anthropic.claude-opus-4-5-20251101-v1:0`).
    pub(in crate::dialect) fn of(upstream: &str) -> &'static Family {
        let name = upstream.to_ascii_lowercase().replace('.', "-");
        let name = name.find("claude").and_then(|at| name.get(at..)).unwrap_or_default();
        FAMILIES.iter().find(|family| name.starts_with(&family.prefix)).unwrap_or(&CAUTIOUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_ends_with_a_family_for_all() {
        let table: Table = toml::from_str(TABLE).unwrap();
        assert_eq!(table.family.last().map(|family| family.prefix.as_str()), Some(""));
        for (at, family) in table.family.iter().enumerate() {
            let hidden = table.family.iter().take(at).find(|other| family.prefix.starts_with(&other.prefix));
            assert_eq!(hidden, None, "{} is never reached", family.prefix);
        }
    }

    #[test]
    fn names_of_all_platforms_are_understood() {
        let prefix = |upstream| Family::of(upstream).prefix.as_str();
        assert_eq!(prefix("claude-opus-4-5-20251101"), "claude-opus-4-5");
        assert_eq!(prefix("us.anthropic.claude-sonnet-4-20250514-v1:0"), "claude-sonnet-4");
        assert_eq!(prefix("anthropic/claude-opus-4.8"), "claude-opus-4-8");
        assert_eq!(prefix("claude-haiku-4-5@20251001"), "claude-haiku-4-5");
        assert_eq!(prefix("claude-brand-new-9"), "claude-");
        assert_eq!(prefix("tiny.gguf"), "");
    }
}
