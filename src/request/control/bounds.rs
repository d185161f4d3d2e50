//! What a request demands of whoever serves it, and what it merely prefers.

use std::time::Duration;

use super::{amount, names, wrong};
use crate::catalog::TtftTarget;
use crate::json::{Kind, Raw};
use crate::request::BadRequest;

/// The probability of a `ttft` that states none, as in the configuration.
const PROBABILITY: f64 = 0.95;
/// The longest deadline (ms): a day.
const LONGEST: f64 = 86_400_000.0;

/// Limits and preferences of one request beside its price.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bounds {
    /// The whole answer is wanted within this time.
    pub deadline: Option<Duration>,
    /// Least quality, 0..1.
    pub min_quality: Option<f64>,
    /// The first token must come in time.
    pub ttft: Option<TtftTarget>,
    /// Only endpoints in one of these regions (`eu` is also `eu-west-1`); any when
    /// there are none.
    pub regions: Vec<String>,
    /// Only endpoints that are known to keep nothing.
    pub no_retention: bool,
    /// Only endpoints that are known not to train on it.
    pub no_training: bool,
    /// Only endpoints that understand every parameter of the request.
    pub require_parameters: bool,
    /// Others go behind those that do not keep these.
    pub preferred: Preferences,
}

/// By percentile: that of 50, 75, 90 and 99 %.
pub type Percentiles = [Option<f64>; 4];

/// Preferences: nobody is excluded by them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Preferences {
    /// Seconds within which the first token comes, in that share of requests.
    pub max_latency: Percentiles,
    /// Tokens a second that are reached in that share of requests.
    pub min_throughput: Percentiles,
}

impl Preferences {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.max_latency.iter().chain(&self.min_throughput).all(Option::is_none)
    }
}

impl Bounds {
    /// Sets one member of `merit` or `provider`; tells whether there is such a one.
    pub(super) fn set(&mut self, name: &str, path: &str, value: &Raw<'_>) -> Result<bool, BadRequest> {
        match name {
            "deadline_ms" => {
                let ms = amount(value).filter(|ms| *ms > 0.0 && *ms <= LONGEST);
                let ms = ms.ok_or_else(|| wrong(path, "milliseconds, a day at most", value))?;
                self.deadline = Some(Duration::from_secs_f64(ms * 1e-3));
            }
            "min_quality" => self.min_quality = Some(share(path, value)?),
            "ttft" => self.ttft = Some(ttft(path, value)?),
            "region" | "regions" => self.regions = names(path, value)?,
            "zdr" => self.no_retention |= boolean(path, value)?,
            "no_training" => self.no_training |= boolean(path, value)?,
            "data_collection" => {
                let denied = match value.as_str().as_deref() {
                    Some("deny") => true,
                    Some("allow") => false,
                    _ => return Err(wrong(path, "\"allow\" or \"deny\"", value)),
                };
                self.no_retention |= denied;
                self.no_training |= denied;
            }
            "require_parameters" => self.require_parameters = boolean(path, value)?,
            "preferred_max_latency" => self.preferred.max_latency = percentiles(path, value)?,
            "preferred_min_throughput" => self.preferred.min_throughput = percentiles(path, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn boolean(path: &str, value: &Raw<'_>) -> Result<bool, BadRequest> {
    value.as_bool().ok_or_else(|| wrong(path, "a boolean", value))
}

fn share(path: &str, value: &Raw<'_>) -> Result<f64, BadRequest> {
    amount(value).filter(|share| *share <= 1.0).ok_or_else(|| wrong(path, "a number from 0 to 1", value))
}

/// `{"ms": 800, "probability": 0.95}`, or the milliseconds alone.
fn ttft(path: &str, value: &Raw<'_>) -> Result<TtftTarget, BadRequest> {
    let mut target = TtftTarget { ms: f64::NAN, probability: PROBABILITY };
    if value.kind == Kind::Object {
        for member in value.members() {
            let (key, value) = member?;
            let path = format!("{path}.{}", key.decoded());
            match key.decoded().as_ref() {
                "ms" => target.ms = milliseconds(&path, &value)?,
                "probability" => target.probability = share(&path, &value)?,
                _ => return Err(BadRequest::field(&*path, "ttft has the members ms and probability")),
            }
        }
        if target.ms.is_nan() {
            return Err(BadRequest::field(path, format!("{path}.ms is missing")));
        }
    } else {
        target.ms = milliseconds(path, value)?;
    }
    Ok(target)
}

fn milliseconds(path: &str, value: &Raw<'_>) -> Result<f64, BadRequest> {
    amount(value).ok_or_else(|| wrong(path, "a number of milliseconds", value))
}

/// One number, of the median; or by percentile, as OpenRouter has it.
fn percentiles(path: &str, value: &Raw<'_>) -> Result<Percentiles, BadRequest> {
    let number = |path: &str, value: &Raw<'_>| {
        amount(value).ok_or_else(|| wrong(path, "a number, or an object with p50, p75, p90 or p99", value))
    };
    let mut wanted = [None; 4];
    if value.kind != Kind::Object {
        wanted = [Some(number(path, value)?), None, None, None];
        return Ok(wanted);
    }
    for member in value.members() {
        let (key, value) = member?;
        let path = format!("{path}.{}", key.decoded());
        let place = ["p50", "p75", "p90", "p99"].iter().position(|name| key.is(name.as_bytes()));
        let slot = place.and_then(|place| wanted.get_mut(place));
        let slot = slot.ok_or_else(|| BadRequest::field(&*path, "there are p50, p75, p90 and p99"))?;
        *slot = (value.kind != Kind::Null).then(|| number(&path, &value)).transpose()?;
    }
    Ok(wanted)
}
