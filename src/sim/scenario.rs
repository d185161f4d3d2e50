//! What is simulated: providers, how fast, how good and how reliable they are.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::behaviour::Behaviour;
use crate::catalog::Dialect;

/// A market of simulated providers. The same scenario behaves the same each
/// time: all draws come from `seed`, the provider's name and the request's number.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Where the draws begin.
    pub seed: u64,
    /// The providers.
    pub providers: Vec<ProviderSpec>,
}

/// One simulated provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSpec {
    /// Its name.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// The only credential it accepts; any, or none at all, when absent.
    pub key: Option<String>,
    /// Requests it works on at a time; more are answered with 429 and `retry-after: 1`.
    pub slots: usize,
    /// Whether it has a prompt cache, which forgets nothing (openai dialect).
    pub cache: bool,
    /// How fast it is.
    pub timing: Timing,
    /// What it does when nothing else is said.
    pub default: Behaviour,
    /// What it does now and then instead.
    pub mix: Vec<Chance>,
    /// The models it offers; any model when there are none.
    pub models: Vec<ModelSpec>,
}

impl Default for ProviderSpec {
    fn default() -> Self {
        ProviderSpec {
            name: "sim".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dialect: Dialect::OpenAi,
            key: None,
            slots: usize::MAX,
            cache: false,
            timing: Timing::default(),
            default: Behaviour { name: "normal".to_owned(), ..Behaviour::default() },
            mix: Vec::new(),
            models: Vec::new(),
        }
    }
}

/// How fast a provider is. The default takes no time at all, for tests.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Median time to the first token, in milliseconds.
    pub ttft_ms: f64,
    /// Standard deviation of its logarithm: 0 is constant, 0.3 lively, 1 wild.
    pub spread: f64,
    /// Tokens (here words) a second after the first; 0 is without pauses.
    pub tokens_per_second: f64,
    /// How far a pause may lie from its mean, as a part of it, 0 to 1.
    pub jitter: f64,
}

/// A behaviour and how often it occurs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// The behaviour.
    pub behaviour: Behaviour,
    /// The part of requests that meet it, 0 to 1.
    pub probability: f64,
}

/// One model of a provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
    /// What it is called here.
    pub name: String,
    /// What it costs.
    pub price: Price,
    /// The part of answers that are sound, 0 to 1.
    pub quality: f64,
    /// Tokens of context it claims to have.
    pub context: u64,
}

impl Default for ModelSpec {
    fn default() -> Self {
        ModelSpec { name: String::new(), price: Price::default(), quality: 1.0, context: 128_000 }
    }
}

/// USD per million tokens. The provider charges nobody; whoever configures a
/// gateway for the simulated market takes its prices from here.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// Input.
    pub input: f64,
    /// Output.
    pub output: f64,
    /// Input from the prompt cache; absent where there is none.
    pub cached_input: Option<f64>,
}

/// Why a scenario cannot be played.
#[derive(Debug)]
pub enum BadScenario {
    /// The file cannot be read.
    File(std::io::Error),
    /// It is not TOML of this form; says where.
    Form(Box<toml::de::Error>),
    /// It contradicts itself.
    Sense(String),
}

impl std::fmt::Display for BadScenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadScenario::File(error) => write!(f, "scenario: {error}"),
            BadScenario::Form(error) => write!(f, "scenario: {error}"),
            BadScenario::Sense(what) => write!(f, "scenario: {what}"),
        }
    }
}

impl std::error::Error for BadScenario {}

impl Scenario {
    /// The market that ships with the project: five providers that differ in
    /// price, speed and quality, of which one misbehaves.
    ///
    /// # Errors
    /// None for the file as it ships; a test reads it.
    pub fn market() -> Result<Self, BadScenario> {
        Scenario::parse(include_str!("../../config/sim/market.toml"))
    }

