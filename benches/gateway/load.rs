//! The load: closed loops, a constant rate, and many streams held open.
//!
//! Every answer is checked. A run in which a single one was wrong fails, so that
//! nothing can look fast by answering badly.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::traffic::{self, StreamCheck};
use crate::wire::{Framing, Wire};

/// How long requests under way may take once the load has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How long it may take until all of many streams have begun.
const STREAMS_BEGIN: Duration = Duration::from_secs(20);

/// What has been answered so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Whole answers.
    pub requests: Cell<u64>,
    /// Content events of streams.
    pub events: Cell<u64>,
    /// HTTP chunks in which content events came.
    pub chunks: Cell<u64>,
    /// Wrong, missing and broken answers.
    pub errors: Cell<u64>,
    /// What went wrong first.
    pub first_error: RefCell<Option<String>>,
}

impl Tally {
    fn count_events(&self, events: u64) {
        self.events.set(self.events.get() + events);
        self.chunks.set(self.chunks.get() + u64::from(events > 0));
    }

    fn fail(&self, error: &dyn std::fmt::Display) {
        self.errors.set(self.errors.get() + 1);
        self.first_error.borrow_mut().get_or_insert_with(|| error.to_string());
    }
}

/// Where to send what.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The target.
    pub address: SocketAddr,
    /// The whole request.
    pub request: Rc<[u8]>,
    /// Whether the answer is to be a stream.
    pub stream: bool,
}

/// One request on a connection of its own.
pub(crate) async fn ask_once(call: &Call) -> io::Result<()> {
    keep_alive(call, &mut None, &Tally::default()).await
}

/// Keeps `connections` connections busy for `warm_up` and then `measured`; calls
/// `mark` at the beginning and at the end of the latter.
pub(crate) async fn closed_loop(
    call: &Call,
    connections: usize,
    warm_up: Duration,
    measured: Duration,
    tally: &Rc<Tally>,
    mut mark: impl FnMut(),
) {
    let begin = Instant::now() + warm_up;
    let end = begin + measured;
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (call, tally) = (call.clone(), Rc::clone(tally));
        tasks.spawn_local(async move { one_loop(&call, end, &tally).await });
    }
    sleep_until(begin).await;
    mark();
    sleep_until(end).await;
    mark();
    finish(tasks, tally).await;
}

