//! Connections: those that cannot be made, and those that die in the pool.

use super::caller::Ask;
use super::canon::{Seen, judge};
use super::stage::{PATIENT, Stage, attempts, provider};
use crate::support::Fallible;
use crate::support::process::free_port;

fn model(name: &str) -> (String, String) {
    (name.to_owned(), "any".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_died_in_the_pool_costs_no_request() -> Fallible<()> {
    let stage = Stage::set(&["dying"], |sim| {
        let url = sim.provider("dying").map(merit::sim::Provider::base_url).unwrap_or_default();
        format!("{PATIENT}{}", provider("dying", &url, 1.0, &[model("m")]))
    })
    .await?;
    stage.provider("dying").set("die-on-reuse")?;
    for number in 0..10 {
        let ask = Ask::of("m", format!("reuse-{number}"));
        let ask = if number % 2 == 0 { ask } else { ask.streamed(true) };
        let heard = stage.ask(&ask).await?;
        assert_eq!(judge(&heard, &ask)?, Seen::Complete, "request {number}");
    }
    // Each but the first met a dead connection, and that was counted.
    assert!(stage.sum("merit_retries_total", &[("reason", "closed")])? >= 1.0);
    stage.at_rest().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_listen_is_passed_over_at_once() -> Fallible<()> {
    let closed = format!("http://127.0.0.1:{}/v1", free_port()?);
    let stage = Stage::set(&["sound"], |sim| {
        let url = sim.provider("sound").map(merit::sim::Provider::base_url).unwrap_or_default();
        let absent = provider("absent", &closed, 1.0, &[model("both"), model("alone")]);
        format!("{PATIENT}{absent}{}", provider("sound", &url, 1.0, &[model("both")]))
    })
    .await?;
    let ask = Ask::of("both", "both").first("absent").streamed(false);
    let heard = stage.ask(&ask).await?;
    assert_eq!(judge(&heard, &ask)?, Seen::Complete);
    let recorded = attempts(&stage.decision(&heard)?);
    assert_eq!(
        recorded,
        [("absent".to_owned(), "connect".to_owned()), ("sound".to_owned(), "ok".to_owned())]
    );

    let ask = Ask::of("alone", "alone");
    let heard = stage.ask(&ask).await?;
    assert_eq!(judge(&heard, &ask)?, Seen::Error { status: 502, code: "upstream_error".to_owned() });
    assert_eq!(heard.header("x-should-retry"), Some("true"));
    stage.at_rest().await?;
    Ok(())
}
