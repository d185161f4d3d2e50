//! Callers that hang up: nobody goes on working for them, and what was worked
//! until then is accounted for.

use std::time::Duration;

use merit::sim::Ending;

use super::caller::{Ask, Leave, Line, Sure};
use super::stage::{PATIENT, Stage, attempts, provider, until};
use crate::support::Fallible;

/// An upstream is let go of within this.
const PROMPTLY: Duration = Duration::from_millis(250);

/// When a caller leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    /// While a stream flows.
    Streaming,
    /// While it waits for a stream.
    BeforeStream,
    /// While it waits for a whole answer.
    BeforeWhole,
}

const WHEN: [When; 3] = [When::Streaming, When::BeforeStream, When::BeforeWhole];
const HOW: [Leave; 3] = [Leave::HalfClose, Leave::Close, Leave::Reset];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_is_let_go_of_when_its_caller_leaves() -> Fallible<()> {
    let cases: Vec<_> = WHEN.into_iter().flat_map(|when| HOW.map(|how| (when, how))).collect();
    let models: Vec<_> = cases.iter().map(|(when, how)| (name(*when, *how), upstream(*when))).collect();
    let stage = Stage::set(&["asked"], |sim| {
        let url = sim.provider("asked").map(merit::sim::Provider::base_url).unwrap_or_default();
        format!("{PATIENT}{}", provider("asked", &url, 1.0, &models))
    })
    .await?;
    for (when, how) in &cases {
        tried(&stage, *when, *how).await.map_err(|why| format!("{when:?}, {how:?}: {why}"))?;
    }
    let count = f64::from(u32::try_from(cases.len())?);
    let (estimated, cancelled) = ([("reason", "cancelled")], [("outcome", "client_cancelled")]);
    stage.until_sum("merit_usage_estimated_total", &estimated, count).await?;
    stage.until_sum("merit_requests_total", &cancelled, count).await?;
    stage.at_rest().await?;
    Ok(())
}

fn name(when: When, how: Leave) -> String {
    format!("{when:?}-{how:?}").to_ascii_lowercase()
}

fn upstream(when: When) -> String {
    match when {
        When::Streaming => "fault/slow-tokens?gap=50ms&words=200",
        When::BeforeStream | When::BeforeWhole => "fault/stall",
    }
    .to_owned()
}

async fn tried(stage: &Stage, when: When, how: Leave) -> Sure<()> {
    let name = name(when, how);
    let mut ask = Ask { max_tokens: 200, ..Ask::of(&name, &name) };
    if when != When::BeforeWhole {
        ask = ask.streamed(true);
    }
    let mut line = Line::open(stage.gateway.api).await?;
    line.send(&ask).await?;
    if when == When::Streaming {
        line.head().await?;
        line.piece().await?.ok_or("the stream ended")?;
    } else {
        let asked = || (!stage.journal(&name).is_empty()).then_some(());
        until(Duration::from_secs(5), "the upstream is asked", asked).await?;
    }
    let _half_closed = line.leave(how).await?;
    let ending = || {
        let entry = stage.journal(&name).pop()?;
        matches!(entry.ending, Ending::ClientClosed | Ending::ClientReset).then_some(())
    };
    until(PROMPTLY, "the upstream's connection is closed", ending).await?;
    recorded(stage, when, &name).await
}

/// One attempt, cancelled, with an estimate of what it consumed.
async fn recorded(stage: &Stage, when: When, name: &str) -> Sure<()> {
    let find = || stage.decisions().ok()?.into_iter().find(|record| record["route"] == name);
    let record = until(Duration::from_secs(1), "the request is recorded", find).await?;
    let told = attempts(&record);
    let output = record["tokens_out"].as_u64().unwrap_or_default();
    let holds = record["outcome"] == "client_cancelled"
        && told == [("asked".to_owned(), "caller_gone".to_owned())]
        && record["usage_estimated"] == true
        && record["tokens_in"].as_u64().is_some_and(|input| input > 0)
        && (output > 0) == (when == When::Streaming)
        && record["cost_usd"].is_string();
    let entries = stage.journal(name).len();
    if holds && entries == 1 {
        Ok(())
    } else {
        Err(format!("recorded as {record}; {entries} journal entries"))
    }
}
