//! The counter's stories that prove more the longer they run. `make test` tells
//! each in its short form, `make soak` in its long one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use merit::sim::scenario::Chance;
use merit::sim::{Ending, ProviderSpec};
use merit::store::{Kind, Line, Mode, Terms};
use merit::units::NanoUsd;

use super::{ANSWER, ask, bearer, ledger, market, nano, short, start};
use crate::support::Fallible;
use crate::support::accounts::Books;
use crate::support::chat::{chat, streamed, with};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::Events;
use crate::support::market::{Market, pace};
use crate::support::process::until;

/// How often, as `make soak` says in that variable, or so often.
#[expect(clippy::disallowed_methods, reason = "the length of a test is no setting of the gateway")]
fn size(variable: &str, short: usize) -> usize {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(short)
}

fn slow_market() -> Fallible<Market> {
    let spec = ProviderSpec { timing: pace(1.0, 20.0), ..ProviderSpec::named("sim") };
    Market::start(vec![spec.model("small", 1.0, 2.0, 0.8)])
}

/// Does `work` for each number below `all`, on so many threads.
fn at_once<F>(threads: usize, all: usize, work: F) -> Fallible<()>
where
    F: Fn(usize) -> Fallible<()> + Sync,
{
    let next = AtomicUsize::new(0);
    let worker = || -> Result<(), String> {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= all {
                return Ok(());
            }
            work(number).map_err(|error| format!("{number}: {error}"))?;
        }
    };
    let ended: Result<Vec<()>, String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| "a caller panicked".to_owned())?).collect()
    });
    Ok(ended.map(drop)?)
}

#[test]
fn a_budget_for_three_serves_three_of_two_hundred() -> Fallible<()> {
    const AT_ONCE: usize = 200;
    let times = size("MERIT_SOAK_BUDGETS", 20);
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let mut keys = Vec::new();
    for number in 0..times {
        let customer = open.customer(&format!("customer {number}"), Terms::default())?;
        let (_, text) = open.key(customer.id, "app", Terms::default())?;
        let budget = open.budget(customer.id, 3 * ANSWER, Mode::Strict)?;
        keys.push((text, budget.id));
    }
    open.close()?;
    let gateway = start(&books, &market)?;
    for (number, (key, budget)) in keys.iter().enumerate() {
        let statuses: Mutex<HashMap<u16, usize>> = Mutex::default();
        at_once(AT_ONCE, AT_ONCE, |_| {
            let answer = ask(&gateway, key, &short())?;
            *statuses.lock().unwrap().entry(answer.status).or_default() += 1;
            if answer.status == 402 {
                assert_eq!(answer.error_code()?, "budget_exceeded", "{}", answer.body);
                let told = answer.body.contains("customer") && answer.body.contains("0.000024000");
                assert!(told, "{}", answer.body);
            }
            Ok(())
        })?;
        let statuses = statuses.into_inner()?;
        assert_eq!(statuses, HashMap::from([(200, 3), (402, AT_ONCE - 3)]), "round {number}");
        assert_eq!(market.entries().len(), 3 * (number + 1), "nobody was asked for those who were refused");
        let reader = books.reader()?;
        until("the budget is spent", || {
            let standing = reader.standing(Line { budget: *budget, start: 0 })?;
            assert!(standing.settled.get() <= 3 * ANSWER, "{standing:?}");
            Ok(standing.settled == NanoUsd::new(3 * ANSWER))
        })?;
    }
    assert_eq!(ledger(&books, 3 * times)?.len(), 3 * times);
    assert_eq!(
        gateway.count("merit_budget_denied_total", &["scope=\"customer\""])?,
        (times * (AT_ONCE - 3)) as u64
    );
    until("nothing is held", || Ok(gateway.count("merit_reservations_open", &[])? == 0))
}

/// Asks, and gives the request's id with the cost that the caller is told, if it
/// was served.
fn told(gateway: &Gateway, key: &str, number: usize) -> Fallible<Option<(String, NanoUsd)>> {
    let model = if number.is_multiple_of(3) { "large" } else { "small" };
    let words = "word ".repeat(number % 50);
    let body = with(chat(model), "messages", json!([{ "role": "user", "content": words + "hello" }]));
    let body = with(body, "max_tokens", json!(2 + number % 40));
    let authorization = bearer(key);
    let headers = [("authorization", authorization.as_str())];
    if number.is_multiple_of(2) {
        let answer = gateway.chat_as(&headers, &body)?;
        let cost = answer.header("x-merit-cost-usd").filter(|_| answer.status == 200).map(nano);
        let id = answer.must("x-request-id")?.to_owned();
        return Ok(cost.transpose()?.map(|cost| (id, cost)));
    }
    let body = with(with(body, "stream", json!(true)), "stream_options", json!({ "include_usage": true }));
    let Ok(stream) = Events::open(gateway.api, CHAT, &headers, body.to_string()) else { return Ok(None) };
    let id = stream.answer.must("x-request-id")?.to_owned();
    let events = stream.rest()?;
    let Some(last) = events.iter().rev().find(|event| event.contains("\"usage\":{")) else { return Ok(None) };
    let usage: Value = serde_json::from_str(last)?;
    let cost = usage.pointer("/merit/cost_usd").and_then(Value::as_str).ok_or("no cost")?;
    Ok(Some((id, nano(cost)?)))
}

