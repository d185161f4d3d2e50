//! What a model accepts, from a table that ships as data.

use std::sync::LazyLock;

use serde::Deserialize;

/// The table; its head explains the columns and names the sources.
const TABLE: &str = include_str!("../../../config/books/bedrock.toml");

/// Models that accept the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    /// What is in their ids.
    name: String,
    /// How they are asked.
    pub(super) api: Api,
    /// Whether a JSON schema can be asked for as such.
    pub(super) json_schema: bool,
    /// What can be insisted on of tools.
    pub(super) forced: Forced,
    /// How the effort of reasoning is said.
    pub(super) effort: Effort,
    /// Whether it knows cache points.
    pub(super) cache: bool,
    /// Whether it accepts temperature, topP and stop sequences.
    pub(super) sampling: bool,
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Api {
    /// `InvokeModel` with Anthropic's body.
    Messages,
    /// Converse.
    Converse,
}

/// What can be insisted on of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Forced {
    /// That one is called, or this one.
    Tool,
    /// That one is called.
    Any,
    /// Nothing.
    None,
}

/// How the effort of reasoning is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Effort {
    /// As `reasoning_effort`, in `OpenAI`'s words.
    #[serde(rename = "reasoning_effort")]
    Word,
    /// As `reasoningConfig` with low, medium and high, of Nova.
    #[serde(rename = "reasoning_config")]
    Config,
    /// Not at all.
    #[serde(rename = "none")]
    None,
}

#[derive(Deserialize)]
struct Table {
    family: Vec<Family>,
}

/// Taken where the table has nothing, which a test rules out.
static CAUTIOUS: Family = Family {
    name: String::new(),
    api: Api::Converse,
    json_schema: false,
    forced: Forced::None,
    effort: Effort::None,
    cache: false,
    sampling: true,
};

static FAMILIES: LazyLock<Vec<Family>> =
    LazyLock::new(|| toml::from_str(TABLE).map(|table: Table| table.family).unwrap_or_default());

impl Family {
    /// The family of the model that Bedrock calls `upstream`.
    pub(super) fn of(upstream: &str) -> &'static Family {
        let id = upstream.to_ascii_lowercase();
        FAMILIES.iter().find(|family| id.contains(&family.name)).unwrap_or(&CAUTIOUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_ends_with_a_family_for_all() {
        let table: Table = toml::from_str(TABLE).unwrap();
        assert_eq!(table.family.last(), Some(&CAUTIOUS));
        for (at, family) in table.family.iter().enumerate() {
            let hidden = table.family.iter().take(at).find(|other| family.name.contains(&other.name));
            assert_eq!(hidden, None, "{} is never reached", family.name);
        }
    }

    #[test]
    fn ids_of_all_kinds_are_understood() {
        let name = |upstream| Family::of(upstream).name.as_str();
        assert_eq!(name("us.anthropic.claude-sonnet-4-20250514-v1:0"), "claude");
        assert_eq!(name("global.anthropic.claude-opus-4-8-v1:0"), "claude-opus-4-8");
        assert_eq!(name("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0"), "amazon.nova");
        assert_eq!(name("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"), "");
        assert_eq!(name("sfdc_ai__DefaultBedrockAnthropicClaude45Sonnet"), "claude");
    }
}
