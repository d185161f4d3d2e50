//! The constraints that an endpoint must keep to be a candidate.

use super::{Ask, Offer};
use crate::books::{Forecast, View};
use crate::catalog::{Capabilities, Endpoint};
use crate::market::lateness::missed;
use crate::market::objective::Limits;
use crate::market::reject::Reject;
use crate::request::control::bounds::Percentiles;
use crate::request::{Bounds, Control, Preferences};

/// A deadline is missed too likely above this probability.
const MISSED: f64 = 0.1;
/// A latency constraint is held against an endpoint only from this many samples
/// on: an assumption alone would keep the new from ever being measured.
const MEASURED: f64 = 1.0;
/// Standard normal quantiles of 50, 75, 90 and 99 %.
const QUANTILES: [f64; 4] = [0.0, 0.6745, 1.2816, 2.3263];

/// Whether `list` names this endpoint: by its provider or by its identity.
fn place(list: &[String], endpoint: &Endpoint) -> Option<u32> {
    let named = |name: &String| *name == endpoint.provider.name || **name == *endpoint.identity;
    list.iter().position(named).and_then(|place| u32::try_from(place).ok())
}

/// Lists of the request. Returns the endpoint's place in `order`.
pub(super) fn permitted(control: &Control, endpoint: &Endpoint) -> Result<Option<u32>, Reject> {
    if place(&control.ignore, endpoint).is_some() {
        return Err(Reject::Ignored);
    }
    if !control.only.is_empty() && place(&control.only, endpoint).is_none() {
        return Err(Reject::NotAllowed);
    }
    let listed = place(&control.order, endpoint);
    if listed.is_none() && !control.order.is_empty() && control.allow_fallbacks == Some(false) {
        return Err(Reject::NotAllowed);
    }
    Ok(listed)
}

/// Where it runs, what becomes of the prompt there, and whether all of the request
/// is understood. What is not known counts as a no.
pub(super) fn agreeable(bounds: &Bounds, offer: &Offer<'_>) -> Result<(), Reject> {
    let Endpoint { region, terms, .. } = offer.endpoint;
    let within = |wanted: &String| {
        let rest = region.as_deref().and_then(|region| region.strip_prefix(wanted.as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if !bounds.regions.is_empty() && !bounds.regions.iter().any(within) {
        return Err(Reject::Region);
    }
    if bounds.no_retention && terms.retention != Some(false) {
        return Err(Reject::Retention);
    }
    if bounds.no_training && terms.training != Some(false) {
        return Err(Reject::Training);
    }
    if bounds.require_parameters && !offer.understands { Err(Reject::Parameters) } else { Ok(()) }
}

/// Whether an endpoint that has been measured does not keep what is preferred.
pub(super) fn is_behind(preferred: &Preferences, view: &View) -> bool {
    if preferred.is_empty() {
        return false;
    }
    let slower = |wanted: &Percentiles, time: &Forecast, longest: fn(f64) -> f64| {
        let each = wanted.iter().zip(QUANTILES);
        time.samples >= MEASURED
            && each
                .into_iter()
                .any(|(wanted, z)| wanted.is_some_and(|wanted| time.quantile(z) > longest(wanted)))
    };
    slower(&preferred.max_latency, &view.ttft, |seconds| seconds)
        || slower(&preferred.min_throughput, &view.itl, |tokens| 1.0 / tokens)
}

/// What the endpoint can do.
pub(super) fn able(ask: &Ask<'_>, endpoint: &Endpoint) -> Result<(), Reject> {
    if !endpoint.capabilities.has(ask.needs) {
        return Err(Reject::Capability { lacks: Capabilities(ask.needs.0 & !endpoint.capabilities.0) });
    }
    let asked = ask.max_output_tokens;
    if let (Some(needs), Some(has)) = (asked, endpoint.max_output)
        && needs > has
    {
        return Err(Reject::MaxOutput { needs, has });
    }
    let needs = u64::from(ask.input_tokens) + u64::from(asked.unwrap_or(1));
    match endpoint.context {
        Some(has) if needs > u64::from(has) => Err(Reject::Context { needs, has }),
        _ => Ok(()),
    }
}

/// Floors of quality and speed.
pub(super) fn good_enough(
    ask: &Ask<'_>,
    limits: &Limits,
    offer: &Offer<'_>,
    quality: f64,
) -> Result<(), Reject> {
    if let Some(least) = limits.quality.filter(|least| quality < *least) {
        let judgements = f64::from(offer.view.quality.judgements());
        return Err(Reject::MinQuality { quality, judgements, least });
    }
    let ttft = &offer.view.ttft;
    if ttft.samples < MEASURED {
        return Ok(());
    }
    for target in limits.ttft.iter().flatten() {
        let probability = ttft.within(target.ms * 1e-3);
        if probability < target.probability {
            return Err(Reject::Ttft { probability, least: target.probability });
        }
    }
    if let Some(deadline) = ask.deadline {
        let probability = missed(ttft, &offer.view.itl, offer.output_tokens, deadline.as_secs_f64());
        if probability > MISSED {
            return Err(Reject::Deadline { probability });
        }
    }
    Ok(())
}