/// What was served, as a set with repetitions: provider, model, input and output.
type Served = HashMap<(String, String, u64, u64), usize>;

#[test]
fn journal_ledger_and_callers_agree() -> Fallible<()> {
    let requests = size("MERIT_SOAK_REQUESTS", 240);
    // One attempt in ten fails before anything is consumed, in three ways.
    let faults = ["status-500", "status-503", "cut"].map(|name| name.parse().map_err(|_| name));
    let faults = faults.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mix: Vec<Chance> =
        faults.into_iter().map(|behaviour| Chance { behaviour, probability: 0.033 }).collect();
    let spec = |name: &str| {
        let spec = ProviderSpec { mix: mix.clone(), ..ProviderSpec::named(name) };
        spec.model("small", 1.0, 2.0, 0.8).model("large", 3.0, 9.0, 0.9)
    };
    let (market, books) = (Market::start(["north", "east", "south"].map(spec).into())?, Books::new()?);
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    let budget = open.budget(customer.id, 100_000_000_000, Mode::Strict)?;
    open.close()?;
    let gateway = start(&books, &market)?;
    let callers: Mutex<HashMap<String, NanoUsd>> = Mutex::default();
    at_once(8, requests, |number| {
        if let Some((id, cost)) = told(&gateway, &key, number)? {
            assert!(callers.lock().unwrap().insert(id, cost).is_none(), "an id came twice");
        }
        Ok(())
    })?;
    let callers = callers.into_inner()?;
    assert!(callers.len() * 20 > requests * 19, "{} of {requests} were served", callers.len());
    let journal = market.entries();
    let records = ledger(&books, journal.len())?;
    assert_eq!(records.len(), journal.len(), "one record for each attempt");
    let (mut recorded, mut billed) = (Served::default(), HashMap::new());
    for found in records {
        let entry = found.entry;
        if !entry.billed {
            assert_eq!(entry.revenue(), NanoUsd::ZERO, "{entry:?}");
            continue;
        }
        assert!(!entry.usage.estimated && entry.result == "ok", "{entry:?}");
        let served =
            (entry.provider.to_string(), entry.model.to_string(), entry.usage.input, entry.usage.output);
        *recorded.entry(served).or_default() += 1;
        assert!(billed.insert(entry.request.to_string(), entry.revenue()).is_none(), "billed twice");
    }
    assert_eq!(billed, callers, "the ledger bills what callers were told");
    let (mut consumed, mut owed) = (Served::default(), 0);
    for entry in journal.into_iter().filter(|entry| entry.sent.finish || entry.sent.terminal) {
        let (input, output) = (entry.consumed.prompt_tokens, entry.consumed.completion_tokens);
        let (token_in, token_out) = if entry.model == "large" { (3_000, 9_000) } else { (1_000, 2_000) };
        owed += i64::try_from(input * token_in + output * token_out)?;
        *consumed.entry((entry.provider, entry.model, input, output)).or_default() += 1;
    }
    assert_eq!(recorded, consumed, "the ledger has what providers did");
    assert_eq!(billed.values().map(|cost| cost.get()).sum::<i64>(), owed, "to the nano-dollar");
    let standing = books.reader()?.standing(Line { budget: budget.id, start: 0 })?;
    assert_eq!(standing.settled.get(), owed);
    until("nothing is held", || Ok(gateway.count("merit_reservations_open", &[])? == 0))
}

