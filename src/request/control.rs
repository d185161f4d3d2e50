//! What a caller asks of the router: `merit`, OpenRouter's `provider`, headers.

pub mod bounds;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

pub use bounds::{Bounds, Preferences};

use super::BadRequest;
use crate::json::{JsonError, Kind, Raw};
use crate::units::PicoUsd;

/// What a caller asks of the router for this request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Control {
    /// Providers (or endpoint identities) to be tried in this order, first.
    pub order: Vec<String>,
    /// Only these providers.
    pub only: Vec<String>,
    /// Not these providers.
    pub ignore: Vec<String>,
    /// Whether others than `order` may be tried (yes when not given).
    pub allow_fallbacks: Option<bool>,
    /// One dimension to sort by instead of the objective.
    pub sort: Option<Sort>,
    /// Dearest list price accepted, for an input and an output token.
    pub max_price: (Option<PicoUsd>, Option<PicoUsd>),
    /// The most this request may be expected to cost (USD).
    pub max_cost_usd: Option<f64>,
    /// The name of an objective.
    pub objective: Option<String>,
    /// Requests with the same name stay together where that saves money.
    pub session: Option<String>,
    /// Limits and preferences beside the price.
    pub bounds: Bounds,
    /// Other names the caller would accept, in order (OpenRouter's `models`).
    pub models: Vec<String>,
}

/// One dimension to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Expected dollars.
    Price,
    /// Time to the first token.
    Latency,
    /// Tokens per second.
    Throughput,
    /// Quality.
    Quality,
}

/// Whose object is read, which decides what becomes of members we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dress {
    /// Ours: an unknown member is a mistake, and ignoring a misspelt limit
    /// would cost the caller money.
    Merit,
    /// OpenRouter's `provider`: what we have no equivalent for is named in a
    /// warning.
    OpenRouter,
}

impl Dress {
    fn name(self) -> &'static str {
        match self {
            Dress::Merit => "merit",
            Dress::OpenRouter => "provider",
        }
    }
}

/// Names are few and short; more is not a preference but an attack.
const MOST_NAMES: usize = 64;

impl Control {
    /// Takes over what the headers `x-merit-objective` and `x-merit-max-cost-usd`
    /// say; they win over the body. `x-session-id` counts where the body names no
    /// session.
    ///
    /// # Errors
    /// When one of them cannot be understood.
    pub fn apply_headers(&mut self, headers: &HeaderMap) -> Result<(), BadRequest> {
        if let Some(objective) = text(headers, "x-merit-objective")? {
            self.objective = Some(objective.to_owned());
        }
        if self.session.is_none() {
            self.session = text(headers, "x-session-id")?.map(ToOwned::to_owned);
        }
        if let Some(limit) = text(headers, "x-merit-max-cost-usd")? {
            let limit = limit.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd >= 0.0);
            let bad =
                || BadRequest::field("x-merit-max-cost-usd", "x-merit-max-cost-usd must be an amount in USD");
            self.max_cost_usd = Some(limit.ok_or_else(bad)?);
        }
        Ok(())
    }

    /// Takes over what the object `merit` or `provider` says.
    pub(super) fn read(
        &mut self,
        object: &Raw<'_>,
        dress: Dress,
        warnings: &mut Vec<String>,
    ) -> Result<(), BadRequest> {
        let mut seen: Vec<String> = Vec::new();
        for member in object.members() {
            let (key, value) = member?;
            let name = key.decoded().into_owned();
            let path = format!("{}.{name}", dress.name());
            if seen.contains(&name) {
                return Err(duplicate(path));
            }
            if value.kind != Kind::Null && !self.set(&name, &path, &value, warnings)? {
                match dress {
                    Dress::Merit => {
                        return Err(BadRequest::field(path, format!("merit has no member {name:?}")));
                    }
                    Dress::OpenRouter => {
                        warnings.push(format!("provider.{} has no effect here", plain(&name)));
                    }
                }
            }
            seen.push(name);
            if seen.len() > MOST_NAMES {
                return Err(BadRequest::field(dress.name(), "too many members"));
            }
        }
        Ok(())
    }

    /// Sets one member; tells whether there is such a one.
    fn set(
        &mut self,
        name: &str,
        path: &str,
        value: &Raw<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, BadRequest> {
        match name {
            "order" => self.order = names(path, value)?,
            "only" => self.only = names(path, value)?,
            "ignore" => self.ignore = names(path, value)?,
            "allow_fallbacks" => {
                let allowed = value.as_bool();
                self.allow_fallbacks = Some(allowed.ok_or_else(|| wrong(path, "a boolean", value))?);
            }
            "sort" => self.sort = Some(sort(path, value)?),
            "max_price" => self.max_price = max_price(path, value, warnings)?,
            "max_cost_usd" => {
                let usd = amount(value).ok_or_else(|| wrong(path, "an amount in USD", value))?;
                self.max_cost_usd = Some(usd);
            }
            "objective" => self.objective = Some(string(path, value)?),
            "session" => self.session = Some(string(path, value)?),
            _ => return self.bounds.set(name, path, value),
        }
        Ok(true)
    }
}

