//! From a decision to an answer: attempts, retries, fallback, and the relay.

pub mod attempt;
pub mod billing;
pub mod connect;
pub mod fleet;
pub mod flight;
pub mod record;
pub mod relay;
pub mod retry;
pub mod run;
pub mod scrub;
pub mod signals;
pub mod target;
pub mod ticket;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use fleet::Fleet;
pub use relay::{Relay, RelaySettings};
pub use run::{Won, run};
pub use signals::Signals;
pub use ticket::Ticket;

use crate::books::{Carried, Warm};
use crate::telemetry::Metrics;
use crate::telemetry::log::Log;
use record::Decisions;
use retry::{RetryBudget, RetrySettings};

/// Parts that live as long as the process and that every request touches.
#[derive(Debug)]
pub struct Shared {
    /// All metrics.
    pub metrics: Metrics,
    /// Where the canonical log lines go.
    pub log: Log,
    /// The last decisions.
    pub decisions: Decisions,
    /// Where prompts and sessions were lately.
    pub warm: Warm,
    /// What goes back with tool calls, for callers that drop it.
    pub carried: Carried,
    /// Pays for extra attempts.
    pub retries: RetryBudget,
    /// Where answers go to be looked at.
    pub signals: Signals,
    /// How attempts are limited.
    pub retry: RetrySettings,
    /// How streams are relayed.
    pub relay: RelaySettings,
    /// Cancelled when the drain deadline has passed: streams end with an error.
    pub deadline: CancellationToken,
    /// Cleans texts of secrets.
    pub redactor: std::sync::Arc<crate::telemetry::Redactor>,
    /// Accounts and the ledger, where there is a store.
    pub counter: Option<std::sync::Arc<crate::accounts::Counter>>,
    /// When the process started: the zero of every `now`.
    pub started: Instant,
}

impl Shared {
    /// Time since the process started: the `now` of the books.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
