//! Providers that live, lag, fail and lie on command.
//!
//! One simulator serves the demo, the tests, the benchmarks and users' game
//! days. It speaks HTTP over bare sockets, because a proper HTTP library cannot
//! misbehave enough: it would not write half a character, a length that is
//! wrong, or reset in the middle of an event. Every request goes the same way:
//!
//! ```text
//! inbound → speech → draw → compose → perform
//! bytes     Ask      Tale   Script    bytes, and the journal
//! ```
//!
//! A [`Behaviour`] says what goes wrong, as text: `fault/cut-after-3?how=rst`.
//! It is chosen by the request's model name, else by the provider's queue
//! ([`Provider::next`]), else by its dice, else by its default. The [`Journal`]
//! is what tests believe: it is written by the side a gateway cannot fool.
//!
//! It uses nothing of the gateway but the names of the dialects, so that a
//! mistake there cannot hide here.

pub mod scenario;
pub mod behaviour;
pub mod faults;
pub mod quirks;
pub mod script;
pub mod journal;
mod speech;
mod texts;
mod inbound;
mod draw;
mod example;
mod compose;
mod socket;
mod perform;
mod bench;
mod cache;
mod control;
mod provider;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use behaviour::{BadBehaviour, Behaviour};
pub use journal::{Ending, Entry, Journal, Sent};
pub use scenario::{BadScenario, ProviderSpec, Scenario};
pub use speech::Consumed;

/// Running simulated providers. They stop, connections included, when this is dropped.
#[derive(Debug)]
pub struct Sim {
    providers: Vec<Provider>,
    journal: Arc<Journal>,
    stop: CancellationToken,
}

/// Why a simulator did not start.
#[derive(Debug)]
pub enum StartError {
    /// The scenario contradicts itself.
    Scenario(BadScenario),
    /// A provider cannot listen where it should.
    Listen {
        /// The provider.
        provider: String,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Scenario(error) => error.fmt(f),
            StartError::Listen { provider, address, error } => {
                write!(f, "provider {provider} cannot listen on {address}: {error}")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl Sim {
    /// Binds one listener per provider and serves.
    ///
    /// # Errors
    /// [`StartError`] when the scenario makes no sense or an address is taken.
    pub async fn start(scenario: Scenario) -> Result<Sim, StartError> {
        scenario.check().map_err(StartError::Scenario)?;
        let (start, journal, stop) = (Instant::now(), Arc::new(Journal::default()), CancellationToken::new());
        let mut sim = Sim { providers: Vec::new(), journal: Arc::clone(&journal), stop: stop.clone() };
        for spec in scenario.providers {
            let (provider, address) = (spec.name.clone(), spec.listen);
            let surroundings = (start, Arc::clone(&journal), stop.child_token());
            match Provider::start(spec, scenario.seed, surroundings).await {
                Ok(provider) => sim.providers.push(provider),
                Err(error) => return Err(StartError::Listen { provider, address, error }),
            }
        }
        Ok(sim)
    }

    /// The provider of that name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.spec().name == name)
    }

    /// All providers, in the scenario's order.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// What happened so far.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One running provider.
#[derive(Debug)]
pub struct Provider {
    shared: Arc<provider::Shared>,
}

impl Provider {
    async fn start(
        spec: ProviderSpec,
        seed: u64,
        surroundings: (Instant, Arc<Journal>, CancellationToken),
    ) -> std::io::Result<Provider> {
        let speech = speech::speech(spec.dialect);
        let listener = TcpListener::bind(spec.listen).await?;
        let shared = Arc::new(provider::Shared::new(spec, speech, seed, &listener, surroundings)?);
        tokio::spawn(provider::accept(Arc::clone(&shared), listener));
        Ok(Provider { shared })
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &ProviderSpec {
        &self.shared.spec
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The base URL a gateway is configured with; ends in `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.shared.address)
    }

    /// Changes what it does when nothing else is said, from the next request on.
    ///
    /// # Errors
    /// [`BadBehaviour`] when the text is none; nothing is changed then.
    pub fn set(&self, behaviour: &str) -> Result<(), BadBehaviour> {
        self.shared.set(behaviour.parse()?);
        Ok(())
    }

    /// What it does with the next requests, one behaviour each, after those
    /// already waiting. Requests whose model is a `fault/…` take none.
    ///
    /// # Errors
    /// [`BadBehaviour`] for the first text that is none; nothing is added then.
    pub fn next(&self, behaviours: &[&str]) -> Result<(), BadBehaviour> {
        let behaviours = behaviours.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
        self.shared.next(behaviours);
        Ok(())
    }

    /// Requests it has had, those answered for benchmarks included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests()
    }

    /// The journal's entries about it.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let name = &self.shared.spec.name;
        self.shared.journal.entries().into_iter().filter(|entry| entry.provider == *name).collect()
    }

    /// Ends it: connections break and further ones are refused.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

/// How the journal writes a credential, for tests that compare.
#[must_use]
pub fn credential_digest(credential: &str) -> String {
    provider::digest(credential)
}
