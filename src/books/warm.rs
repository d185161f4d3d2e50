//! Which endpoint has the beginning of a prompt in its cache, and which one has
//! served a session.
//!
//! Providers charge less for a prompt whose beginning they have read a moment
//! ago, and answer sooner. They tell so only afterwards; to count it beforehand,
//! the hashes of prompts ([`Prefix`]) are remembered with the endpoint that read
//! them. Callers are kept apart: whether somebody else has sent a prompt must
//! not be learnt from what a request costs or where it goes.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;

use super::mixed;
use super::recent::Recent;
use crate::request::Prefix;

/// Parts of the table that are locked on their own. All marks of a prompt are in
/// one, so that a request takes one lock.
const SHARDS: usize = 16;
/// Marks that are remembered in all: about 15 MB when full, the last 2,000
/// prompts of 30,000 tokens each.
const MARKS: usize = 1 << 18;
/// Sessions that are remembered.
const SESSIONS: usize = 1 << 16;
/// A session that rests for longer than this is over: the time after which
/// OpenRouter's sticky sessions end (its guide to prompt caching, 2026-08).
pub const SESSION_LASTS: Duration = Duration::from_secs(600);
/// Endpoints remembered for one mark; of more, those whose cache ends first are
/// forgotten.
const HOLDERS: usize = 16;

/// A name as a number, the same in every generation of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity(u64);

impl Identity {
    /// That of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let digest = blake3::hash(name.as_bytes());
        Identity(digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first)))
    }
}

/// A caller, as far as its prompts must not be mixed up with others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant(u64);

/// Who served a session last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The endpoint.
    pub endpoint: Identity,
    /// Its model.
    pub model: Identity,
}

/// Where the beginnings of one prompt are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known(SmallVec<[(Identity, f64); 4]>);

impl Known {
    /// Which share of the prompt `endpoint` has read lately (0..1).
    #[must_use]
    pub fn share(&self, endpoint: Identity) -> f64 {
        self.0.iter().find(|known| known.0 == endpoint).map_or(0.0, |known| known.1)
    }

    fn set(&mut self, endpoint: Identity, share: f64) {
        match self.0.iter_mut().find(|known| known.0 == endpoint) {
            Some(known) => known.1 = share,
            None => self.0.push((endpoint, share)),
        }
    }
}

/// What was sent where lately.
#[derive(Debug)]
pub struct Warm {
    /// Differs between processes: no caller can make its prompts look like
    /// another's.
    secret: RandomState,
    prompts: [Mutex<Prompts>; SHARDS],
    sessions: Mutex<Recent<Option<Session>>>,
}

/// Who has read what stands before each mark.
type Prompts = Recent<SmallVec<[Held; 2]>>;

/// Who served a session, and when.
type Session = (Served, Duration);

/// An endpoint that has read what stands before a mark.
#[derive(Debug, Clone, Copy)]
struct Held {
    endpoint: Identity,
    /// Milliseconds since the process started.
    until: u64,
}

impl Default for Warm {
    fn default() -> Self {
        Warm {
            secret: RandomState::new(),
            prompts: std::array::from_fn(|_| Mutex::new(Recent::new(MARKS / SHARDS))),
            sessions: Mutex::new(Recent::new(SESSIONS)),
        }
    }
}

impl Warm {
    /// The tenant that the caller of that name is.
    #[must_use]
    pub fn tenant(&self, caller: &str) -> Tenant {
        Tenant(self.secret.hash_one(caller))
    }

    /// Which endpoints have how much of a prompt in their caches at `now`.
    #[must_use]
    pub fn known(&self, tenant: Tenant, prefix: &Prefix, now: Duration) -> Known {
        let mut known = Known::default();
        let Some(prompts) = self.shard(tenant, prefix) else { return known };
        let now = milliseconds(now);
        for mark in prefix.marks() {
            let holders = prompts.get(key(tenant, mark.hash)).map_or(&[][..], SmallVec::as_slice);
            let mut found = false;
            for held in holders.iter().filter(|held| now < held.until) {
                known.set(held.endpoint, prefix.share(mark.end));
                found = true;
            }
            if !found {
                break;
            }
        }
        known
    }

    /// `endpoint` has read a prompt at `now` and keeps it for `lasts`.
    pub fn read(&self, tenant: Tenant, prefix: &Prefix, endpoint: Identity, lasts: Duration, now: Duration) {
        let Some(mut prompts) = self.shard(tenant, prefix) else { return };
        let (now, until) = (milliseconds(now), milliseconds(now + lasts));
        for mark in prefix.marks() {
            let holders = prompts.touch(key(tenant, mark.hash));
            holders.retain(|held| held.endpoint != endpoint && now < held.until);
            if holders.len() >= HOLDERS
                && let Some(first) =
                    (0..holders.len()).min_by_key(|at| holders.get(*at).map(|held| held.until))
            {
                holders.swap_remove(first);
            }
            holders.push(Held { endpoint, until });
        }
    }

