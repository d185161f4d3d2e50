//! Vendors as data: one file each in `config/providers/`, compiled in. A
//! template is the lowest layer of a provider that names it, so that everything
//! in it can be overridden, and its origin shown, like any other value.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value as Json;

use super::environment::Environment;
use super::tree::{Node, Origin, Value};

/// A vendor that is known.
#[derive(Debug)]
pub struct Vendor {
    /// Its name in configurations.
    pub slug: &'static str,
    /// Its own name.
    pub name: String,
    /// Its documentation.
    pub docs: String,
    /// The variables its key usually is in, most usual first; none for a server
    /// of one's own that needs no key.
    pub keys: Vec<String>,
    /// Whether that variable alone switches it on. Some need to be told more.
    pub alone: bool,
    /// Another way in than by key.
    login: Option<LoginBy>,
    /// As whom the price book knows it, where that is not its slug.
    prices: Option<String>,
    /// The variables that what stands for `{name}` usually is in.
    variables: BTreeMap<String, String>,
    /// A provider's table, as in a configuration.
    provider: Json,
}

/// A login that is taken where its variable is set and no key is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginBy {
    /// The kind of `auth`.
    auth: String,
    /// The variable that says that there is one.
    variable: String,
}

/// A template's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vendor: About,
    provider: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    name: String,
    docs: String,
    keys: Vec<String>,
    #[serde(default = "yes")]
    alone: bool,
    login: Option<LoginBy>,
    prices: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

macro_rules! templates {
    ($($slug:literal)*) => {
        [$(($slug, include_str!(concat!("../../config/providers/", $slug, ".toml")))),*]
    };
}

/// Slug and text of every file in `config/providers/`.
const TEMPLATES: [(&str, &str); 48] = templates! {
    "alibaba" "anthropic" "azure" "azure-deployments" "baseten" "bedrock" "bedrock-openai" "cerebras" "cohere" "deepinfra" "deepseek" "fireworks" "friendli"
    "gemini" "groq" "huggingface" "hyperbolic" "inception" "llamacpp" "lmstudio" "minimax" "mistral"
    "moonshot" "nebius" "novita" "nvidia" "ollama" "openai" "openrouter" "ovhcloud" "perplexity" "salesforce"
    "sambanova" "scaleway" "sglang" "siliconflow" "stepfun" "tgi" "together" "upstage" "venice" "vertex" "vertex-anthropic" "vllm"
    "wandb" "xai" "xiaomi" "zai"
};

/// All vendors, by slug.
pub fn all() -> &'static [Vendor] {
    static ALL: OnceLock<Vec<Vendor>> = OnceLock::new();
    // A template that cannot be read is left out; a test reads them all.
    ALL.get_or_init(|| TEMPLATES.iter().filter_map(|(slug, text)| read(slug, text).ok()).collect())
}

fn read(slug: &'static str, text: &str) -> Result<Vendor, toml::de::Error> {
    let File { vendor, provider } = toml::from_str(text)?;
    let About { name, docs, keys, alone, login, prices, variables } = vendor;
    Ok(Vendor { slug, name, docs, keys, alone, login, prices, variables, provider })
}

/// The vendor of that slug.
pub fn find(slug: &str) -> Option<&'static Vendor> {
    all().iter().find(|vendor| vendor.slug == slug)
}

impl Vendor {
    /// As whom the price book knows it.
    pub(super) fn prices(&self) -> &str {
        self.prices.as_deref().unwrap_or(self.slug)
    }

    /// The variable of its key that is set.
    fn key_in(&self, environment: &Environment) -> Option<&str> {
        self.keys.iter().map(String::as_str).find(|name| environment.get(name).is_some())
    }

    /// The login by which it is reached when it is given no key.
    fn login_in(&self, environment: &Environment) -> Option<&LoginBy> {
        let login = self.login.as_ref().filter(|_| self.key_in(environment).is_none());
        login.filter(|login| environment.get(&login.variable).is_some())
    }

    /// A provider's table as a layer. Its key is in the usual variable that is
    /// set, or should be in the first of them.
    fn layer(&self, environment: &Environment) -> Node {
        let origin = Origin::Vendor(Arc::from(self.slug));
        let mut node = Node::from_json(&self.provider, &origin);
        // A vendor with another login needs no key: only one that is there is used.
        let usual = self.keys.first().filter(|_| self.alone).map(String::as_str);
        let variable = self.key_in(environment).or(usual);
        if let (Some(variable), Some(table)) = (variable, node.table_mut()) {
            table.insert("key".to_owned(), Node::from_json(&serde_json::json!({ "env": variable }), &origin));
        }
        let set = self.variables.iter().filter_map(|(name, variable)| {
            Some((name.clone(), Json::String(environment.get(variable)?.to_owned())))
        });
        let set: serde_json::Map<String, Json> = set.collect();
        if !set.is_empty() {
            node.overlay(Node::from_json(&serde_json::json!({ "variables": set }), &origin));
        }
        node
    }
}