    /// Reads a scenario from TOML.
    ///
    /// # Errors
    /// [`BadScenario`] that says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, BadScenario> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| BadScenario::Form(Box::new(error)))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads a scenario from a file.
    ///
    /// # Errors
    /// As [`Scenario::parse`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, BadScenario> {
        Scenario::parse(&std::fs::read_to_string(path).map_err(BadScenario::File)?)
    }

    /// Providers of these names that answer at once and never fail.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        let providers = names.iter().map(|name| ProviderSpec::named(name)).collect();
        Scenario { seed: 1, providers }
    }

    /// Adds a provider.
    #[must_use]
    pub fn with(mut self, provider: ProviderSpec) -> Self {
        self.providers.push(provider);
        self
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// [`BadScenario::Sense`] with the first contradiction.
    pub fn check(&self) -> Result<(), BadScenario> {
        let mut names = BTreeSet::new();
        for provider in &self.providers {
            if provider.name.is_empty() || !names.insert(&provider.name) {
                return Err(BadScenario::Sense(format!(
                    "two providers are called `{}`, or one has no name",
                    provider.name
                )));
            }
            provider.check().map_err(|what| BadScenario::Sense(format!("{}: {what}", provider.name)))?;
        }
        if names.is_empty() { Err(BadScenario::Sense("there is no provider".to_owned())) } else { Ok(()) }
    }
}

impl ProviderSpec {
    /// A provider that answers at once and never fails.
    #[must_use]
    pub fn named(name: &str) -> Self {
        ProviderSpec { name: name.to_owned(), ..ProviderSpec::default() }
    }

    /// With a model at a price (USD per million tokens, input and output) and a quality.
    #[must_use]
    pub fn model(mut self, name: &str, input: f64, output: f64, quality: f64) -> Self {
        let price = Price { input, output, cached_input: None };
        self.models.push(ModelSpec { name: name.to_owned(), price, quality, ..ModelSpec::default() });
        self
    }

    /// With this behaviour when nothing else is said.
    #[must_use]
    pub fn default_behaviour(mut self, behaviour: Behaviour) -> Self {
        self.default = behaviour;
        self
    }

    fn check(&self) -> Result<(), String> {
        let parts = self.mix.iter().map(|chance| chance.probability);
        if parts.clone().any(|part| !(0.0..=1.0).contains(&part)) || parts.sum::<f64>() > 1.0 + 1e-9 {
            return Err("probabilities lie between 0 and 1 and add up to 1 at most".to_owned());
        }
        let Timing { ttft_ms, spread, tokens_per_second, jitter } = self.timing;
        if [ttft_ms, spread, tokens_per_second].iter().any(|figure| !figure.is_finite() || *figure < 0.0)
            || !(0.0..=1.0).contains(&jitter)
        {
            return Err("timing is finite and not negative, jitter at most 1".to_owned());
        }
        if self.models.iter().any(|model| model.name.is_empty() || !(0.0..=1.0).contains(&model.quality)) {
            return Err("a model has a name and a quality between 0 and 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_market_has_four_providers_that_differ_and_one_that_misbehaves() {
        let market = Scenario::market().unwrap();
        assert!(market.providers.len() >= 4);
        assert!(market.providers.iter().any(|provider| !provider.mix.is_empty()));
        let speeds: BTreeSet<u64> = market.providers.iter().map(|p| p.timing.ttft_ms.to_bits()).collect();
        assert_eq!(speeds.len(), market.providers.len());
    }

    #[test]
    fn says_what_contradicts() {
        for (text, word) in [
            ("seed = 1", "no provider"),
            ("[[providers]]\nname='a'\n[[providers]]\nname='a'", "two providers"),
            ("[[providers]]\nname='a'\nmix=[{behaviour='cut',probability=1.5}]", "probabilities"),
            ("[[providers]]\nname='a'\ndefault='nonsense'", "nonsense"),
            ("[[providers]]\nname='a'\ndialect='esperanto'", "esperanto"),
            ("[[providers]]\nname='a'\nspeed=1", "unknown field"),
        ] {
            let error = Scenario::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
