//! Providers and their models as they are written, in an operator's file and
//! in a vendor's template alike.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::{Dialect, Quirk};
use crate::config::human::Span;
use crate::config::secrets::Reference;

use super::credential;
use crate::units::{PicoUsd, Rates};

/// An account at a vendor. With `vendor`, all that is not set here is as in
/// that vendor's template.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// The vendor whose template to use: the name of a file in `config/providers`.
    pub vendor: Option<String>,
    /// The wire format it speaks; openai when absent.
    #[schemars(with = "Option<String>", extend("enum" = ["openai", "anthropic", "gemini", "bedrock"]))]
    pub dialect: Option<Dialect>,
    /// Scheme, host, port and path before `/chat/completions`; needed without a
    /// vendor.
    #[schemars(extend("x-kind" = "url"))]
    pub base_url: Option<String>,
    /// How requests are signed; when absent: header for the anthropic and
    /// gemini dialects, bearer where there is a key, else none.
    pub auth: Option<AuthKind>,
    /// The header of `auth = "header"`; when absent x-goog-api-key for the
    /// gemini dialect, else x-api-key.
    #[schemars(extend("x-kind" = "header-name"))]
    pub auth_header: Option<String>,
    /// The credential.
    pub key: Option<Reference>,
    /// Several keys of the same account or of several, instead of `key`; each
    /// makes endpoints of its own, `PROVIDER/MODEL#1`, `#2`, …
    pub keys: Vec<Reference>,
    /// Regions, each of which offers all models as endpoints of its own,
    /// `PROVIDER/MODEL@REGION`; `{region}` stands for it in `base_url` and paths.
    pub regions: Vec<String>,
    /// What stands for `{name}` in `base_url`, `path`, `stream_path` and `query`.
    pub variables: BTreeMap<String, String>,
    /// The path after `base_url`, instead of the dialect's; `{model}` stands for
    /// the upstream's name of the model.
    pub path: Option<String>,
    /// The same for streams; `path` when absent.
    pub stream_path: Option<String>,
    /// What every address has after `?`.
    pub query: BTreeMap<String, String>,
    /// The login of `auth = "google"`.
    pub google: Option<credential::Google>,
    /// The login of `auth = "azure"`; with it, `key` is not used.
    pub azure: Option<credential::Azure>,
    /// The login of `auth = "salesforce"`.
    pub salesforce: Option<credential::Salesforce>,
    /// The login of `auth = "sigv4"`.
    pub aws: Option<credential::Aws>,
    /// Headers sent with every request; not for credentials.
    pub headers: BTreeMap<String, String>,
    /// What it does differently from its dialect.
    #[schemars(
        with = "Vec<String>",
        extend("items" = {"type": "string", "enum": ["no_stream_options", "max_completion_tokens", "max_tokens", "no_call_ids", "vertex_messages", "chat_generations"]})
    )]
    pub quirks: Vec<Quirk>,
    /// Limits on waiting.
    pub timeouts: Timeouts,
    /// How long the beginning of a prompt stays in its cache after the last use;
    /// 5m when absent.
    pub cache_lasts: Option<Span>,
    /// Price of the models that state none here; before the price book's.
    pub price: Option<Price>,
    /// What it offers.
    pub models: Vec<Model>,
}

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AuthKind {
    /// No credential is sent.
    None,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone in the header `auth_header`.
    Header,
    /// AWS's Signature Version 4.
    SigV4,
    /// A token of Google's.
    Google,
    /// The key in `api-key`, or a token of Entra ID's.
    Azure,
    /// A token of a Salesforce organisation.
    Salesforce,
}

/// Limits on waiting for a provider.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until a connection is established.
    pub connect: Span,
    /// Until the first content; when absent four times its 95th percentile,
    /// within 10s and 2m, or 60s while that is unknown.
    pub first_content: Option<Span>,
    /// Between two events with content.
    pub idle: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        let usual = crate::catalog::Timeouts::default();
        Timeouts {
            connect: Span(usual.connect),
            first_content: usual.first_content.map(Span),
            idle: Span(usual.idle),
        }
    }
}

