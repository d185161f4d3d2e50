//! The simulator against a raw client: bytes, endings and journal.

mod client;
mod faults;
mod answers;
mod surface;

use super::{Ending, Entry, Provider, ProviderSpec, Scenario, Sim};

/// One provider that takes no time, and its simulator.
async fn sim() -> Sim {
    Sim::start(Scenario::of(&["a"])).await.unwrap()
}

fn provider(sim: &Sim) -> &Provider {
    sim.provider("a").unwrap()
}

/// The last entry once it has ended. Ends come a moment after the client has
/// seen the last byte, so this lets the other side run until then.
async fn ended(sim: &Sim) -> Entry {
    for _ in 0..100_000 {
        if let Some(entry) = sim.journal().last().filter(|entry| entry.ending != Ending::Running) {
            return entry;
        }
        tokio::task::yield_now().await;
    }
    panic!("still running: {:?}", sim.journal().last());
}
