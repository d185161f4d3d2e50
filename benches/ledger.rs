//! What the counter costs: records per second with group commit, processor time
//! for one request, the start with many keys, and a customer's usage.
//!
//! Goals: 20,000 records/s, 15 µs for authentication, reservation, settlement and
//! ledger together (the store's thread included), 100,000 keys in a second, and a
//! customer's usage in 50 ms at ten million records.
//! `cargo bench --bench ledger -- RECORDS KEYS ROWS` (100,000, 100,000, 200,000).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use merit::accounts::{Counter, Pepper};
use merit::store::queue::Gauges;
use merit::store::sqlite::Sqlite;
use merit::store::{
    Account, Budget, Change, Database, Entry, Group, KeyDigest, Kind, Level, Mode, Row, Store, Terms,
    UsageFilter, Window, Write,
};
use merit::units::{NanoUsd, PicoUsd, Rates, Usage};
use tokio::time::Instant;
use uuid::Uuid;

/// 2026-11-25, in seconds.
const NOW: u64 = 1_795_564_800;

fn open(file: &Path) -> (Arc<Counter>, JoinHandle<()>) {
    let mut database = Sqlite::open(file).unwrap();
    let snapshot = database.recover().unwrap();
    let append = prometheus::Histogram::with_opts(prometheus::HistogramOpts::new("a", "a")).unwrap();
    let gauges = Gauges { up: prometheus::IntGauge::new("u", "u").unwrap(), append };
    let (store, writer) = Store::start(database, gauges).unwrap();
    (Counter::new(store, snapshot, pepper(), file.to_owned()), writer)
}

fn pepper() -> Pepper {
    Pepper::from_text("pepper")
}

/// Seconds of processor time of all threads so far, to 10 ms (Linux).
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn entry(number: u128, rates: &Arc<Rates>) -> Box<Entry> {
    Box::new(Entry {
        request: Uuid::from_u128((u128::from(NOW) << 80) | number),
        attempt: 1,
        kind: Kind::Settled,
        at: NOW * 1000 + u64::try_from(number / 100).unwrap(),
        organisation: None,
        customer: Some(i64::try_from(number % 100).unwrap() + 1),
        key: Some(i64::try_from(number % 100).unwrap() + 1),
        key_name: "app".into(),
        route: "auto".into(),
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        plan: None,
        rates: Some(Arc::clone(rates)),
        usage: Usage::default(),
        cost: NanoUsd::ZERO,
        charged: NanoUsd::ZERO,
        free: NanoUsd::ZERO,
        billed: true,
        result: "ok".to_owned(),
        stream: true,
        end_user: None,
        tags: None,
        lines: Arc::from([]),
        allowance: None,
    })
}

fn rates() -> Arc<Rates> {
    let price = |usd| PicoUsd::from_usd_per_mtok(usd).unwrap();
    Arc::new(Rates { input: price(0.15), output: price(0.6), ..Rates::default() })
}

const USED: Usage = Usage { input: 900, output: 120, ..EMPTY };
const EMPTY: Usage = Usage {
    input: 0,
    cached_input: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    output: 0,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    image_input: 0,
    requests: 0,
    tool_calls: 0,
    estimated: false,
};

/// Records by 100 customers, as fast as they are taken.
fn throughput(folder: &Path, records: u32) {
    let (counter, _writer) = open(&folder.join("throughput.db"));
    let rates = rates();
    let began = Instant::now();
    for number in 0..records {
        counter.settle(entry(number.into(), &rates), None, USED);
    }
    counter.store.write_blocking(Write::Flush).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    println!("ledger: {:.0} records/s with group commit", f64::from(records) / seconds);
    let reader = counter.reader().unwrap();
    let began = Instant::now();
    let filter = UsageFilter { customer: Some(7), ..UsageFilter::default() };
    let usage = reader.usage(&filter, Group::Day).unwrap();
    println!("usage of one customer: {:.2} ms, {} days", began.elapsed().as_secs_f64() * 1e3, usage.len());
    let began = Instant::now();
    let verified = reader.verify().unwrap();
    assert_eq!(verified.wrong, 0, "{verified:?}");
    println!("verify: {:.0} records/s", f64::from(records) / began.elapsed().as_secs_f64());
}