/// The refusal of a field that is given twice. Readers differ in which of the
/// two they believe, so a request could mean one thing to us and another to the
/// upstream.
pub(super) fn duplicate(path: String) -> BadRequest {
    BadRequest { message: format!("{path} is given more than once"), param: Some(path) }
}

/// The refusal of a value of the wrong kind.
pub(super) fn wrong(path: &str, wanted: &str, found: &Raw<'_>) -> BadRequest {
    let message = match found.kind {
        Kind::Number | Kind::String if found.text.len() <= 40 => {
            format!("{path} must be {wanted}, not {}", String::from_utf8_lossy(found.text))
        }
        kind => format!("{path} must be {wanted}, not {}", kind.name()),
    };
    BadRequest::field(path, message)
}

/// A list of names; one name alone is a list of one.
pub(super) fn names(path: &str, value: &Raw<'_>) -> Result<Vec<String>, BadRequest> {
    if value.kind == Kind::String {
        return Ok(vec![string(path, value)?]);
    }
    if value.kind != Kind::Array {
        return Err(wrong(path, "an array of strings", value));
    }
    let elements: Result<Vec<Raw<'_>>, JsonError> = value.elements().take(MOST_NAMES + 1).collect();
    let elements = elements?;
    if elements.len() > MOST_NAMES {
        return Err(BadRequest::field(path, format!("{path} has more than {MOST_NAMES} names")));
    }
    elements.iter().enumerate().map(|(index, element)| string(&format!("{path}[{index}]"), element)).collect()
}

fn string(path: &str, value: &Raw<'_>) -> Result<String, BadRequest> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(std::borrow::Cow::into_owned).ok_or_else(|| wrong(path, "a string with something in it", value))
}

/// OpenRouter also writes `{"by": "price"}`.
fn sort(path: &str, value: &Raw<'_>) -> Result<Sort, BadRequest> {
    let by = value.get(b"by").unwrap_or(*value);
    match by.as_str().as_deref() {
        Some("price") => Ok(Sort::Price),
        Some("latency") => Ok(Sort::Latency),
        Some("throughput") => Ok(Sort::Throughput),
        Some("quality") => Ok(Sort::Quality),
        _ => Err(wrong(path, "\"price\", \"latency\", \"throughput\" or \"quality\"", &by)),
    }
}

/// Dearest prices of an input and an output token.
type Prices = (Option<PicoUsd>, Option<PicoUsd>);

/// USD per million tokens, by our names or OpenRouter's.
fn max_price(path: &str, value: &Raw<'_>, warnings: &mut Vec<String>) -> Result<Prices, BadRequest> {
    if value.kind != Kind::Object {
        return Err(wrong(path, "an object", value));
    }
    let mut price = (None, None);
    for member in value.members() {
        let (key, value) = member?;
        let name = key.decoded();
        let path = format!("{path}.{name}");
        let slot = match name.as_ref() {
            "input" | "prompt" => &mut price.0,
            "output" | "completion" => &mut price.1,
            _ => {
                warnings.push(format!("max_price.{} has no effect here", plain(&name)));
                continue;
            }
        };
        if slot.is_some() {
            return Err(duplicate(path));
        }
        let usd = amount(&value).and_then(PicoUsd::from_usd_per_mtok);
        *slot = Some(usd.ok_or_else(|| wrong(&path, "USD per million tokens", &value))?);
    }
    Ok(price)
}

/// An amount that is not negative; OpenRouter also writes amounts as strings.
fn amount(value: &Raw<'_>) -> Option<f64> {
    let usd = match value.kind {
        Kind::String => value.as_str()?.parse().ok()?,
        _ => value.as_f64()?,
    };
    (usd.is_finite() && usd >= 0.0).then_some(usd)
}

/// A caller's word, fit for a header.
fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_graphic).take(40).collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, BadRequest> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map(str::trim).ok().filter(|text| !text.is_empty());
    text.map(Some).ok_or_else(|| BadRequest::field(name, format!("{name} must be plain text")))
}
