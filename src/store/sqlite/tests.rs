//! A real file: what is committed, what is refused, and what a crash leaves.

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::store::{
    Account, Budget, Change, Entry, Group, Kind, Level, Line, Mode, Plan, Row, Terms, UsageFilter, Window,
    Written,
};
use crate::units::{NanoUsd, PicoUsd, Rates, Usage};

/// 2026-11-25T00:00:00Z, in milliseconds.
const DAY: u64 = 1_795_564_800_000;

fn opened() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(&folder.path().join("data/merit.db")).unwrap();
    (folder, database)
}

fn entry(request: u128, budgets: &[i64]) -> Entry {
    Entry {
        request: Uuid::from_u128(request),
        attempt: 1,
        kind: Kind::Settled,
        at: DAY,
        organisation: None,
        customer: Some(2),
        key: Some(3),
        key_name: "app'; DROP TABLE ledger; --".into(),
        route: "auto".into(),
        provider: "p%_".into(),
        model: "m".into(),
        plan: None,
        rates: Some(Arc::new(Rates { output: PicoUsd::new(2_000_000), ..Rates::default() })),
        usage: Usage { input: 10, ..Usage::default() },
        cost: NanoUsd::ZERO,
        charged: NanoUsd::ZERO,
        free: NanoUsd::ZERO,
        billed: true,
        result: "ok".to_owned(),
        stream: false,
        end_user: Some("0123456789abcdef".into()),
        tags: Some(r#"{"team":"a"}"#.into()),
        lines: budgets.iter().map(|budget| Line { budget: *budget, start: 0 }).collect(),
        allowance: None,
    }
}

/// A settled one with so many output tokens, at 2,000 nano-USD each.
fn settled(request: u128, output: u64, budgets: &[i64]) -> Write {
    let mut entry = entry(request, budgets);
    entry.price(Usage { input: 10, output, ..Usage::default() }, NanoUsd::ZERO);
    Write::Settle(Box::new(entry))
}

fn done(database: &mut Sqlite, writes: &[Write]) {
    for answer in database.commit(writes).unwrap() {
        answer.unwrap();
    }
}

fn change(row: Row) -> Write {
    Write::Change(Box::new(Change { actor: "tester".to_owned(), at: DAY, row }))
}

fn account(level: Level, parent: Option<i64>, name: &str) -> Account {
    let name = name.to_owned();
    Account { id: 0, level, parent, name, version: 0, terms: Terms::default(), created: DAY, ended: None }
}

fn grant(budget: i64, granted: i64) -> Write {
    Write::Grant { line: Line { budget, start: 0 }, granted: NanoUsd::new(granted) }
}

#[test]
fn a_record_is_kept_once_with_all_it_was_computed_from() {
    let (_folder, mut database) = opened();
    done(&mut database, &[settled(1, 5, &[7]), settled(1, 5, &[7])]);
    done(&mut database, &[settled(1, 5, &[7]), settled(2, 1, &[7])]);
    let reader = database.reader().unwrap();
    let found = reader.page(0, 10).unwrap();
    assert_eq!(found.len(), 2, "a record that comes again is the same record");
    let mut expected = entry(1, &[7]);
    expected.price(Usage { input: 10, output: 5, ..Usage::default() }, NanoUsd::ZERO);
    assert_eq!(found[0].entry, expected);
    assert_eq!(found[0].entry.cost, NanoUsd::new(10_000));
    let line = Line { budget: 7, start: 0 };
    assert_eq!(reader.standing(line).unwrap().settled, NanoUsd::new(12_000), "nothing counts twice");
    let verified = reader.verify().unwrap();
    assert_eq!((verified.records, verified.wrong, verified.open), (2, 0, 0), "{verified:?}");
    assert_eq!(reader.latest(3, None, 1).unwrap()[0].entry.request, Uuid::from_u128(2));
}

#[test]
fn usage_adds_up_by_whatever_is_asked() {
    let (_folder, mut database) = opened();
    let mut other = entry(3, &[]);
    (other.customer, other.provider, other.at) = (None, "q".into(), DAY + 3_600_000);
    other.price(Usage { output: 4, ..Usage::default() }, NanoUsd::ZERO);
    done(&mut database, &[settled(1, 1, &[]), settled(2, 2, &[]), Write::Settle(Box::new(other))]);
    let reader = database.reader().unwrap();
    let names = |filter: &UsageFilter, group| -> Vec<(String, u64)> {
        reader.usage(filter, group).unwrap().into_iter().map(|one| (one.name, one.output)).collect()
    };
    let all = UsageFilter::default();
    assert_eq!(names(&all, Group::Nothing), [("all".to_owned(), 7)]);
    assert_eq!(names(&all, Group::Customer), [("2".to_owned(), 3), ("-".to_owned(), 4)]);
    assert_eq!(names(&all, Group::Provider), [("p%_".to_owned(), 3), ("q".to_owned(), 4)]);
    assert_eq!(names(&all, Group::Day), [("2026-11-25".to_owned(), 7)]);
    let first_hour = UsageFilter { from: Some(DAY / 1000), to: Some(DAY / 1000 + 60), ..all };
    assert_eq!(names(&first_hour, Group::Nothing), [("all".to_owned(), 3)]);
    let customer = UsageFilter { customer: Some(2), ..all };
    assert_eq!(names(&customer, Group::Nothing), [("all".to_owned(), 3)]);
}

#[test]
fn two_who_change_the_same_do_not_overwrite_each_other() {
    let (_folder, mut database) = opened();
    let customer = account(Level::Customer, None, "acme");
    let answers = database
        .commit(&[
            change(Row::Account(customer.clone(), None)),
            change(Row::Account(customer.clone(), None)),
            change(Row::Account(account(Level::Key, Some(99), "lost"), None)),
            settled(1, 1, &[]),
        ])
        .unwrap();
    assert_eq!(answers[0], Ok(Written::Row(1, 1)));
    assert_eq!(answers[1], Err(StoreError::Exists));
    assert_eq!(answers[2], Err(StoreError::NotFound), "a parent that is not there");
    assert_eq!(answers[3], Ok(Written::Done), "a refused change keeps nobody else out");
    let stored = Account { id: 1, version: 1, ..customer };
    let renamed = change(Row::Account(Account { name: "acme'; --%".to_owned(), ..stored }, None));
    let answers = database.commit(&[renamed.clone(), renamed]).unwrap();
    assert_eq!(answers, [Ok(Written::Row(1, 2)), Err(StoreError::Conflict)]);
    let snapshot = database.recover().unwrap();
    assert_eq!(snapshot.accounts[0].name, "acme'; --%");
}

#[test]
fn rows_come_back_as_they_were() {
    let (_folder, mut database) = opened();
    let terms =
        Terms { models: Some(vec!["a".to_owned()]), requests_per_minute: Some(5), ..Terms::default() };
    let key = Account { terms, ..account(Level::Key, None, "app") };
    let digest =
        super::super::KeyDigest { digest: [7; 32], account: 0, until: Some(9), hint: "abcd".to_owned() };
    let plan = Plan { name: "retail".to_owned(), margin: 2_000, ..Plan::default() };
    let budget = Budget {
        id: 0,
        account: 1,
        version: 0,
        limit: NanoUsd::new(5),
        window: Window::Month,
        mode: Mode::Fit,
        shadow: true,
    };
    done(
        &mut database,
        &[
            change(Row::Account(key.clone(), Some(vec![digest.clone()]))),
            change(Row::Plan(plan.clone())),
            change(Row::Budget(budget.clone())),
            change(Row::Credit { budget: 1, amount: NanoUsd::new(10), note: "paid".to_owned() }),
            grant(1, 100),
        ],
    );
    database.close().unwrap();
    let snapshot = database.recover().unwrap();
    assert_eq!(snapshot.accounts, [Account { id: 1, version: 1, ..key }]);
    assert_eq!(snapshot.digests, [super::super::KeyDigest { account: 1, ..digest }]);
    assert_eq!(snapshot.plans, [Plan { id: 1, version: 1, ..plan }]);
    assert_eq!(snapshot.budgets, [Budget { id: 1, version: 2, limit: NanoUsd::new(15), ..budget }]);
    assert_eq!(snapshot.spend[0].granted, NanoUsd::ZERO, "a proper end gives slices back");
}

#[test]
fn a_crash_settles_what_was_open_and_forfeits_what_is_unknown() {
    let (_folder, mut database) = opened();
    done(&mut database, &[grant(7, 100_000), settled(1, 5, &[7])]);
    let usage = Usage { input: 10, output: 3, estimated: true, ..Usage::default() };
    let checkpoint = Write::Checkpoint { request: Uuid::from_u128(2), attempt: 1, usage };
    done(&mut database, &[Write::Open(Box::new(entry(2, &[7]))), Write::Open(Box::new(entry(3, &[7])))]);
    done(&mut database, &[checkpoint]);
    let spend = database.recover().unwrap().spend[0];
    assert_eq!(spend.settled, NanoUsd::new(16_000), "the record, and what the checkpoint said");
    assert_eq!(spend.forfeited, NanoUsd::new(84_000), "all else that was granted");
    let reader = database.reader().unwrap();
    let recovered: Vec<_> =
        reader.page(0, 10).unwrap().into_iter().skip(1).map(|found| found.entry).collect();
    assert!(recovered.iter().all(|entry| entry.kind == Kind::Recovered && entry.usage.estimated));
    let verified = reader.verify().unwrap();
    assert_eq!((verified.records, verified.wrong, verified.open), (3, 0, 0), "{verified:?}");
    // What ends after all in a later life was recorded already.
    done(&mut database, &[settled(2, 500, &[7])]);
    assert_eq!(database.recover().unwrap().spend[0].settled, NanoUsd::new(16_000));
    let forgive = change(Row::Forgive(Line { budget: 7, start: 0 }));
    done(&mut database, &[forgive]);
    assert_eq!(database.recover().unwrap().spend[0].forfeited, NanoUsd::ZERO);
}

#[test]
fn what_ends_in_the_same_batch_was_never_open() {
    let (_folder, mut database) = opened();
    let name = (Uuid::from_u128(2), 1);
    done(&mut database, &[Write::Open(Box::new(entry(1, &[]))), settled(1, 1, &[])]);
    done(
        &mut database,
        &[Write::Open(Box::new(entry(2, &[]))), Write::Void { request: name.0, attempt: name.1 }],
    );
    done(&mut database, &[Write::Open(Box::new(entry(3, &[])))]);
    done(&mut database, &[settled(3, 1, &[])]);
    let verified = database.reader().unwrap().verify().unwrap();
    assert_eq!((verified.records, verified.open, verified.wrong), (2, 0, 0));
}

/// What is kept and what is gone add up, whenever it is deleted.
#[test]
fn old_records_go_a_few_at_a_time_and_sums_stay() {
    let (_folder, mut database) = opened();
    let budget = Budget {
        id: 0,
        account: 1,
        version: 0,
        limit: NanoUsd::new(1_000_000_000),
        window: Window::Total,
        mode: Mode::Strict,
        shadow: false,
    };
    done(
        &mut database,
        &[
            change(Row::Account(account(Level::Customer, None, "acme"), None)),
            change(Row::Budget(budget)),
            grant(1, 1_000_000),
        ],
    );
    let writes: Vec<Write> = (1..=25_u64)
        .map(|number| {
            let mut entry = entry(number.into(), &[1]);
            entry.at = DAY + number;
            entry.price(Usage { output: number, ..Usage::default() }, NanoUsd::ZERO);
            Write::Settle(Box::new(entry))
        })
        .collect();
    done(&mut database, &writes);
    let reader = database.reader().unwrap();
    let usage = reader.usage(&UsageFilter::default(), Group::Nothing).unwrap();
    let standing = reader.standing(Line { budget: 1, start: 0 }).unwrap();
    assert_eq!(standing.settled, NanoUsd::new(325 * 2_000));
    for deleted in [10, 10, 0, 0] {
        let prune = Write::Prune { before: DAY + 21, most: 10 };
        assert_eq!(database.commit(&[prune]).unwrap(), [Ok(Written::Deleted(deleted))]);
        let verified = reader.verify().unwrap();
        assert_eq!(verified.wrong, 0, "{verified:?}");
        assert_eq!(reader.usage(&UsageFilter::default(), Group::Nothing).unwrap(), usage);
        assert_eq!(reader.standing(Line { budget: 1, start: 0 }).unwrap(), standing);
    }
    let kept: Vec<u64> = reader.page(0, 100).unwrap().iter().map(|found| found.entry.at - DAY).collect();
    assert_eq!(kept, [21, 22, 23, 24, 25]);
    database.connection.execute("UPDATE deleted SET cost = cost + 1", []).unwrap();
    assert_ne!(reader.verify().unwrap().wrong, 0, "what was deleted is part of the proof");
}

/// A file of the version before is brought up to date, with all that is in it.
#[test]
fn an_older_file_becomes_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("merit.db");
    let old = Connection::open(&file).unwrap();
    schema::first(&old);
    old.execute("INSERT INTO accounts VALUES (1, 1, NULL, 'acme', 1, 0, NULL, '{}')", []).unwrap();
    drop(old);
    let mut database = Sqlite::open(&file).unwrap();
    assert_eq!(database.recover().unwrap().accounts.len(), 1);
    done(&mut database, &[settled(1, 1, &[])]);
    assert_eq!(database.reader().unwrap().verify().unwrap().wrong, 0);
}