/// Where no provider is configured: every vendor whose key variable is set.
/// Variables that change something about a vendor, as
/// `MERIT__PROVIDERS__OPENAI__BASE_URL` does, do not configure a provider.
pub(super) fn switch_on(tree: &mut Node, environment: &Environment) {
    let providers = tree.get("providers").and_then(Node::table);
    let named: Vec<&String> = providers.into_iter().flat_map(|providers| providers.keys()).collect();
    if !named.iter().all(|name| find(name).is_some())
        || tree.get("providers").is_some_and(|providers| !is_from_environment(providers))
    {
        return;
    }
    let wanted = |vendor: &&Vendor| {
        vendor.alone && vendor.key_in(environment).is_some() || named.iter().any(|name| *name == vendor.slug)
    };
    let set = all().iter().filter(wanted);
    let providers: serde_json::Map<String, Json> =
        set.map(|vendor| (vendor.slug.to_owned(), serde_json::json!({ "vendor": vendor.slug }))).collect();
    if let (false, Some(table)) = (providers.is_empty(), tree.table_mut()) {
        let on = Node::from_json(
            &Json::Object(providers),
            &Origin::Environment("the variables that are set".into()),
        );
        let changes = table.insert("providers".to_owned(), on);
        if let (Some(changes), Some(on)) = (changes, table.get_mut("providers")) {
            on.overlay(changes);
        }
    }
}

/// Whether every value here was set by a variable.
fn is_from_environment(node: &Node) -> bool {
    match &node.value {
        Value::Table(entries) => entries.values().all(is_from_environment),
        Value::Scalar(_) | Value::List(_) => matches!(node.origin, Origin::Environment(_)),
    }
}

/// Lays each provider over the template it names.
pub(super) fn underlay(tree: &mut Node, environment: &Environment) {
    let providers = tree.table_mut().and_then(|table| table.get_mut("providers")).and_then(Node::table_mut);
    for provider in providers.into_iter().flat_map(|table| table.values_mut()) {
        let vendor = provider.get("vendor").and_then(Node::text).and_then(find);
        if let (Some(vendor), true) = (vendor, provider.table().is_some()) {
            let mut layered = vendor.layer(environment);
            // Several keys are instead of the usual one, and so is another login.
            let says = |keys: &[&str]| keys.iter().any(|key| provider.get(key).is_some());
            let signed = provider.get("auth").and_then(Node::text) == Some("sigv4");
            let login = vendor.login_in(environment).filter(|_| !says(&["key", "keys", "auth"]));
            if let (true, Some(table)) = (says(&["keys", "azure", "aws"]) || signed, layered.table_mut()) {
                table.remove("key");
            }
            if let (Some(login), Some(table)) = (login, layered.table_mut()) {
                let origin = Origin::Environment(login.variable.as_str().into());
                table.insert("auth".to_owned(), Node::from_json(&login.auth.as_str().into(), &origin));
                table.remove("key");
            }
            layered.overlay(std::mem::take(provider));
            *provider = layered;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Problems;
    use crate::config::{raw, shape};

    #[test]
    fn every_file_is_listed_and_reads() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/providers");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".toml").map(ToOwned::to_owned))
            .collect();
        files.sort();
        let listed: Vec<&str> = TEMPLATES.iter().map(|(slug, _)| *slug).collect();
        assert_eq!(files, listed, "TEMPLATES lists the folder, in order");
        for (slug, text) in TEMPLATES {
            let vendor = read(slug, text).unwrap_or_else(|error| panic!("{slug}: {error}"));
            assert!(vendor.docs.starts_with("https://"), "{slug}");
        }
    }

    #[test]
    fn every_template_has_the_shape_of_a_provider() {
        for vendor in all() {
            let json = serde_json::json!({ "providers": { vendor.slug: vendor.provider } });
            let mut problems = Problems::default();
            let raw = shape::read(&Node::from_json(&json, &Origin::BuiltIn), &mut problems);
            assert_eq!(problems.finish().0, [], "{}", vendor.slug);
            let provider: &raw::Provider = &raw.providers[vendor.slug];
            assert!(provider.base_url.is_some(), "{}", vendor.slug);
            if !vendor.alone {
                continue;
            }
            // Servers of one's own have the models that were put there; all
            // others have something to serve at once.
            assert_eq!(provider.models.is_empty(), vendor.keys.is_empty(), "{}", vendor.slug);
            assert_eq!(
                provider.price.is_some(),
                vendor.keys.is_empty(),
                "{}: only one's own is free",
                vendor.slug
            );
        }
    }
}
