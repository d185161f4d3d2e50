//! What others publish of prices and of endpoints, and where it is looked for.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::books::prices::SourceKind;
use crate::config::human::Span;
use crate::config::secrets::Reference;

/// Published price lists.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Lists that are fetched; without any, nobody is asked and the lists that
    /// are compiled in hold.
    pub sources: Vec<PriceSource>,
}

/// A price list that is fetched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]))]
pub struct PriceSource {
    /// Its form and its place: openrouter (a provider's own listing) outranks
    /// genai-prices, that models.dev, that litellm.
    #[schemars(with = "String", extend("enum" = ["openrouter", "genai-prices", "models.dev", "litellm"]))]
    pub kind: SourceKind,
    /// Where it is; where its publisher serves it when absent.
    #[schemars(extend("x-kind" = "url"))]
    pub url: Option<String>,
    /// How often it is looked for.
    pub every: Span,
    /// Whose prices a listing of kind openrouter tells: a provider's name or its
    /// vendor.
    pub vendor: String,
}

impl Default for PriceSource {
    fn default() -> Self {
        PriceSource {
            kind: SourceKind::ModelsDev,
            url: None,
            every: Span::seconds(3600),
            vendor: "openrouter".to_owned(),
        }
    }
}

/// What has been learnt of endpoints, and what others say of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Statistics {
    /// Where it is kept, so that it survives a restart; empty: nowhere.
    pub file: PathBuf,
    /// A file of published statistics to begin with.
    pub published: Option<PathBuf>,
    /// Where statistics of a model's endpoints are published; nobody is asked
    /// without any.
    pub sources: Vec<StatisticsSource>,
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics { file: PathBuf::from("data/statistics.json"), published: None, sources: Vec::new() }
    }
}

/// A listing of one model's endpoints with their statistics, in OpenRouter's form.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["model", "url"]))]
pub struct StatisticsSource {
    /// The model, as callers ask for it.
    pub model: String,
    /// Where the listing is: `https://openrouter.ai/api/v1/models/AUTHOR/SLUG/endpoints`.
    #[schemars(extend("x-kind" = "url"))]
    pub url: String,
    /// How often it is looked for; the figures are of the last half hour.
    pub every: Span,
    /// The credential, where it tells figures only to those who have one.
    pub key: Option<Reference>,
}

impl Default for StatisticsSource {
    fn default() -> Self {
        StatisticsSource { model: String::new(), url: String::new(), every: Span::seconds(1800), key: None }
    }
}
