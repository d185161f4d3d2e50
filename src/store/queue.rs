//! The one queue to the one writer.
//!
//! A request hands a write over and goes on. The thread lets writes gather for a
//! moment, commits all of them at once, and answers whoever waits. When the
//! database refuses (a full disk), what was handed over is kept and tried again
//! until it succeeds; meanwhile [`Store::is_up`] says no, so that nobody who has
//! a budget is admitted, which bounds what is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::{Histogram, IntGauge};
use tokio::sync::oneshot;

use super::{Database, StoreError, Write, Written};

/// How long writes gather once there is one that nobody waits for. What a crash
/// can lose is what was handed over within this and one sync of the disk.
const GATHER: Duration = Duration::from_millis(4);
/// Most writes in one transaction: some 50 ms of work, so that whoever waits for
/// a slice does not wait longer than that.
const BATCH: usize = 4096;
/// Pause before a refused batch is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Writes that may wait before nobody new is admitted: 64 MiB or so.
pub const MOST_WAITING: usize = 100_000;

/// What is seen of a store from outside.
#[derive(Debug, Clone)]
pub struct Gauges {
    /// 1 while it answers.
    pub up: IntGauge,
    /// Seconds of one commit.
    pub append: Histogram,
}

type Answer = Result<Written, StoreError>;

struct Order {
    write: Write,
    answer: Option<oneshot::Sender<Answer>>,
    /// Whether slices are given back after it.
    close: bool,
}

/// The handing-over end of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    queue: Sender<Order>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    waiting: AtomicUsize,
    up: AtomicBool,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write.fmt(f)
    }
}

impl Store {
    /// Starts the writing thread. It ends, and closes the database, when the last
    /// handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start<D: Database>(database: D, gauges: Gauges) -> std::io::Result<(Store, JoinHandle<()>)> {
        let (queue, orders) = channel();
        let state = Arc::new(State { waiting: AtomicUsize::new(0), up: AtomicBool::new(true) });
        gauges.up.set(1);
        let writer = Writer { database, gauges, state: Arc::clone(&state) };
        let thread =
            std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run(&orders))?;
        Ok((Store { queue, state }, thread))
    }

    /// Hands a write over. Never waits, never fails: it is written as soon as the
    /// database allows.
    pub fn hand_over(&self, write: Write) {
        self.send(Order { write, answer: None, close: false });
    }

    /// Hands a write over and waits until it is durable.
    ///
    /// # Errors
    /// When it was refused, or the store is not up.
    pub fn write(&self, write: Write) -> impl Future<Output = Answer> + use<> {
        let (answer, answered) = oneshot::channel();
        // At once, not when it is first polled: whoever writes several waits once.
        self.send(Order { write, answer: Some(answer), close: false });
        async { answered.await.unwrap_or_else(|_| Err(gone())) }
    }

    /// Everything so far is durable, and what was granted and not spent is given
    /// back. For the end: nothing may be under way.
    ///
    /// # Errors
    /// When the store does not answer.
    pub fn close(&self) -> impl Future<Output = Answer> + use<> {
        let (answer, answered) = oneshot::channel();
        self.send(Order { write: Write::Flush, answer: Some(answer), close: true });
        async { answered.await.unwrap_or_else(|_| Err(gone())) }
    }

    /// The same for threads that may wait.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking(&self, write: Write) -> Result<Written, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Order { write, answer: Some(answer), close: false });
        answered.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    fn send(&self, order: Order) {
        self.state.waiting.fetch_add(1, Relaxed);
        if self.queue.send(order).is_err() {
            // The thread has died: nobody is admitted any more.
            self.state.up.store(false, Relaxed);
        }
    }

    /// Whether writes are accepted: the last commit succeeded, and not too much
    /// waits.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.up.load(Relaxed) && self.state.waiting.load(Relaxed) < MOST_WAITING
    }

    /// Writes handed over and not durable yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.waiting.load(Relaxed)
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store has stopped".to_owned())
}

struct Writer<D> {
    database: D,
    gauges: Gauges,
    state: Arc<State>,
}

/// Shows that the thread ends, however it does: nobody is admitted after that.
struct Down(Arc<State>, IntGauge);

impl Drop for Down {
    fn drop(&mut self) {
        self.0.up.store(false, Relaxed);
        self.1.set(0);
    }
}

impl<D: Database> Writer<D> {
    fn run(mut self, orders: &Receiver<Order>) {
        let down = Down(Arc::clone(&self.state), self.gauges.up.clone());
        let mut batch: Vec<Order> = Vec::new();
        while let Ok(first) = orders.recv() {
            batch.push(first);
            gather(orders, &mut batch);
            self.commit(orders, &mut batch);
        }
        self.close();
        drop(down);
    }

    fn close(&mut self) {
        if let Err(error) = self.database.close() {
            tracing::error!(%error, "the store was not closed properly");
        }
    }

    /// Commits the batch, however long that takes.
    fn commit(&mut self, orders: &Receiver<Order>, batch: &mut Vec<Order>) {
        loop {
            let writes: Vec<Write> =
                batch.iter_mut().map(|order| std::mem::replace(&mut order.write, Write::Flush)).collect();
            let timer = self.gauges.append.start_timer();
            let committed = self.database.commit(&writes);
            timer.observe_duration();
            match committed {
                Ok(answers) => {
                    self.set_up(true);
                    self.state.waiting.fetch_sub(batch.len(), Relaxed);
                    if batch.iter().any(|order| order.close) {
                        self.close();
                    }
                    for (order, answer) in batch.drain(..).zip(answers) {
                        // Whoever has gone away needs no answer.
                        let _ = order.answer.map(|waiting| waiting.send(answer));
                    }
                    return;
                }
                Err(error) => {
                    if self.set_up(false) {
                        tracing::error!(%error, kept = batch.len(), "the ledger cannot be written; trying again");
                    }
                    for (order, write) in batch.iter_mut().zip(writes) {
                        order.write = write;
                    }
                    self.refuse(batch, &error);
                    wait(orders, batch);
                }
            }
        }
    }

    /// Who waits is told at once; what nobody waits for is kept.
    fn refuse(&self, batch: &mut Vec<Order>, error: &StoreError) {
        let before = batch.len();
        let mut kept = Vec::with_capacity(before);
        for order in batch.drain(..) {
            match order.answer {
                Some(waiting) => drop(waiting.send(Err(error.clone()))),
                None => kept.push(order),
            }
        }
        *batch = kept;
        self.state.waiting.fetch_sub(before - batch.len(), Relaxed);
    }

    /// Returns whether that is news.
    fn set_up(&self, up: bool) -> bool {
        let before = self.state.up.swap(up, Relaxed);
        if before != up {
            self.gauges.up.set(i64::from(up));
            if up {
                tracing::info!("the ledger is written again");
            }
        }
        before != up
    }
}

/// Takes what has queued, and while nobody waits what comes in a moment.
fn gather(orders: &Receiver<Order>, batch: &mut Vec<Order>) {
    if batch.iter().all(|order| order.answer.is_none()) {
        std::thread::sleep(GATHER);
    }
    while batch.len() < BATCH {
        let Ok(order) = orders.try_recv() else { break };
        batch.push(order);
    }
}

/// A pause in which further orders join the batch; those that are waited for
/// wait for the next try.
fn wait(orders: &Receiver<Order>, batch: &mut Vec<Order>) {
    std::thread::sleep(AGAIN);
    loop {
        match orders.recv_timeout(Duration::ZERO) {
            Ok(order) => batch.push(order),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}
