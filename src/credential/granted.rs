//! What a token's address answers. They agree on little but JSON: the token is
//! `access_token` or `accessToken`, its life is told in seconds, as a date, in
//! the token itself, or not at all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::Value;

use super::tokens::Denied;
use crate::catalog::Secret;
use crate::outcome::Failure;

/// A token of whose life nothing is said is renewed after half an hour: the
/// shortest session that Salesforce lets an organisation set is 15 minutes, the
/// usual one two hours.
const UNSAID: Duration = Duration::from_secs(30 * 60);
/// No token is believed to live longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A code of OAuth is not longer.
const MOST_CODE: usize = 40;

/// A token, and how long it lives from now on.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The token.
    pub secret: Secret,
    /// Its life.
    pub life: Duration,
}

/// Reads an answer; `now` is when it came.
///
/// # Errors
/// Why there is no token in it.
pub fn read(status: StatusCode, body: &[u8], now: SystemTime) -> Result<Granted, Denied> {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if !status.is_success() {
        return Err(denied(status, &value));
    }
    let text = ["access_token", "accessToken"].iter().find_map(|name| value.get(name)?.as_str());
    let Some(text) = text.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
    else {
        let failure = Failure::Protocol { detail: "no token in the answer that should hold it" };
        return Err(Denied { failure, why: "an answer without a token".to_owned() });
    };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = |end: u64| Duration::from_secs(end).saturating_sub(since);
    let life = number(&value, "expires_in")
        .map(Duration::from_secs)
        .or_else(|| number(&value, "expires_on").map(until))
        .or_else(|| expiry(text).map(until))
        .unwrap_or(UNSAID);
    Ok(Granted { secret: Secret::new(text.to_owned()), life: life.min(LONGEST) })
}

/// A number, which Azure writes as a text.
fn number(value: &Value, name: &str) -> Option<u64> {
    match value.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The time in a JWT at which it ends. It is not verified: that is for whom it is
/// sent to.
fn expiry(token: &str) -> Option<u64> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    number(&serde_json::from_slice(&claims).ok()?, "exp")
}

/// What a refusal means. The words are the other side's and are not repeated; its
/// code is, where it looks like one (`invalid_client`).
fn denied(status: StatusCode, value: &Value) -> Denied {
    let code = value.get("error").and_then(|error| error.as_str().or_else(|| error.get("status")?.as_str()));
    let is_word = |code: &&str| {
        code.len() <= MOST_CODE
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let number = status.as_u16();
    let why = match code.filter(is_word) {
        Some(code) => format!("status {number}, {code}"),
        None => format!("status {number}"),
    };
    let failure = match number {
        300..=399 => Failure::Protocol { detail: "a redirect, which is never followed" },
        408 | 504 => Failure::FirstContentTimeout,
        429 => Failure::RateLimited { retry_after: None },
        400..=499 => Failure::Key { status: 401 },
        503 => Failure::Overloaded { retry_after: None },
        _ => Failure::Server { status: number },
    };
    Denied { failure, why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-25 00:00 UTC.
    const NOW: u64 = 1_795_564_800;

    fn given(status: u16, body: &str) -> Result<Granted, Denied> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), now)
    }

    fn life(body: &str) -> u64 {
        given(200, body).unwrap().life.as_secs()
    }

    #[test]
    fn the_life_of_a_token_is_told_in_four_ways() {
        assert_eq!(life(r#"{"access_token":"a","expires_in":3599}"#), 3599);
        assert_eq!(life(r#"{"access_token":"a","expires_in":"3599"}"#), 3599);
        assert_eq!(life(&format!(r#"{{"access_token":"a","expires_on":"{}"}}"#, NOW + 60)), 60);
        let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{}}}"#, NOW + 7200));
        assert_eq!(life(&format!(r#"{{"access_token":"h.{claims}.s"}}"#)), 7200);
        assert_eq!(life(r#"{"accessToken":"opaque"}"#), UNSAID.as_secs());
        assert_eq!(life(r#"{"access_token":"a","expires_in":99999999999}"#), LONGEST.as_secs());
    }

    #[test]
    fn refusals_say_what_they_are_and_no_more() {
        let refused =
            given(401, r#"{"error":"invalid_client","error_description":"secret abc"}"#).unwrap_err();
        assert_eq!(
            refused,
            Denied { failure: Failure::Key { status: 401 }, why: "status 401, invalid_client".to_owned() }
        );
        let odd = given(400, r#"{"error":"client secret is abc"}"#).unwrap_err();
        assert_eq!(odd.why, "status 400");
        assert_eq!(given(503, "<html>").unwrap_err().failure, Failure::Overloaded { retry_after: None });
        assert_eq!(given(500, "").unwrap_err().failure, Failure::Server { status: 500 });
        let moved = given(302, "").unwrap_err().failure;
        assert_eq!(moved, Failure::Protocol { detail: "a redirect, which is never followed" });
    }

    #[test]
    fn an_answer_without_a_token_is_none() {
        for body in
            ["", "{}", "[]", r#"{"access_token":""}"#, r#"{"access_token":"a b"}"#, r#"{"access_token":7}"#]
        {
            assert!(matches!(given(200, body).unwrap_err().failure, Failure::Protocol { .. }), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_a_token_or_a_refusal(status in 200_u16..600, body in ".{0,200}") {
            if let Ok(granted) = given(status, &body) {
                prop_assert!(granted.life <= LONGEST);
            }
        }
    }
}