#[test]
fn verification_finds_what_was_tampered_with() {
    for (tamper, told) in [
        ("UPDATE ledger SET cost = cost + 1", "cost"),
        ("UPDATE ledger SET charged = charged + 1", "charge"),
        ("UPDATE spend SET settled = settled - 1", "settled"),
        ("UPDATE rollups SET revenue = revenue + 1 WHERE grain = 60", "sums of 60 s"),
        ("DELETE FROM ledger WHERE id = 1", "sums"),
        ("DELETE FROM spend", "standing"),
    ] {
        let (_folder, mut database) = opened();
        done(&mut database, &[settled(1, 5, &[7]), settled(2, 5, &[7])]);
        database.connection.execute(tamper, []).unwrap();
        let verified = database.reader().unwrap().verify().unwrap();
        assert!(verified.wrong > 0, "{tamper}");
        assert!(verified.problems.iter().any(|problem| problem.contains(told)), "{tamper}: {verified:?}");
    }
}

#[test]
fn a_full_disk_refuses_whole_batches_and_recovers() {
    let (_folder, mut database) = opened();
    database.limit_pages(60).unwrap();
    let batch = |first: u128| -> Vec<Write> { (first..first + 50).map(|id| settled(id, 1, &[7])).collect() };
    let (mut written, mut first) = (0, 0);
    let error = loop {
        match database.commit(&batch(first)) {
            Ok(answers) => written += answers.len(),
            Err(error) => break error,
        }
        first += 50;
        assert!(first < 100_000, "the disk never fills");
    };
    assert_eq!(error, StoreError::Full);
    let verified = database.reader().unwrap().verify().unwrap();
    assert_eq!((verified.records, verified.wrong), (u64::try_from(written).unwrap(), 0), "{verified:?}");
    database.limit_pages(1_000_000).unwrap();
    done(&mut database, &batch(first));
    let verified = database.reader().unwrap().verify().unwrap();
    assert_eq!((verified.records, verified.wrong), (u64::try_from(written).unwrap() + 50, 0));
}

