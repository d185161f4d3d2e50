//! What Google's errors mean to the router.
//!
//! They have the form of `google.rpc.Status`: a message, a status word, and
//! details of several types, sometimes the whole in an array. Most is read as
//! for any other upstream; here is what only Google says.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::dialect::openai::failure;
use crate::outcome::{Failure, Refusal};

/// What Google speaks of when it denies something that a caller named. The key is
/// good then: a caller must not be able to put an endpoint out of use.
const THINGS: [&str; 3] = ["access the File", "access the file", "CachedContent"];

/// What a status other than 2xx means.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let value: Value = serde_json::from_slice(body.trim_ascii()).unwrap_or_default();
    of(failure::of_status(status, headers, body), &value)
}

/// What an error inside an answer or a stream means.
pub(super) fn in_band(error: &Value) -> Failure {
    of(failure::in_band(error), error)
}

fn of(failure: Failure, body: &Value) -> Failure {
    let body = body.as_array().and_then(|items| items.first()).unwrap_or(body);
    let error = body.get("error").unwrap_or(body);
    let word = error.get("status").and_then(Value::as_str).unwrap_or_default();
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    match failure {
        // A file or a cache that a caller named, not our key.
        Failure::Key { status: 403 } if THINGS.iter().any(|thing| message.contains(thing)) => {
            let message = "the provider has no such file".to_owned();
            let kind = Some("invalid_request_error".to_owned());
            Failure::Refused(Refusal { status: 400, message, kind, ..Refusal::default() })
        }
        // "Please enable billing": about our account, not about the request;
        // another provider would take it.
        Failure::Refused(_) if word == "FAILED_PRECONDITION" && message.contains("enable billing") => {
            Failure::Key { status: 403 }
        }
        Failure::Refused(refusal) => Failure::Refused(Refusal {
            kind: Some("invalid_request_error".to_owned()),
            param: param(error).or(refusal.param),
            code: Some(word.to_ascii_lowercase()).filter(|word| !word.is_empty()),
            ..refusal
        }),
        Failure::Server { .. } if word == "DEADLINE_EXCEEDED" => Failure::FirstContentTimeout,
        other => other,
    }
}

/// The field at fault, in Google's words.
fn param(error: &Value) -> Option<String> {
    let details = error.get("details")?.as_array()?;
    let violation = details.iter().find_map(|detail| detail.get("fieldViolations")?.get(0)?.get("field"));
    violation
        .and_then(Value::as_str)
        .filter(|field| !field.is_empty() && field.len() <= 200)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn status(code: u16, word: &str, message: &str, details: &Value) -> Failure {
        let error = json!({"error": {"code": code, "message": message, "status": word, "details": details}});
        let status = StatusCode::from_u16(code).unwrap();
        let alone = of_status(status, &HeaderMap::new(), error.to_string().as_bytes());
        let wrapped = of_status(status, &HeaderMap::new(), json!([error]).to_string().as_bytes());
        assert_eq!(alone, wrapped);
        assert_eq!(alone, in_band(&error["error"]), "{word}");
        alone
    }

    #[test]
    fn quotas_of_a_day_are_told_from_those_of_a_minute() {
        let details = |quota: &str| {
            json!([
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": "m", "quotaId": quota}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
            ])
        };
        let of = |quota: &str| {
            status(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", &details(quota))
        };
        assert_eq!(of("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), Failure::QuotaExhausted);
        let wait = Some(Duration::from_millis(34_400));
        assert_eq!(
            of("GenerateContentInputTokensPerModelPerMinute"),
            Failure::RateLimited { retry_after: wait }
        );
    }

    #[test]
    fn who_is_at_fault() {
        let none = json!([]);
        let key = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
        assert_eq!(status(400, "INVALID_ARGUMENT", "API key not valid.", &key), Failure::Key { status: 401 });
        assert_eq!(status(403, "PERMISSION_DENIED", "no", &none), Failure::Key { status: 403 });
        let billing = "Please enable billing on your project.";
        assert_eq!(status(400, "FAILED_PRECONDITION", billing, &none), Failure::Key { status: 403 });
        let place = "User location is not supported for the API use.";
        assert_eq!(status(400, "FAILED_PRECONDITION", place, &none), Failure::NotFound);
        let file = "You do not have permission to access the File abc or it may not exist.";
        assert!(matches!(status(403, "PERMISSION_DENIED", file, &none), Failure::Refused(_)));
        assert_eq!(status(404, "NOT_FOUND", "models/x is not found", &none), Failure::NotFound);
        assert_eq!(
            status(503, "UNAVAILABLE", "The model is overloaded.", &none),
            Failure::Overloaded { retry_after: None }
        );
        assert_eq!(
            status(500, "INTERNAL", "An internal error has occurred.", &none),
            Failure::Server { status: 500 }
        );
        assert_eq!(status(504, "DEADLINE_EXCEEDED", "late", &none), Failure::FirstContentTimeout);
        let long = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
        assert_eq!(
            status(400, "INVALID_ARGUMENT", long, &none),
            Failure::ContextLength { message: long.to_owned() }
        );
    }

    #[test]
    fn a_refusal_names_the_field() {
        let details = json!([{"@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "generation_config.top_p", "description": "out of range"}]}]);
        let Failure::Refused(refusal) = status(400, "INVALID_ARGUMENT", "top_p is wrong", &details) else {
            panic!()
        };
        assert_eq!(refusal.param.as_deref(), Some("generation_config.top_p"));
        assert_eq!(
            (refusal.kind.as_deref(), refusal.code.as_deref()),
            (Some("invalid_request_error"), Some("invalid_argument"))
        );
        assert_eq!((refusal.status, refusal.message.as_str()), (400, "top_p is wrong"));
    }

    proptest! {
        #[test]
        fn any_body_is_understood(body in prop::collection::vec(any::<u8>(), 0..200), code in 300..600_u16) {
            let failure = of_status(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), &body);
            prop_assert!(!failure.label().is_empty());
        }
    }
}
