//! Where and how to reach an endpoint.

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::connect::HttpClient;
use super::scrub::Scrub;
use crate::catalog::{Auth, Provider};
use crate::dialect::{Codec, Reply};
use crate::outcome::Failure;

/// Where and how to reach one endpoint: prepared once per generation.
#[derive(Debug)]
pub struct Target {
    /// The provider's own client.
    pub client: HttpClient,
    /// Speaks the provider's dialect.
    pub codec: &'static dyn Codec,
    /// Scheme, host, port and path prefix, without a trailing slash.
    base: String,
    /// The address for the dialect's usual path, so that it need not be parsed
    /// for each request.
    usual: Option<(String, Uri)>,
    /// All headers of a request, credential included.
    pub(super) headers: HeaderMap,
    /// Takes that credential out of answers.
    pub(super) scrub: Scrub,
}

impl Target {
    /// Prepares an endpoint's provider. `None` when its key cannot be a header.
    #[must_use]
    pub fn new(provider: &Provider, codec: &'static dyn Codec, client: HttpClient) -> Option<Target> {
        let base = provider.base_url.to_string().trim_end_matches('/').to_owned();
        let path = codec.usual_path().to_owned();
        let usual = format!("{base}{path}").parse().ok().map(|uri| (path, uri));
        let mut headers = provider.headers.clone();
        for (name, value) in codec.headers() {
            let name = HeaderName::from_static(name);
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("merit/", env!("CARGO_PKG_VERSION"))));
        if let Some(key) = &provider.key
            && let Some((name, text)) = match &provider.auth {
                Auth::None => None,
                Auth::Bearer => Some((AUTHORIZATION, format!("Bearer {}", key.expose()))),
                Auth::Header(name) => Some((name.clone(), key.expose().to_owned())),
            }
        {
            let mut value = HeaderValue::from_str(&text).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let scrub = Scrub::new(provider.key.as_ref());
        Some(Target { client, codec, base, usual, headers, scrub })
    }

    /// Scheme, host, port and path prefix, without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A whole answer, fit for the caller.
    pub(super) fn whole(&self, mut reply: Reply) -> Reply {
        reply.body = self.scrub.clean(reply.body);
        reply
    }

    pub(super) fn uri(&self, path: &str) -> Result<Uri, Failure> {
        if let Some((usual, uri)) = &self.usual
            && usual == path
        {
            return Ok(uri.clone());
        }
        format!("{}{path}", self.base)
            .parse()
            .map_err(|_| Failure::Unsupported { what: "the endpoint's path".to_owned() })
    }
}
