//! AWS's Signature Version 4, for Bedrock.
//!
//! The credential never travels: a digest of the request is signed with a key
//! derived from it for one day, one region and one service. So every try is
//! signed anew, over exactly the bytes that are sent, after everything else
//! about the request is settled.
//!
//! From AWS's guide "Signature Version 4 for API requests" (docs.aws.amazon.com,
//! seen 2026-11-24). Not done here, because nothing we send needs it: queries
//! that carry the signature, bodies signed in chunks, dot segments in paths.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue, Method};
use ring::{digest, hmac};

use crate::catalog::Secret;

/// The only algorithm there is.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
const DIGEST: &str = "x-amz-content-sha256";

/// The credential of an AWS account or role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// The access key's id. It is sent, and not secret by itself.
    pub id: String,
    /// The secret access key, which is never sent.
    pub secret: Secret,
    /// The session token of temporary credentials, which is sent.
    pub session_token: Option<Secret>,
}

/// What a signature is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The region (`us-east-1`).
    pub region: &'a str,
    /// The service (`bedrock`; `bedrock-mantle` for that host).
    pub service: &'a str,
}

/// A request about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host as in the `host` header, with the port if it is not the usual one.
    pub host: &'a str,
    /// The path exactly as it is sent, percent-encoding included.
    pub path: &'a str,
    /// The query exactly as it is sent, without the question mark.
    pub query: &'a str,
    /// Further headers to sign, names in lower case; those that a proxy may
    /// change are better left out.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, in pieces.
    pub body: &'a [Bytes],
}

/// The headers that sign `request` with the time `at`: `authorization`,
/// `x-amz-date`, `x-amz-content-sha256` and, for temporary credentials,
/// `x-amz-security-token`. AWS accepts them for five minutes.
///
/// # Errors
/// When the access key's id or the token cannot stand in a header.
pub fn sign(
    request: &ToSign<'_>,
    keys: &AwsKeys,
    scope: Scope<'_>,
    at: SystemTime,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let date = timestamp(at);
    let body = body_digest(request.body);
    let mut signed = HeaderMap::new();
    signed.insert(DIGEST, HeaderValue::from_str(&body)?);
    signed.insert(DATE, HeaderValue::from_str(&date)?);
    let mut headers = request.headers.to_vec();
    headers.extend([("host", request.host), (DATE, &date), (DIGEST, &body)]);
    if let Some(token) = &keys.session_token {
        headers.push((TOKEN, token.expose()));
        let mut value = HeaderValue::from_str(token.expose())?;
        value.set_sensitive(true);
        signed.insert(TOKEN, value);
    }
    let canonical = Canonical::new(request, headers, &body);
    let mut value = HeaderValue::from_str(&authorization(&canonical, keys, scope, &date))?;
    value.set_sensitive(true);
    signed.insert(AUTHORIZATION, value);
    Ok(signed)
}

/// What is signed of a request.
struct Canonical {
    text: String,
    /// Names of the signed headers, joined by semicolons.
    names: String,
}

impl Canonical {
    fn new(request: &ToSign<'_>, mut headers: Vec<(&str, &str)>, body: &str) -> Self {
        // Stable, so that values of the same name stay in order.
        headers.sort_by_key(|(name, _)| *name);
        let mut lines: Vec<(&str, String)> = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            match lines.last_mut() {
                Some((last, values)) if *last == name => *values = format!("{values},{value}"),
                _ => lines.push((name, value)),
            }
        }
        let names = lines.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines = lines.iter().fold(String::new(), |mut text, (name, value)| {
            text.extend([name, ":", value, "\n"]);
            text
        });
        let (path, query) = (path(request.path), query(request.query));
        let text = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{body}", request.method);
        Canonical { text, names }
    }
}

fn authorization(canonical: &Canonical, keys: &AwsKeys, scope: Scope<'_>, date: &str) -> String {
    let day = date.split('T').next().unwrap_or_default();
    let Scope { region, service } = scope;
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let digest = hex(digest::digest(&digest::SHA256, canonical.text.as_bytes()).as_ref());
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{digest}");
    let first = format!("AWS4{}", keys.secret.expose());
    let first = mac(first.as_bytes(), day);
    let key = [region, service, "aws4_request"].iter().fold(first, |key, text| mac(key.as_ref(), text));
    let signature = hex(mac(key.as_ref(), &text).as_ref());
    let (id, names) = (&keys.id, &canonical.names);
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// The path with every segment encoded once more: all services but S3 read it
/// so. A model's id that is an ARN has `%3A` and `%2F` in what is sent, and
/// `%253A` and `%252F` in what is signed.
fn path(sent: &str) -> String {
    if sent.is_empty() {
        return "/".to_owned();
    }
    let mut path = String::with_capacity(sent.len() + 16);
    for byte in sent.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                path.push(char::from(byte));
            }
            _ => push(&mut path, format_args!("%{byte:02X}")),
        }
    }
    path
}

/// The parameters in order, each with its equals sign.
fn query(sent: &str) -> String {
    let parameters = sent.split('&').filter(|parameter| !parameter.is_empty());
    let mut pairs: Vec<(&str, &str)> =
        parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, ""))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn body_digest(pieces: &[Bytes]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for piece in pieces {
        context.update(piece);
    }
    hex(context.finish().as_ref())
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        push(&mut text, format_args!("{byte:02x}"));
    }
    text
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = text.write_fmt(arguments);
}

/// `20150830T123600Z`; a time before 1970 is taken for its beginning.
fn timestamp(at: SystemTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day in the Gregorian calendar, of a day counted from
/// 1970-01-01. Years begin in March here, so that the day that is not always
/// there comes last (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // Days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        if month < 10 { (era * 400 + year, month + 3) } else { (era * 400 + year + 1, month - 9) };
    (year, month, day)
}

#[cfg(test)]
mod tests;
