//! Price lists as their publishers serve them, brought into our form.
//!
//! The compiled-in lists are translated by `config/books/build_prices.py`; this
//! does the same while the gateway runs. It translates and selects, it does not
//! judge: what a list says is kept beside what others say, and bounds, agreement
//! and precedence are the book's. A model that is not understood is left out; a
//! text that is no list, or one without a single price, is an error.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bounds::Figures;
use super::list::{Line, TierLine};

mod genai_prices;
mod litellm;
mod models_dev;
mod openrouter;
mod vendors;
#[cfg(test)]
mod tests;

/// Whose list it is: the format, and the place in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SourceKind {
    /// `GET /models` of OpenRouter, or of a provider that answers in its form: the
    /// provider's own word, before all others.
    #[serde(rename = "openrouter")]
    OpenRouter,
    /// `data.json`, version 2, of genai-prices.
    #[serde(rename = "genai-prices")]
    GenaiPrices,
    /// `api.json` of models.dev.
    #[serde(rename = "models.dev")]
    ModelsDev,
    /// The price map of LiteLLM.
    #[serde(rename = "litellm")]
    LiteLlm,
}

impl SourceKind {
    /// All, in order of precedence.
    pub const ALL: [SourceKind; 4] =
        [SourceKind::OpenRouter, SourceKind::GenaiPrices, SourceKind::ModelsDev, SourceKind::LiteLlm];

    /// The word used in configuration, metrics and decisions; for lists that are
    /// compiled in too, their name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SourceKind::OpenRouter => "openrouter",
            SourceKind::GenaiPrices => "genai-prices",
            SourceKind::ModelsDev => "models.dev",
            SourceKind::LiteLlm => "litellm",
        }
    }

    /// Where its publisher serves it (looked up 2026-11-22).
    #[must_use]
    pub const fn usual_url(self) -> &'static str {
        match self {
            SourceKind::OpenRouter => "https://openrouter.ai/api/v1/models",
            SourceKind::GenaiPrices => {
                "https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/new_data/v2/data.json"
            }
            SourceKind::ModelsDev => "https://models.dev/api.json",
            SourceKind::LiteLlm => {
                "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"
            }
        }
    }
}

/// Why a text is no price list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// It is not JSON, or not of the list's form.
    Garbage(String),
    /// It has no model with a price.
    Empty,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SourceError::Garbage(what) => write!(f, "not a list of this kind: {what}"),
            SourceError::Empty => f.write_str("the list has no model with a price"),
        }
    }
}

impl std::error::Error for SourceError {}

/// Brings `body` into our form. `vendor` is whose prices an OpenRouter-style
/// listing tells; the other lists say that themselves.
///
/// # Errors
/// When it is no list of that kind, or one without prices.
pub(super) fn read(kind: SourceKind, vendor: &str, body: &[u8]) -> Result<Vec<Line>, SourceError> {
    let list: Value =
        serde_json::from_slice(body).map_err(|error| SourceError::Garbage(error.to_string()))?;
    let garbage = |what: &str| SourceError::Garbage(what.to_owned());
    let lines = match kind {
        SourceKind::OpenRouter => {
            let models = list.get("data").and_then(Value::as_array);
            openrouter::lines(models.ok_or_else(|| garbage("no list of models under data"))?, vendor)
        }
        SourceKind::GenaiPrices => {
            genai_prices::lines(list.as_array().ok_or_else(|| garbage("not a list of providers"))?)
        }
        SourceKind::ModelsDev => {
            models_dev::lines(list.as_object().ok_or_else(|| garbage("not a table of providers"))?)
        }
        SourceKind::LiteLlm => {
            litellm::lines(list.as_object().ok_or_else(|| garbage("not a table of models"))?)
        }
    };
    if lines.is_empty() { Err(SourceError::Empty) } else { Ok(lines) }
}

/// Prices by the names of [`Figures`].
type Rates = Map<String, Value>;

/// The prices that `entry` has under their names, by ours, each `times` as much:
/// our unit is USD per million tokens, for fees USD each.
fn rates(entry: &Value, names: &[(&str, &str)], times: f64) -> Rates {
    let mut rates = Rates::new();
    for (theirs, ours) in names {
        if let Some(price) = entry.get(theirs).and_then(number) {
            rates.insert((*ours).to_owned(), (price * times).into());
        }
    }
    rates
}

/// A number, also one that is written as a text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// `over` where it says something, else `under`.
fn over(under: &Rates, over: Rates) -> Rates {
    let mut all = under.clone();
    all.extend(over);
    all
}

fn figures(rates: Rates) -> Figures {
    serde_json::from_value(Value::Object(rates)).unwrap_or_default()
}

/// Tiers by their borders, each complete: what it does not say is as usual.
fn tiers(usual: &Rates, by_border: impl IntoIterator<Item = (u64, Rates)>) -> Vec<TierLine> {
    let tier = |(above, rates)| TierLine { above, figures: figures(over(usual, rates)) };
    by_border.into_iter().map(tier).collect()
}

fn has_both(rates: &Rates) -> bool {
    rates.contains_key("input") && rates.contains_key("output")
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