#[test]
fn one_process_writes_and_a_later_schema_is_refused() {
    let (folder, database) = opened();
    let path = folder.path().join("data/merit.db");
    assert_eq!(Sqlite::open(&path).unwrap_err(), StoreError::Locked(path.clone()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    database.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    assert_eq!(Sqlite::open(&path).unwrap_err(), StoreError::Newer { found: 99, known: 2 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Batches cut anywhere give the same ledger.
    #[test]
    fn how_writes_are_batched_does_not_matter(
        outputs in prop::collection::vec(0..5_000_u64, 1..40), cut in any::<prop::sample::Index>(),
    ) {
        let writes: Vec<Write> = (1_u128..)
            .zip(&outputs)
            .flat_map(|(id, output)| [Write::Open(Box::new(entry(id, &[7]))), settled(id, *output, &[7, 8])])
            .collect();
        let (_folder, mut database) = opened();
        let (before, after) = writes.split_at(cut.index(writes.len()));
        done(&mut database, before);
        done(&mut database, after);
        let reader = database.reader().unwrap();
        let spent: i64 = outputs.iter().map(|output| i64::try_from(output * 2_000).unwrap()).sum();
        for budget in [7, 8] {
            prop_assert_eq!(reader.standing(Line { budget, start: 0 }).unwrap().settled, NanoUsd::new(spent));
        }
        let verified = reader.verify().unwrap();
        prop_assert_eq!((verified.wrong, verified.open), (0, 0), "{:?}", verified);
        let usage = reader.usage(&UsageFilter::default(), Group::Nothing).unwrap();
        prop_assert_eq!(usage[0].revenue, NanoUsd::new(spent));
    }
}
