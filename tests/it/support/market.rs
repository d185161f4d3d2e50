//! Simulated upstreams, in this process: their journal is what stories believe.

use std::fmt::Write as _;

use merit::sim::scenario::Timing;
use merit::sim::{Entry, Provider, ProviderSpec, Scenario, Sim};
use tokio::runtime::Runtime;

use super::Fallible;

/// Running simulated providers. They stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Market {
    // Dropped in this order: the providers go before what they run on.
    sim: Sim,
    runtime: Runtime,
}

impl Market {
    /// Starts them on free ports.
    pub(crate) fn start(providers: Vec<ProviderSpec>) -> Fallible<Market> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let sim = runtime.block_on(Sim::start(Scenario { seed: 1, providers }))?;
        Ok(Market { sim, runtime })
    }

    /// One provider called `sim` with one model, `small`, at 1 and 2 USD per
    /// million tokens.
    pub(crate) fn of_one() -> Fallible<Market> {
        Market::start(vec![ProviderSpec::named("sim").model("small", 1.0, 2.0, 0.8)])
    }

    /// One more provider, on its own.
    pub(crate) fn another(&self, spec: ProviderSpec) -> Fallible<Sim> {
        Ok(self.runtime.block_on(Sim::start(Scenario { seed: 1, providers: vec![spec] }))?)
    }

    /// The provider of that name.
    pub(crate) fn provider(&self, name: &str) -> Fallible<&Provider> {
        self.sim.provider(name).ok_or_else(|| format!("no provider {name}").into())
    }

    /// All requests so far, of all providers.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.sim.journal().entries()
    }

    /// Their configuration for a gateway.
    pub(crate) fn config(&self) -> String {
        self.sim.providers().iter().map(configured).collect()
    }
}

/// One provider's configuration for a gateway.
pub(crate) fn configured(provider: &Provider) -> String {
    let spec = provider.spec();
    let (dialect, url) = (spec.dialect.name(), provider.base_url());
    let mut text = format!("[providers.{}]\ndialect = \"{dialect}\"\nbase_url = \"{url}\"\n", spec.name);
    // Writing to a string cannot fail.
    if let Some(key) = &spec.key {
        let _ = writeln!(text, "key = \"{key}\"");
    }
    for model in &spec.models {
        let cached =
            model.price.cached_input.map(|usd| format!(", cached_input = {usd:?}")).unwrap_or_default();
        let (price, quality, context) = (&model.price, model.quality, model.context);
        let _ = writeln!(
            text,
            "[[providers.{}.models]]\nname = \"{}\"\ncontext = {context}\nquality = {quality:?}\nprice = {{ input = {:?}, output = {:?}{} }}",
            spec.name, model.name, price.input, price.output, cached
        );
    }
    text
}

/// So many milliseconds to the first token, so many tokens a second after it.
pub(crate) fn pace(ttft_ms: f64, tokens_per_second: f64) -> Timing {
    Timing { ttft_ms, tokens_per_second, ..Timing::default() }
}
