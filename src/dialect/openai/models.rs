//! What `OpenAI`'s models refuse, from a table that ships as data.

use std::sync::LazyLock;

use serde::Deserialize;

/// The table; its head explains the columns and names the sources.
const TABLE: &str = include_str!("../../../config/books/openai.toml");

/// Models that refuse the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    /// How their names begin.
    prefix: String,
    /// When they refuse sampling parameters.
    pub(super) refuses: Refuses,
    /// Whether they want `max_completion_tokens`.
    pub(super) limit: bool,
}

/// When sampling parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Refuses {
    /// Never.
    Never,
    /// While the model reasons.
    Reasoning,
    /// Always.
    Always,
}

#[derive(Deserialize)]
struct Table {
    family: Vec<Family>,
}

/// Everybody else's models.
static ANY: Family = Family { prefix: String::new(), refuses: Refuses::Never, limit: false };

static FAMILIES: LazyLock<Vec<Family>> =
    LazyLock::new(|| toml::from_str(TABLE).map(|table: Table| table.family).unwrap_or_default());

impl Family {
    /// The family of the model that the provider calls `upstream`. Where that is a
    /// deployment's name, which says nothing, `identity` does (`provider/model…`).
    pub(super) fn of(upstream: &str, identity: &str) -> &'static Family {
        let named = |name: &str| {
            let name = name.rsplit('/').next().unwrap_or_default();
            let is = |family: &&Family| begins(name, &family.prefix);
            FAMILIES.iter().find(is)
        };
        named(upstream).or_else(|| named(identity)).unwrap_or(&ANY)
    }

    /// Whether sampling parameters are refused of a request with that
    /// `reasoning_effort`.
    pub(super) fn refuses_sampling(&self, effort: Option<&str>) -> bool {
        match self.refuses {
            Refuses::Never => false,
            Refuses::Reasoning => effort.is_some_and(|effort| effort != "none"),
            Refuses::Always => true,
        }
    }
}

/// Whether `name` begins with `prefix` as a word of its own: `o1` does not begin
/// `o10`. Dots read as dashes, capitals as small letters.
fn begins(name: &str, prefix: &str) -> bool {
    let plain = |byte: u8| if byte == b'.' { b'-' } else { byte.to_ascii_lowercase() };
    let Some((head, rest)) = name.as_bytes().split_at_checked(prefix.len()) else { return false };
    head.iter().map(|byte| plain(*byte)).eq(prefix.bytes())
        && rest.first().is_none_or(|next| !next.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads() {
        let table: Table = toml::from_str(TABLE).unwrap();
        assert!(table.family.len() > 10);
    }

    #[test]
    fn families_are_told_by_name() {
        let refuses = |upstream: &str, identity: &str| Family::of(upstream, identity).refuses;
        for (upstream, expected) in [
            ("gpt-5", Refuses::Always),
            ("gpt-5-mini-2025-08-07", Refuses::Always),
            ("openai/gpt-5-nano", Refuses::Always),
            ("GPT-5.2", Refuses::Reasoning),
            ("gpt-5.4-mini", Refuses::Reasoning),
            ("gpt-5.1-chat-latest", Refuses::Never),
            ("gpt-5-chat-latest", Refuses::Never),
            ("o3-mini", Refuses::Always),
            ("o1", Refuses::Always),
            ("gpt-4o", Refuses::Never),
            ("o10", Refuses::Never),
            ("gpt-50", Refuses::Never),
            ("gpt-oss-120b", Refuses::Never),
            ("", Refuses::Never),
        ] {
            assert_eq!(refuses(upstream, "p/x"), expected, "{upstream}");
        }
        assert_eq!(refuses("my-deployment", "azure/o4-mini@eu#1"), Refuses::Always);
        assert_eq!(refuses("gpt-4o", "azure/o4-mini"), Refuses::Always, "the stricter name counts");
    }
}
