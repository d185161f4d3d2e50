//! The endpoints of one configuration generation, ready to be used: for each
//! its live state, its prepared target and its metric handles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::target::{Outlet, Target};
use crate::books::rest::Why;
use crate::books::siblings::{Known, Siblings};
use crate::books::{Books, Circuit, Identity, Lengths, Live};
use crate::catalog::{Catalog, Dialect, Endpoint, EndpointId, HeldReason, ModelId, PriceSource};
use crate::dialect;
use crate::outcome::Failure;
use crate::request::class::CHAT;
use crate::telemetry::{EndpointMetrics, Metrics};

/// One endpoint, ready to be used.
#[derive(Debug)]
pub struct Member {
    /// What the endpoint is called, as a number.
    pub identity: Identity,
    /// What its model is called, likewise.
    pub model: Identity,
    /// Shared with the generations before and after.
    pub live: Arc<Live>,
    /// Lengths of the model's answers, likewise.
    pub lengths: Arc<Lengths>,
    /// Where to send; `None` when its dialect is not built yet.
    pub target: Option<Target>,
    /// Its series.
    pub metrics: EndpointMetrics,
}

/// All endpoints of one generation. A request keeps the generation it began
/// with until it has settled.
#[derive(Debug)]
pub struct Fleet {
    /// Counts reloads.
    pub generation: u64,
    /// What is offered.
    pub catalog: Arc<Catalog>,
    members: Vec<Member>,
}

impl Fleet {
    /// Prepares every endpoint of `catalog`. `outlet` gives an account's; they
    /// outlive generations so that connections and tokens do.
    #[must_use]
    pub fn new(
        generation: u64,
        catalog: Catalog,
        books: &Books,
        metrics: &Metrics,
        outlet: impl Fn(&crate::catalog::Provider) -> Outlet,
    ) -> Self {
        let members = catalog
            .endpoints
            .iter()
            .map(|endpoint| {
                let provider = &endpoint.provider;
                let model = &catalog.model(endpoint.model).name;
                let codec = dialect::codec_for(provider);
                Member {
                    identity: Identity::of(&endpoint.identity),
                    model: Identity::of(model),
                    live: books.live(&endpoint.identity, model),
                    lengths: books.lengths(model),
                    target: codec.and_then(|codec| Target::new(endpoint, codec, outlet(provider))),
                    metrics: metrics.endpoint(&provider.name, model),
                }
            })
            .collect();
        let fleet = Fleet { generation, catalog: Arc::new(catalog), members };
        fleet.publish_prices(metrics);
        fleet.assume_siblings();
        fleet
    }

    /// Has endpoints of which nothing is known begin with what is known of their
    /// provider's others.
    fn assume_siblings(&self) {
        if self.members.iter().all(|member| !member.live.is_unknown()) {
            return;
        }
        let catalog = &self.catalog;
        let all = || catalog.endpoints.iter().zip(&self.members);
        let known: Vec<Known<'_>> = all()
            .map(|(endpoint, member)| Known {
                provider: &endpoint.provider.name,
                model: &catalog.model(endpoint.model).name,
                usual: member.live.usual(),
            })
            .collect();
        let siblings = Siblings::of(&known);
        for (endpoint, member) in all().filter(|(_, member)| member.live.is_unknown()) {
            member.live.assume(siblings.expect(&endpoint.provider.name));
        }
    }

    /// Wakes the endpoints whose credential is not the one of the generation
    /// `before`: a rotated key must not wait out the rest of the old one.
    pub fn wake(&self, before: &Fleet) {
        let old: HashMap<&str, &Endpoint> =
            before.catalog.endpoints.iter().map(|endpoint| (&*endpoint.identity, endpoint)).collect();
        for (endpoint, member) in self.catalog.endpoints.iter().zip(&self.members) {
            let credential =
                |endpoint: &Endpoint| (endpoint.provider.key.clone(), endpoint.provider.auth.clone());
            if old.get(&*endpoint.identity).is_some_and(|old| credential(old) != credential(endpoint)) {
                member.live.new_credential();
            }
        }
    }

