//! Every behaviour of the simulator, streamed and not, with a second provider
//! and without one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use merit::sim::Entry;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::caller::{Ask, Sure};
use super::canon::{Seen, judge};
use super::expected::{CUT, EXPECTED, Fate, SHORT};
use super::stage::{PATIENT, Stage, attempts, provider, until};

/// Requests at a time: enough that stalls overlap, few enough that a busy
/// machine makes nothing late.
const AT_A_TIME: usize = 24;

#[derive(Debug, Clone)]
struct Case {
    behaviour: &'static str,
    fate: Fate,
    stream: bool,
    /// Whether a healthy provider offers the model too.
    second: bool,
    /// The model, offered for this case alone: what one case does to an
    /// endpoint's health is nothing to the others.
    model: String,
    /// Who offers it. Where its key is refused, a provider of its own: that
    /// rests all that the key is for.
    provider: String,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (behaviour, streamed, whole) in EXPECTED {
        for (stream, fate) in [(true, *streamed), (false, *whole)] {
            for second in [true, false] {
                let model = format!("case-{}", cases.len());
                let provider = match fate {
                    Fate::Fails("key_refused" | "quota_exhausted", ..) => format!("faulty-{}", cases.len()),
                    _ => "faulty".to_owned(),
                };
                cases.push(Case { behaviour, fate, stream, second, model, provider });
            }
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_in_a_complete_answer_or_an_honest_error() -> crate::support::Fallible<()> {
    let cases = cases();
    let stage = Arc::new(Stage::set(&["faulty", "sound"], |sim| config(sim, &cases)).await?);
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for case in cases {
        let (stage, permits) = (Arc::clone(&stage), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let tried = tried(&stage, &case).await;
            let form = if case.stream { "stream" } else { "whole" };
            let others = if case.second { "with a second provider" } else { "alone" };
            tried.map_err(|why| format!("{} {form} {others}: {why}", case.behaviour))
        });
    }
    let mut wrong: Vec<String> = running.join_all().await.into_iter().filter_map(Result::err).collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    stage.at_rest().await?;
    Ok(())
}

/// Models of a provider: what callers ask for, and what it is asked for.
type Offers = Vec<(String, String)>;

fn config(sim: &merit::sim::Sim, cases: &[Case]) -> String {
    let url = |name: &str| sim.provider(name).map(merit::sim::Provider::base_url).unwrap_or_default();
    let mut offers: BTreeMap<&str, Offers> = BTreeMap::new();
    for case in cases {
        let upstream = format!("fault/{}", case.behaviour);
        offers.entry(&case.provider).or_default().push((case.model.clone(), upstream));
    }
    let faulty: String =
        offers.iter().map(|(name, models)| provider(name, &url("faulty"), 1.0, models)).collect();
    let second = cases.iter().filter(|case| case.second);
    let sound: Vec<_> = second.map(|case| (case.model.clone(), "any".to_owned())).collect();
    let sound = provider("sound", &url("sound"), 1.0, &sound);
    format!("{PATIENT}{faulty}{sound}")
}

async fn tried(stage: &Stage, case: &Case) -> Sure<()> {
    // A whole answer is waited for longer the longer it may be.
    let mut ask = Ask { max_tokens: 20, ..Ask::of(&case.model, &case.model).first(&case.provider) };
    if case.stream {
        // Both kinds of stream, half of the cases each.
        ask = ask.streamed(case.second);
    }
    let heard = stage.ask(&ask).await?;
    let seen =
        judge(&heard, &ask).map_err(|why| format!("{why}; status {}\n{}", heard.status, heard.text()))?;
    let attempts = attempts(&stage.decision(&heard)?);
    // The journal notes what was written after writing it, and so after the
    // caller may have read it.
    let noted = |entry: &Entry| entry.ended.is_some() || entry.sent.finish || entry.sent.terminal;
    let journal = until(Duration::from_secs(10), "the journal's last entry", || {
        Some(stage.journal(&case.model)).filter(|journal| journal.last().is_some_and(noted))
    })
    .await?;
    let last = journal.last().ok_or("nobody was asked")?;
    let expected = expected(settled(case.fate, last), case.second);
    if seen != expected {
        return Err(format!("{seen:?}, not {expected:?}; attempts {attempts:?}"));
    }
    let read: Vec<_> = attempts.iter().filter(|attempt| !is_lost(case, attempt)).cloned().collect();
    told(case, &read)?;
    if !(read.len()..=attempts.len()).contains(&journal.len()) {
        return Err(format!("{} requests were sent and {attempts:?} recorded", journal.len()));
    }
    if seen == Seen::Complete && !(last.sent.finish || last.sent.terminal) {
        return Err(format!("a success, but {} had not finished: {:?}", last.provider, last.sent));
    }
    Ok(())
}

/// Whether an attempt fell into a connection that was being closed just then:
/// connections are shared with cases that close theirs, and whether the provider
/// read such a request nobody can say.
fn is_lost(case: &Case, attempt: &(String, String)) -> bool {
    let own = matches!(case.fate, Fate::Fails("closed", ..));
    attempt.1 == "closed" && !own
}

/// Where the journal has to say what a behaviour came to.
fn settled(fate: Fate, last: &Entry) -> Fate {
    match fate {
        Fate::Cut if last.provider == "faulty" && last.content_events > 0 => CUT,
        Fate::Cut => SHORT,
        other => other,
    }
}

fn expected(fate: Fate, second: bool) -> Seen {
    match fate {
        Fate::Fine => Seen::Complete,
        Fate::Fails(..) if second => Seen::Complete,
        Fate::Fails(_, status, code) | Fate::Refused(_, status, code) => {
            Seen::Error { status, code: code.to_owned() }
        }
        Fate::Breaks(_, code) => Seen::Broken { code: code.to_owned() },
        // Settled before.
        Fate::Cut => Seen::Broken { code: String::new() },
    }
}

/// The decision's record names what happened.
fn told(case: &Case, attempts: &[(String, String)]) -> Sure<()> {
    let faulty = |result: &str| (case.provider.clone(), result.to_owned());
    let is_as = match case.fate {
        Fate::Fine => attempts == [faulty("ok")],
        Fate::Fails(result, ..) if case.second => {
            attempts == [faulty(result), ("sound".to_owned(), "ok".to_owned())]
        }
        Fate::Fails(result, ..) => {
            !attempts.is_empty() && attempts.iter().all(|attempt| *attempt == faulty(result))
        }
        Fate::Refused(result, ..) | Fate::Breaks(result, _) => attempts == [faulty(result)],
        // Before content it may have been tried again.
        Fate::Cut => attempts.iter().all(|attempt| *attempt == faulty("truncated") || attempt.1 == "ok"),
    };
    if is_as { Ok(()) } else { Err(format!("recorded as {attempts:?}")) }
}
