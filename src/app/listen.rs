//! Our own accept loop.
//!
//! `axum::serve` waits for ever for headers, for idle connections and for
//! readers that do not read, and at shutdown for everybody. Here every
//! connection has a watch that closes it when it is slow in a way only a broken
//! or hostile peer is, a cap limits how many there are, and a drain has a
//! deadline.
//!
//! The watch is one coarse timer per connection that looks at a few atomics;
//! reads and writes only leave their mark there. Hyper's own header timeout
//! would allocate a timer per request, and would close idle connections of
//! well-behaved clients after the same ten seconds.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use answer::Serve;
pub use answer::{Answer, Answering};
use watch::{Watch, Watched};

mod answer;
mod watch;

/// Limits of one listener. Defaults are in `docs/configuration.md`; buffers and
/// HTTP/2 windows follow Envoy's recommendations for edge proxies.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// For the headers of a request, from their first byte.
    pub headers: Duration,
    /// An idle connection is kept this long; nginx's default.
    pub idle: Duration,
    /// A caller may leave an answer unread this long.
    pub write_stall: Duration,
}

/// Most bytes of a request's head, and of what is buffered for a caller.
const BUFFER: usize = 64 * 1024;
/// Most bytes of an answer that wait in the kernel to be sent.
const UNSENT: u32 = 64 * 1024;
/// Most headers of a request.
const HEADERS: usize = 64;

/// Accepts connections until `stop`, then lets those that are open finish
/// their requests. Connections run on `tracker`; `kill` ends them at once.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    answer: A,
    limits: Limits,
    stop: CancellationToken,
    kill: CancellationToken,
    tracker: TaskTracker,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(30));
    let builders = Arc::new(Builders { http1: builder.clone().http1_only(), either: builder });
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a connection could not be accepted");
                // Out of file descriptors, usually: let some be freed.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if prepare(&stream).is_err() {
            continue;
        }
        let connection =
            Connection { answer: answer.clone(), limits, stop: stop.clone(), kill: kill.clone() };
        let builders = Arc::clone(&builders);
        tracker.spawn(async move {
            connection.run(stream, &builders).await;
            drop(permit);
        });
    }
}

/// Events go out at once, and the kernel takes no more of an answer than it can
/// soon send: by itself it would take megabytes for a caller who does not read,
/// and that would only be noticed when they are full.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// How connections are served.
struct Builders {
    http1: Builder<TokioExecutor>,
    /// Finds out by itself, at the price of a buffer twice as large for as long as
    /// the connection lasts: what it has read of the first request is put before
    /// the rest.
    either: Builder<TokioExecutor>,
}

struct Connection<A> {
    answer: A,
    limits: Limits,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl<A: Answer> Connection<A> {
    /// Whether this can only be HTTP/1, by its first two bytes: HTTP/2 begins with
    /// `PRI`. `None` when nothing comes.
    async fn is_http1(&self, stream: &TcpStream) -> Option<bool> {
        let mut first = [0; 2];
        let peeked = tokio::select! {
            peeked = tokio::time::timeout(self.limits.headers, stream.peek(&mut first)) => peeked,
            () = self.stop.cancelled() => return None,
        };
        match peeked.ok()?.ok()? {
            0 => None,
            1 => Some(first != *b"P\0"),
            _ => Some(first != *b"PR"),
        }
    }

    async fn run(self, stream: TcpStream, builders: &Builders) {
        let watch = Arc::new(Watch::new());
        let Some(is_http1) = self.is_http1(&stream).await else { return };
        let builder = if is_http1 { &builders.http1 } else { &builders.either };
        let io = Watched { inner: TokioIo::new(stream), watch: Arc::clone(&watch) };
        let service = Serve { answer: self.answer, watch: Arc::clone(&watch) };
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let mut stopping = false;
        let mut timer = std::pin::pin!(tokio::time::sleep(self.limits.headers));
        loop {
            tokio::select! {
                biased;
                // How it ended is no concern of ours: requests have settled.
                _ = connection.as_mut() => return,
                () = timer.as_mut() => match watch.next_look(&self.limits) {
                    Some(after) => timer.as_mut().reset(Instant::now() + after),
                    None => return,
                },
                () = watch.closing.notified() => connection.as_mut().graceful_shutdown(),
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.kill.cancelled() => return,
            }
        }
    }
}
