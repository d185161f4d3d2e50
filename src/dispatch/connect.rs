//! Connections to upstreams: one hardened client per provider.
//!
//! hyper-util's pooled client, which is `reqwest`'s own engine, without what
//! `reqwest` adds and a gateway must not have: no redirects, no proxies from
//! the environment, no decompression, no retries but of connections that turned
//! out dead before anything was sent. A client belongs to one provider, so a
//! credential can only travel over connections made for its own scheme, host
//! and port.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body::{Body, Frame, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::Service;

use crate::outcome::Failure;

/// Idle connections are closed after a minute, as most servers
/// close them, so that a race with the server's own close is rare.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// Most bytes buffered while reading from an upstream. Hyper grows its buffer
/// up to this; 64 KiB keeps a stream's memory small and holds any header block
/// we accept.
const READ_BUFFER: usize = 64 * 1024;

/// The client of one provider.
pub type HttpClient = Client<Connector, Pieces>;

/// Roots of trust for all connections, built once.
#[derive(Clone)]
pub struct Trust(Arc<rustls::ClientConfig>);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// Mozilla's roots, compiled in: a machine without a CA bundle works too.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn mozilla() -> Result<Self, rustls::Error> {
        use hyper_rustls::ConfigBuilderExt;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Trust(Arc::new(builder.with_webpki_roots().with_no_client_auth())))
    }

    /// The same for the client of control traffic.
    #[must_use]
    pub fn tls(&self) -> rustls::ClientConfig {
        rustls::ClientConfig::clone(&self.0)
    }
}

/// A client whose connections must be there within `connect`.
#[must_use]
pub fn client(trust: &Trust, connect: Duration) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect));
    tcp.set_keepalive(Some(Duration::from_secs(15)));
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(trust.tls())
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .http1_max_buf_size(READ_BUFFER)
        .http1_max_headers(100)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_adaptive_window(true)
        .build(Connector { inner: tls, limit: connect })
}

/// TCP and TLS within one limit: a handshake that stalls must not hold a
/// request longer than an address that does not answer.
#[derive(Debug, Clone)]
pub struct Connector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// What an error of the client means. Nothing of its text is kept: it may name
/// addresses.
#[must_use]
pub fn failure(error: &hyper_util::client::legacy::Error) -> Failure {
    if error.is_connect() { connect_failure(error) } else { exchange_failure(error) }
}

/// No connection came about.
fn connect_failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    known_cause(error).unwrap_or(Failure::Connect)
}

/// The innermost cause that says more than "no connection". An `io::Error`
/// hides what it wraps from `source`, so that is looked at too.
fn known_cause(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    if error.downcast_ref::<rustls::Error>().is_some() {
        return Some(Failure::Tls);
    }
    if error.to_string().starts_with("dns error") {
        return Some(Failure::Dns);
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        if io.kind() == io::ErrorKind::TimedOut {
            return Some(Failure::ConnectTimeout);
        }
        if let Some(found) = io.get_ref().and_then(|inner| known_cause(inner)) {
            return Some(found);
        }
    }
    error.source().and_then(known_cause)
}

/// The connection was there and the exchange over it failed.
#[must_use]
pub fn exchange_failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
            if hyper.is_parse() || hyper.is_parse_too_large() {
                return Failure::Protocol { detail: "not valid HTTP" };
            }
            return Failure::Closed;
        }
        cause = error.source();
    }
    Failure::Closed
}

/// A body in pieces, most of them slices of the caller's own bytes.
#[derive(Debug)]
pub struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Pieces {
    /// All pieces, in order. Empty ones are left out.
    #[must_use]
    pub fn new(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Pieces { pieces: pieces.into_iter(), left }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.next();
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn pieces_know_their_length_and_skip_empty_ones() {
        let body = Pieces::new(vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")]);
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert!(Pieces::new(vec![Bytes::new()]).is_end_stream());
    }

    #[tokio::test]
    async fn failures_to_connect_are_told_apart() {
        let trust = Trust::mozilla().unwrap();
        let client = client(&trust, Duration::from_millis(300));
        let call = |uri: &'static str| {
            let request = http::Request::post(uri).body(Pieces::new(Vec::new())).unwrap();
            let answer = client.request(request);
            async move { failure(&answer.await.unwrap_err()) }
        };
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused: &'static str = Box::leak(format!("http://{closed}/").into_boxed_str());
        assert_eq!(call(refused).await, Failure::Connect);
        assert_eq!(call("http://does-not-exist.invalid/").await, Failure::Dns);

        // A server that speaks no TLS, and one that says nothing at all.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: &'static str =
            Box::leak(format!("https://{}/", silent.local_addr().unwrap()).into_boxed_str());
        assert_eq!(call(address).await, Failure::ConnectTimeout);
        let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: &'static str =
            Box::leak(format!("https://{}/", rude.local_addr().unwrap()).into_boxed_str());
        let answer = tokio::spawn(async move {
            let (mut socket, _) = rude.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        });
        assert_eq!(call(address).await, Failure::Tls);
        answer.await.unwrap();
    }
}
