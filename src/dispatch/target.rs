//! Where and how to reach an endpoint.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::connect::HttpClient;
use super::scrub::Scrub;
use crate::catalog::{Endpoint, Reach};
use crate::credential::{Signed, Signer};
use crate::dialect::Codec;
use crate::outcome::Failure;

/// What the endpoints of one account share, and keep over reloads.
#[derive(Debug, Clone)]
pub struct Outlet {
    /// Its connections.
    pub client: HttpClient,
    /// Signs its requests.
    pub signer: Arc<Signer>,
}

/// Where and how to reach one endpoint: prepared once per generation.
#[derive(Debug)]
pub struct Target {
    /// The provider's own client.
    pub client: HttpClient,
    /// Signs requests.
    pub signer: Arc<Signer>,
    /// Speaks the provider's dialect.
    pub codec: &'static dyn Codec,
    /// Scheme, host, port and path prefix, without a trailing slash.
    base: String,
    /// The address for the dialect's usual path, so that it need not be parsed
    /// for each request.
    usual: Option<(String, Uri)>,
    /// Addresses that the configuration sets instead of the dialect's: for whole
    /// answers, and for streams.
    own: Option<[Uri; 2]>,
    /// How the account is addressed otherwise.
    reach: Reach,
    /// All headers of a request; with a key, if that is the credential.
    pub(super) headers: HeaderMap,
    /// Takes that key out of answers.
    scrub: Scrub,
}

impl Target {
    /// Prepares an endpoint. `None` when its address cannot be one.
    #[must_use]
    pub fn new(endpoint: &Endpoint, codec: &'static dyn Codec, outlet: Outlet) -> Option<Target> {
        let provider = &endpoint.provider;
        let base = provider.base_url.to_string().trim_end_matches('/').to_owned();
        let path = codec.usual_path().to_owned();
        let own = |stream| {
            let path = provider.reach.path(&endpoint.upstream, stream)?;
            Some(format!("{base}{path}").parse().ok())
        };
        let own = match (own(false), own(true)) {
            (Some(whole), Some(stream)) => Some([whole?, stream?]),
            _ => None,
        };
        let usual = format!("{base}{path}").parse().ok().map(|uri| (path, uri));
        let mut headers = provider.headers.clone();
        for (name, value) in codec.headers() {
            let name = HeaderName::from_static(name);
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accepted = HeaderValue::from_static("application/json, text/event-stream");
        headers.entry(ACCEPT).or_insert(accepted);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("merit/", env!("CARGO_PKG_VERSION"))));
        let Outlet { client, signer } = outlet;
        if let Some((name, value)) = signer.fixed() {
            headers.insert(name.clone(), value.clone());
        }
        let usual = usual.filter(|_| provider.reach.query.is_empty());
        let scrub = Scrub::new(provider.key.as_ref());
        let reach = provider.reach.clone();
        Some(Target { client, signer, codec, base, usual, own, reach, headers, scrub })
    }

    /// Scheme, host, port and path prefix, without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Takes out of answers what was sent beside the request.
    pub(super) fn scrub(&self, signed: &Signed) -> Scrub {
        match &signed.token {
            Some(token) => Scrub::new(Some(&token.secret)),
            None => self.scrub.clone(),
        }
    }

    /// The address of a request that the dialect sends to `path`.
    pub(super) fn uri(&self, path: &str, stream: bool) -> Result<Uri, Failure> {
        if let Some([whole, streamed]) = &self.own {
            return Ok(if stream { streamed } else { whole }.clone());
        }
        if let Some((usual, uri)) = &self.usual
            && usual == path
        {
            return Ok(uri.clone());
        }
        format!("{}{}", self.base, self.reach.with_query(path))
            .parse()
            .map_err(|_| Failure::Unsupported { what: "the endpoint's path".to_owned() })
    }
}
