//! From providers, models and routes as they are written to the catalog, with
//! all references resolved and each endpoint's price, limits and quality found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::check::Check;
use super::lookup::{Listed, PriceLookup};
use super::objectives::Objectives;
use super::problem::did_you_mean;
use super::raw::provider::AuthKind;
use super::raw::{self, Raw};
use super::tree::Path;
use super::vendors;
use crate::catalog::{
    Auth, Capabilities, Catalog, Dialect, Endpoint, EndpointId, Model, ModelId, PriceSource, Provider, Route,
    Target, Timeouts,
};
use crate::units::{Rates, Tier};

/// Quality expected of a model that neither configuration nor quality book
/// knows: the middle, so that it is neither favoured nor shut out.
const UNKNOWN_QUALITY: f64 = 0.5;

/// Builds the catalog.
pub(super) fn build(
    raw: &Raw,
    objectives: Objectives,
    prices: &dyn PriceLookup,
    check: &mut Check<'_>,
) -> Catalog {
    let mut catalog = Catalog::default();
    let mut ids = HashMap::new();
    for (name, provider) in &raw.providers {
        let path = Path::default().key("providers").key(name);
        let built = Arc::new(build_provider(name, provider, &path, check));
        catalog.providers.push(Arc::clone(&built));
        for (index, model) in provider.models.iter().enumerate() {
            let offer =
                Offer { raw: provider, provider: &built, model, path: path.key("models").index(index) };
            offer.add(&mut catalog, &mut ids, prices, check);
        }
    }
    for (index, route) in raw.routes.iter().enumerate() {
        let path = Path::default().key("routes").index(index);
        add_route(&mut catalog, route, &objectives, &path, check);
    }
    for key in raw.auth.keys.iter().enumerate() {
        check_key(&catalog, key, check);
    }
    catalog.objectives = objectives.into_map();
    catalog
}

/// A provider; where something is wrong with it, its models are known all the
/// same, so that routes to them are not called dangling.
fn build_provider(name: &str, raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Provider {
    if name.is_empty()
        || name.contains(['/', '@', '#'])
        || name.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        let message = "a provider's name must not be empty or contain spaces, '/', '@' or '#'";
        check.error(
            path,
            message,
            "they separate the parts of an endpoint's identity; use letters, digits and hyphens",
        );
    }
    let base_url = base_url(name, raw, path, check);
    let dialect = raw.dialect.unwrap_or(Dialect::OpenAi);
    let key = raw.key.as_ref().and_then(|key| key.resolve(&path.key("key"), check));
    let auth = auth(raw, dialect, path, check);
    plain_text(&base_url, key.is_some() && auth != Auth::None, path, check);
    Provider {
        name: name.to_owned(),
        dialect,
        base_url,
        key: key.filter(|_| auth != Auth::None),
        auth,
        headers: headers(raw, path, check),
        quirks: raw.quirks.clone(),
        timeouts: timeouts(raw, path, check),
    }
}

