//! The rows: each dialect, each vendor that reaches one in a way of its own, and
//! the vendors whose answers deviate most.

use std::fmt::Write as _;

use merit::catalog::Dialect;
use merit::sim::ProviderSpec;
use merit::sim::scenario::{ModelSpec, Price};
use serde_json::json;

use super::stage::{Source, Stage};
use crate::support::Fallible;
use crate::support::fake::{Fake, Said};
use crate::support::market::Market;

/// What everybody costs, in USD per million tokens.
pub(super) const INPUT: f64 = 3.0;
pub(super) const CACHED: f64 = 0.3;
pub(super) const OUTPUT: f64 = 15.0;

/// The key, and the first token that a server of tokens gives.
const KEY: &str = "token-1-abcdef";

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// What it is called in the table.
    pub(super) name: &'static str,
    dialect: Dialect,
    /// What the provider calls the model.
    model: &'static str,
    /// The lines of its configuration; `URL` is where the upstream is, `HOST` the
    /// same without `/v1`, `TOKENS` a server that gives tokens.
    settings: &'static str,
    /// How it behaves when nothing else is said.
    manner: &'static str,
}

const BEDROCK: &str = "vendor = \"bedrock\"\nbase_url = \"URL\"\nkey = \"KEY\"";

/// The rows that are more than another OpenAI.
const DIALECTS: [(&str, Dialect, &str, &str); 8] = [
    ("bedrock, Converse", Dialect::Bedrock, "amazon.nova-2-lite-v1:0", BEDROCK),
    ("bedrock, InvokeModel", Dialect::Bedrock, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", BEDROCK),
    // AWS_ACCESS_KEY_ID is set.
    (
        "bedrock, signed",
        Dialect::Bedrock,
        "amazon.nova-2-lite-v1:0",
        "vendor = \"bedrock\"\nbase_url = \"URL\"",
    ),
    (
        "bedrock-openai",
        Dialect::OpenAi,
        "openai.gpt-oss-120b-1:0",
        "vendor = \"bedrock-openai\"\nbase_url = \"URL\"\nkey = \"KEY\"",
    ),
    (
        "azure",
        Dialect::OpenAi,
        "gpt-5-mini",
        "vendor = \"azure\"\nvariables = { endpoint = \"HOST\" }\nkey = \"KEY\"",
    ),
    (
        "azure-deployments",
        Dialect::OpenAi,
        "my-deployment",
        "vendor = \"azure-deployments\"\nvariables = { endpoint = \"HOST\" }\nkey = \"KEY\"",
    ),
    (
        "vertex",
        Dialect::Gemini,
        "gemini-3.1-pro-preview",
        "vendor = \"vertex\"\nbase_url = \"URL/projects/{project}/locations/{location}/publishers/google\"\n\
         variables = { project = \"p\" }\ngoogle = { token_url = \"TOKENS/metadata\" }",
    ),
    ("any that is sloppy", Dialect::OpenAi, "small", "base_url = \"URL\"\nkey = \"KEY\""),
];

/// The rows of vendors with a bearer's key, under the names of their files: dialect,
/// model, manner.
const VENDORS: [(&str, Dialect, &str, &str); 11] = [
    ("openai", Dialect::OpenAi, "gpt-5-mini", "normal"),
    ("anthropic", Dialect::Anthropic, "claude-sonnet-4-5", "normal"),
    ("gemini", Dialect::Gemini, "gemini-3.1-pro-preview", "normal"),
    ("mistral", Dialect::OpenAi, "small", "like-mistral"),
    ("groq", Dialect::OpenAi, "small", "like-groq"),
    ("xai", Dialect::OpenAi, "small", "like-xai"),
    ("openrouter", Dialect::OpenAi, "small", "like-openrouter"),
    ("together", Dialect::OpenAi, "small", "normal?quirks=odd-finish"),
    ("deepseek", Dialect::OpenAi, "small", "normal?quirks=leading-blank+usage-on-finish"),
    ("zai", Dialect::OpenAi, "small", "normal?quirks=tool-name-empty"),
    ("llamacpp", Dialect::OpenAi, "small", "like-llama-cpp"),
];

/// Every deviation at once that can be mended without loss.
const SLOPPY: &str = "normal?quirks=no-done+no-role+empty-first+error-null+tool-index-from-one\
    +tool-id-repeated+no-space+bom+event-names+content-array+reasoning-field+usage-on-finish+comments";

/// All rows, in the table's order.
pub(super) fn all() -> Vec<Target> {
    let keyed = "vendor = \"NAME\"\nbase_url = \"URL\"\nkey = \"KEY\"";
    let vendors = VENDORS.map(|(name, dialect, model, manner)| Target {
        name,
        dialect,
        model,
        manner,
        settings: keyed,
    });
    let dialects = DIALECTS.map(|(name, dialect, model, settings)| {
        let manner = match name {
            "any that is sloppy" => SLOPPY,
            _ if name.starts_with("azure") => "like-azure",
            _ => "normal",
        };
        Target { name, dialect, model, settings, manner }
    });
    let salesforce = Target { name: "salesforce", settings: "", ..vendors[0] };
    let (first, rest) = vendors.split_at(3);
    [first, &dialects, &[salesforce], rest].concat()
}

impl Target {
    /// Starts the upstream and a gateway before it.
    pub(super) fn start(&self) -> Fallible<Stage> {
        if self.name == "salesforce" {
            return salesforce();
        }
        let price = Price { input: INPUT, output: OUTPUT, cached_input: Some(CACHED) };
        let model = ModelSpec { name: self.model.to_owned(), price, ..ModelSpec::default() };
        let spec = ProviderSpec {
            dialect: self.dialect,
            // A signature is another one with every request.
            key: (self.settings.contains("KEY") || self.settings.contains("TOKENS")).then(|| KEY.to_owned()),
            models: vec![model],
            cache: true,
            ..ProviderSpec::named("sim")
        };
        let market = Market::start(vec![spec])?;
        let tokens = Fake::start(|_, _| token(1))?;
        let url = market.provider("sim")?.base_url();
        let settings = self
            .settings
            .replace("NAME", self.name)
            .replace("URL", &url)
            .replace("HOST", url.trim_end_matches("/v1"))
            .replace("TOKENS", &tokens.url())
            .replace("KEY", KEY);
        let config = config(&settings, self.model, "")?;
        Stage::start(config, Source::Sim(market, tokens), self.manner)
    }
}

/// One provider that has one model, called `model`.
fn config(settings: &str, upstream: &str, more: &str) -> Fallible<String> {
    let mut config = format!("[providers.it]\n{settings}\n");
    write!(
        config,
        "[[providers.it.models]]\nname = \"model\"\nupstream = \"{upstream}\"\n{more}\n\
         price = {{ input = {INPUT:?}, cached_input = {CACHED:?}, output = {OUTPUT:?} }}\n"
    )?;
    Ok(config)
}

fn token(number: usize) -> Said {
    let body = json!({ "token_type": "Bearer", "access_token": format!("token-{number}-abcdef"), "expires_in": 3600 });
    (200, String::new(), body.to_string())
}

/// The simulator does not speak Salesforce's own shape: this is what it documents.
fn salesforce() -> Fallible<Stage> {
    let answer = json!({ "id": "g-1", "generationDetails": {
        "generations": [{ "id": "c", "role": "assistant", "content": "Hello there.", "parameters": { "finish_reason": "stop" } }],
        "parameters": { "model": "gpt", "created": 1, "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 } } } });
    let org = Fake::start(move |asked, number| {
        if asked.line.contains("/services/oauth2/token") {
            return token(number);
        }
        // The request says which failure it wants.
        let wanted =
            [400, 401, 429, 503].into_iter().find(|status| asked.body.contains(&format!("fail {status}")));
        match wanted {
            Some(status) => {
                (status, String::new(), json!([{ "errorCode": "NO", "message": "no" }]).to_string())
            }
            None => (200, String::new(), answer.to_string()),
        }
    })?;
    let url = org.url();
    let settings = format!(
        "vendor = \"salesforce\"\nbase_url = \"{url}/v1\"\nsalesforce = {{ domain = \"{url}\", \
         client_id = {{ env = \"SECRET\" }}, client_secret = {{ env = \"SECRET\" }} }}"
    );
    Stage::start(config(&settings, "sfdc_ai__Default", "capabilities = []")?, Source::Org(org), "")
}
