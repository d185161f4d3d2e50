//! Random requests against random faults: whatever happens, every request ends
//! in exactly one way, and the books agree with the journal.
//!
//! `MERIT_SEED` replays a run, `MERIT_SOAK` is the number of requests.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use merit::sim::scenario::Chance;
use merit::sim::{Entry, ProviderSpec, Scenario};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::caller::{Ask, Sure, words};
use super::canon::{Seen, judge};
use super::expected::EXPECTED;
use super::stage::{Stage, TIMEOUTS, attempts, provider, until};
use crate::support::Fallible;

const PROVIDERS: [&str; 4] = ["north", "east", "south", "west"];
/// Models are many so that an endpoint that rests for a minute takes little away.
const MODELS: usize = 40;
const AT_A_TIME: usize = 48;
/// The part of attempts that meet a fault.
const FAULTY: f64 = 0.5;

fn setting(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_string_lossy().parse().ok()
}

/// Providers that do anything, drawn from `seed`.
fn scenario(seed: u64) -> Sure<Scenario> {
    let names: Vec<&str> =
        EXPECTED.iter().map(|(name, ..)| *name).chain(["die-on-reuse", "echo-key"]).collect();
    let probability = FAULTY / f64::from(u32::try_from(names.len()).map_err(words)?);
    let mix = names.iter().map(|name| Ok(Chance { behaviour: name.parse().map_err(words)?, probability }));
    let mix: Vec<Chance> = mix.collect::<Sure<_>>()?;
    let spec =
        |name: &str| ProviderSpec { name: name.to_owned(), mix: mix.clone(), ..ProviderSpec::default() };
    Ok(Scenario { seed, providers: PROVIDERS.map(spec).into() })
}

fn config(sim: &merit::sim::Sim) -> String {
    let models: Vec<_> = (0..MODELS).map(|n| (format!("m{n}"), "any".to_owned())).collect();
    let table = |one: &merit::sim::Provider| provider(&one.spec().name, &one.base_url(), 1.0, &models);
    let tables: String = sim.providers().iter().map(table).collect();
    // Whoever stalls is waited for; a good answer that is late is one fault more.
    let tables = tables.replace(TIMEOUTS, r#"first_content = "1s", idle = "700ms""#);
    format!("[decisions]\nexport = \"decisions.jsonl\"\n[router.breaker]\nopen = \"300ms\"\n{tables}")
}

fn request(number: usize, rng: &mut fastrand::Rng) -> Ask {
    let ask = Ask::of(&format!("m{}", rng.usize(..MODELS)), format!("soak-{number}"));
    let ask = Ask { max_tokens: rng.u32(4..12), ..ask };
    if rng.bool() { ask.streamed(rng.bool()) } else { ask }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_every_request_ends_in_exactly_one_way() -> Fallible<()> {
    let seed = setting("MERIT_SEED").unwrap_or_else(|| fastrand::u64(..));
    let requests = setting("MERIT_SOAK").map_or(Ok(1_000), usize::try_from)?;
    println!("MERIT_SEED={seed}");
    let stage = Arc::new(Stage::play(scenario(seed)?, config).await?);
    let mut rng = fastrand::Rng::with_seed(seed);
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for number in 0..requests {
        let (stage, permits, ask) = (Arc::clone(&stage), Arc::clone(&permits), request(number, &mut rng));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let heard = stage.ask(&ask).await?;
            let how = judge(&heard, &ask).map_err(|why| format!("{}: {why}\n{}", ask.tag, heard.text()))?;
            Sure::Ok((ask.tag, (how, heard.header("x-request-id").unwrap_or_default().to_owned())))
        });
    }
    let (mut wrong, mut told) = (Vec::new(), HashMap::new());
    for ended in running.join_all().await {
        match ended {
            Ok((tag, how)) => drop(told.insert(tag, how)),
            Err(why) => wrong.push(why),
        }
    }
    assert!(wrong.is_empty(), "seed {seed}, {} requests:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(told.len(), requests);
    let count = f64::from(u32::try_from(requests)?);
    stage.until_sum("merit_requests_total", &[], count).await?;
    stage.at_rest().await?;
    audit(&stage, &told).await.map_err(|why| format!("seed {seed}: {why}").into())
}

/// Compares callers, records and journal.
async fn audit(stage: &Stage, told: &HashMap<String, (Seen, String)>) -> Sure<()> {
    let records = records(stage, told.len()).await?;
    let mut journal: HashMap<String, Vec<Entry>> = HashMap::new();
    for entry in stage.sim.journal().entries() {
        let tag = entry.body.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        journal.entry(tag).or_default().push(entry);
    }
    let mut wrong = Vec::new();
    let mut complete = 0;
    for (tag, (seen, id)) in told {
        let record = records.get(id).ok_or_else(|| format!("{tag} has no record"))?;
        let entries = journal.get(tag).map(Vec::as_slice).unwrap_or_default();
        complete += usize::from(*seen == Seen::Complete);
        if let Err(why) = agree(seen, record, entries) {
            wrong.push(format!("{tag}: {seen:?}: {why}: {:?}", attempts(record)));
        }
    }
    // Faults hit half of the attempts; with none there is nothing to see here.
    if complete == told.len() || complete * 2 < told.len() {
        wrong.push(format!("{complete} of {} complete", told.len()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn agree(seen: &Seen, record: &Value, entries: &[Entry]) -> Sure<()> {
    let complete = *seen == Seen::Complete;
    if (record["outcome"] == "ok") != complete {
        return Err(format!("recorded as {}", record["outcome"]));
    }
    let mut unmet = attempts(record);
    for entry in entries {
        // Those that may not have been met are the last to count as met.
        let of = |met: &(String, String)| met.0 == entry.provider;
        let met = unmet.iter().position(|one| of(one) && !may_be_unmet(&one.1));
        let met = met.or_else(|| unmet.iter().position(of));
        unmet.remove(met.ok_or_else(|| format!("{} was asked more often than recorded", entry.provider))?);
    }
    if unmet.iter().any(|(_, result)| !may_be_unmet(result)) {
        return Err(format!("recorded and never sent: {unmet:?}"));
    }
    let finished = entries.last().is_some_and(|last| last.sent.finish || last.sent.terminal);
    if complete && !finished {
        return Err("a success, but nobody had finished".to_owned());
    }
    Ok(())
}

/// A connection that died when it was used again took its request with it, and
/// one that nobody read in time was taken back.
fn may_be_unmet(result: &str) -> bool {
    matches!(result, "closed" | "first_content_timeout")
}

/// All exported records by request id.
async fn records(stage: &Stage, count: usize) -> Sure<HashMap<String, Value>> {
    let path = stage.gateway.folder().join("decisions.jsonl");
    let all = || {
        let text = fs::read_to_string(&path).ok()?;
        (text.lines().count() >= count && text.ends_with('\n')).then_some(text)
    };
    let text = until(Duration::from_secs(10), "all decisions are exported", all).await?;
    let mut records = HashMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).map_err(words)?;
        let id = record["request_id"].as_str().unwrap_or_default().to_owned();
        if records.insert(id, record).is_some() {
            return Err("a request was recorded twice".to_owned());
        }
    }
    Ok(records)
}
