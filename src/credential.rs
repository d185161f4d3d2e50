//! How requests are signed: what is sent beside a request so that an upstream
//! knows whose it is.
//!
//! A key is the same for every request and is prepared once. A token is given
//! for something else (a client's secret, a service account's key, the machine
//! itself) and lives for an hour or so; [`tokens`] holds it, renews it before it
//! ends, and asks once for all requests that wait. What is exchanged for it is
//! data ([`crate::catalog::auth`]), so that a vendor with another login is a few
//! fields and not another program. Whatever is sent goes to the one address that
//! it was configured for: redirects are not followed and proxies not asked.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Serialize;

use crate::catalog::auth::Aws;
use crate::catalog::{Auth, Provider, Secret};
use crate::outcome::Failure;

pub mod control;
pub mod exchange;
pub mod granted;
pub mod jwt;
pub mod sigv4;
pub mod tokens;

pub use control::Control;
use sigv4::{AwsKeys, Scope, ToSign};
pub use tokens::{Token, Tokens};

/// Signs the requests of one account.
#[derive(Debug)]
pub struct Signer {
    auth: Auth,
    key: Option<Secret>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Nothing is sent.
    Open,
    /// Always the same header.
    Fixed(HeaderName, HeaderValue),
    /// A token that changes.
    Token(Arc<Tokens>),
    /// A signature of each request.
    SigV4(Box<(AwsKeys, Aws)>),
    /// Nothing can be sent: what is configured is not a header's value.
    Useless(&'static str),
}

/// How a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// There is none.
    None,
    /// A key; whether it is good is told by who is asked with it.
    Key,
    /// A token that is sent for so long.
    Token {
        /// Left of its life.
        seconds: u64,
    },
    /// A token that nobody has needed yet.
    Unasked,
    /// There is no token.
    Refused {
        /// The failure's label, or what is wrong with it.
        why: &'static str,
    },
}

/// A request about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'o> {
    /// The method.
    pub method: &'o Method,
    /// Where to.
    pub uri: &'o Uri,
    /// The body, in pieces.
    pub body: &'o [Bytes],
}

impl Outgoing<'_> {
    fn sigv4(&self, keys: &AwsKeys, scope: Scope<'_>) -> Result<HeaderMap, InvalidHeaderValue> {
        let authority = self.uri.authority().map_or("", Authority::as_str);
        // As hyper writes the header: without the port that the scheme implies.
        let usual = if self.uri.scheme_str() == Some("http") { ":80" } else { ":443" };
        let to_sign = ToSign {
            method: self.method,
            host: authority.strip_suffix(usual).unwrap_or(authority),
            path: self.uri.path(),
            query: self.uri.query().unwrap_or_default(),
            headers: &[],
            body: self.body,
        };
        sigv4::sign(&to_sign, keys, scope, SystemTime::now())
    }
}

/// What is sent beside one request.
#[derive(Debug, Clone, Default)]
pub struct Signed {
    /// Headers, each marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The token in them, which no answer may repeat. A key is known without.
    pub token: Option<Token>,
}

impl Signer {
    /// Prepares the signing of an account's requests.
    #[must_use]
    pub fn new(provider: &Provider, control: &Control) -> Signer {
        let (auth, key) = (provider.auth.clone(), provider.key.clone());
        let fixed = |name: HeaderName, text: String| match HeaderValue::from_str(&text) {
            Ok(mut value) => {
                value.set_sensitive(true);
                Way::Fixed(name, value)
            }
            Err(_) => Way::Useless("a key that cannot be a header"),
        };
        let way = match (&auth, &key) {
            (Auth::None, _) | (Auth::Bearer | Auth::Header(_), None) => Way::Open,
            (Auth::Bearer, Some(key)) => fixed(AUTHORIZATION, format!("Bearer {}", key.expose())),
            (Auth::Header(name), Some(key)) => fixed(name.clone(), key.expose().to_owned()),
            (Auth::Token(grant), _) => {
                let exchange = exchange::Exchange::new((**grant).clone(), control.clone());
                Way::Token(Arc::new(Tokens::new(provider.label(), Box::new(exchange))))
            }
            (Auth::SigV4(aws), _) => {
                let Aws { id, secret, session_token, .. } = (**aws).clone();
                Way::SigV4(Box::new((AwsKeys { id, secret, session_token }, (**aws).clone())))
            }
        };
        Signer { auth, key, way }
    }

    /// Whether it signs for this very credential: after a reload it goes on, with
    /// the token it holds.
    #[must_use]
    pub fn is_for(&self, provider: &Provider) -> bool {
        self.auth == provider.auth && self.key == provider.key
    }

    /// The header that every request carries, where the credential is a key.
    #[must_use]
    pub fn fixed(&self) -> Option<(&HeaderName, &HeaderValue)> {
        match &self.way {
            Way::Fixed(name, value) => Some((name, value)),
            Way::Open | Way::Token(_) | Way::SigV4(_) | Way::Useless(_) => None,
        }
    }

    /// Whether what is sent changes: then a refusal may be of what is old.
    #[must_use]
    pub fn changes(&self) -> bool {
        matches!(self.way, Way::Token(_))
    }

    /// What to send beside a request, but for what is [fixed](Signer::fixed).
    /// Waits only where no token is held.
    ///
    /// # Errors
    /// Why there is no token; never that of a caller's request.
    pub async fn sign(&self, request: Outgoing<'_>) -> Result<Signed, Failure> {
        match &self.way {
            Way::Open | Way::Fixed(..) => Ok(Signed::default()),
            Way::Token(tokens) => {
                let token = tokens.get().await?;
                Ok(Signed { headers: vec![(AUTHORIZATION, token.header())], token: Some(token) })
            }
            Way::SigV4(aws) => {
                let (keys, Aws { region, service, .. }) = (&aws.0, &aws.1);
                let headers = request.sigv4(keys, Scope { region, service }).map_err(|_| {
                    Failure::Unsupported { what: "an AWS key that cannot be a header".to_owned() }
                })?;
                // Each name is there once.
                let headers = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
                Ok(Signed { headers: headers.collect(), token: None })
            }
            Way::Useless(what) => Err(Failure::Unsupported { what: (*what).to_owned() }),
        }
    }

    /// The upstream did not accept what was sent. Returns whether signing anew
    /// would send something else.
    #[must_use]
    pub fn refused(&self, signed: &Signed) -> bool {
        match (&self.way, &signed.token) {
            (Way::Token(tokens), Some(token)) => tokens.refused(token),
            _ => false,
        }
    }

    /// What operators are shown of it.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.way {
            Way::Open => State::None,
            Way::Fixed(..) | Way::SigV4(_) => State::Key,
            Way::Token(tokens) => match (tokens.life_left(), tokens.last_refusal()) {
                (Some(left), _) => State::Token { seconds: left.as_secs() },
                (None, Some(failure)) => State::Refused { why: failure.label() },
                (None, None) => State::Unasked,
            },
            Way::Useless(what) => State::Refused { why: what },
        }
    }
}
