//! What Bedrock's errors mean to the router.
//!
//! An error has a name, in the header `x-amzn-errortype` or, inside a stream, as
//! the type of an exception; the body has only a message. The name decides, and
//! where one name stands for many things, how the message begins: it may quote
//! the caller further on.

use http::{HeaderMap, StatusCode};

use crate::dialect::openai::failure as openai;
use crate::json;
use crate::outcome::{Failure, Refusal};

/// The status that goes with each name (the service model of AWS's SDKs): inside
/// a stream only the name is there.
const NAMES: [(&str, u16); 13] = [
    ("AccessDeniedException", 403),
    ("ConflictException", 400),
    ("InternalServerException", 500),
    ("ModelErrorException", 424),
    ("ModelNotReadyException", 429),
    ("ModelStreamErrorException", 424),
    ("ModelTimeoutException", 408),
    ("ResourceNotFoundException", 404),
    ("ServiceQuotaExceededException", 400),
    ("ServiceUnavailableException", 503),
    ("ThrottlingException", 429),
    ("ValidationException", 400),
    ("UnknownOperationException", 404),
];

/// Names that speak of the credential (AWS's list of common errors).
const KEY: [&str; 10] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "UnrecognizedClientException",
];

/// How messages begin that are about a model which this account or region does
/// not have.
const NO_MODEL: [&str; 6] = [
    "invocation of model id",
    "you don't have access to the model",
    "the provided model identifier is invalid",
    "this model version has reached the end of its life",
    "access to this model is not available",
    "operation not allowed",
];

/// How messages begin that are about what this model takes.
const NOT_TAKEN: [&str; 3] =
    ["this model doesn't support", "the model doesn't support", "this model does not support"];

/// What a status other than 2xx means.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let header = headers.get("x-amzn-errortype").and_then(|name| name.to_str().ok());
    // `ValidationException:http://internal.amazon.com/…`, on older paths.
    let name = header.and_then(|name| name.split(':').next()).map(str::to_owned).or_else(|| typed(body));
    let name = name.unwrap_or_default();
    of(&name, status_of(&name).unwrap_or(status), headers, body)
}

/// What an exception inside a stream, or an error's body with status 200, means.
pub(super) fn in_band(name: &[u8], body: &[u8]) -> Failure {
    let name = match std::str::from_utf8(name) {
        Ok("") | Err(_) => typed(body).unwrap_or_default(),
        Ok(name) => name.to_owned(),
    };
    let status = status_of(&name).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    of(&name, status, &HeaderMap::new(), body)
}

fn status_of(name: &str) -> Option<StatusCode> {
    let (_, status) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    StatusCode::from_u16(*status).ok()
}

/// The name that a body has in some protocols of AWS's, without its namespace.
fn typed(body: &[u8]) -> Option<String> {
    let body = json::document(body.trim_ascii()).ok()?;
    let outer = body.get(b"Output").unwrap_or(body);
    let name = outer.get(b"__type").or_else(|| body.get(b"code"))?.as_str()?;
    name.rsplit('#').next().map(str::to_owned)
}

fn of(name: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let general = openai::of_status(status, headers, body);
    let message = json::document(body.trim_ascii()).ok().and_then(|body| {
        let message = body.get(b"message").or_else(|| body.get(b"Message"))?;
        Some(message.as_str()?.to_ascii_lowercase())
    });
    let message = message.unwrap_or_default();
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| message.starts_with(phrase));
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    if KEY.iter().any(|known| is(known)) {
        return Failure::Key { status: status.as_u16() };
    }
    match general {
        _ if begins(&NO_MODEL) => Failure::NotFound,
        _ if is("AccessDeniedException") => Failure::Key { status: 403 },
        _ if is("ModelNotReadyException") => Failure::Overloaded { retry_after: general_wait(headers, body) },
        _ if is("ServiceQuotaExceededException") => Failure::QuotaExhausted,
        // A day's quota is not refilled by waiting a minute.
        Failure::RateLimited { .. } if message.starts_with("too many tokens per day") => {
            Failure::QuotaExhausted
        }
        Failure::Refused(refusal) if message.contains("blocked by our content filters") => {
            Failure::ContentFilter { message: refusal.message }
        }
        Failure::Refused(refusal) if begins(&NOT_TAKEN) => {
            Failure::Refused(Refusal { local: true, ..refusal })
        }
        other => other,
    }
}

