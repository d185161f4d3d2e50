//! Simulated providers and a real gateway in front of them.

use std::time::Duration;

use merit::sim::{Entry, ProviderSpec, Scenario, Sim};
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::caller::{Ask, Heard, Sure, ask, words};
use super::metrics::Metrics;
use crate::support::gateway::{Gateway, Setup};
use crate::support::http;

/// How often a condition is looked at. The gateway is another process, whose
/// clock no test can pause: this is the one place that sleeps.
const LOOK: Duration = Duration::from_millis(10);

/// The credential that simulated providers are called with: it must never be
/// seen anywhere.
pub(crate) const CANARY: &str = "canary-5e1f0c8de1f1f0a2c5b7";

/// Waits until `look` gives something.
pub(crate) async fn until<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Sure<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(format!("{what}: not within {within:?}"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The stage of a story.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) sim: Sim,
    pub(crate) gateway: Gateway,
}

impl Stage {
    /// Providers of these names that do what the model's name says, and a
    /// gateway with what `config` makes of them.
    pub(crate) async fn set(names: &[&str], config: impl FnOnce(&Sim) -> String) -> Sure<Stage> {
        let providers =
            names.iter().map(|name| ProviderSpec { name: (*name).to_owned(), ..ProviderSpec::default() });
        let scenario = Scenario { seed: 1, providers: providers.collect() };
        Self::play(scenario, config).await
    }

    pub(crate) async fn play(scenario: Scenario, config: impl FnOnce(&Sim) -> String) -> Sure<Stage> {
        let sim = Sim::start(scenario).await.map_err(words)?;
        let config = config(&sim);
        let setup = Setup { config: &config, environment: &[("CHAOS_KEY", CANARY)], ..Setup::default() };
        let gateway = block_in_place(|| Gateway::start_with(&setup)).map_err(words)?;
        Ok(Stage { sim, gateway })
    }

    pub(crate) async fn ask(&self, request: &Ask) -> Sure<Heard> {
        ask(self.gateway.api, request).await.map_err(|why| format!("{}: {why}", request.tag))
    }

    /// What the providers saw of the requests with this tag, oldest first.
    pub(crate) fn journal(&self, tag: &str) -> Vec<Entry> {
        let tag = format!("<{tag}>");
        self.sim.journal().entries().into_iter().filter(|entry| entry.body.contains(&tag)).collect()
    }

    pub(crate) fn provider(&self, name: &str) -> &merit::sim::Provider {
        self.sim.provider(name).unwrap_or_else(|| panic!("no provider {name}"))
    }

    pub(crate) fn metrics(&self) -> Sure<Metrics> {
        let answer = block_in_place(|| http::get(self.gateway.admin, "/metrics")).map_err(words)?;
        Ok(Metrics::read(answer.body))
    }

    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Sure<f64> {
        self.metrics()?.sum(name, labels)
    }

    /// Waits until a metric's sum is `value`.
    pub(crate) async fn until_sum(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Sure<()> {
        let is = || self.sum(name, labels).ok().filter(|sum| (sum - value).abs() < 1e-9);
        let what = format!("{name}{labels:?} is {value}");
        until(Duration::from_secs(10), &what, is).await.map(drop)
    }

    /// What the gateway recorded about a request.
    pub(crate) fn decision(&self, heard: &Heard) -> Sure<Value> {
        let id = heard.header("x-request-id").ok_or("no x-request-id")?;
        self.decision_of(id)
    }

    pub(crate) fn decision_of(&self, id: &str) -> Sure<Value> {
        let path = format!("/admin/v1/decisions/{id}");
        let answer = block_in_place(|| http::get(self.gateway.admin, &path)).map_err(words)?;
        answer.json().map_err(words)
    }

    /// The newest decisions, newest first.
    pub(crate) fn decisions(&self) -> Sure<Vec<Value>> {
        let path = "/admin/v1/decisions?limit=1000";
        let answer = block_in_place(|| http::get(self.gateway.admin, path)).map_err(words)?;
        let mut body = answer.json().map_err(words)?;
        Ok(body["data"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// When nothing is asked any more nothing is held, and nothing has panicked.
    pub(crate) async fn at_rest(&self) -> Sure<()> {
        self.until_sum("merit_inflight", &[], 0.0).await?;
        self.until_sum("merit_reservations_open", &[], 0.0).await?;
        self.until_sum("merit_panics_total", &[], 0.0).await
    }
}

/// Results of a recorded request's attempts, as `(provider, result)`.
pub(crate) fn attempts(decision: &Value) -> Vec<(String, String)> {
    let attempts = decision["attempts"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    attempts
        .iter()
        .map(|attempt| {
            let provider = text(&attempt["endpoint"]).split('/').next().unwrap_or_default().to_owned();
            (provider, text(&attempt["result"]))
        })
        .collect()
}

/// Short, so that a stall is soon over, and long enough for a machine that is
/// busy with other things.
pub(crate) const TIMEOUTS: &str = r#"first_content = "4s", idle = "3s""#;

/// A provider's table: models as `(name, upstream)`.
pub(crate) fn provider(name: &str, base_url: &str, price: f64, models: &[(String, String)]) -> String {
    let mut table = format!(
        "[providers.{name}]\ndialect = \"openai\"\nbase_url = \"{base_url}\"\nkey = {{ env = \"CHAOS_KEY\" }}\n\
         price = {{ input = {price}, output = {price} }}\n\
         timeouts = {{ {TIMEOUTS} }}\n"
    );
    for (model, upstream) in models {
        table.extend([
            format!("[[providers.{name}.models]]\n"),
            format!("name = {model:?}\nupstream = {upstream:?}\nquality = 0.5\n"),
        ]);
    }
    table
}

/// Extra attempts without limit, and circuits that never open: for stories
/// about single requests.
pub(crate) const PATIENT: &str = "[router]\nretry_budget = 1.0\nretry_min_per_second = 10000\n\
     [router.breaker]\nconsecutive_failures = 1000\nmin_requests = 100000\n";