/// A model as this provider offers it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub struct Model {
    /// What callers ask for; the same name at several providers makes them
    /// compete.
    pub name: String,
    /// What this provider calls it; the name when absent.
    pub upstream: Option<String>,
    /// Its price; looked up in the price book when absent.
    pub price: Option<Price>,
    /// Tokens of input and output together; from the price book when absent.
    #[schemars(range(min = 1))]
    pub context: Option<u32>,
    /// Most output tokens; from the price book when absent.
    #[schemars(range(min = 1))]
    pub max_output: Option<u32>,
    /// What it can do; from the price book when absent, and everything when
    /// that does not say either.
    #[schemars(extend("items" = {
        "type": "string",
        "enum": ["tools", "json_schema", "vision", "audio", "reasoning", "logprobs", "n", "files"],
    }))]
    pub capabilities: Option<Vec<String>>,
    /// Quality expected before anything is measured, 0..1; from the quality
    /// book when absent, and 0.5 when that does not say either.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quality: Option<f64>,
    /// Where it runs, for filters.
    pub region: Option<String>,
    /// Whether prompts or answers are kept after the request, for filters; unknown
    /// when absent, which filters take for a yes.
    pub retention: Option<bool>,
    /// Whether models may be trained on them; likewise.
    pub training: Option<bool>,
}

/// The same prices stand in a model's table and in each of its tiers.
macro_rules! prices {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        $(#[$about])*
        pub struct $name {
            /// Input tokens (USD per million).
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub input: Option<f64>,
            /// Input tokens read from the prompt cache; as input when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub cached_input: Option<f64>,
            /// Input tokens written to the five-minute cache; as input when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub cache_write: Option<f64>,
            /// Input tokens written to the one-hour cache; as `cache_write` when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub cache_write_1h: Option<f64>,
            /// Output tokens (USD per million).
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub output: Option<f64>,
            /// Output tokens of reasoning; as output when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub reasoning: Option<f64>,
            /// Audio input tokens; as input when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub audio_input: Option<f64>,
            /// Audio output tokens; as output when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub audio_output: Option<f64>,
            /// Image input tokens; as input when absent.
            #[schemars(range(min = 0.0, max = 1_000_000.0))]
            pub image_input: Option<f64>,
            /// Each request (USD); free when absent.
            #[schemars(range(min = 0.0, max = 1000.0))]
            pub request: Option<f64>,
            /// Each tool call on the provider's side (USD); free when absent.
            #[schemars(range(min = 0.0, max = 1000.0))]
            pub tool_call: Option<f64>,
            $($(#[$of])* pub $field: $type,)*
        }

        impl $name {
            /// As the integers that money is computed with; `None` when input or
            /// output is missing, for an absent price is unknown and not zero.
            pub(in crate::config) fn rates(&self) -> Option<Rates> {
                let price = |usd: Option<f64>| usd.and_then(PicoUsd::from_usd_per_mtok);
                // USD become pico-USD as USD per million do, a million times over.
                let each = |usd: Option<f64>| price(usd.map(|usd| usd * 1e6)).unwrap_or_default();
                Some(Rates {
                    input: price(self.input)?,
                    cached_input: price(self.cached_input),
                    cache_write_5m: price(self.cache_write),
                    cache_write_1h: price(self.cache_write_1h),
                    output: price(self.output)?,
                    reasoning: price(self.reasoning),
                    audio_input: price(self.audio_input),
                    audio_output: price(self.audio_output),
                    image_input: price(self.image_input),
                    request: each(self.request),
                    tool_call: each(self.tool_call),
                    tiers: Vec::new(),
                })
            }
        }
    };
}

prices! {
    /// Prices in USD per million tokens; `input` and `output` are needed.
    Price {
        /// Other prices for long inputs, which then hold for the whole request.
        tiers: Vec<Tier>,
    }
}

prices! {
    /// Prices for inputs longer than `above` tokens.
    #[schemars(extend("required" = ["above", "input", "output"]))]
    Tier {
        /// Input tokens; a request of exactly this many is below.
        above: u64,
    }
}
