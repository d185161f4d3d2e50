//! What Anthropic's errors mean to the router.
//!
//! The reader of `OpenAI`'s errors knows nearly all of them, because vendors that
//! are only compatible use words of both; so they are read there. Here is what
//! has no equivalent: the status of an error that has none, and some phrases.

use http::{HeaderMap, StatusCode};

use crate::dialect::Codec;
use crate::dialect::openai::OpenAi;
use crate::json;
use crate::outcome::Failure;

/// The status that goes with each type of error (Anthropic's reference on
/// errors, seen 2026-11-22). Inside a stream only the type is there.
const TYPES: [(&str, u16); 9] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

/// What a response with a status other than 2xx means.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    match OpenAi.failure(status, headers, body) {
        // Prompt and `max_tokens` together; a smaller limit would fit, but which
        // one is the caller's to say.
        Failure::Refused(refusal) if refusal.message.contains("exceed context limit") => {
            Failure::ContextLength { message: refusal.message }
        }
        Failure::Refused(refusal) if refusal.message.contains("content filtering policy") => {
            Failure::ContentFilter { message: refusal.message }
        }
        other => other,
    }
}

/// What an error inside a stream, or a body with status 200, means.
pub(super) fn in_band(body: &[u8]) -> Failure {
    let kind = json::document(body).ok().and_then(|body| body.get(b"error")?.get(b"type")?.as_str());
    let known = kind.and_then(|kind| TYPES.iter().find(|(name, _)| *name == kind));
    let status = known.and_then(|(_, status)| StatusCode::from_u16(*status).ok());
    of_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &HeaderMap::new(), body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use http::{HeaderName, HeaderValue};

    fn body(kind: &str, message: &str) -> Vec<u8> {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#
        )
        .into()
    }

    fn of(status: u16, kind: &str, message: &str) -> Failure {
        of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &body(kind, message))
    }

    #[test]
    fn every_type_has_its_meaning_with_and_without_status() {
        let expected = [
            (400, "invalid_request_error", "refused"),
            (401, "authentication_error", "key_refused"),
            (402, "billing_error", "quota_exhausted"),
            (403, "permission_error", "key_refused"),
            (404, "not_found_error", "not_found"),
            (413, "request_too_large", "refused"),
            (429, "rate_limit_error", "rate_limited"),
            (500, "api_error", "server_error"),
            (504, "timeout_error", "first_content_timeout"),
            (529, "overloaded_error", "overloaded"),
        ];
        for (status, kind, label) in expected {
            assert_eq!(of(status, kind, "x").label(), label, "{kind}");
            assert_eq!(in_band(&body(kind, "x")).label(), label, "{kind} inside a stream");
        }
    }

    #[test]
    fn phrases_tell_what_the_type_does_not() {
        let bad = "invalid_request_error";
        assert_eq!(
            of(400, bad, "prompt is too long: 209871 tokens > 200000 maximum").label(),
            "context_length"
        );
        let both = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000";
        assert_eq!(of(400, bad, both).label(), "context_length");
        assert_eq!(of(400, bad, "Output blocked by content filtering policy").label(), "content_filter");
        assert_eq!(
            of(400, bad, "Your credit balance is too low to access the Anthropic API.").label(),
            "quota_exhausted"
        );
    }

    #[test]
    fn a_spend_limit_is_no_rate_limit() {
        let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        let failure = of_status(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
        assert_eq!(failure, Failure::QuotaExhausted);
    }

    #[test]
    fn waits_are_read_from_headers() {
        let wait = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
            let headers = pairs.collect();
            of_status(StatusCode::TOO_MANY_REQUESTS, &headers, &body("rate_limit_error", "x")).retry_after()
        };
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let limits = [
            ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("anthropic-ratelimit-requests-remaining", "12"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T10:05:00Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T10:00:12Z"),
        ];
        assert_eq!(wait(&limits), Some(Duration::from_secs(12)));
    }

    #[test]
    fn what_is_no_error_body_is_the_servers_fault() {
        for text in ["", "x", "{}", "[]", r#"{"error":1}"#] {
            assert_eq!(in_band(text.as_bytes()).label(), "server_error", "{text}");
        }
    }
}
