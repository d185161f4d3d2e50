//! The counter over a real store.

use tempfile::TempDir;

use super::*;
use crate::store::queue::Gauges;
use crate::store::sqlite::Sqlite;
use crate::store::{Database, Plan, Terms};

fn gauges() -> Gauges {
    let options = prometheus::HistogramOpts::new("a", "a");
    let append = prometheus::Histogram::with_opts(options).unwrap();
    Gauges { up: prometheus::IntGauge::new("u", "u").unwrap(), append }
}

fn open(folder: &TempDir) -> Arc<Counter> {
    let path = folder.path().join("merit.db");
    // The one before may not have let go yet.
    let mut database = loop {
        match Sqlite::open(&path) {
            Err(StoreError::Locked(_)) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let snapshot = database.recover().unwrap();
    let (store, _thread) = Store::start(database, gauges()).unwrap();
    Counter::new(store, snapshot, Pepper::from_text("pepper"), path)
}

fn budget(account: Id, limit: i64, window: Window) -> Budget {
    Budget {
        id: 0,
        account,
        version: 0,
        limit: NanoUsd::new(limit),
        window,
        mode: Mode::Strict,
        shadow: false,
    }
}

const NOW: u64 = 1_795_564_800;

#[tokio::test]
async fn a_key_is_known_from_its_making_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let counter = open(&folder);
    let customer = counter.create("me", Level::Customer, None, "acme", Terms::default()).await.unwrap();
    let (key, first) = counter.create_key("me", Some(customer.id), "app", Terms::default()).await.unwrap();
    assert_eq!(
        counter.find(first.expose(), 0).unwrap().account.as_ref().unwrap().customer,
        Some(customer.id)
    );
    let now = unix_ms();
    let (key, second) = counter.rotate("me", key.id, key.version, 60_000).await.unwrap();
    assert!(counter.find(first.expose(), now).is_some() && counter.find(second.expose(), now).is_some());
    assert!(counter.find(first.expose(), now + 61_000).is_none(), "the overlap is over");
    assert_eq!(counter.end("me", key.id, 1).await, Err(StoreError::Conflict), "an old version");
    let again = open_again(&folder, counter).await;
    assert!(again.find(second.expose(), now).is_some(), "a restart forgets nothing");
    again.end("me", key.id, key.version).await.unwrap();
    assert!(again.find(second.expose(), now).is_none() && again.find(first.expose(), now).is_none());
    let (_, third) = again.create_key("me", Some(customer.id), "app", Terms::default()).await.unwrap();
    again.end("me", customer.id, customer.version).await.unwrap();
    assert!(again.find(third.expose(), now).is_none(), "a customer that is gone has no keys");
    assert!(again.create_key("me", Some(customer.id), "b", Terms::default()).await.is_err());
}

async fn open_again(folder: &TempDir, counter: Arc<Counter>) -> Arc<Counter> {
    counter.store.close().await.unwrap();
    drop(counter);
    open(folder)
}

#[tokio::test]
async fn exactly_what_there_is_is_served_and_a_restart_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let counter = open(&folder);
    let (key, text) = counter.create_key("me", None, "app", Terms::default()).await.unwrap();
    let limit = counter.save_budget("me", budget(key.id, 3_000, Window::Total)).await.unwrap();
    let caller = counter.find(text.expose(), 0).unwrap();
    let tries = (0..50).map(|_| {
        let (counter, caller) = (Arc::clone(&counter), Arc::clone(&caller));
        tokio::spawn(async move {
            counter.reserve(caller.account.as_ref().unwrap(), NanoUsd::new(1_000), NOW).await
        })
    });
    let mut held = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(one) => held.push(one),
            Err(refused) => {
                assert!(matches!(refused, Refused::Over(over, Level::Key) if over.budget == limit.id));
            }
        }
    }
    assert_eq!(held.len(), 3);
    for held in &held {
        counter.vault.release(held);
    }
    let again = open_again(&folder, counter).await;
    let view = again.vault.view(limit.id, NOW).unwrap();
    assert_eq!((view.spent, view.held), (NanoUsd::ZERO, NanoUsd::ZERO), "a proper end gives slices back");
}

