//! A provider as it is written to a provider as it is called.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::credential::Login;
use super::template::{Variables, fill};
use crate::catalog::reach::encoded;
use crate::catalog::{Auth, Dialect, Provider, Reach, Secret, Timeouts};
use crate::config::check::Check;
use crate::config::raw;
use crate::config::raw::provider::AuthKind;
use crate::config::tree::Path;
use crate::config::vendors;

/// The accounts of a provider: one for each region and key. Where something is
/// wrong with it, its models are known all the same, so that routes to them are
/// not called dangling.
pub(super) fn build(name: &str, raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Vec<Provider> {
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
    let dialect = raw.dialect.unwrap_or(Dialect::OpenAi);
    let (headers, timeouts) = (headers(raw, path, check), timeouts(raw, path, check));
    let keys = keys(raw, path, check);
    let mut accounts = Vec::new();
    for region in regions(raw, path, check) {
        let mut variables = raw.variables.clone();
        if let Some(region) = &region {
            // Hosts and locations are often called after the region.
            for value in variables.values_mut() {
                *value = value.replace("{region}", region);
            }
            variables.insert("region".to_owned(), region.clone());
        }
        let base_url = base_url(name, raw, &variables, path, check);
        // AWS's hosts have the region in them, for which it is signed.
        let region_of = |name: &str| variables.get(name).map(String::as_str);
        let signed_for = region_of("region").or_else(|| region_of("aws_region"));
        let auth = auth(raw, dialect, signed_for, path, check);
        let sends_key = keys.iter().any(|(_, key)| key.is_some()) && auth != Auth::None;
        plain_text(&base_url, sends_key, path, check);
        let reach = reach(raw, &variables, path, check);
        accounts.extend(keys.iter().map(|(number, key)| Provider {
            name: name.to_owned(),
            dialect,
            base_url: base_url.clone(),
            key: key.clone().filter(|_| matches!(auth, Auth::Bearer | Auth::Header(_))),
            auth: auth.clone(),
            headers: headers.clone(),
            quirks: raw.quirks.clone(),
            timeouts,
            reach: Reach { region: region.clone(), key: *number, ..reach.clone() },
        }));
    }
    accounts
}

/// A key, and its number where there are several.
type Numbered = (Option<usize>, Option<Secret>);

/// Each key.
fn keys(raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Vec<Numbered> {
    if raw.keys.is_empty() {
        return vec![(None, raw.key.as_ref().and_then(|key| key.resolve(&path.key("key"), check)))];
    }
    let path = path.key("keys");
    if raw.key.is_some() {
        check.error(&path, "both key and keys", "put all of them into keys");
    }
    let mut known: Vec<Secret> = Vec::new();
    let mut found = Vec::new();
    for (index, key) in raw.keys.iter().enumerate() {
        let path = path.index(index);
        let key = key.resolve(&path, check);
        if key.as_ref().is_some_and(|key| known.contains(key)) {
            check.error(&path, "the same key twice", "remove one");
        }
        known.extend(key.clone());
        found.push((Some(index + 1), key));
    }
    found
}

/// Each region; one that has no name where there are none.
fn regions(raw: &raw::Provider, path: &Path, check: &mut Check<'_>) -> Vec<Option<String>> {
    if raw.regions.is_empty() {
        return vec![None];
    }
    let is_name = |region: &str| {
        !region.is_empty()
            && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    for (index, region) in raw.regions.iter().enumerate() {
        let path = path.key("regions").index(index);
        if !is_name(region) {
            check.error(&path, format!("{region:?} is no region"), "for example \"europe-west4\"");
        }
        if raw.regions.iter().take(index).any(|other| other == region) {
            check.error(&path, format!("{region:?} twice"), "remove one");
        }
    }
    raw.regions.iter().cloned().map(Some).collect()
}

/// What is addressed otherwise than the dialect does.
fn reach(raw: &raw::Provider, variables: &Variables, path: &Path, check: &mut Check<'_>) -> Reach {
    let mut filled = |text: &str, key: &str| fill(text, variables, (path, &path.key(key)), check);
    let own = raw.path.as_deref().map(|text| filled(text, "path"));
    let stream = raw.stream_path.as_deref().map(|text| filled(text, "stream_path"));
    let query: Vec<String> = raw
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(&filled(value, "query"))))
        .collect();
    for (key, text) in [("path", &own), ("stream_path", &stream)] {
        let wrong = |text: &String| {
            !text.starts_with('/')
                || text.contains(['?', '#'])
                || !text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if text.as_ref().is_some_and(wrong) {
            let advice = "begin it with '/', and put what follows '?' into query";
            check.error(&path.key(key), "not a path", advice);
        }
    }
    Reach { path: own, stream_path: stream, query: query.join("&"), ..Reach::default() }
}

/// The base URL, or after a problem an empty one.
fn base_url(
    name: &str,
    raw: &raw::Provider,
    variables: &Variables,
    path: &Path,
    check: &mut Check<'_>,
) -> http::Uri {
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
    let at = path.key("base_url");
    let text = fill(base_url, variables, (path, &at), check);
    match text.trim_end_matches('/').parse::<http::Uri>() {
        // The text was looked at before, but not what its variables come to.
        Ok(uri) if !text.contains(['?', '#', '@', '{']) && is_web(&uri) => uri,
        _ if text.is_empty() => http::Uri::default(),
        _ => {
            check.error(&at, "not a URL with what its variables stand for", "look at the variables");
            http::Uri::default()
        }
    }
}

fn is_web(uri: &http::Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
}

fn auth(
    raw: &raw::Provider,
    dialect: Dialect,
    region: Option<&str>,
    path: &Path,
    check: &mut Check<'_>,
) -> Auth {
    let has_key = raw.key.is_some() || !raw.keys.is_empty();
    let usual = match (has_key, dialect) {
        (false, _) if raw.aws.is_some() => AuthKind::SigV4,
        (false, _) => AuthKind::None,
        (true, Dialect::Anthropic | Dialect::Gemini) => AuthKind::Header,
        (true, Dialect::OpenAi | Dialect::Bedrock) => AuthKind::Bearer,
    };
    let kind = raw.auth.unwrap_or(usual);
    if matches!(kind, AuthKind::Bearer | AuthKind::Header) && !has_key {
        let advice = "add key = { env = \"NAME\" }, or auth = \"none\" if it needs none";
        check.error(&path.key("key"), "key is missing", advice);
    }
    let by_key = matches!(kind, AuthKind::Bearer | AuthKind::Header | AuthKind::Azure);
    if !raw.keys.is_empty() && !by_key {
        let advice = "give each login a provider of its own, with the same model names";
        check.error(&path.key("keys"), "this kind of auth has one login and no keys", advice);
    }
    // What is wrong with a login has been told; nothing is ever sent without.
    let login = |auth: Option<Auth>| auth.unwrap_or(Auth::None);
    let mut logins = Login { path, check };
    match kind {
        AuthKind::None => Auth::None,
        AuthKind::Bearer => Auth::Bearer,
        AuthKind::SigV4 => login(logins.aws(raw.aws.as_ref(), region)),
        AuthKind::Google => login(logins.google(raw.google.as_ref())),
        AuthKind::Azure if has_key && raw.azure.is_none() => Auth::Header(HeaderName::from_static("api-key")),
        AuthKind::Azure => login(logins.azure(raw.azure.as_ref())),
        AuthKind::Salesforce => login(logins.salesforce(raw.salesforce.as_ref())),
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
