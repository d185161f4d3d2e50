//! What happened, as the simulated providers saw it: the oracle of tests. It is
//! written by the side that cannot be fooled by the gateway under test.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::script::Kind;
use super::speech::Consumed;

/// Entries kept before the oldest is dropped: the largest test has 10,000 requests.
const MOST_ENTRIES: usize = 100_000;

/// Bytes of bodies kept before the oldest entry is dropped: 256 MiB.
const MOST_BYTES: usize = 256 << 20;

/// How the work on a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It has not.
    Running,
    /// Everything was written.
    Complete,
    /// The provider closed before the end.
    CutFin,
    /// The provider reset before the end.
    CutRst,
    /// The client closed or half-closed first.
    ClientClosed,
    /// The client reset first.
    ClientReset,
    /// The request could not be read.
    BadRequest,
    /// The simulator was stopped.
    Stopped,
}

/// One request and what became of it. Times are since the simulator's start.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Number in the journal, from 0.
    pub seq: u64,
    /// The provider.
    pub provider: String,
    /// Number of the connection at that provider, from 0.
    pub connection: u64,
    /// When the request was read to its end.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Headers without credentials.
    pub headers: Vec<(String, String)>,
    /// A digest of the credential presented: the first 16 hex digits of BLAKE3.
    pub credential: Option<String>,
    /// The body, broken UTF-8 replaced, at most 64 KiB of it.
    pub body: String,
    /// The body's size.
    pub body_bytes: usize,
    /// The model asked for; empty when the request was not understood.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The behaviour chosen.
    pub behaviour: String,
    /// The response status; 0 for scripts and until the head was written.
    pub status: u16,
    /// Whether the answer was a sound one.
    pub good: bool,
    /// Bytes handed to the kernel, head and framing included.
    pub bytes_written: u64,
    /// When the first byte was.
    #[serde(rename = "first_byte_ms", serialize_with = "maybe_millis")]
    pub first_byte: Option<Duration>,
    /// Events with content that were written whole.
    pub content_events: u32,
    /// Words of the answer in them.
    pub words: u64,
    /// Which of the last words were written.
    pub sent: Sent,
    /// What a complete answer consumes.
    pub consumed: Consumed,
    /// How it ended.
    pub ending: Ending,
    /// When.
    #[serde(rename = "ended_ms", serialize_with = "maybe_millis")]
    pub ended: Option<Duration>,
}

/// The parts of an answer that make it a finished one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sent {
    /// A finish reason.
    pub finish: bool,
    /// Usage, true or not.
    pub usage: bool,
    /// The terminal marker, or the whole of an answer that is not streamed.
    pub terminal: bool,
}

impl Entry {
    /// Takes note of a piece of the body that was written whole.
    pub(super) fn wrote(&mut self, kind: Kind, words: u32) {
        self.words += u64::from(words);
        self.content_events += u32::from(kind == Kind::Content);
        self.sent.finish |= matches!(kind, Kind::Finish | Kind::FinishAndUsage | Kind::Whole);
        self.sent.usage |= matches!(kind, Kind::Usage | Kind::FinishAndUsage | Kind::Whole);
        self.sent.terminal |= matches!(kind, Kind::Terminal | Kind::Whole);
    }
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1e3)
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn maybe_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// The journal of all providers of one simulator.
#[derive(Debug, Default)]
pub struct Journal {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Entry>,
    /// Bytes of the entries' bodies.
    bytes: usize,
    next: u64,
}

impl Journal {
    /// Adds an entry and gives its number.
    pub(super) fn add(&self, mut entry: Entry) -> u64 {
        let mut pages = self.pages();
        entry.seq = pages.next;
        pages.next += 1;
        pages.bytes += entry.body.len();
        pages.entries.push_back(entry);
        while pages.entries.len() > MOST_ENTRIES || pages.bytes > MOST_BYTES {
            let Some(oldest) = pages.entries.pop_front() else { break };
            pages.bytes -= oldest.body.len();
        }
        pages.next - 1
    }

    /// Changes an entry, if it is still there.
    pub(super) fn note(&self, seq: u64, change: impl FnOnce(&mut Entry)) {
        let mut pages = self.pages();
        let first = pages.entries.front().map_or(0, |entry| entry.seq);
        let index = seq.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| pages.entries.get_mut(index)) {
            change(entry);
        }
    }

    /// A copy of the entries from that number on.
    #[must_use]
    pub fn since(&self, seq: u64) -> Vec<Entry> {
        self.pages().entries.iter().filter(|entry| entry.seq >= seq).cloned().collect()
    }

    /// A copy of all entries.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.since(0)
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> Option<Entry> {
        self.pages().entries.back().cloned()
    }

    /// How many requests have come in all, dropped entries included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pages().next
    }

    /// How many requests are being worked on.
    #[must_use]
    pub fn running(&self) -> usize {
        self.pages().entries.iter().filter(|entry| entry.ending == Ending::Running).count()
    }

    /// Forgets all entries; numbers go on.
    pub fn clear(&self) {
        let mut pages = self.pages();
        pages.entries.clear();
        pages.bytes = 0;
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
