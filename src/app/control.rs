//! The client of control traffic: price lists and published statistics.
//!
//! Callers' requests never go out here. What comes back is taken from strangers:
//! no redirects (a list does not move to another host by itself), no proxy that
//! the environment happens to name, a limit on time and on size.

use std::time::Duration;

use http::StatusCode;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};

use crate::catalog::Secret;
use crate::credential::control::hardened;
use crate::dispatch::connect::Trust;

/// The largest list known is 4 MB; what is larger than this is none.
const LARGEST: usize = 32 << 20;
/// For all of one answer: nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fetches what others publish.
#[derive(Debug, Clone)]
pub struct Control(reqwest::Client);

/// What tells whether something has changed since it was last fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub enum Fetched {
    /// It is what it was.
    Unchanged,
    /// It is this.
    New(Vec<u8>, Validators),
}

/// Why there is none.
#[derive(Debug)]
pub enum FetchError {
    /// Nobody answered, or not to the end.
    Unreachable(String),
    /// An answer of this status.
    Status(StatusCode),
    /// More than 32 MiB.
    TooLarge,
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchError::Unreachable(error) => write!(f, "cannot be fetched: {error}"),
            FetchError::Status(status) => write!(f, "answered {status}"),
            FetchError::TooLarge => write!(f, "larger than {} MiB", LARGEST >> 20),
        }
    }
}

impl std::error::Error for FetchError {}

impl Control {
    /// A client that trusts whom `trust` does.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(trust: &Trust) -> Result<Self, String> {
        let client = hardened(PATIENCE).tls_backend_preconfigured(trust.tls()).build();
        client.map(Control).map_err(|error| error.without_url().to_string())
    }

    /// What is at `url`, unless it is what it was when `known` was told of it.
    ///
    /// # Errors
    /// When there is no proper answer.
    pub async fn fetch(
        &self,
        url: &str,
        known: &Validators,
        key: Option<&Secret>,
    ) -> Result<Fetched, FetchError> {
        let mut asking = self.0.get(url);
        if let Some(etag) = &known.etag {
            asking = asking.header(IF_NONE_MATCH, etag);
        } else if let Some(date) = &known.last_modified {
            asking = asking.header(IF_MODIFIED_SINCE, date);
        }
        if let Some(key) = key {
            asking = asking.bearer_auth(key.expose());
        }
        let unreachable = |error: reqwest::Error| FetchError::Unreachable(reason(error));
        let mut answer = asking.send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if *known != Validators::default() => return Ok(Fetched::Unchanged),
            other => return Err(FetchError::Status(other)),
        }
        let text = |name| answer.headers().get(name)?.to_str().ok().map(ToOwned::to_owned);
        let validators = Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) };
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > LARGEST {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Fetched::New(body, validators))
    }
}

/// What went wrong, down to its cause, without the address: it may be private.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// An address that answers once, with `head` and then so many zeros.
    async fn once(head: &'static str, zeros: usize) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b'0'; zeros]).await;
        });
        format!("http://{address}/list.json?key=secret")
    }

    async fn fetch(head: &'static str, zeros: usize) -> Result<Fetched, FetchError> {
        let control = Control::new(&Trust::mozilla().unwrap()).unwrap();
        control.fetch(&once(head, zeros).await, &Validators::default(), None).await
    }

    #[tokio::test]
    async fn only_a_whole_answer_of_a_sane_size_counts() {
        let whole = fetch("HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"a\"\r\n\r\n", 5).await;
        assert!(matches!(whole, Ok(Fetched::New(body, known)) if body == b"00000" && known.etag.is_some()));
        let elsewhere =
            fetch("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", 0)
                .await;
        assert!(matches!(elsewhere, Err(FetchError::Status(StatusCode::FOUND))), "{elsewhere:?}");
        let uncalled = fetch("HTTP/1.1 304 Not Modified\r\n\r\n", 0).await;
        assert!(matches!(uncalled, Err(FetchError::Status(_))), "nothing is known that could be unchanged");
        let endless = fetch("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", LARGEST + 1).await;
        assert!(matches!(endless, Err(FetchError::TooLarge)));
        let short = fetch("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n", 5).await;
        let Err(FetchError::Unreachable(told)) = short else { panic!("{short:?}") };
        assert!(!told.contains("secret"), "{told}");
    }
}
