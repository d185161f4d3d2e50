//! What one connection is doing, and since when.
//!
//! Reads and writes leave marks in a few atomics; one coarse timer per
//! connection looks at them and closes it when its time is used up.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Limits;

/// What a connection is doing, as marks that its timer looks at. Times are
/// milliseconds since the connection began, plus one; zero is "not".
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    /// Requests being answered.
    busy: AtomicU32,
    /// Since when headers are being read.
    head_since: AtomicU64,
    /// Since when nothing has been going on.
    idle_since: AtomicU64,
    /// Since when the peer has not taken what we write.
    stalled_since: AtomicU64,
    /// Whether requests are not told apart by when bytes come: HTTP/2 has frames
    /// that belong to none, and its own limits on their headers.
    pub(super) multiplexed: AtomicBool,
    /// Answers of a multiplexed connection: since when each waits to be taken.
    /// There a caller holds answers back without ever blocking a write.
    unread: Mutex<Vec<Weak<AtomicU64>>>,
    /// Closes the connection after the response under way.
    pub(super) closing: Arc<Notify>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Watch {
            began: Instant::now(),
            busy: AtomicU32::new(0),
            // A new connection owes us its first headers.
            head_since: AtomicU64::new(1),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
            unread: Mutex::default(),
            closing: Arc::new(Notify::new()),
        }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn read_some(&self) {
        if self.multiplexed.load(Relaxed) {
            return;
        }
        if self.busy.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
            self.idle_since.store(0, Relaxed);
        }
    }

    pub(super) fn request_begins(&self) {
        self.head_since.store(0, Relaxed);
        self.idle_since.store(0, Relaxed);
        self.busy.fetch_add(1, Relaxed);
    }

    pub(super) fn request_ends(&self) {
        if self.busy.fetch_sub(1, Relaxed) == 1 {
            self.idle_since.store(self.now(), Relaxed);
        }
    }

    fn write_blocked(&self) {
        if self.stalled_since.load(Relaxed) == 0 {
            self.stalled_since.store(self.now(), Relaxed);
        }
    }

    fn wrote_some(&self) {
        if self.stalled_since.load(Relaxed) != 0 {
            self.stalled_since.store(0, Relaxed);
        }
    }

    /// A mark for one answer; none is needed where answers come one by one.
    pub(super) fn follow(&self) -> Option<Arc<AtomicU64>> {
        if !self.multiplexed.load(Relaxed) {
            return None;
        }
        let mark = Arc::new(AtomicU64::new(0));
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.retain(|mark| mark.strong_count() > 0);
        unread.push(Arc::downgrade(&mark));
        Some(mark)
    }

    /// Since when the answer that waits longest is not taken; 0 when none waits.
    fn unread_since(&self) -> u64 {
        if !self.multiplexed.load(Relaxed) {
            return 0;
        }
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let since = unread.iter().filter_map(|mark| Some(mark.upgrade()?.load(Relaxed)));
        since.filter(|since| *since > 0).min().unwrap_or(0)
    }

    /// When to look again; `None` when the connection has used up its time.
    pub(super) fn next_look(&self, limits: &Limits) -> Option<Duration> {
        let now = self.now();
        let mut next = limits.headers;
        let marks = [
            (self.head_since.load(Relaxed), limits.headers),
            (self.idle_since.load(Relaxed), limits.idle),
            (self.stalled_since.load(Relaxed), limits.write_stall),
            (self.unread_since(), limits.write_stall),
        ];
        for (since, limit) in marks {
            if since == 0 {
                continue;
            }
            let spent = Duration::from_millis(now.saturating_sub(since));
            next = next.min(limit.checked_sub(spent).filter(|left| !left.is_zero())?);
        }
        Some(next.max(Duration::from_millis(10)))
    }
}

/// A TCP stream whose reads and writes leave marks.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) inner: TokioIo<TcpStream>,
    pub(super) watch: Arc<Watch>,
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_ready() {
            self.watch.read_some();
        }
        read
    }
}

impl Watched {
    fn mark<T>(&self, written: Poll<T>) -> Poll<T> {
        match written {
            Poll::Pending => self.watch.write_blocked(),
            Poll::Ready(_) => self.watch.wrote_some(),
        }
        written
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.mark(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.mark(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 1,
        headers: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write_stall: Duration::from_secs(60),
    };

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn headers_must_come_in_time() {
        let watch = Watch::new();
        assert!(watch.next_look(&LIMITS).is_some());
        pass(9).await;
        watch.read_some();
        assert_eq!(watch.next_look(&LIMITS), Some(Duration::from_secs(1)));
        pass(1).await;
        assert_eq!(watch.next_look(&LIMITS), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_and_a_pause_after_it_are_fine() {
        let watch = Watch::new();
        watch.request_begins();
        pass(1000).await;
        assert!(watch.next_look(&LIMITS).is_some());
        watch.request_ends();
        pass(74).await;
        assert!(watch.next_look(&LIMITS).is_some());
        pass(1).await;
        assert_eq!(watch.next_look(&LIMITS), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_among_others_must_be_taken() {
        let watch = Watch::new();
        assert!(watch.follow().is_none(), "one by one, writes tell");
        watch.multiplexed.store(true, Relaxed);
        watch.request_begins();
        let (taken, left) = (watch.follow().unwrap(), watch.follow().unwrap());
        left.store(watch.now(), Relaxed);
        pass(59).await;
        taken.store(watch.now(), Relaxed);
        assert_eq!(watch.next_look(&LIMITS), Some(Duration::from_secs(1)));
        pass(1).await;
        assert_eq!(watch.next_look(&LIMITS), None);
        drop(left);
        assert!(watch.next_look(&LIMITS).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_be_read() {
        let watch = Watch::new();
        watch.request_begins();
        watch.write_blocked();
        pass(59).await;
        watch.write_blocked();
        assert_eq!(watch.next_look(&LIMITS), Some(Duration::from_secs(1)));
        pass(1).await;
        assert_eq!(watch.next_look(&LIMITS), None);
        watch.wrote_some();
        assert!(watch.next_look(&LIMITS).is_some());
    }
}
