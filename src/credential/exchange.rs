//! Exchanges what an account has for a token.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Uri};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::control::Control;
use super::granted::{self, Granted};
use super::jwt;
use super::tokens::{Denied, Fetching, Source};
use crate::catalog::auth::{Ask, Field, Grant, Impersonate};
use crate::catalog::reach::encoded;
use crate::outcome::Failure;

/// No token or assertion in a file is longer.
const MOST_FILE: u64 = 64 * 1024;
/// Life asked for of a token of another account: Google's usual, and its most
/// without an exception (seconds).
const IMPERSONATED: u64 = 3600;

/// Asks for tokens as a [`Grant`] says.
#[derive(Debug)]
pub struct Exchange {
    grant: Grant,
    control: Control,
}

impl Exchange {
    /// Over this client.
    #[must_use]
    pub fn new(grant: Grant, control: Control) -> Exchange {
        Exchange { grant, control }
    }

    async fn run(&self) -> Result<Granted, Denied> {
        let url = &self.grant.url;
        let (status, body) = match &self.grant.ask {
            Ask::Form(fields) => {
                let form = form(fields).await?;
                self.control.post(url, HeaderMap::new(), "application/x-www-form-urlencoded", form).await?
            }
            Ask::Get(headers) => {
                let mut map = HeaderMap::new();
                for (name, field) in headers {
                    map.insert(name, sensitive(&value(field).await?)?);
                }
                self.control.get(url, map).await?
            }
        };
        let granted = granted::read(status, &body, SystemTime::now())?;
        match &self.grant.then {
            None => Ok(granted),
            Some(then) => self.impersonate(then, &granted).await,
        }
    }

    async fn impersonate(&self, then: &Impersonate, with: &Granted) -> Result<Granted, Denied> {
        let mut headers = HeaderMap::new();
        let bearer = Zeroizing::new(format!("Bearer {}", with.secret.expose()));
        headers.insert(http::header::AUTHORIZATION, sensitive(&bearer)?);
        let body = json!({ "scope": [then.scope], "lifetime": format!("{IMPERSONATED}s") }).to_string();
        let (status, body) = self.control.post(&then.url, headers, "application/json", body).await?;
        let granted = granted::read(status, &body, SystemTime::now())?;
        Ok(Granted { life: std::time::Duration::from_secs(IMPERSONATED), ..granted })
    }
}

impl Source for Exchange {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.run())
    }
}

/// A failure on our own side.
fn broken(why: impl Into<String>) -> Denied {
    Denied { failure: Failure::Key { status: 401 }, why: why.into() }
}

fn sensitive(text: &str) -> Result<HeaderValue, Denied> {
    let mut value = HeaderValue::from_str(text).map_err(|_| broken("a value that cannot be a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn form(fields: &[(&'static str, Field)]) -> Result<String, Denied> {
    let mut pairs = Vec::with_capacity(fields.len());
    for (name, field) in fields {
        pairs.push(format!("{name}={}", encoded(&value(field).await?)));
    }
    Ok(pairs.join("&"))
}

async fn value(field: &Field) -> Result<Zeroizing<String>, Denied> {
    match field {
        Field::Text(text) => Ok(Zeroizing::new(text.clone())),
        Field::Secret(secret) => Ok(Zeroizing::new(secret.expose().to_owned())),
        Field::Assertion(assertion) => {
            jwt::sign(assertion, SystemTime::now()).map(Zeroizing::new).map_err(broken)
        }
        Field::File { path, member } => {
            let text = file(path).await.map_err(|error| broken(format!("{}: {error}", path.display())))?;
            let Some(member) = member else { return Ok(Zeroizing::new(text.trim().to_owned())) };
            let json: Value = serde_json::from_str(&text).unwrap_or_default();
            let found = json.get(member).and_then(Value::as_str).map(ToOwned::to_owned);
            found.map(Zeroizing::new).ok_or_else(|| broken(format!("{}: no member {member}", path.display())))
        }
    }
}

async fn file(path: &std::path::Path) -> std::io::Result<Zeroizing<String>> {
    use tokio::io::AsyncReadExt as _;
    let mut text = Zeroizing::new(String::new());
    tokio::fs::File::open(path).await?.take(MOST_FILE).read_to_string(&mut text).await?;
    Ok(text)
}

/// Whether nobody between us and that address could read what is sent: it is
/// encrypted, or on this machine, or the link-local address of a metadata server.
#[must_use]
pub fn is_private(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let near = match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(std::net::IpAddr::V6(address)) => address.is_loopback() || address.is_unicast_link_local(),
        Err(_) => host == "localhost" || host == "metadata.google.internal",
    };
    near || url.scheme_str() == Some("https")
}

#[cfg(test)]
mod tests;