async fn one_loop(call: &Call, end: Instant, tally: &Tally) {
    let mut wire = None;
    while Instant::now() < end {
        if let Err(error) = keep_alive(call, &mut wire, tally).await {
            tally.fail(&error);
            // Whoever refuses connections is not to be flooded with them.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Sends one request on the connection at hand, or on a new one.
async fn keep_alive(call: &Call, slot: &mut Option<Wire>, tally: &Tally) -> io::Result<()> {
    let mut wire = match slot.take() {
        Some(wire) => wire,
        None => Wire::connect(call.address).await?,
    };
    if exchange(&mut wire, call, tally).await? {
        *slot = Some(wire);
    }
    Ok(())
}

/// Sends so many requests a second, none waiting for another, and returns how
/// long each took, in microseconds.
///
/// Time runs from the moment of sending: as there is always a free connection, a
/// slow answer delays no later request, and the generator's own timer, which is
/// coarser than what is to be measured, stays out of the figures.
pub(crate) async fn constant_rate(
    call: &Call,
    per_second: u32,
    measured: Duration,
    tally: &Rc<Tally>,
) -> Vec<f64> {
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let idle: Rc<RefCell<Vec<Wire>>> = Rc::default();
    let took: Rc<RefCell<Vec<f64>>> = Rc::default();
    let end = Instant::now() + measured;
    let mut tasks = JoinSet::new();
    while ticks.tick().await < end {
        let (call, tally) = (call.clone(), Rc::clone(tally));
        let (idle, took) = (Rc::clone(&idle), Rc::clone(&took));
        tasks.spawn_local(async move {
            let mut wire = idle.borrow_mut().pop();
            let fresh = wire.is_none();
            let begin = Instant::now();
            match keep_alive(&call, &mut wire, &tally).await {
                // A connection's first request pays for connecting, which is not the question.
                Ok(()) if fresh => {}
                Ok(()) => took.borrow_mut().push(begin.elapsed().as_secs_f64() * 1e6),
                Err(error) => tally.fail(&error),
            }
            idle.borrow_mut().extend(wire);
        });
        while tasks.try_join_next().is_some() {}
    }
    finish(tasks, tally).await;
    took.take()
}

/// Opens so many slow streams, waits until each has begun, calls `mark` while all
/// are open, and closes them.
pub(crate) async fn hold_streams(call: &Call, streams: usize, tally: &Rc<Tally>, mark: impl FnOnce()) {
    let begun = Rc::new(Cell::new(0));
    let mut tasks = JoinSet::new();
    for n in 0..streams {
        let (call, tally, begun) = (call.clone(), Rc::clone(tally), Rc::clone(&begun));
        tasks.spawn_local(async move {
            if let Err(error) = one_stream(&call, &begun).await {
                tally.fail(&error);
            }
        });
        // In batches, as accept queues are short.
        if n % 50 == 49 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let deadline = Instant::now() + STREAMS_BEGIN;
    while begun.get() < streams && tally.errors.get() == 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    if begun.get() < streams {
        tally.fail(&format!("only {} of {streams} streams have begun", begun.get()));
    }
    // Past the next event of every stream, so that first-event work is over.
    sleep(Duration::from_millis(1200)).await;
    mark();
    tasks.shutdown().await;
}

async fn one_stream(call: &Call, begun: &Cell<usize>) -> io::Result<()> {
    let mut wire = Wire::connect(call.address).await?;
    wire.write(&call.request).await?;
    let Some(head) = wire.head().await? else { return Err(io::Error::other("closed without an answer")) };
    if head.status != Some(200) {
        return Err(io::Error::other(format!("status {:?}", head.status)));
    }
    let mut check = StreamCheck::default();
    let mut has_begun = false;
    wire.body(head.framing, |piece| {
        if check.push(piece) > 0 && !has_begun {
            has_begun = true;
            begun.set(begun.get() + 1);
        }
    })
    .await?;
    if check.is_whole() { Ok(()) } else { Err(io::Error::other("a slow stream ended early or out of order")) }
}

/// Sends a request, reads and checks the answer, and says whether the connection
/// can be used again.
async fn exchange(wire: &mut Wire, call: &Call, tally: &Tally) -> io::Result<bool> {
    wire.write(&call.request).await?;
    let Some(head) = wire.head().await? else { return Err(io::Error::other("closed without an answer")) };
    let mut body = Vec::new();
    let mut check = StreamCheck::default();
    let is_stream = call.stream && head.status == Some(200);
    wire.body(head.framing, |piece| {
        if is_stream {
            tally.count_events(check.push(piece));
        } else {
            body.extend_from_slice(piece);
        }
    })
    .await?;
    if head.status != Some(200) {
        let text = String::from_utf8_lossy(body.get(..300).unwrap_or(&body)).into_owned();
        return Err(io::Error::other(format!("status {:?}: {text}", head.status)));
    }
    let whole = if is_stream { check.is_whole() } else { traffic::is_whole_answer(&body) };
    if !whole {
        return Err(io::Error::other("an answer is not whole or not in order"));
    }
    tally.requests.set(tally.requests.get() + 1);
    Ok(!head.close && head.framing != Framing::Close)
}

async fn finish(mut tasks: JoinSet<()>, tally: &Tally) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(LAST_ANSWERS, all).await.is_err() {
        tally.fail(&format!("{} requests were never answered", tasks.len()));
        tasks.shutdown().await;
    }
}
