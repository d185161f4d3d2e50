//! Lists that were fetched while the gateway runs, and the prices that were
//! believed because of them.
//!
//! Bodies are kept packed as they came: they are read a few times a day, and
//! unpacked they take more memory than the rest of an idle gateway.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::list::{Lists, Origin};
use super::sources::{self, SourceError, SourceKind};
use super::standing::Answer;
use super::{Found, MOST_BYTES};

/// Of so many models of a list one must be left at the next fetch: when more than
/// half are gone, they are missing rather than withdrawn.
const LEAST_LEFT: usize = 2;

/// The prices in force, by vendor and model as they were asked for.
type Standing = HashMap<(String, String), Answer>;

/// What was fetched, and what came of it.
#[derive(Debug)]
pub(super) struct Fetched {
    lists: Mutex<Vec<List>>,
    standing: Mutex<Standing>,
    /// Seconds since 1970; `u64::MAX` while no price changes by itself.
    next_change: AtomicU64,
}

/// One list as it was fetched.
#[derive(Debug)]
struct List {
    kind: SourceKind,
    vendor: String,
    /// `YYYY-MM-DD`.
    date: String,
    packed: Vec<u8>,
    digest: blake3::Hash,
    models: usize,
}

/// What a list brought that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated {
    /// Models with a price.
    pub models: usize,
    /// Whether it differs from the one before.
    pub changed: bool,
}

/// Why a list was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is none.
    Source(SourceError),
    /// It has lost more than half of its models since the last time.
    Shrunk {
        /// Models then.
        before: usize,
        /// Models now.
        now: usize,
    },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Source(error) => error.fmt(f),
            Refused::Shrunk { before, now } => {
                write!(f, "the list had {before} models with a price and has {now}")
            }
        }
    }
}

impl std::error::Error for Refused {}

impl Default for Fetched {
    fn default() -> Self {
        Fetched { lists: Mutex::default(), standing: Mutex::default(), next_change: AtomicU64::new(u64::MAX) }
    }
}

impl Fetched {
    pub(super) fn update(
        &self,
        kind: SourceKind,
        vendor: &str,
        body: &[u8],
        date: &str,
    ) -> Result<Updated, Refused> {
        let models = sources::read(kind, vendor, body).map_err(Refused::Source)?.len();
        let digest = blake3::hash(body);
        let mut lists = locked(&self.lists);
        let known = lists.iter().position(|list| list.kind == kind && list.vendor == vendor);
        if let Some(before) = known.and_then(|at| lists.get(at)) {
            if before.digest == digest {
                return Ok(Updated { models, changed: false });
            }
            if models * LEAST_LEFT < before.models {
                return Err(Refused::Shrunk { before: before.models, now: models });
            }
        }
        if let Some(at) = known {
            lists.remove(at);
        }
        let (vendor, date) = (vendor.to_owned(), date.to_owned());
        lists.push(List { kind, vendor, date, packed: pack(body), digest, models });
        lists.sort_by_key(|list| list.kind);
        Ok(Updated { models, changed: true })
    }

    pub(super) fn keep_only(&self, wanted: impl Fn(SourceKind, &str) -> bool) -> bool {
        let mut lists = locked(&self.lists);
        let before = lists.len();
        lists.retain(|list| wanted(list.kind, &list.vendor));
        if lists.is_empty() {
            // The lists it began with are in force again.
            locked(&self.standing).clear();
        }
        lists.len() < before
    }

    /// Puts all of them before the lists that are there, by precedence.
    pub(super) fn put_into(&self, all: &mut Lists) {
        for list in locked(&self.lists).iter().rev() {
            let mut body = Vec::new();
            let unpacked = GzDecoder::new(list.packed.as_slice()).take(MOST_BYTES).read_to_end(&mut body);
            // Neither can fail: both have been done before.
            let Ok(lines) = sources::read(list.kind, &list.vendor, &body) else { continue };
            debug_assert!(unpacked.is_ok());
            let origin = Origin { name: list.kind.name().to_owned(), date: list.date.clone(), live: true };
            all.put_first(origin, lines);
        }
    }

    /// Puts in force what `judge` makes of what was in force.
    pub(super) fn stand(
        &self,
        vendor: &str,
        model: &str,
        judge: impl FnOnce(Option<Answer>) -> Option<Answer>,
    ) -> Option<Found> {
        let mut standing = locked(&self.standing);
        let key = (vendor.to_owned(), model.to_owned());
        let answer = judge(standing.remove(&key))?;
        let found = answer.found.clone();
        standing.insert(key, answer);
        Some(found)
    }

    pub(super) fn will_change(&self, at_unix_s: u64) {
        self.next_change.fetch_min(at_unix_s, Relaxed);
    }

    pub(super) fn take_next_change(&self) -> Option<u64> {
        Some(self.next_change.swap(u64::MAX, Relaxed)).filter(|at| *at < u64::MAX)
    }
}

fn pack(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
