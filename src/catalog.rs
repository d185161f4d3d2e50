//! Who offers what: providers, models, endpoints and routes, as one immutable
//! table per configuration generation.
//!
//! Names are opaque strings that are looked up, never taken apart. Ids are
//! given out here, once per generation, and index plain slices everywhere else;
//! the endpoint's *identity* (`provider/model[@region][#key]`) is what outlives
//! a reload: statistics, labels and decisions use it.

use std::collections::HashMap;
use std::sync::Arc;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::units::{PicoUsd, Rates};

pub mod auth;
pub mod capabilities;
pub mod expose;
pub mod objective;
pub mod reach;
pub mod secret;
pub mod terms;

pub use auth::Auth;
pub use capabilities::Capabilities;
pub use expose::Expose;
pub use objective::{MaxPrice, Objective, TtftTarget};
pub use reach::Reach;
pub use secret::Secret;
pub use terms::Terms;

/// Index of an endpoint in [`Catalog::endpoints`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub u32);

/// Index of a model in [`Catalog::models`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(pub u32);

/// A wire format, of a caller or of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `OpenAI`'s Chat Completions, also our middle form.
    OpenAi,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
    /// Amazon's Converse.
    Bedrock,
}

impl Dialect {
    /// The word used in configuration, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
            Dialect::Gemini => "gemini",
            Dialect::Bedrock => "bedrock",
        }
    }
}

/// An account at a vendor.
#[derive(Debug)]
pub struct Provider {
    /// The name in the configuration; the first part of endpoint identities.
    pub name: String,
    /// The wire format it speaks.
    pub dialect: Dialect,
    /// Scheme, host, port and path prefix; no trailing slash, no query.
    pub base_url: Uri,
    /// How requests are signed.
    pub auth: Auth,
    /// The credential; `None` for providers that need none.
    pub key: Option<Secret>,
    /// Headers sent with every request (not credentials).
    pub headers: http::HeaderMap,
    /// Deviations that cannot be told from the bytes; see [`Quirk`].
    pub quirks: Vec<Quirk>,
    /// Limits on waiting for this provider.
    pub timeouts: Timeouts,
    /// How it is addressed, and told from other accounts of the same name.
    pub reach: Reach,
}

impl Provider {
    /// Its name with what tells this account from the provider's others:
    /// `name[@region][#key]`.
    #[must_use]
    pub fn label(&self) -> String {
        let region = self.reach.region.as_ref().map(|region| format!("@{region}"));
        let key = self.reach.key.map(|key| format!("#{key}"));
        format!("{}{}{}", self.name, region.unwrap_or_default(), key.unwrap_or_default())
    }
}

/// What an upstream does differently and cannot be noticed in its answers.
/// (All that can be noticed is mended for every upstream without being named.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// Rejects `stream_options`; usage in streams must come unasked or is estimated.
    NoStreamOptions,
    /// Wants `max_completion_tokens` where callers say `max_tokens`.
    MaxCompletionTokens,
    /// Wants `max_tokens` where callers say `max_completion_tokens`.
    MaxTokens,
    /// Rejects ids in tool calls and their results (Vertex AI's Gemini).
    NoCallIds,
    /// Messages as Vertex AI takes them: the model is in the path alone, and the
    /// version in the body.
    VertexMessages,
    /// Takes and gives Salesforce's chat generations instead of the dialect.
    ChatGenerations,
}

/// How long to wait for an upstream. All durations are settings of the
/// operator; defaults are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is established (3 s).
    pub connect: std::time::Duration,
    /// Until the first content. `None`: clamp(4 × p95 TTFT, 10 s, 120 s), 60 s
    /// while that is unknown.
    pub first_content: Option<std::time::Duration>,
    /// Between two events with content (60 s).
    pub idle: std::time::Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        use std::time::Duration;
        Timeouts { connect: Duration::from_secs(3), first_content: None, idle: Duration::from_secs(60) }
    }
}

/// Where an endpoint's price comes from, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// The operator's configuration.
    Config,
    /// A price list: its name and the date it was seen (`YYYY-MM-DD`).
    Book {
        /// `genai-prices`, `models.dev`, …
        list: String,
        /// `YYYY-MM-DD`.
        date: String,
        /// Whether only this list has the price, or others disagree by more than 2 %.
        low_confidence: bool,
        /// What a list says by now and is not believed; then this is the price
        /// from before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<Held>,
    },
}

/// A listed price that was not put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Why not.
    pub reason: HeldReason,
    /// The list that says so; the one that has gone silent for [`HeldReason::Gone`].
    pub list: String,
    /// What it says of input (pico-USD per token: USD per million × 10⁶).
    pub input_pico_usd: Option<PicoUsd>,
    /// What it says of output, likewise.
    pub output_pico_usd: Option<PicoUsd>,
}

/// Why a listed price was not put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldReason {
    /// It is more than three times what is in force, or less than a third, and no
    /// other list says the same.
    Jump,
    /// The price is in no list any more.
    Gone,
}

