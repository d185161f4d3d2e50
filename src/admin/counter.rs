//! The counter's part of the admin API: accounts, plans, budgets, usage and the
//! ledger.
//!
//! It stands on the counter alone, not on a running gateway: commands serve it
//! to themselves when none runs, so that there is one set of rules, whoever
//! asks.

pub mod accounts;
pub mod asked;
pub mod budgets;
pub mod customers;
pub mod keys;
pub mod ledger;
pub mod money;
pub mod organisations;
pub mod plans;
pub mod usage;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{only, unknown};
use crate::accounts::Counter;
use crate::api::error::Error;
use crate::store::StoreError;
use crate::store::sqlite::Reader;

pub use money::Usd;

/// Where the operator's requests are served.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    /// `None` where there is no store.
    pub counter: Option<Arc<Counter>>,
    /// Who is written in the audit log.
    pub actor: &'static str,
}

impl Desk {
    fn counter(&self) -> Result<Arc<Counter>, Error> {
        let none = || Error::no_store("this gateway has no store, so it has no accounts and no ledger");
        self.counter.clone().ok_or_else(none)
    }

    /// Makes a change to its end, also when who asked for it has gone away: what
    /// is on the disk must be in force.
    async fn change<T, F>(&self, change: impl FnOnce(Arc<Counter>, &'static str) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let changing = tokio::spawn(change(self.counter()?, self.actor));
        let changed = changing.await.map_err(|_| Error::internal())?;
        changed.map_err(|error| Error::from_store(&error))
    }

    /// Looks something up on a thread that may wait for the disk.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let counter = self.counter()?;
        let looking = tokio::task::spawn_blocking(move || look(&counter.reader()?));
        let seen = looking.await.map_err(|_| Error::internal())?;
        seen.map_err(|error| Error::from_store(&error))
    }
}

/// All its routes, with their descriptions.
pub fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(only(routes!(organisations::list, organisations::create)))
        .routes(only(routes!(organisations::one, organisations::alter, organisations::end)))
        .routes(only(routes!(customers::list, customers::create)))
        .routes(only(routes!(customers::one, customers::alter, customers::end)))
        .routes(only(routes!(keys::list, keys::create)))
        .routes(only(routes!(keys::one, keys::alter, keys::revoke)))
        .routes(only(routes!(keys::rotate)))
        .routes(only(routes!(plans::list, plans::create)))
        .routes(only(routes!(plans::one, plans::alter)))
        .routes(only(routes!(budgets::list, budgets::create)))
        .routes(only(routes!(budgets::one, budgets::alter, budgets::remove)))
        .routes(only(routes!(budgets::credit)))
        .routes(only(routes!(budgets::forgive)))
        .routes(only(routes!(usage::usage)))
        .routes(only(routes!(ledger::records)))
        .routes(only(routes!(ledger::verify)))
        .routes(only(routes!(ledger::audit)))
}

/// The same for commands, without a gateway.
pub fn router(desk: Desk) -> Router {
    routes().split_for_parts().0.fallback(unknown).with_state(desk)
}
