//! From providers, models and routes as they are written to the catalog, with
//! all references resolved and each endpoint's price, limits and quality found.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::check::Check;
use super::lookup::{Listed, PriceLookup};
use super::objectives::Objectives;
use super::problem::did_you_mean;
use super::raw::{self, Raw};
use super::tree::Path;
use super::vendors;
use crate::catalog::{
    Capabilities, Catalog, Endpoint, EndpointId, Model, ModelId, PriceSource, Provider, Route, Target, Terms,
};
use crate::units::{Rates, Tier};

mod credential;
mod provider;
mod template;

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
        for (number, account) in provider::build(name, provider, &path, check).into_iter().enumerate() {
            let built = Arc::new(account);
            catalog.providers.push(Arc::clone(&built));
            for (index, model) in provider.models.iter().enumerate() {
                let at = path.key("models").index(index);
                let first = number == 0;
                let offer =
                    Offer { raw: provider, provider: &built, model, provider_path: &path, path: at, first };
                offer.add(&mut catalog, &mut ids, prices, check);
            }
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

/// A model at a provider.
struct Offer<'o> {
    raw: &'o raw::Provider,
    provider: &'o Arc<Provider>,
    model: &'o raw::Model,
    provider_path: &'o Path,
    path: Path,
    /// Whether it is the first account that offers the model: what is wrong with
    /// the model is told once.
    first: bool,
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
        let region = self.region().map(|region| format!("@{region}")).unwrap_or_default();
        let key = self.provider.reach.key.map(|key| format!("#{key}")).unwrap_or_default();
        let identity: Arc<str> = format!("{}/{name}{region}{key}", self.provider.name).into();
        if catalog.endpoints.iter().any(|other| other.identity == identity) {
            let message = format!("{} offers {name:?} twice", self.provider.name);
            check.error(&self.path.key("name"), message, "remove one, or give each its region");
            return;
        }
        let Ok(next) = u32::try_from(catalog.endpoints.len()) else { return };
        let Some(model) = model_named(name, catalog, ids) else { return };
        let endpoint = self.endpoint(EndpointId(next), identity, model, prices, check);
        if let Some(model) = catalog.models.get_mut(model.0 as usize) {
            model.endpoints.push(endpoint.id);
        }
        catalog.endpoints.push(endpoint);
    }

    fn endpoint(
        &self,
        id: EndpointId,
        identity: Arc<str>,
        model: ModelId,
        prices: &dyn PriceLookup,
        check: &mut Check<'_>,
    ) -> Endpoint {
        let name = self.model.name.as_str();
        let upstream = self.model.upstream.as_deref().unwrap_or(name);
        let listed = self.listed(upstream, prices);
        let (rates, price_source) = self.price(listed.as_ref(), check);
        let facts = listed.and_then(|listed| listed.facts);
        let known = facts.map(|facts| facts.capabilities);
        let quality =
            self.model.quality.or_else(|| prices.quality(name)).or_else(|| prices.quality(upstream));
        Endpoint {
            id,
            identity,
            provider: Arc::clone(self.provider),
            model,
            upstream: upstream.to_owned(),
            rates,
            price_source,
            capabilities: self.capabilities().or(known).unwrap_or(Capabilities::ALL),
            context: self.model.context.or(facts.and_then(|facts| facts.context)),
            max_output: self.model.max_output.or(facts.and_then(|facts| facts.max_output)),
            quality: quality.unwrap_or(UNKNOWN_QUALITY),
            region: self.region().map(ToOwned::to_owned),
            terms: self.terms(),
        }
    }

    /// What the price book says of it. Where models go by names that the operator
    /// has given them (deployments), it is asked for what callers say, too.
    fn listed(&self, upstream: &str, prices: &dyn PriceLookup) -> Option<Listed> {
        let vendor = self.raw.vendor.as_deref().and_then(vendors::find);
        let slug = vendor.map_or(self.raw.vendor.as_deref(), |vendor| Some(vendor.prices()));
        let find = |model: &str| prices.find(&self.provider.name, slug, model);
        let by_name = || vendor.filter(|vendor| !vendor.alone).and_then(|_| find(&self.model.name));
        find(upstream).or_else(by_name)
    }

    /// The account's, else the model's own.
    fn region(&self) -> Option<&str> {
        self.provider.reach.region.as_deref().or(self.model.region.as_deref())
    }

    /// The model's own price, else its provider's, else the book's.
    fn price(
        &self,
        listed: Option<&Listed>,
        check: &mut Check<'_>,
    ) -> (Option<Arc<Rates>>, Option<PriceSource>) {
        if let Some(price) = self.model.price.as_ref().or(self.raw.price.as_ref()) {
            let path = if self.model.price.is_some() { &self.path } else { self.provider_path };
            let path = path.key("price");
            return (rates(price, &path, check).map(Arc::new), Some(PriceSource::Config));
        }
        if let Some(listed) = listed {
            return (Some(Arc::clone(&listed.rates)), Some(listed.source.clone()));
        }
        // Of templates' models that is said by `merit providers`; what the
        // operator wrote should not be dead without a word.
        if self.first && check.is_the_operators(&self.path) {
            let message = "its price is unknown, so that it is never chosen";
            check.warn(
                &self.path,
                message,
                "add price = { input = …, output = … } in USD per million tokens",
            );
        }
        (None, None)
    }

    fn terms(&self) -> Terms {
        let usual = Terms::default();
        Terms {
            retention: self.model.retention,
            training: self.model.training,
            cache_lasts: self.raw.cache_lasts.map_or(usual.cache_lasts, |span| span.0),
        }
    }

    fn capabilities(&self) -> Option<Capabilities> {
        let named = self.model.capabilities.as_ref()?;
        let bits = Capabilities::NAMES.iter().filter(|(name, _)| named.iter().any(|known| known == name));
        Some(bits.fold(Capabilities::default(), |all, (_, bit)| all.with(*bit)))
    }
}

/// The model of that name, which is new to the catalog at its first offer.
fn model_named(name: &str, catalog: &mut Catalog, ids: &mut HashMap<String, ModelId>) -> Option<ModelId> {
    if let Some(known) = ids.get(name) {
        return Some(*known);
    }
    let index = catalog.models.len();
    let id = ModelId(u32::try_from(index).ok()?);
    ids.insert(name.to_owned(), id);
    catalog.names.insert(name.to_owned(), Target::Model(index));
    catalog.models.push(Model { name: name.into(), endpoints: Vec::new() });
    Some(id)
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
                check.error(&path, format!("{name:?} is listed twice"), "remove one");
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
            let known: BTreeSet<&str> = catalog.names.keys().map(String::as_str).collect();
            let advice = did_you_mean(name, known);
            check.error(&path.index(index), format!("there is no model or route {name:?}"), advice);
        }
    }
}
