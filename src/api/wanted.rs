//! What a request asks for, looked up: the name, the endpoints behind it, and
//! what is valued.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use crate::accounts::Caller;
use crate::app::Generation;
use crate::books::Warm;
use crate::books::warm::{Known, Served, Tenant};
use crate::catalog::{Catalog, Endpoint, EndpointId, Found, Objective};
use crate::dispatch::fleet::Member;
use crate::dispatch::flight::cold;
use crate::dispatch::target::Target;
use crate::market::{Ask, Leaves, Offer};
use crate::request::ChatRequest;

/// What the requested name stands for, and what is valued.
#[derive(Debug)]
pub struct Wanted<'g> {
    /// The configured name.
    pub name: &'g Arc<str>,
    /// Who may serve it.
    pub endpoints: Cow<'g, [EndpointId]>,
    /// What is valued.
    pub objective: Arc<Objective>,
}

/// Looks up the name a caller asks for, and the other names it would accept:
/// the endpoints of all of them compete.
///
/// # Errors
/// When there is no such name or objective, or the caller may not use it.
pub fn find<'g>(
    generation: &'g Generation,
    caller: &Caller,
    request: &ChatRequest,
) -> Result<Wanted<'g>, Error> {
    let catalog = &generation.fleet.catalog;
    let found = name(catalog, caller, &request.model, "model")?;
    let mut endpoints = Cow::Borrowed(found.endpoints);
    for other in &request.control.models {
        let other = name(catalog, caller, other, "models")?;
        let new = other.endpoints.iter().filter(|id| !endpoints.contains(id)).copied().collect::<Vec<_>>();
        if !new.is_empty() {
            endpoints.to_mut().extend(new);
        }
    }
    let objective = match &request.control.objective {
        None => found.objective.unwrap_or(&generation.objective),
        Some(name) => objective(catalog, name)?,
    };
    Ok(Wanted { name: found.name, endpoints, objective: Arc::clone(objective) })
}

fn name<'g>(
    catalog: &'g Catalog,
    caller: &Caller,
    asked: &str,
    param: &'static str,
) -> Result<Found<'g>, Error> {
    let of = |error: Error| Error { param: Some(param.to_owned()), ..error };
    let Some(found) = catalog.find(asked) else {
        let near = catalog.near(asked);
        let near: Vec<&str> = near.into_iter().filter(|name| caller.may_use(name)).collect();
        return Err(of(Error::model_not_found(asked, &near)));
    };
    if !caller.may_use(found.name) {
        return Err(of(Error::model_not_allowed(asked)));
    }
    Ok(found)
}

fn objective<'g>(catalog: &'g Catalog, name: &str) -> Result<&'g Arc<Objective>, Error> {
    catalog.objectives.get(name).ok_or_else(|| {
        let mut known: Vec<&str> = catalog.objectives.keys().map(String::as_str).collect();
        known.sort_unstable();
        let message = format!("there is no objective {name:?}; there are {}", known.join(", "));
        Error::invalid_request(message, Some("objective".to_owned()))
    })
}

/// Where the beginnings of a prompt are, and who served its session last.
#[derive(Debug)]
pub struct Whereabouts<'r> {
    request: &'r ChatRequest,
    prompt: Known,
    session: Option<Served>,
}

impl<'r> Whereabouts<'r> {
    /// Those of `request`, which `tenant` asks at `now`.
    #[must_use]
    pub fn of(request: &'r ChatRequest, tenant: Tenant, warm: &Warm, now: Duration) -> Self {
        let session = request.control.session.as_ref();
        Whereabouts {
            request,
            prompt: warm.known(tenant, &request.prefix, now),
            session: session.and_then(|session| warm.session(tenant, session, now)),
        }
    }

    /// Whether every parameter can be said in the endpoint's dialect; to know that
    /// costs an encoding, so it is only found out where the request insists on it.
    fn understands(&self, endpoint: &Endpoint, member: &Member) -> bool {
        let said = |target: &Target| {
            target.codec.encode(self.request, endpoint).is_ok_and(|encoded| encoded.warnings.is_empty())
        };
        !self.request.control.bounds.require_parameters || member.target.as_ref().is_some_and(said)
    }

    fn leaves(&self, member: &Member) -> Leaves {
        match self.session {
            None => Leaves::Nothing,
            Some(served) if served.endpoint == member.identity => Leaves::Nothing,
            Some(served) if served.model == member.model => Leaves::Endpoint,
            Some(_) => Leaves::Model,
        }
    }
}

/// Every endpoint behind the name, as it is now.
pub fn offers<'g>(
    now: Duration,
    generation: &'g Generation,
    wanted: &Wanted<'g>,
    ask: &Ask<'_>,
    whereabouts: Whereabouts<'g>,
) -> impl Iterator<Item = Offer<'g>> {
    let fleet = &generation.fleet;
    let (input, class, most) = (ask.input_tokens, ask.class, ask.max_output_tokens);
    let mut length = None;
    wanted.endpoints.iter().map(move |id| {
        let (endpoint, member) = (fleet.catalog.endpoint(*id), fleet.member(*id));
        let known = whereabouts.prompt.share(member.identity) * f64::from(input);
        let mut view = member.live.glance(input, class, now);
        let warm_tokens = view.keeps.warm(known);
        if warm_tokens > 0.0 {
            let cold = u32::try_from(cold(input, warm_tokens)).unwrap_or(input);
            view.ttft = member.live.first_token(cold, now);
        }
        // Endpoints of one model stand together: its table is asked once.
        let output_tokens = match length {
            Some((model, tokens)) if model == endpoint.model => tokens,
            _ => member.lengths.expected(class, most),
        };
        length = Some((endpoint.model, output_tokens));
        Offer {
            endpoint,
            model: &fleet.catalog.model(endpoint.model).name,
            spoken: member.target.is_some(),
            view,
            output_tokens,
            warm_tokens,
            leaves: whereabouts.leaves(member),
            understands: whereabouts.understands(endpoint, member),
        }
    })
}
