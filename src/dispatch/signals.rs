//! What answers tell for free about who gave them: whether they have the form that
//! was asked for, whether they are empty, refused or cut short, and whether the
//! caller had to ask again.
//!
//! A request pays for this with a few copied bytes at most. The looking is done by
//! one thread of its own, after the caller has got the end: schemas and answers
//! come from outside, and whatever they make the checks do, no request waits for it.
//! All that waits is bounded, in number and in bytes; what is over is not looked at.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::fleet::Fleet;
use super::ticket::Ticket;
use crate::catalog::EndpointId;
use crate::market::Decision;
use crate::outcome::FinishReason;
use crate::request::{ChatRequest, Demand};
use crate::telemetry::Metrics;
use crate::units::Usage;

mod again;
mod form;
mod learn;
mod schema;
mod signal;

pub use learn::Judged;
pub use signal::Signal;

/// Answers that wait to be looked at.
const MOST_WAITING: usize = 4096;
/// Bytes of all answers and schemas that are kept for it.
const MOST_BYTES: usize = 64 << 20;
/// Bytes of one answer: some 5,000 tokens of a stream with its envelopes.
const MOST_ANSWER: usize = 1 << 20;
/// Bytes of a request's schemas, or of its messages for the judge.
const MOST_ASKED: usize = 128 << 10;
/// Judgements that wait for the judge: it is to be sampled, not to catch up.
const MOST_SAMPLES: usize = 64;
/// The stack of the thread. It is only touched as far as schemas nest: 128 levels
/// of JSON with all references that are allowed on each.
const STACK: usize = 64 << 20;

/// Where answers go to be looked at.
#[derive(Debug)]
pub struct Signals {
    queue: Arc<Queue>,
    /// Bytes kept at the moment.
    kept: Arc<AtomicUsize>,
    /// The share of answers that are judged, as the bits of an `f64`.
    share: AtomicU64,
    samples: Mutex<Option<mpsc::Receiver<Sample>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Box<Finished>>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a request until its answer has come.
#[derive(Debug)]
pub struct Asked {
    demand: Demand,
    /// `response_format`, where it asks for JSON.
    format: Option<Kept>,
    /// `tools` or `functions`.
    tools: Option<Kept>,
    /// `messages`, where the answer is to be judged.
    messages: Option<Kept>,
    /// The same for the same caller, name and messages.
    prefix: u64,
    max_output_tokens: Option<u32>,
    input_tokens: u32,
}

impl Asked {
    /// Whether the answer itself is needed.
    fn needs_answer(&self) -> bool {
        self.format.is_some() || self.tools.is_some() || self.messages.is_some()
    }
}

/// Bytes that count towards `MOST_BYTES` as long as they are kept.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    counted: usize,
    all: Arc<AtomicUsize>,
    /// Whether something had to be left out.
    lost: bool,
    most: usize,
}

impl Kept {
    fn new(all: &Arc<AtomicUsize>, most: usize) -> Kept {
        Kept { bytes: Vec::new(), counted: 0, all: Arc::clone(all), lost: false, most }
    }

    fn of(all: &Arc<AtomicUsize>, most: usize, bytes: &[u8]) -> Option<Kept> {
        let mut kept = Kept::new(all, most);
        kept.add(bytes);
        (!kept.lost).then_some(kept)
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.lost || self.bytes.len() + bytes.len() > self.most {
            self.lose();
            return;
        }
        if self.all.fetch_add(bytes.len(), Relaxed) + bytes.len() > MOST_BYTES {
            self.all.fetch_sub(bytes.len(), Relaxed);
            self.lose();
            return;
        }
        self.counted += bytes.len();
        self.bytes.extend_from_slice(bytes);
    }

    fn lose(&mut self) {
        self.lost = true;
        self.bytes = Vec::new();
        self.all.fetch_sub(std::mem::take(&mut self.counted), Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.lose();
    }
}

/// Hears a stream's events as they pass.
#[derive(Debug)]
pub struct Ear(Kept);

impl Ear {
    /// Takes down the next events.
    pub fn hear<'b>(&mut self, events: impl IntoIterator<Item = &'b Bytes>) {
        events.into_iter().for_each(|event| self.0.add(event));
    }
}

/// The answer itself, where it is needed.
#[derive(Debug)]
enum Answer {
    Whole(Kept),
    Stream(Ear),
}

/// How an answer ended, and what it was.
#[derive(Debug)]
pub struct Said {
    finish: Option<FinishReason>,
    is_empty: bool,
    is_refusal: bool,
    answer: Option<Answer>,
}

impl Said {
    /// A stream, as it was watched. `refused`: see [`is_refusal`].
    #[must_use]
    pub fn streamed(watch: &crate::dialect::Watch, refused: bool, ear: Option<Ear>) -> Said {
        Said {
            finish: watch.finish,
            is_empty: watch.content_events == 0,
            is_refusal: refused,
            answer: ear.map(Answer::Stream),
        }
    }
}

/// Whether these bytes of an answer have a refusal in them. In a text the quotes
/// would be escaped, so that only a member can look like this.
#[must_use]
pub fn is_refusal(bytes: &[u8]) -> bool {
    [&b"\"refusal\":\""[..], b"\"refusal\": \""].iter().any(|member| {
        let mut found = memchr::memmem::find_iter(bytes, member);
        found.any(|at| bytes.get(at + member.len()).is_some_and(|first| *first != b'"'))
    })
}