/// The base URL, or after a problem an empty one.
fn base_url(name: &str, raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> http::Uri {
    if let Some(vendor) = raw.vendor.as_deref().filter(|vendor| vendors::find(vendor).is_none()) {
        check.dangling(
            &path.key("vendor"),
            "vendor",
            vendor,
            vendors::all().iter().map(|vendor| vendor.slug),
        );
        return http::Uri::default();
    }
    if raw.models.is_empty() {
        check.error(
            &path.key("models"),
            "it offers no model",
            format!("add [[{path}.models]] with name = \"…\""),
        );
    }
    let Some(base_url) = raw.base_url.as_deref() else {
        let known = vendors::find(name).map(|vendor| format!("add vendor = {:?}", vendor.slug));
        check.error(
            &path.key("base_url"),
            "base_url is missing",
            known.unwrap_or_else(|| "add base_url or vendor".into()),
        );
        return http::Uri::default();
    };
    base_url.trim_end_matches('/').parse().unwrap_or_default()
}

fn auth(raw: &raw::Provider, dialect: Dialect, path: &Path, check: &mut Check<'_>) -> Auth {
    let usual = match (raw.key.is_some(), dialect) {
        (false, _) => AuthKind::None,
        (true, Dialect::Anthropic) => AuthKind::Header,
        (true, Dialect::OpenAi | Dialect::Gemini | Dialect::Bedrock) => AuthKind::Bearer,
    };
    let kind = raw.auth.unwrap_or(usual);
    if kind != AuthKind::None && raw.key.is_none() {
        let advice = "add key = { env = \"NAME\" }, or auth = \"none\" if it needs none";
        check.error(&path.key("key"), "key is missing", advice);
    }
    match kind {
        AuthKind::None => Auth::None,
        AuthKind::Bearer => Auth::Bearer,
        AuthKind::Header => {
            let name = raw.auth_header.as_deref().and_then(|name| HeaderName::try_from(name).ok());
            Auth::Header(name.unwrap_or(HeaderName::from_static("x-api-key")))
        }
    }
}

/// A key that crosses a network in plain text is probably not meant.
fn plain_text(base_url: &http::Uri, sends_key: bool, path: &Path, check: &mut Check<'_>) {
    let host = base_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let local =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if sends_key && !local && base_url.scheme_str() == Some("http") {
        check.warn(
            &path.key("base_url"),
            "the key is sent without encryption",
            "use https:// if the provider has it",
        );
    }
}

fn headers(raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> HeaderMap {
    /// Set by the transport or by `auth`.
    const OURS: [&str; 8] = [
        "authorization",
        "x-api-key",
        "api-key",
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
    ];
    let path = path.key("headers");
    let mut map = HeaderMap::new();
    for (name, value) in &raw.headers {
        let path = path.key(name);
        let (Ok(header), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            check.error(
                &path,
                "not a header that can be sent",
                "use letters, digits and hyphens, and visible characters",
            );
            continue;
        };
        if OURS.contains(&header.as_str()) {
            check.error(
                &path,
                format!("{header} is set by the gateway"),
                "use key, auth and auth_header for credentials",
            );
            continue;
        }
        map.insert(header, value);
    }
    map
}

fn timeouts(raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Timeouts {
    let raw = raw.timeouts;
    let path = path.key("timeouts");
    let all =
        [("connect", Some(raw.connect)), ("first_content", raw.first_content), ("idle", Some(raw.idle))];
    for (key, span) in all {
        if span.is_some_and(|span| span.0.is_zero()) {
            check.error(&path.key(key), "must be longer than 0s", "for example \"60s\"");
        }
    }
    Timeouts { connect: raw.connect.0, first_content: raw.first_content.map(|span| span.0), idle: raw.idle.0 }
}

/// A model at a provider.
struct Offer<'o> {
    raw: &'o raw::Provider,
    provider: &'o Arc<Provider>,
    model: &'o raw::Model,
    path: Path,
}

impl Offer<'_> {
    fn add(
        &self,
        catalog: &mut Catalog,
        ids: &mut HashMap<String, ModelId>,
        prices: &dyn PriceLookup,
        check: &mut Check<'_>,
    ) {
        let name = self.model.name.as_str();
        if name.is_empty() {
            check.require(&self.path, "name", false);
            return;
        }
        let region = self.model.region.as_deref().map(|region| format!("@{region}")).unwrap_or_default();
        let identity: Arc<str> = format!("{}/{name}{region}", self.provider.name).into();
        if catalog.endpoints.iter().any(|other| other.identity == identity) {
            let message = format!("{} offers {name:?} twice", self.provider.name);
            check.error(&self.path.key("name"), message, "remove one, or give each its region");
            return;
        }
        let upstream = self.model.upstream.as_deref().unwrap_or(name);
        let listed = prices.find(&self.provider.name, self.raw.vendor.as_deref(), upstream);
        let (rates, price_source) = self.price(listed.as_ref(), check);
        let facts = listed.and_then(|listed| listed.facts);
        let quality =
            self.model.quality.or_else(|| prices.quality(name)).or_else(|| prices.quality(upstream));
        let (Ok(next_model), Ok(next_endpoint)) =
            (u32::try_from(catalog.models.len()), u32::try_from(catalog.endpoints.len()))
        else {
            return;
        };
        let model = *ids.entry(name.to_owned()).or_insert(ModelId(next_model));
        if model == ModelId(next_model) {
            catalog.names.insert(name.to_owned(), Target::Model(catalog.models.len()));
            catalog.models.push(Model { name: name.into(), endpoints: Vec::new() });
        }
        let id = EndpointId(next_endpoint);
        catalog.models.iter_mut().skip(model.0 as usize).take(1).for_each(|model| model.endpoints.push(id));
        catalog.endpoints.push(Endpoint {
            id,
            identity,
            provider: Arc::clone(self.provider),
            model,
            upstream: upstream.to_owned(),
            rates,
            price_source,
            capabilities: self
                .capabilities()
                .or(facts.map(|facts| facts.capabilities))
                .unwrap_or(Capabilities::ALL),
            context: self.model.context.or(facts.and_then(|facts| facts.context)),
            max_output: self.model.max_output.or(facts.and_then(|facts| facts.max_output)),
            quality: quality.unwrap_or(UNKNOWN_QUALITY),
            region: self.model.region.clone(),
        });
    }

    /// The model's own price, else its provider's, else the book's.
    fn price(
        &self,
        listed: Option<&Listed>,
        check: &mut Check<'_>,
    ) -> (Option<Arc<Rates>>, Option<PriceSource>) {
        if let Some(price) = self.model.price.as_ref().or(self.raw.price.as_ref()) {
            let path = if self.model.price.is_some() { self.path.key("price") } else { Path::default() };
            return (rates(price, &path, check).map(Arc::new), Some(PriceSource::Config));
        }
        if let Some(listed) = listed {
            return (Some(Arc::clone(&listed.rates)), Some(listed.source.clone()));
        }
        // Of templates' models that is said by `merit providers`; what the
        // operator wrote should not be dead without a word.
        if check.is_the_operators(&self.path) {
            let message = "its price is unknown, so that it is never chosen";
            check.warn(
                &self.path,
                message,
                "add price = { input = …, output = … } in USD per million tokens",
            );
        }
        (None, None)
    }

    fn capabilities(&self) -> Option<Capabilities> {
        let named = self.model.capabilities.as_ref()?;
        let bits = Capabilities::NAMES.iter().filter(|(name, _)| named.iter().any(|known| known == name));
        Some(bits.fold(Capabilities::default(), |all, (_, bit)| all.with(*bit)))
    }
}

fn rates(price: &raw::Price, path: &Path, check: &mut Check<'_>) -> Option<Rates> {
    let mut rates = price.rates()?;
    for (index, tier) in price.tiers.iter().enumerate() {
        if let Some(priced) = tier.rates() {
            rates.tiers.push(Tier { above: tier.above, rates: priced });
        }
        if index > 0 && price.tiers.get(index - 1).is_some_and(|before| before.above >= tier.above) {
            let path = path.key("tiers").index(index).key("above");
            check.error(&path, "not above the tier before it", "list tiers by ascending above");
        }
    }
    Some(rates)
}

fn add_route(
    catalog: &mut Catalog,
    raw: &raw::Route,
    objectives: &Objectives,
    path: &Path,
    check: &mut Check<'_>,
) {
    check.require(path, "name", !raw.name.is_empty());
    let taken = match catalog.names.get(&raw.name) {
        Some(Target::Model(_)) => Some("a model"),
        Some(Target::Route(_)) => Some("another route"),
        None => None,
    };
    if let Some(taken) = taken {
        check.error(&path.key("name"), format!("{taken} has the name {:?} already", raw.name), "rename one");
        return;
    }
    let path_to_models = path.key("models");
    if raw.models.is_empty() {
        check.error(&path_to_models, "it stands for no model", "list at least one model");
    }
    let mut models: Vec<ModelId> = Vec::new();
    for (index, name) in raw.models.iter().enumerate() {
        let path = path_to_models.index(index);
        let found = catalog.models.iter().position(|model| *model.name == **name);
        match found.and_then(|index| u32::try_from(index).ok()).map(ModelId) {
            Some(id) if models.contains(&id) => {
                check.error(&path, format!("{name:?} is listed twice"), "remove one")
            }
            Some(id) => models.push(id),
            None => check.dangling(&path, "model", name, catalog.models.iter().map(|model| &*model.name)),
        }
    }
    let objective = raw.objective.as_ref().map(|name| objectives.named(name, &path.key("objective"), check));
    let endpoints = models.iter().flat_map(|id| catalog.model(*id).endpoints.clone()).collect();
    catalog.names.insert(raw.name.clone(), Target::Route(catalog.routes.len()));
    catalog.routes.push(Route { name: raw.name.as_str().into(), models, endpoints, objective });
}

/// The models of a static key must exist, or the key is useless without a word.
fn check_key(catalog: &Catalog, (index, key): (usize, &raw::StaticKey), check: &mut Check<'_>) {
    let path = Path::default().key("auth").key("keys").index(index).key("models");
    for (index, name) in key.models.iter().flatten().enumerate() {
        if !catalog.names.contains_key(name) {
            let known: BTreeMap<&str, ()> = catalog.names.keys().map(|known| (known.as_str(), ())).collect();
            let advice = did_you_mean(name, known.into_keys());
            check.error(&path.index(index), format!("there is no model or route {name:?}"), advice);
        }
    }
}
