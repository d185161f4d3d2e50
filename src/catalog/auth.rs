//! How requests to a provider are signed, as data: what a credential is made of
//! and where it may be sent. Nothing here does anything; `credential` does.

use std::path::PathBuf;

use http::{HeaderName, Uri};

use super::Secret;

/// How a request to a provider is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// No credential is sent.
    None,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The key alone in a header of this name (`x-api-key`, `api-key`).
    Header(HeaderName),
    /// `Authorization: Bearer TOKEN`, where the token lives for an hour or so and
    /// is given for something else.
    Token(Box<Grant>),
    /// Every request is signed with AWS's Signature Version 4.
    SigV4(Box<Aws>),
}

impl Auth {
    /// Every secret in it, so that none is ever written anywhere.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Auth::None | Auth::Bearer | Auth::Header(_) => Vec::new(),
            Auth::Token(grant) => grant.secrets(),
            Auth::SigV4(aws) => {
                std::iter::once(aws.secret.clone()).chain(aws.session_token.clone()).collect()
            }
        }
    }
}

/// What AWS's signature is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The access key's id, which is no secret.
    pub id: String,
    /// The access key.
    pub secret: Secret,
    /// Of temporary keys.
    pub session_token: Option<Secret>,
    /// Where the service is (`us-east-1`).
    pub region: String,
    /// What it is called in signatures (`bedrock`).
    pub service: String,
}

/// How a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where, and the only address that anything of this is ever sent to.
    pub url: Uri,
    /// With what.
    pub ask: Ask,
    /// A second exchange, of the token for that of another account (Google's
    /// service account impersonation): its address, and the scope asked for.
    pub then: Option<Impersonate>,
}

/// The second exchange of a [`Grant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonate {
    /// `…:generateAccessToken`.
    pub url: Uri,
    /// The scope of the new token.
    pub scope: String,
}

/// What is sent to the token's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A form, by POST (OAuth 2).
    Form(Vec<(&'static str, Field)>),
    /// Nothing but headers, by GET: metadata servers, which know the machine.
    Get(Vec<(HeaderName, Field)>),
}

/// One value of what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// As it stands.
    Text(String),
    /// A secret.
    Secret(Secret),
    /// What a file holds, read at every exchange since whoever writes it rotates
    /// it; of a JSON file the member of that name.
    File {
        /// Its path.
        path: PathBuf,
        /// The member of a JSON object; the whole file when `None`.
        member: Option<String>,
    },
    /// A signed assertion of who we are, made anew for every exchange.
    Assertion(Assertion),
}

/// A JWT signed with RS256, as Google takes it from service accounts (RFC 7523).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// `iss`: the account.
    pub issuer: String,
    /// `kid`: which of its keys.
    pub key_id: String,
    /// The key: PKCS#8 in PEM.
    pub private_key: Secret,
    /// `scope`.
    pub scope: String,
    /// `aud`: who is to believe it.
    pub audience: String,
}

impl Grant {
    fn secrets(&self) -> Vec<Secret> {
        let fields: Vec<&Field> = match &self.ask {
            Ask::Form(fields) => fields.iter().map(|(_, field)| field).collect(),
            Ask::Get(headers) => headers.iter().map(|(_, field)| field).collect(),
        };
        let secret = |field: &&Field| match field {
            Field::Secret(secret) => Some(secret.clone()),
            Field::Assertion(assertion) => Some(assertion.private_key.clone()),
            Field::Text(_) | Field::File { .. } => None,
        };
        fields.iter().filter_map(secret).collect()
    }
}