    /// Has all endpoints of an account rest when a failure at `id` says that no
    /// other of them would do better: its credential is refused, or it has no
    /// credit left. Returns whether it does. The endpoint itself is left to its own
    /// record of the failure.
    #[must_use]
    pub fn rest_account(&self, id: EndpointId, failure: &Failure, now: Duration) -> bool {
        let provider = &self.catalog.endpoint(id).provider;
        let why = match failure {
            // A 403 may be about this model alone.
            Failure::Key { status: 401 } => Why::Key,
            // Google counts quotas by model.
            Failure::QuotaExhausted if provider.dialect != Dialect::Gemini => Why::Quota,
            _ => return false,
        };
        for (endpoint, member) in self.catalog.endpoints.iter().zip(&self.members) {
            if endpoint.id != id && Arc::ptr_eq(&endpoint.provider, provider) {
                member.live.account_rests(why, now);
            }
        }
        true
    }

    /// The member of that id.
    ///
    /// # Panics
    /// Never for ids of this generation's catalog.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "members are made from the catalog that gave out the ids")]
    pub fn member(&self, id: EndpointId) -> &Member {
        &self.members[id.0 as usize]
    }

    /// Sets the gauges of prices, quality and circuits, and what is assumed of
    /// endpoints that nobody has asked; to be called every second.
    pub fn publish(&self, metrics: &Metrics, now: Duration) {
        // Accounts of a provider share a series: it shows the one that is best off.
        let mut circuits: HashMap<(&str, ModelId), i64> = HashMap::new();
        for (endpoint, member) in self.catalog.endpoints.iter().zip(&self.members) {
            let view = member.live.view(0, 0, now);
            let circuit = match view.circuit {
                Circuit::Closed => 0,
                Circuit::HalfOpen { .. } => 1,
                Circuit::Open { .. } => 2,
            };
            let least = circuits.entry((&endpoint.provider.name, endpoint.model)).or_insert(circuit);
            *least = circuit.min(*least);
            member.metrics.circuit.set(*least);
            #[expect(clippy::cast_possible_truncation, reason = "a quality in 0..1")]
            let prior = endpoint.quality as f32;
            member.metrics.quality.set(member.live.worth(CHAT, prior, now));
            member.metrics.drifting.set(i64::from(member.live.is_drifting()));
            for (gauge, share) in member.metrics.unusable.iter().zip(view.unusable) {
                gauge.set(share);
            }
        }
        self.publish_prices(metrics);
        self.assume_siblings();
    }

    /// How many endpoints keep a price because what is listed now is not believed.
    #[must_use]
    pub fn held(&self, reason: HeldReason) -> usize {
        let sources = self.catalog.endpoints.iter().filter_map(|endpoint| endpoint.price_source.as_ref());
        sources.filter_map(PriceSource::held).filter(|held| held.reason == reason).count()
    }

    fn publish_prices(&self, metrics: &Metrics) {
        for reason in HeldReason::ALL {
            let count = i64::try_from(self.held(reason)).unwrap_or(i64::MAX);
            metrics.price_alarms.with_label_values(&[reason.name()]).set(count);
        }
        for endpoint in &self.catalog.endpoints {
            let Some(rates) = &endpoint.rates else { continue };
            let model = &self.catalog.model(endpoint.model).name;
            let kinds = [
                ("input", Some(rates.input)),
                ("cached_input", rates.cached_input),
                ("cache_write", rates.cache_write_5m),
                ("output", Some(rates.output)),
                ("reasoning", rates.reasoning),
            ];
            for (kind, price) in kinds {
                if let Some(price) = price {
                    let labels = [endpoint.provider.name.as_str(), model, kind];
                    metrics.price.with_label_values(&labels).set(price.usd_per_mtok());
                }
            }
        }
    }
}
