//! Retries are paid from a budget: when everything fails, the load on the
//! upstreams grows by a fifth, not fourfold.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::caller::Ask;
use super::canon::{Seen, judge};
use super::stage::{Stage, provider};
use crate::support::Fallible;

const REQUESTS: u32 = 300;
const AT_A_TIME: usize = 24;
/// What the budget saves up at most: three a second over its window of ten.
const SAVED: f64 = 30.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_not_multiplied_by_retries() -> Fallible<()> {
    let names = ["one", "two", "three"];
    let stage = Stage::set(&names, |sim| {
        let model = [("m".to_owned(), "fault/status-500".to_owned())];
        let url = |name: &str| sim.provider(name).map(merit::sim::Provider::base_url).unwrap_or_default();
        let tables = names.map(|name| provider(name, &url(name), 1.0, &model)).concat();
        // Circuits would hide what the budget does.
        format!("[router.breaker]\nconsecutive_failures = 1000\nmin_requests = 100000\n{tables}")
    })
    .await?;
    let stage = Arc::new(stage);
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let began = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..REQUESTS {
        let (stage, permits) = (Arc::clone(&stage), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let ask = Ask::of("m", format!("budget-{number}"));
            judge(&stage.ask(&ask).await?, &ask)
        });
    }
    for seen in running.join_all().await {
        assert_eq!(seen?, Seen::Error { status: 502, code: "upstream_error".to_owned() });
    }
    let attempts: u64 = stage.sim.providers().iter().map(merit::sim::Provider::requests).sum();
    let attempts = f64::from(u32::try_from(attempts)?);
    let most = 1.2 * f64::from(REQUESTS) + SAVED + 3.0 * began.elapsed().as_secs_f64();
    assert!(attempts <= most, "{attempts} attempts for {REQUESTS} requests, more than {most}");
    assert!(attempts > f64::from(REQUESTS), "some are tried again");
    let recorded = stage.sum("merit_attempts_total", &[("result", "server_error")])?;
    assert!((recorded - attempts).abs() < 1e-9, "{recorded} recorded, {attempts} sent");
    stage.at_rest().await?;
    Ok(())
}