/// All that the counter does for one request, with a budget of key and customer.
fn request(folder: &Path, runtime: &tokio::runtime::Runtime, requests: u32) {
    let (counter, _writer) = open(&folder.join("request.db"));
    let rates = rates();
    let customer = counter.create("bench", Level::Customer, None, "acme", Terms::default());
    let customer = runtime.block_on(customer).unwrap();
    let made = counter.create_key("bench", Some(customer.id), "app", Terms::default());
    let (key, text) = runtime.block_on(made).unwrap();
    for account in [customer.id, key.id] {
        let (limit, window) = (NanoUsd::new(1 << 60), Window::Month);
        let budget = Budget { id: 0, account, version: 0, limit, window, mode: Mode::Strict, shadow: false };
        runtime.block_on(counter.save_budget("bench", budget)).unwrap();
    }
    let (began, before) = (Instant::now(), processor());
    runtime.block_on(async {
        for number in 0..requests {
            let caller = counter.find(text.expose(), NOW * 1000).unwrap();
            let path = caller.account.as_ref().unwrap();
            let mut held = counter.reserve(path, NanoUsd::new(500_000), NOW).await.unwrap();
            let mut opened = entry(number.into(), &rates);
            opened.lines = Arc::clone(&held.lines);
            counter.open(opened.clone());
            counter.settle(opened, Some(&mut held), USED);
            counter.vault.release(&held);
        }
        counter.store.write(Write::Flush).await.unwrap();
    });
    let (wall, spent) = (began.elapsed().as_secs_f64(), processor() - before);
    let each = |seconds: f64| seconds * 1e6 / f64::from(requests);
    println!("request: {:.1} µs of processor, {:.1} µs of time", each(spent), each(wall));
}

fn start(folder: &Path, keys: u32) {
    let file = folder.join("start.db");
    let pepper = pepper();
    let mut database = Sqlite::open(&file).unwrap();
    let account = |level, parent, name: String| Account {
        id: 0,
        level,
        parent,
        name,
        version: 0,
        terms: Terms::default(),
        created: 0,
        ended: None,
    };
    let change = |account, digests| {
        let row = Row::Account(account, digests);
        Write::Change(Box::new(Change { actor: "bench".to_owned(), at: 0, row }))
    };
    database.commit(&[change(account(Level::Customer, None, "acme".to_owned()), None)]).unwrap();
    let writes: Vec<Write> = (0..keys)
        .map(|number| {
            let digest = pepper.digest(&format!("key {number}"));
            let digest = KeyDigest { digest, account: 0, until: None, hint: String::new() };
            change(account(Level::Key, Some(1), format!("key {number}")), Some(vec![digest]))
        })
        .collect();
    for batch in writes.chunks(5_000) {
        database.commit(batch).unwrap();
    }
    drop(database);
    let began = Instant::now();
    let (counter, _writer) = open(&file);
    println!("start with {keys} keys: {:.2} s", began.elapsed().as_secs_f64());
    assert!(counter.find("key 77", 0).is_some());
}

/// A customer's usage when the ledger holds `rows` records of 100 customers, spread
/// over 90 days, and a tenth of that. It is read from the sums, whose number
/// depends on time, keys and models, not on requests.
fn usage(folder: &Path, rows: u32) {
    const DAYS: u64 = 90;
    let mut database = Sqlite::open(&folder.join("usage.db")).unwrap();
    let (rates, step) = (rates(), DAYS * 86_400_000 / u64::from(rows));
    let reader = database.reader().unwrap();
    let mut all = 0..rows;
    for part in [rows / 10, rows] {
        while all.start < part {
            let batch = all.by_ref().take(4_000).map(|number| {
                let mut entry = entry(number.into(), &rates);
                // So that a tenth of the records is spread over all days too.
                let turn =
                    u64::from(number) * 10 % u64::from(rows) + u64::from(number) * 10 / u64::from(rows);
                entry.at = (NOW - DAYS * 86_400) * 1000 + turn * step;
                entry.price(USED, NanoUsd::ZERO);
                Write::Settle(entry)
            });
            database.commit(&batch.collect::<Vec<_>>()).unwrap();
        }
        let page = |what: &str, from: Option<u64>| {
            let filter = UsageFilter { customer: Some(7), from, ..UsageFilter::default() };
            let began = Instant::now();
            let lines = reader.usage(&filter, Group::Day).unwrap().len();
            println!(
                "usage of {what}, {part} records: {:.2} ms, {lines} lines",
                began.elapsed().as_secs_f64() * 1e3
            );
        };
        page("a customer, 90 days", None);
        page("a customer, 7 days by the minute", Some(NOW - 7 * 86_400 + 60));
        let began = Instant::now();
        let latest = reader.latest(7, None, 50).unwrap().len();
        println!(
            "latest {latest} records of a key, {part} records: {:.2} ms",
            began.elapsed().as_secs_f64() * 1e3
        );
    }
}

fn main() {
    let mut figures = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let (records, keys) = (figures.next().unwrap_or(100_000), figures.next().unwrap_or(100_000));
    let rows = figures.next().unwrap_or(200_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    throughput(folder.path(), records);
    request(folder.path(), &runtime, records);
    start(folder.path(), keys);
    usage(folder.path(), rows);
}
