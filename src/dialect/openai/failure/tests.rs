use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::outcome::Next;

fn status(status: u16, body: &Value) -> Failure {
    of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes())
}

fn bare(code: u16) -> Failure {
    of_status(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), b"")
}

#[test]
fn statuses_alone() {
    assert_eq!(bare(401), Failure::Key { status: 401 });
    assert_eq!(bare(403), Failure::Server { status: 403 });
    assert_eq!(bare(402), Failure::QuotaExhausted);
    assert_eq!(bare(404), Failure::NotFound);
    assert_eq!(bare(408), Failure::FirstContentTimeout);
    assert_eq!(bare(504), Failure::FirstContentTimeout);
    assert_eq!(bare(429), Failure::RateLimited { retry_after: None });
    for busy in [498, 503, 529] {
        assert_eq!(bare(busy), Failure::Overloaded { retry_after: None });
    }
    for broken in [409, 500, 502, 520] {
        assert_eq!(bare(broken), Failure::Server { status: broken });
    }
    for refused in [400, 413, 422] {
        let Failure::Refused(refusal) = bare(refused) else { panic!("{refused}") };
        assert_eq!(refusal.status, refused);
        assert!(!refusal.message.is_empty());
    }
}

#[test]
fn quota_is_not_a_rate_limit() {
    let openai = json!({"error": {"message": "You exceeded your current quota, please check your plan.",
        "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}});
    assert_eq!(status(429, &openai), Failure::QuotaExhausted);
    let deepseek = json!({"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}});
    assert_eq!(status(402, &deepseek), Failure::QuotaExhausted);
    let gemini = |quota: &str| {
        json!([{"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED",
            "details": [{"violations": [{"quotaId": quota}]}, {"retryDelay": "34.4s"}]}}])
    };
    assert_eq!(status(429, &gemini("GenerateRequestsPerDayPerProject")), Failure::QuotaExhausted);
    let wait = Some(Duration::from_millis(34_400));
    let minute = status(429, &gemini("GenerateRequestsPerMinutePerProject"));
    assert_eq!(minute, Failure::RateLimited { retry_after: wait });
}

#[test]
fn a_prompt_that_does_not_fit() {
    for message in [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "the request exceeds the available context size, try increasing it",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
        "Input is too long for requested model.",
    ] {
        let body = json!({"error": {"message": message, "type": "invalid_request_error"}});
        assert_eq!(status(400, &body), Failure::ContextLength { message: message.to_owned() });
    }
    let coded = json!({"error": {"message": "x", "code": "context_length_exceeded"}});
    assert_eq!(status(400, &coded), Failure::ContextLength { message: "x".to_owned() });
    // A rate limit that talks about tokens is a rate limit.
    let limit = json!({"error": {"message": "Request too large for model with TPM limit; reduce the length of the messages"}});
    assert_eq!(status(429, &limit), Failure::RateLimited { retry_after: None });
}

#[test]
fn content_policies() {
    let azure = json!({"error": {"message": "filtered", "code": "content_filter",
        "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
    assert_eq!(status(400, &azure), Failure::ContentFilter { message: "filtered".to_owned() });
    let router = json!({"error": {"message": "flagged", "code": 403, "metadata": {"flagged_input": "x", "reasons": ["y"]}}});
    assert_eq!(status(403, &router), Failure::ContentFilter { message: "flagged".to_owned() });
}

#[test]
fn credentials() {
    let xai = json!({"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***."});
    assert_eq!(status(400, &xai), Failure::Key { status: 401 });
    let gemini = json!([{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT",
        "details": [{"reason": "API_KEY_INVALID"}]}}]);
    assert_eq!(status(400, &gemini), Failure::Key { status: 401 });
    for (code, body) in [
        (401, json!({"error": {"message": "gone", "code": "account_deactivated"}})),
        (
            403,
            json!({"error": {"type": "permission_error", "message": "Your API key does not have permission"}}),
        ),
        (403, json!({"error": "The API key is disabled"})),
    ] {
        assert_eq!(status(code, &body), Failure::Key { status: code }, "{body}");
    }
}

#[test]
fn a_403_that_does_not_name_the_credential_is_not_held_against_it() {
    let wall = of_status(StatusCode::FORBIDDEN, &HeaderMap::new(), b"<html>Attention Required!</html>");
    let content = status(403, &json!({"error": {"message": "Forbidden", "code": 403}}));
    for failure in [wall, content, bare(403)] {
        assert_eq!(failure, Failure::Server { status: 403 });
        assert_eq!((failure.next(), failure.is_endpoints_fault()), (Next::Fallback, true));
    }
}

#[test]
fn refusals_keep_their_words_and_codes_become_strings() {
    let llama = json!({"error": {"code": 400, "message": "bad\n\tparam\u{0}eter", "type": "invalid_request_error", "param": "n"}});
    let Failure::Refused(refusal) = status(400, &llama) else { panic!() };
    assert_eq!(refusal.message, "bad param eter");
    assert_eq!(refusal.code.as_deref(), Some("400"));
    assert_eq!(refusal.param.as_deref(), Some("n"));
    let failed =
        json!({"error": {"message": "x", "code": "tool_use_failed", "failed_generation": "<function"}});
    assert_eq!(status(400, &failed), Failure::Server { status: 400 });
}

#[test]
fn a_model_that_is_not_served_here() {
    let location = "User location is not supported for the API use.";
    let region = "unsupported_country_region_territory";
    for (code, body) in [
        (
            400,
            json!({"error": {"message": "Model Not Exist", "type": "invalid_request_error", "code": "invalid_request_error"}}),
        ),
        (400, json!({"error": {"message": "x/y is not a valid model ID", "code": 400}})),
        (
            400,
            json!({"error": {"message": "The model `llama-1` has been decommissioned", "code": "model_decommissioned"}}),
        ),
        (
            422,
            json!({"error": {"message": "The model `m` does not exist.", "type": "invalid_request_error"}}),
        ),
        (400, json!([{"error": {"code": 400, "message": location, "status": "FAILED_PRECONDITION"}}])),
        (403, json!({"error": {"message": "Country, region, or territory not supported", "code": region}})),
    ] {
        assert_eq!(status(code, &body), Failure::NotFound, "{body}");
    }
    // A caller must not be able to have it said.
    let quoted =
        json!({"error": {"message": "Invalid tool: 'the model x does not exist'", "param": "tools"}});
    assert!(matches!(status(400, &quoted), Failure::Refused(Refusal { local: false, .. })));
}

#[test]
fn what_one_provider_does_not_take_another_may() {
    for (code, body) in [
        (400, json!({"error": {"message": "x", "param": "logprobs", "code": "unsupported_parameter"}})),
        (400, json!({"error": {"message": "Unrecognized request argument supplied: seed"}})),
        (
            400,
            json!({"error": {"message": "`logprobs` is not supported with this model", "type": "invalid_request_error"}}),
        ),
        (422, json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]})),
        (422, json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden"}]}})),
    ] {
        assert!(matches!(status(code, &body), Failure::Refused(Refusal { local: true, .. })), "{body}");
    }
    for body in [
        json!({"error": {"message": "'messages' must not be empty"}}),
        json!({"detail": [{"type": "missing"}]}),
    ] {
        assert!(matches!(status(400, &body), Failure::Refused(Refusal { local: false, .. })), "{body}");
    }
}

#[test]
fn what_a_refusal_quotes_of_its_caller_silences_nobody() {
    for quoted in ["insufficient balance", "incorrect api key", "your credit balance is too low"] {
        let body =
            json!({"error": {"message": format!("Invalid value: '{quoted}'."), "param": "reasoning_effort"}});
        assert!(matches!(status(400, &body), Failure::Refused(_)), "{body}");
    }
}

#[test]
fn web_pages_are_never_quoted() {
    let page = b"<!DOCTYPE html><html><body>secret internal host</body></html>";
    let Failure::Refused(refusal) = of_status(StatusCode::BAD_REQUEST, &HeaderMap::new(), page) else {
        panic!()
    };
    assert!(!refusal.message.contains("secret"));
    let inside = json!({"error": {"message": "upstream said <HTML>secret"}});
    let Failure::Refused(refusal) = status(400, &inside) else { panic!() };
    assert!(!refusal.message.contains("secret"));
}

#[test]
fn errors_inside_a_stream() {
    assert_eq!(in_band(&json!({"message": "x", "code": 502})), Failure::Server { status: 502 });
    assert_eq!(in_band(&json!({"message": "x", "code": 429})), Failure::RateLimited { retry_after: None });
    assert_eq!(in_band(&json!("boom")), Failure::Server { status: 500 });
    let busy = json!({"type": "overloaded_error", "message": "Overloaded"});
    assert_eq!(in_band(&busy), Failure::Overloaded { retry_after: None });
    let limited = json!({"message": "slow", "code": "rate_limit_exceeded"});
    assert_eq!(in_band(&limited), Failure::RateLimited { retry_after: None });
    let bad = json!({"message": "no", "type": "invalid_request_error"});
    assert!(matches!(in_band(&bad), Failure::Refused(_)));
}

proptest! {
    #[test]
    fn texts_are_one_short_line(text in "\\PC{0,700}|[\\x00-\\x7f]{0,700}") {
        let clean = scrub(&text);
        prop_assert!(clean.chars().count() <= MOST_TEXT);
        prop_assert!(!clean.chars().any(char::is_control));
    }

    #[test]
    fn any_body_is_understood(body in prop::collection::vec(any::<u8>(), 0..200), code in 300..600_u16) {
        let failure = of_status(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), &body);
        prop_assert!(!failure.label().is_empty());
    }
}