#[test]
fn whoever_hangs_up_pays_for_what_was_sent() -> Fallible<()> {
    const AT_ONCE: usize = 50;
    /// From the caller's end to the upstream's.
    const PROMPT: Duration = Duration::from_millis(250);
    let callers = size("MERIT_SOAK_HANGUPS", 100);
    let (market, books) = (slow_market()?, Books::new()?);
    // The journal's clock is a little ahead: what it says to be late is late.
    let clock = Instant::now();
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let limited = Terms { concurrency: Some(2 * u32::try_from(AT_ONCE)?), ..Terms::default() };
    let (_, key) = open.key(customer.id, "app", limited)?;
    open.close()?;
    let gateway = start(&books, &market)?;
    let authorization = bearer(&key);
    let left: Mutex<HashMap<String, Duration>> = Mutex::default();
    at_once(AT_ONCE, callers, |number| {
        let name = format!("caller-{number}.");
        let body = with(streamed("small"), "messages", json!([{ "role": "user", "content": name }]));
        let mut stream =
            Events::open(gateway.api, CHAT, &[("authorization", &authorization)], body.to_string())?;
        for _ in 0..5 {
            assert!(stream.next()?.is_some());
        }
        drop(stream);
        left.lock().unwrap().insert(name, clock.elapsed());
        Ok(())
    })?;
    let left = left.into_inner()?;
    let records = ledger(&books, callers)?;
    assert_eq!(records.len(), callers);
    for found in records {
        let entry = found.entry;
        assert!(entry.result == "caller_gone" && entry.billed && entry.usage.estimated, "{entry:?}");
        assert!(entry.usage.output > 0 && entry.revenue().get() > 0, "{entry:?}");
    }
    until("upstreams are closed", || {
        Ok(market.entries().iter().all(|entry| entry.ending != Ending::Running))
    })?;
    let journal = market.entries();
    assert_eq!(journal.len(), callers);
    let mut waits: Vec<Duration> = Vec::new();
    for entry in journal {
        let (_, gone) =
            left.iter().find(|(name, _)| entry.body.contains(name.as_str())).ok_or("whose is it?")?;
        waits.push(entry.ended.ok_or("it has not ended")?.saturating_sub(*gone));
    }
    waits.sort_unstable();
    let (half, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("upstreams closed after {half:?} (half of them), {most:?} (all {callers})");
    assert!(most <= PROMPT, "an upstream was closed {most:?} after its caller had gone");
    until("nothing is held", || Ok(gateway.count("merit_reservations_open", &[])? == 0))?;
    // Every slot is free: as many as are allowed at once get in together.
    let streams: Fallible<Vec<Events>> = (0..2 * AT_ONCE)
        .map(|_| {
            let body = streamed("small").to_string();
            Events::open(gateway.api, CHAT, &[("authorization", &authorization)], body)
        })
        .collect();
    assert!(streams?.iter().all(|stream| stream.answer.status == 200));
    Ok(())
}

#[test]
fn a_process_that_is_killed_loses_nothing_it_owes() -> Fallible<()> {
    const STREAMS: usize = 200;
    let lives = size("MERIT_SOAK_KILLS", 3);
    let (market, books) = (slow_market()?, Books::new()?);
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    let budget = open.budget(customer.id, 1_000_000_000_000, Mode::Strict)?;
    open.close()?;
    let line = Line { budget: budget.id, start: 0 };
    let body = with(streamed("small"), "max_tokens", json!(200)).to_string();
    let authorization = bearer(&key);
    for life in 1..=lives {
        let gateway = start(&books, &market)?;
        let before = books.reader()?.page(0, 100_000)?;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(Events::open(gateway.api, CHAT, &[("authorization", &authorization)], &body)?);
        }
        gateway.signal("KILL")?;
        drop((streams, gateway));
        let committed = books.reader()?.page(0, 100_000)?;
        assert_eq!(committed.get(..before.len()), Some(before.as_slice()), "a committed record is gone");
        let again = books.open()?;
        again.close()?;
        let reader = books.reader()?;
        let verified = reader.verify()?;
        assert_eq!((verified.wrong, verified.open), (0, 0), "{verified:?}");
        let after = reader.page(0, 100_000)?;
        assert_eq!(after.get(..committed.len()), Some(committed.as_slice()));
        let recovered = after.iter().filter(|found| found.entry.kind == Kind::Recovered).count();
        assert!(recovered > 0, "something was under way in life {life}");
        let standing = reader.standing(line)?;
        // What providers will bill for: every request's input, and the words sent.
        let owed: i64 = market
            .entries()
            .iter()
            .map(|entry| entry.consumed.prompt_tokens * 1_000 + entry.words * 2_000)
            .map(|nano| i64::try_from(nano).unwrap_or(i64::MAX))
            .sum();
        let counted = standing.settled.get() + standing.forfeited.get();
        assert!(counted >= owed, "life {life}: the budget counts {counted}, providers {owed}");
    }
    Ok(())
}