impl HeldReason {
    /// All of them: the values of the label `reason`.
    pub const ALL: [HeldReason; 2] = [HeldReason::Jump, HeldReason::Gone];

    /// The label's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            HeldReason::Jump => "jump",
            HeldReason::Gone => "gone",
        }
    }
}

impl PriceSource {
    /// What is said by now and not believed.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match self {
            PriceSource::Config => None,
            PriceSource::Book { held, .. } => held.as_ref(),
        }
    }
}

/// One model as offered by one provider: the thing that is scored.
#[derive(Debug)]
pub struct Endpoint {
    /// Its index.
    pub id: EndpointId,
    /// `provider/model[@region][#key]`.
    pub identity: Arc<str>,
    /// Who offers it.
    pub provider: Arc<Provider>,
    /// What callers call it.
    pub model: ModelId,
    /// What the provider calls it.
    pub upstream: String,
    /// Prices; `None` is unknown, which is never zero and never wins.
    pub rates: Option<Arc<Rates>>,
    /// Where the prices come from.
    pub price_source: Option<PriceSource>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Tokens of input and output together; `None` is unknown.
    pub context: Option<u32>,
    /// Most output tokens; `None` is unknown.
    pub max_output: Option<u32>,
    /// Prior quality, 0..1.
    pub quality: f64,
    /// Where it runs, for filters (`eu`, `us-east-1`).
    pub region: Option<String>,
    /// What its provider promises.
    pub terms: Terms,
}

/// A name that stands for endpoints competing for each request.
#[derive(Debug)]
pub struct Model {
    /// What callers ask for.
    pub name: Arc<str>,
    /// Who offers it.
    pub endpoints: Vec<EndpointId>,
}

/// A name that stands for several models.
#[derive(Debug)]
pub struct Route {
    /// What callers ask for.
    pub name: Arc<str>,
    /// The models, as listed.
    pub models: Vec<ModelId>,
    /// All endpoints of those models.
    pub endpoints: Vec<EndpointId>,
    /// What is valued; `None` is the default objective.
    pub objective: Option<Arc<Objective>>,
}

/// What a name in a request stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Index into [`Catalog::models`].
    Model(usize),
    /// Index into [`Catalog::routes`].
    Route(usize),
}

/// All that is offered, in one generation of the configuration.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By name.
    pub providers: Vec<Arc<Provider>>,
    /// Indexed by [`EndpointId`].
    pub endpoints: Vec<Endpoint>,
    /// Indexed by [`ModelId`].
    pub models: Vec<Model>,
    /// As configured.
    pub routes: Vec<Route>,
    /// Objectives a request may name: the presets and the configured ones.
    pub objectives: HashMap<String, Arc<Objective>>,
    /// What callers may ask for.
    pub names: HashMap<String, Target>,
}

/// What a requested name was found to mean.
#[derive(Debug)]
pub struct Found<'a> {
    /// The name without `:floor` or `:nitro`.
    pub name: &'a Arc<str>,
    /// Who may serve it.
    pub endpoints: &'a [EndpointId],
    /// The objective that the name implies.
    pub objective: Option<&'a Arc<Objective>>,
}

impl Catalog {
    /// The endpoint of that id.
    ///
    /// # Panics
    /// Never for ids that this catalog gave out.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are given out by the catalog")]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        &self.endpoints[id.0 as usize]
    }

    /// The model of that id.
    ///
    /// # Panics
    /// Never for ids that this catalog gave out.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are given out by the catalog")]
    pub fn model(&self, id: ModelId) -> &Model {
        &self.models[id.0 as usize]
    }

    /// What a caller means by `name`. `NAME:floor` and `NAME:nitro` are NAME by
    /// the objectives `cheapest` and `fastest`, unless such a name exists.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Found<'_>> {
        self.exact(name).or_else(|| {
            let (stem, objective) = name
                .strip_suffix(":floor")
                .map(|stem| (stem, "cheapest"))
                .or_else(|| name.strip_suffix(":nitro").map(|stem| (stem, "fastest")))?;
            let objective = self.objectives.get(objective);
            Some(Found { objective, ..self.exact(stem)? })
        })
    }

    fn exact(&self, name: &str) -> Option<Found<'_>> {
        match self.names.get(name)? {
            Target::Model(index) => self.models.get(*index).map(|model| Found {
                name: &model.name,
                endpoints: &model.endpoints,
                objective: None,
            }),
            Target::Route(index) => self.routes.get(*index).map(|route| Found {
                name: &route.name,
                endpoints: &route.endpoints,
                objective: route.objective.as_ref(),
            }),
        }
    }

    /// Up to three names that `name` may have been meant to be, nearest first.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<&str> {
        let mut near: Vec<(f64, &str)> = self
            .names
            .keys()
            .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known.as_str()))
            .filter(|(likeness, _)| *likeness >= 0.8)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        near.into_iter().take(3).map(|(_, known)| known).collect()
    }
}
