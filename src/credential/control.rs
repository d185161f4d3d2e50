//! The client for our own traffic: tokens. (Callers' requests go another way,
//! through `dispatch`.) It follows no redirect and asks no proxy, so that what
//! is sent reaches the address it was meant for and no other, and it reads no
//! more than an answer can need.

use std::time::Duration;

use http::{HeaderMap, StatusCode, Uri};

use super::tokens::Denied;
use crate::outcome::Failure;

/// No answer with a token is larger.
const MOST_ANSWER: usize = 64 * 1024;
/// Until a connection is there.
const CONNECT: Duration = Duration::from_secs(3);

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control(reqwest::Client);

impl Control {
    /// A client whose exchanges take at most `patience`.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(patience: Duration) -> Result<Control, String> {
        // Fails only when a provider was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        hardened(patience).build().map(Control).map_err(|error| error.without_url().to_string())
    }

    /// Posts a body of that content type.
    ///
    /// # Errors
    /// When no whole answer came.
    pub async fn post(
        &self,
        url: &Uri,
        headers: HeaderMap,
        content_type: &'static str,
        body: String,
    ) -> Result<(StatusCode, Vec<u8>), Denied> {
        let request = self.0.post(url.to_string()).headers(headers).header("content-type", content_type);
        whole(request.body(body)).await
    }

    /// Gets, with these headers.
    ///
    /// # Errors
    /// As [`Control::post`].
    pub async fn get(&self, url: &Uri, headers: HeaderMap) -> Result<(StatusCode, Vec<u8>), Denied> {
        whole(self.0.get(url.to_string()).headers(headers)).await
    }
}

/// What every client of control traffic is made from: no redirects, no retries,
/// no proxy that the environment happens to name.
pub fn hardened(patience: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .user_agent(concat!("merit/", env!("CARGO_PKG_VERSION")))
        .timeout(patience)
        .connect_timeout(CONNECT)
}

async fn whole(request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), Denied> {
    let request = request.header("accept", "application/json");
    let mut response = request.send().await.map_err(|error| failed(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_ANSWER {
            let failure = Failure::Protocol { detail: "an answer with a token over 64 KiB" };
            return Err(Denied { failure, why: "an answer over 64 KiB".to_owned() });
        }
    }
    Ok((response.status(), body))
}

/// What an error of the client means. Its text may name addresses and is not kept.
fn failed(error: &reqwest::Error) -> Denied {
    let (failure, why) = if error.is_timeout() {
        (Failure::ConnectTimeout, "no answer in time")
    } else if error.is_connect() {
        (Failure::Connect, "no connection")
    } else {
        (Failure::Closed, "the connection broke")
    };
    Denied { failure, why: why.to_owned() }
}
