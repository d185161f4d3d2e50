//! Hands one connection's requests to the router.
//!
//! A panic ends the request it happens in, not the connection and not the
//! process: before the answer has begun it becomes a 500, afterwards the answer
//! breaks off without its proper end.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tower::Service;

use super::watch::Watch;

/// What a caller is told when a request panics. Fixed bytes: whatever would
/// make a better answer may be what panicked.
const PANICKED: &str = r#"{"error":{"message":"an internal error; please report it","type":"api_error","param":null,"code":"internal_error"}}"#;

/// Hands requests to the router and notes when their answers end.
pub(super) struct Serve {
    pub(super) router: Router,
    pub(super) watch: Arc<Watch>,
}

impl hyper::service::Service<Request<Incoming>> for Serve {
    type Response = Response<Tracked>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.watch.request_begins();
        let guard = Busy(Arc::clone(&self.watch));
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&self.watch.closing));
        let mut router = self.router.clone();
        Box::pin(async move {
            let mut answering = Box::pin(router.call(request));
            let response = std::future::poll_fn(|context| {
                match catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context))) {
                    Ok(polled) => polled.map(|Ok(response)| response),
                    Err(_) => Poll::Ready(panicked()),
                }
            })
            .await;
            Ok(response.map(|body| Tracked { body, _guard: guard }))
        })
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

struct Busy(Arc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// A response body that keeps its connection marked as busy.
pub(super) struct Tracked {
    body: Body,
    _guard: Busy,
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
        catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(context)))
            .unwrap_or_else(|_| Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other("panicked"))))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}