/// An answer that has been given.
#[derive(Debug)]
struct Finished {
    id: Uuid,
    fleet: Arc<Fleet>,
    endpoint: EndpointId,
    decision: Arc<Decision>,
    asked: Asked,
    said: Said,
    usage: Usage,
    /// Since the process started.
    arrived: Duration,
    ended: Duration,
}

/// An answer that is to be judged.
#[derive(Debug)]
pub struct Sample {
    /// The request.
    pub id: Uuid,
    /// The generation it was served by.
    pub fleet: Arc<Fleet>,
    /// Who answered.
    pub endpoint: EndpointId,
    /// The class of task.
    pub class: u8,
    /// The array of messages.
    pub messages: String,
    /// The answer: its text, and its tool calls as JSON.
    pub answer: String,
}

impl Signals {
    /// Starts the thread that looks. It ends when this is dropped.
    #[must_use]
    pub fn start(metrics: &Metrics) -> Signals {
        let queue = Arc::new(Queue::default());
        let (sender, receiver) = mpsc::channel(MOST_SAMPLES);
        let learner = learn::Learner::new(metrics, sender);
        let waiting = Arc::clone(&queue);
        let started = std::thread::Builder::new()
            .name("merit-signals".to_owned())
            .stack_size(STACK)
            .spawn(move || learner.run(&waiting));
        if let Err(error) = started {
            tracing::warn!(%error, "answers will not be looked at");
            queue.lock().closed = true;
        }
        Signals { queue, kept: Arc::default(), share: AtomicU64::new(0), samples: Mutex::new(Some(receiver)) }
    }

    /// From now on this share of answers (0..1) is judged.
    pub fn judge(&self, share: f64) {
        self.share.store(share.to_bits(), Relaxed);
    }

    /// What is to be judged; there is one judge.
    #[must_use]
    pub fn samples(&self) -> Option<mpsc::Receiver<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What must be kept of a request, as long as its body is there.
    #[must_use]
    pub fn asked(&self, request: &ChatRequest, caller: &str, route: &str, may_judge: bool) -> Asked {
        let keep = |range: &Option<std::ops::Range<usize>>| {
            Kept::of(&self.kept, MOST_ASKED, request.body.get(range.clone()?)?)
        };
        let messages = request.body.get(request.spans.messages.clone()).unwrap_or_default();
        let share = f64::from_bits(self.share.load(Relaxed));
        let is_judged = may_judge && share > 0.0 && fastrand::f64() < share;
        let mut prefix = DefaultHasher::new();
        (caller, route, messages.len(), crc32fast::hash(messages)).hash(&mut prefix);
        Asked {
            demand: request.demand(),
            format: keep(&request.spans.json_format),
            tools: keep(&request.spans.tools),
            messages: is_judged.then(|| Kept::of(&self.kept, MOST_ASKED, messages)).flatten(),
            prefix: prefix.finish(),
            max_output_tokens: request.max_output_tokens,
            input_tokens: request.input_tokens,
        }
    }

    /// What hears a stream that answers this, where it must be heard.
    #[must_use]
    pub fn ear(&self, asked: &Asked) -> Option<Ear> {
        asked.needs_answer().then(|| Ear(Kept::new(&self.kept, MOST_ANSWER)))
    }

    /// A whole answer, of which as much is kept as is needed.
    #[must_use]
    pub fn whole(&self, asked: &Asked, reply: &crate::dialect::Reply) -> Said {
        let needed = asked.needs_answer();
        let answer = needed.then(|| Kept::of(&self.kept, MOST_ANSWER, &reply.body)).flatten();
        Said {
            finish: reply.finish,
            is_empty: reply.output_bytes == 0,
            is_refusal: is_refusal(&reply.body),
            answer: answer.map(Answer::Whole),
        }
    }

    /// An answer has been given in full: it is looked at soon.
    pub(super) fn finished(&self, ticket: &Ticket, asked: Asked, said: Said) {
        let (Some(served), Some(decision)) = (&ticket.served, &ticket.decision) else { return };
        let ended = ticket.shared.now();
        let job = Box::new(Finished {
            id: ticket.id,
            fleet: Arc::clone(&ticket.fleet),
            endpoint: served.endpoint,
            decision: Arc::clone(decision),
            asked,
            said,
            usage: served.usage,
            arrived: ended.saturating_sub(ticket.started.elapsed()),
            ended,
        });
        let mut waiting = self.queue.lock();
        if waiting.closed || waiting.jobs.len() >= MOST_WAITING {
            return;
        }
        waiting.jobs.push_back(job);
        if waiting.jobs.len() == 1 {
            self.queue.more.notify_one();
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let all = Arc::new(AtomicUsize::new(0));
        let mut kept = Kept::new(&all, 10);
        kept.add(b"12345");
        assert_eq!((all.load(Relaxed), kept.lost), (5, false));
        kept.add(b"678901");
        assert_eq!((all.load(Relaxed), kept.lost), (0, true), "half an answer is of no use");
        all.store(MOST_BYTES, Relaxed);
        assert!(Kept::of(&all, 10, b"1").is_none());
        assert_eq!(all.load(Relaxed), MOST_BYTES);
    }

    #[test]
    fn a_refusal_is_a_member_and_no_word() {
        assert!(is_refusal(br#"{"message":{"content":null,"refusal":"I cannot"}}"#));
        assert!(is_refusal(br#"{"refusal":null},{"refusal": "no"}"#));
        assert!(!is_refusal(br#"{"content":"say \"refusal\":\"x\" twice","refusal":null}"#));
        assert!(!is_refusal(br#"{"refusal":""}"#));
    }
}
