//! Rules to be measured against: those of other gateways, written anew from what
//! their documentation and sources say they do, with their defaults; and what
//! could be reached at best.

mod latency;
mod loads;
mod reference;

pub use latency::{LiteLlmLatency, VllmMultiFactor};
pub use loads::{AgentGateway, Helicone, PowerOfTwo};
pub use reference::{Always, Cheapest, OpenRouter, Oracle, Shuffled, Turns};

/// `items` by ascending `key`.
fn ascending(items: &[usize], key: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
    sorted
}