/// How long to wait, as far as anything says so.
fn general_wait(headers: &HeaderMap, body: &[u8]) -> Option<std::time::Duration> {
    openai::of_status(StatusCode::SERVICE_UNAVAILABLE, headers, body).retry_after()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(status: u16, name: &'static str, message: &str) -> Failure {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(name));
        let body = serde_json::json!({ "message": message }).to_string();
        of_status(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn every_name_has_its_meaning_with_and_without_status() {
        for (name, expected) in [
            ("AccessDeniedException", "key_refused"),
            ("InternalServerException", "server_error"),
            ("ModelErrorException", "server_error"),
            ("ModelNotReadyException", "overloaded"),
            ("ModelStreamErrorException", "server_error"),
            ("ModelTimeoutException", "first_content_timeout"),
            ("ResourceNotFoundException", "not_found"),
            ("ServiceQuotaExceededException", "quota_exhausted"),
            ("ServiceUnavailableException", "overloaded"),
            ("ThrottlingException", "rate_limited"),
            ("ValidationException", "refused"),
        ] {
            let status = NAMES.iter().find(|(known, _)| *known == name).unwrap().1;
            assert_eq!(of(status, name, "x").label(), expected, "{name}");
            let (first, rest) = name.split_at(1);
            let lower = format!("{}{rest}", first.to_lowercase());
            assert_eq!(in_band(lower.as_bytes(), br#"{"message":"x"}"#).label(), expected, "{lower}");
        }
        assert_eq!(in_band(b"brandNewException", b"{}").label(), "server_error");
    }

    #[test]
    fn refused_credentials_are_told_from_missing_models() {
        for name in KEY {
            assert_eq!(
                of(403, name, "The security token included in the request is invalid.").label(),
                "key_refused"
            );
        }
        let link = "UnrecognizedClientException:http://internal.amazon.com/coral/com.amazon.coral.service/";
        assert_eq!(of(403, link, "x").label(), "key_refused");
        for (name, message) in [
            ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
            ("ValidationException", "The provided model identifier is invalid."),
            (
                "ValidationException",
                "Invocation of model ID x with on-demand throughput isn\u{2019}t supported. Retry",
            ),
        ] {
            assert_eq!(of(400, name, message).label(), "not_found", "{message}");
        }
    }

    #[test]
    fn messages_tell_what_names_do_not() {
        let bad = "ValidationException";
        assert_eq!(of(400, bad, "Input is too long for requested model.").label(), "context_length");
        assert_eq!(
            of(429, "ThrottlingException", "Too many tokens per day, please wait").label(),
            "quota_exhausted"
        );
        let local = |failure| matches!(failure, Failure::Refused(Refusal { local: true, .. }));
        let temperature =
            "This model doesn't support the temperature field. Remove temperature and try again.";
        assert!(local(of(400, bad, temperature)));
        // What a caller wrote, quoted, silences no endpoint.
        assert!(!local(of(400, bad, "bad value: this model doesn't support")));
        let quoted = "The value 'you don't have access to the model' is invalid";
        assert_eq!(of(400, bad, quoted).label(), "refused");
    }

    #[test]
    fn bodies_that_name_themselves_are_understood() {
        let body =
            br#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;
        assert_eq!(in_band(b"", body).label(), "not_found");
        let body = br#"{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Too many requests"}"#;
        assert_eq!(of_status(StatusCode::BAD_REQUEST, &HeaderMap::new(), body).label(), "rate_limited");
        for text in ["", "x", "[]", "{\"message\":1}"] {
            assert_eq!(in_band(b"", text.as_bytes()).label(), "server_error", "{text}");
        }
    }
}