    /// Who served the session of that name last, if it goes on at `now`.
    #[must_use]
    pub fn session(&self, tenant: Tenant, name: &str, now: Duration) -> Option<Served> {
        let key = key(tenant, self.secret.hash_one(name));
        let (served, at) = (*lock(&self.sessions).get(key)?)?;
        (now.saturating_sub(at) < SESSION_LASTS).then_some(served)
    }

    /// The session of that name was served at `now`.
    pub fn serve(&self, tenant: Tenant, name: &str, served: Served, now: Duration) {
        let key = key(tenant, self.secret.hash_one(name));
        *lock(&self.sessions).touch(key) = Some((served, now));
    }

    fn shard(&self, tenant: Tenant, prefix: &Prefix) -> Option<MutexGuard<'_, Prompts>> {
        let first = key(tenant, prefix.marks().first()?.hash);
        let place = usize::try_from(first >> 60).unwrap_or(0) % SHARDS;
        self.prompts.get(place).map(lock)
    }
}

fn key(tenant: Tenant, hash: u64) -> u64 {
    mixed(tenant.0 ^ hash)
}

fn milliseconds(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LASTS: Duration = Duration::from_secs(300);

    fn prompt(text: &str) -> Prefix {
        Prefix::of(&[text.as_bytes()])
    }

    #[test]
    fn a_conversation_is_warm_where_it_was_until_the_cache_ends() {
        let warm = Warm::default();
        let (tenant, endpoint) = (warm.tenant("app"), Identity::of("a/m"));
        let (first, second) = (prompt(&"x".repeat(8000)), prompt(&"x".repeat(16_000)));
        assert_eq!(warm.known(tenant, &first, SECOND), Known::default());
        warm.read(tenant, &first, endpoint, LASTS, SECOND);
        let share = |prefix, now| warm.known(tenant, prefix, now).share(endpoint);
        assert!(share(&first, SECOND * 2) > 0.95);
        assert!((0.45..=0.5).contains(&share(&second, SECOND * 2)));
        assert!(share(&first, SECOND * 301) < 1e-12, "a cache ends");
        warm.read(tenant, &first, endpoint, LASTS, SECOND * 200);
        assert!(share(&first, SECOND * 400) > 0.95, "and lasts longer when it is used");
        assert!(warm.known(tenant, &first, SECOND * 400).share(Identity::of("b/m")) < 1e-12);
    }

    #[test]
    fn callers_do_not_see_each_others_prompts_and_sessions() {
        let warm = Warm::default();
        let (one, other) = (warm.tenant("one"), warm.tenant("other"));
        let prefix = prompt(&"y".repeat(4000));
        warm.read(one, &prefix, Identity::of("a/m"), LASTS, SECOND);
        assert_eq!(warm.known(other, &prefix, SECOND), Known::default());
        let served = Served { endpoint: Identity::of("a/m"), model: Identity::of("m") };
        warm.serve(one, "s", served, SECOND);
        assert_eq!(warm.session(one, "s", SECOND * 2), Some(served));
        assert_eq!(warm.session(other, "s", SECOND * 2), None);
        assert_eq!(warm.session(one, "s", SECOND * 700), None, "a session that rests is over");
    }

    #[test]
    fn the_short_are_not_worth_remembering() {
        let warm = Warm::default();
        let tenant = warm.tenant("app");
        warm.read(tenant, &prompt("short"), Identity::of("a/m"), LASTS, SECOND);
        assert_eq!(warm.known(tenant, &prompt("short"), SECOND), Known::default());
    }

    proptest! {
        #[test]
        fn no_more_is_warm_than_was_read(
            shared in 0..6000_usize,
            lengths in prop::collection::vec(0..3000_usize, 1..20),
        ) {
            let warm = Warm::default();
            let tenant = warm.tenant("app");
            let shared = "s".repeat(shared);
            for (n, length) in lengths.iter().enumerate() {
                let own = char::from(b'a' + u8::try_from(n).unwrap()).to_string().repeat(*length);
                let text = format!("{shared}{own}");
                let known = warm.known(tenant, &prompt(&text), SECOND);
                for before in 0..20 {
                    let share = known.share(Identity::of(&format!("{before}")));
                    let length = |text: &str| f64::from(u32::try_from(text.len()).unwrap());
                    prop_assert!(share * length(&text) <= length(&shared) + 1e-6);
                    prop_assert!(before < n || share < 1e-12);
                }
                warm.read(tenant, &prompt(&text), Identity::of(&format!("{n}")), LASTS, SECOND);
            }
        }
    }
}