#[tokio::test]
async fn a_process_that_died_has_spent_all_that_it_was_granted() {
    let folder = tempfile::tempdir().unwrap();
    let counter = open(&folder);
    let (key, text) = counter.create_key("me", None, "app", Terms::default()).await.unwrap();
    let limit = counter.save_budget("me", budget(key.id, 32_000, Window::Total)).await.unwrap();
    let caller = counter.find(text.expose(), 0).unwrap();
    let held = counter.reserve(caller.account.as_ref().unwrap(), NanoUsd::new(500), NOW).await.unwrap();
    // The file as it is now is what a crash would leave.
    let copy = tempfile::tempdir().unwrap();
    for name in ["merit.db", "merit.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let after = open(&copy);
    let view = after.vault.view(limit.id, NOW).unwrap();
    assert!(view.spent >= held.amount, "under-counted: {view:?}");
    assert!(view.spent <= NanoUsd::new(1_000), "no more than a slice: {view:?}");
    let forgiven = after.forgive("me", limit.id).await.unwrap();
    assert_eq!(forgiven.forfeited, view.spent);
    assert_eq!(after.vault.view(limit.id, NOW).unwrap().spent, NanoUsd::ZERO);
}

#[tokio::test]
async fn credit_grows_a_budget_and_plans_give_allowances() {
    let folder = tempfile::tempdir().unwrap();
    let counter = open(&folder);
    let allowance = NanoUsd::new(100);
    let plan = Plan { name: "free".to_owned(), allowance, ..Plan::default() };
    let plan = counter.save_plan("me", plan).await.unwrap();
    let terms = Terms { plan: Some(plan.id), ..Terms::default() };
    let customer = counter.create("me", Level::Customer, None, "acme", terms).await.unwrap();
    let (_, text) = counter.create_key("me", Some(customer.id), "app", Terms::default()).await.unwrap();
    let prepaid = counter.save_budget("me", budget(customer.id, 0, Window::Total)).await.unwrap();
    let reserve = async |amount| {
        let caller = counter.find(text.expose(), 0).unwrap();
        counter.reserve(caller.account.as_ref().unwrap(), NanoUsd::new(amount), NOW).await
    };
    let held = reserve(100).await.unwrap();
    assert_eq!((held.free, held.amount), (allowance, NanoUsd::ZERO), "no credit is needed for what is free");
    assert!(reserve(1).await.is_err());
    let paid = counter.credit("me", prepaid.id, NanoUsd::new(50), "invoice 1").await.unwrap();
    assert_eq!((paid.limit, paid.version), (NanoUsd::new(50), 2));
    assert!(reserve(50).await.is_ok() && reserve(1).await.is_err());
    assert!(counter.credit("me", prepaid.id, NanoUsd::new(-51), "no").await.is_err());
    counter.save_plan("me", Plan { allowance: NanoUsd::ZERO, ..plan }).await.unwrap();
    assert!(counter.find(text.expose(), 0).unwrap().account.as_ref().unwrap().allowance.is_none());
}

#[tokio::test]
async fn a_store_that_refuses_admits_nobody_and_recovers_by_itself() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// Refuses while it is told to.
    #[derive(Debug)]
    struct Sick(Sqlite, Arc<AtomicBool>);

    impl Database for Sick {
        fn commit(&mut self, writes: &[Write]) -> Result<crate::store::Answers, StoreError> {
            if self.1.load(Relaxed) { Err(StoreError::Full) } else { self.0.commit(writes) }
        }

        fn recover(&mut self) -> Result<Snapshot, StoreError> {
            self.0.recover()
        }

        fn close(&mut self) -> Result<(), StoreError> {
            self.0.close()
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("merit.db");
    let mut database = Sqlite::open(&path).unwrap();
    let (snapshot, sick) = (database.recover().unwrap(), Arc::new(AtomicBool::new(false)));
    let (store, _thread) = Store::start(Sick(database, Arc::clone(&sick)), gauges()).unwrap();
    let counter = Counter::new(store, snapshot, Pepper::from_text("pepper"), path);
    let (key, text) = counter.create_key("me", None, "app", Terms::default()).await.unwrap();
    counter.save_budget("me", budget(key.id, 1_000_000, Window::Total)).await.unwrap();
    let caller = counter.find(text.expose(), 0).unwrap();
    let reserve =
        async || counter.reserve(caller.account.as_ref().unwrap(), NanoUsd::new(500_000), NOW).await;
    sick.store(true, Relaxed);
    assert_eq!(reserve().await, Err(Refused::Unavailable));
    assert!(!counter.store.is_up());
    assert_eq!(reserve().await, Err(Refused::Unavailable));
    sick.store(false, Relaxed);
    while !counter.store.is_up() {
        tokio::task::yield_now().await;
    }
    assert!(reserve().await.is_ok(), "what was asked for in vain is asked for again");
}
