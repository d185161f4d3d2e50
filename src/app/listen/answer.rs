//! Has one connection's requests answered.
//!
//! A panic ends the request it happens in, not the connection and not the
//! process: before the answer has begun it becomes a 500, afterwards the answer
//! breaks off without its proper end.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tower::Service;

use super::watch::Watch;

/// What a caller is told when a request panics. Fixed bytes: whatever would
/// make a better answer may be what panicked.
const PANICKED: &str = r#"{"error":{"message":"an internal error; please report it","type":"api_error","param":null,"code":"internal_error"}}"#;

/// A response being made.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers the requests of a listener.
pub trait Answer: Clone + Send + Sync + 'static {
    /// Answers one request. Whoever must not let the caller's connection be used
    /// again tells `closing`.
    fn answer(&self, request: Request<Incoming>, closing: &Arc<Notify>) -> Answering;
}

impl Answer for Router {
    fn answer(&self, request: Request<Incoming>, _closing: &Arc<Notify>) -> Answering {
        let answering = self.clone().call(request.map(Body::new));
        Box::pin(async move {
            let Ok(response) = answering.await;
            response
        })
    }
}

/// Has requests answered and notes when their answers end.
pub(super) struct Serve<A> {
    pub(super) answer: A,
    pub(super) watch: Arc<Watch>,
}

impl<A: Answer> hyper::service::Service<Request<Incoming>> for Serve<A> {
    type Response = Response<Tracked>;
    type Error = Infallible;
    type Future = Guarded;

    fn call(&self, request: Request<Incoming>) -> Guarded {
        self.watch.request_begins();
        if request.version() == http::Version::HTTP_2 {
            self.watch.multiplexed.store(true, Relaxed);
        }
        let guard = Some(Busy { watch: Arc::clone(&self.watch), unread: self.watch.follow() });
        Guarded { answering: self.answer.answer(request, &self.watch.closing), guard }
    }
}

/// A response being made, in which a panic is an answer too.
pub(super) struct Guarded {
    answering: Answering,
    guard: Option<Busy>,
}

impl Future for Guarded {
    type Output = Result<Response<Tracked>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match catch_unwind(AssertUnwindSafe(|| self.answering.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(response)) => response,
            Err(_) => panicked(),
        };
        let guard = self.guard.take();
        guard.iter().for_each(Busy::waits);
        Poll::Ready(Ok(response.map(|body| Tracked { body, guard })))
    }
}

fn panicked() -> Response<Body> {
    let mut response = Response::new(Body::from(PANICKED));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

struct Busy {
    watch: Arc<Watch>,
    /// See [`Watch::follow`].
    unread: Option<Arc<AtomicU64>>,
}

impl Busy {
    /// From now on the answer waits to be taken.
    fn waits(&self) {
        if let Some(unread) = &self.unread {
            unread.store(self.watch.now(), Relaxed);
        }
    }

    /// The answer is asked for more.
    fn is_taken(&self) {
        if let Some(unread) = &self.unread {
            unread.store(0, Relaxed);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.watch.request_ends();
    }
}

/// A response body that keeps its connection marked as busy.
pub(super) struct Tracked {
    body: Body,
    guard: Option<Busy>,
}

impl std::fmt::Debug for Tracked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tracked")
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.guard.iter().for_each(Busy::is_taken);
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(context)))
            .unwrap_or_else(|_| Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other("panicked"))))));
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.guard.iter().for_each(Busy::waits);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}
