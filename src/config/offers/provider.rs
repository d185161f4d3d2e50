//! A provider as it is written to a provider as it is called.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::catalog::{Auth, Dialect, Provider, Timeouts};
use crate::config::check::Check;
use crate::config::raw;
use crate::config::raw::provider::AuthKind;
use crate::config::tree::Path;
use crate::config::vendors;

/// A provider; where something is wrong with it, its models are known all the
/// same, so that routes to them are not called dangling.
pub(super) fn build(name: &str, raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Provider {
    if name.is_empty()
        || name.contains(['/', '@', '#'])
        || name.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        let message = "a provider's name must not be empty or contain spaces, '/', '@' or '#'";
        check.error(
            path,
            message,
            "they separate the parts of an endpoint's identity; use letters, digits and hyphens",
        );
    }
    let base_url = base_url(name, raw, path, check);
    let dialect = raw.dialect.unwrap_or(Dialect::OpenAi);
    let key = raw.key.as_ref().and_then(|key| key.resolve(&path.key("key"), check));
    let auth = auth(raw, dialect, path, check);
    plain_text(&base_url, key.is_some() && auth != Auth::None, path, check);
    Provider {
        name: name.to_owned(),
        dialect,
        base_url,
        key: key.filter(|_| auth != Auth::None),
        auth,
        headers: headers(raw, path, check),
        quirks: raw.quirks.clone(),
        timeouts: timeouts(raw, path, check),
    }
}

/// The base URL, or after a problem an empty one.
fn base_url(name: &str, raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> http::Uri {
    if let Some(vendor) = raw.vendor.as_deref().filter(|vendor| vendors::find(vendor).is_none()) {
        check.dangling(
            &path.key("vendor"),
            "vendor",
            vendor,
            vendors::all().iter().map(|vendor| vendor.slug),
        );
        return http::Uri::default();
    }
    if raw.models.is_empty() {
        check.error(
            &path.key("models"),
            "it offers no model",
            format!("add [[{path}.models]] with name = \"…\""),
        );
    }
    let Some(base_url) = raw.base_url.as_deref() else {
        let known = vendors::find(name).map(|vendor| format!("add vendor = {:?}", vendor.slug));
        check.error(
            &path.key("base_url"),
            "base_url is missing",
            known.unwrap_or_else(|| "add base_url or vendor".into()),
        );
        return http::Uri::default();
    };
    base_url.trim_end_matches('/').parse().unwrap_or_default()
}

fn auth(raw: &raw::Provider, dialect: Dialect, path: &Path, check: &mut Check<'_>) -> Auth {
    if dialect == Dialect::Bedrock {
        let advice = "use Bedrock's OpenAI-compatible endpoint with dialect = \"openai\"";
        check.warn(&path.key("dialect"), "bedrock is not spoken yet: its models are never chosen", advice);
    }
    let usual = match (raw.key.is_some(), dialect) {
        (false, _) => AuthKind::None,
        (true, Dialect::Anthropic | Dialect::Gemini) => AuthKind::Header,
        (true, Dialect::OpenAi | Dialect::Bedrock) => AuthKind::Bearer,
    };
    let kind = raw.auth.unwrap_or(usual);
    if kind != AuthKind::None && raw.key.is_none() {
        let advice = "add key = { env = \"NAME\" }, or auth = \"none\" if it needs none";
        check.error(&path.key("key"), "key is missing", advice);
    }
    match kind {
        AuthKind::None => Auth::None,
        AuthKind::Bearer => Auth::Bearer,
        AuthKind::Header => {
            let name = raw.auth_header.as_deref().and_then(|name| HeaderName::try_from(name).ok());
            let usual = match dialect {
                Dialect::Gemini => "x-goog-api-key",
                Dialect::OpenAi | Dialect::Anthropic | Dialect::Bedrock => "x-api-key",
            };
            Auth::Header(name.unwrap_or(HeaderName::from_static(usual)))
        }
    }
}

/// A key that crosses a network in plain text is probably not meant.
fn plain_text(base_url: &http::Uri, sends_key: bool, path: &Path, check: &mut Check<'_>) {
    let host = base_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let local =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if sends_key && !local && base_url.scheme_str() == Some("http") {
        check.warn(
            &path.key("base_url"),
            "the key is sent without encryption",
            "use https:// if the provider has it",
        );
    }
}

fn headers(raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> HeaderMap {
    /// Set by the transport or by `auth`.
    const OURS: [&str; 9] = [
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
    ];
    let path = path.key("headers");
    let mut map = HeaderMap::new();
    for (name, value) in &raw.headers {
        let path = path.key(name);
        let (Ok(header), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            check.error(
                &path,
                "not a header that can be sent",
                "use letters, digits and hyphens, and visible characters",
            );
            continue;
        };
        if OURS.contains(&header.as_str()) {
            check.error(
                &path,
                format!("{header} is set by the gateway"),
                "use key, auth and auth_header for credentials",
            );
            continue;
        }
        map.insert(header, value);
    }
    map
}

fn timeouts(raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Timeouts {
    let raw = raw.timeouts;
    let path = path.key("timeouts");
    let all =
        [("connect", Some(raw.connect)), ("first_content", raw.first_content), ("idle", Some(raw.idle))];
    for (key, span) in all {
        if span.is_some_and(|span| span.0.is_zero()) {
            check.error(&path.key(key), "must be longer than 0s", "for example \"60s\"");
        }
    }
    Timeouts { connect: raw.connect.0, first_content: raw.first_content.map(|span| span.0), idle: raw.idle.0 }
}
