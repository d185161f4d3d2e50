use super::*;
use crate::catalog::Expose;
use crate::store::Terms;

fn account(id: Id, level: Level, parent: Option<Id>, terms: Terms) -> Account {
    Account { id, level, parent, name: format!("a{id}"), version: 1, terms, created: 0, ended: None }
}

fn digest(account: Id, byte: u8) -> KeyDigest {
    KeyDigest { digest: [byte; 32], account, until: None, hint: String::new() }
}

fn models(names: &[&str]) -> Terms {
    Terms { models: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..Terms::default() }
}

/// An organisation, its customer, and a key of that.
fn directory() -> Directory {
    Directory::new(Snapshot {
        accounts: vec![
            account(3, Level::Key, Some(2), Terms { expose: Some(Expose::Full), ..models(&["a", "b", "z"]) }),
            account(
                2,
                Level::Customer,
                Some(1),
                Terms { expose: Some(Expose::Model), ..models(&["a", "b"]) },
            ),
            account(1, Level::Organisation, None, models(&["b", "a", "c"])),
        ],
        digests: vec![digest(3, 7)],
        ..Snapshot::default()
    })
}

#[test]
fn a_key_never_grants_more_than_its_parent() {
    let directory = directory();
    let caller = directory.find(&[7; 32], 0).unwrap();
    assert!(caller.may_use("a") && caller.may_use("b") && !caller.may_use("z") && !caller.may_use("c"));
    assert_eq!(caller.expose, Expose::Model);
    let path = caller.account.as_ref().unwrap();
    assert_eq!((path.key, path.customer, path.organisation), (3, Some(2), Some(1)));
    directory.put_account(account(1, Level::Organisation, None, models(&["b"])), None);
    let caller = directory.find(&[7; 32], 0).unwrap();
    assert!(!caller.may_use("a"), "a change above is in force at once");
}

#[test]
fn whoever_ends_takes_all_below_along() {
    let directory = directory();
    for id in [1, 2, 3] {
        let before = directory.account(id).unwrap();
        directory.put_account(Account { ended: Some(5), ..before.clone() }, None);
        assert!(directory.find(&[7; 32], 9).is_none(), "{id}");
        directory.put_account(before, None);
        assert!(directory.find(&[7; 32], 9).is_some(), "{id}");
    }
}

#[test]
fn a_rotated_key_is_known_by_both_digests_until_the_old_one_ends() {
    let directory = directory();
    let old = KeyDigest { until: Some(1_000), ..digest(3, 7) };
    directory.put_account(directory.account(3).unwrap(), Some(vec![old, digest(3, 8)]));
    assert!(directory.find(&[7; 32], 999).is_some() && directory.find(&[8; 32], 999).is_some());
    assert!(directory.find(&[7; 32], 1_000).is_none() && directory.find(&[8; 32], 1_000).is_some());
    directory.put_account(directory.account(3).unwrap(), Some(vec![digest(3, 8)]));
    assert!(directory.find(&[7; 32], 0).is_none(), "a digest that is gone opens nothing");
}

#[test]
fn what_is_used_of_a_limit_outlives_its_change() {
    let limited = |most| Terms { requests_per_minute: Some(most), ..models(&["a"]) };
    let directory = directory();
    let now = std::time::Duration::from_secs(1);
    directory.put_account(account(2, Level::Customer, Some(1), limited(2)), None);
    let begin = || {
        let caller = directory.find(&[7; 32], 0).unwrap();
        super::super::limiter::begin(&caller.account.as_ref().unwrap().limiters, 0, now).is_ok()
    };
    assert!(begin() && begin() && !begin());
    directory.put_account(account(2, Level::Customer, Some(1), limited(3)), None);
    assert!(begin() && !begin(), "two of three were used before");
}

#[test]
fn a_level_is_above_its_children() {
    let directory = directory();
    assert_eq!(directory.check_parent(Level::Key, Some(2)), Ok(()));
    assert_eq!(directory.check_parent(Level::Key, Some(1)), Ok(()));
    for (level, parent) in [(Level::Customer, 2), (Level::Organisation, 1), (Level::Key, 3)] {
        assert!(
            matches!(directory.check_parent(level, Some(parent)), Err(StoreError::Invalid(_))),
            "{level:?}"
        );
    }
    assert_eq!(directory.check_parent(Level::Key, Some(9)), Err(StoreError::NotFound));
}

/// Every key of a hundred thousand is found once, page by page.
#[test]
fn a_hundred_thousand_keys_are_paged_without_gaps() {
    const KEYS: i64 = 100_000;
    let customer = account(1, Level::Customer, None, Terms::default());
    let keys = (2..2 + KEYS).map(|id| account(id, Level::Key, Some(1), Terms::default()));
    let accounts = std::iter::once(customer).chain(keys).collect();
    let directory = Directory::new(Snapshot { accounts, ..Snapshot::default() });
    let (mut seen, mut after) = (0, 0);
    loop {
        let wanted = Wanted { parent: Some(1), after, limit: 10_000, ..Wanted::of(Level::Key) };
        let page = directory.page(&wanted);
        assert!(page.is_sorted_by_key(|one| one.id) && page.iter().all(|one| one.id > after));
        seen += page.len();
        let Some(last) = page.last() else { break };
        after = last.id;
    }
    assert_eq!(seen, 100_000);
    let named = Wanted { name: Some("a77777"), ..Wanted::of(Level::Key) };
    assert_eq!(directory.page(&named).iter().map(|one| one.id).collect::<Vec<_>>(), [77_777]);
    assert!(directory.page(&Wanted { name: Some("a7777%"), ..named }).is_empty());
}
