//! What callers are told when something goes wrong: the only table from errors
//! to status, type and code.
//!
//! Two rules above all. An infrastructure failure is never a 400, 401, 403 or
//! 404: a caller must be able to believe those. And nothing of an upstream's
//! own text reaches a caller who may not see the upstream.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::catalog::Dialect;
use crate::telemetry::Outcome;

mod failure;
mod store;

/// An error as a caller sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// HTTP status.
    pub status: StatusCode,
    /// OpenAI's `type`.
    pub kind: &'static str,
    /// Stable code.
    pub code: &'static str,
    /// An upstream's own code, which some clients key on; replaces `code`.
    pub upstream_code: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
    /// The field at fault.
    pub param: Option<String>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// Whether trying again can help: `x-should-retry`.
    pub should_retry: bool,
    /// How the request counts.
    pub outcome: Outcome,
    /// Details for machines, as the member `merit` beside `error`.
    pub details: Option<Box<Value>>,
}

impl Error {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        let outcome = if status.is_client_error() { Outcome::CallerError } else { Outcome::UpstreamError };
        Error {
            status,
            kind,
            code,
            upstream_code: None,
            message: message.into(),
            param: None,
            retry_after: None,
            should_retry: false,
            outcome,
            details: None,
        }
    }

    fn retry(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self.should_retry = true;
        self
    }

    fn counted(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// 400: the request itself is wrong; `param` names the field.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>, param: Option<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request", message);
        Error { param, ..error }
    }

    /// 401: the credential is missing or proven bad.
    #[must_use]
    pub fn invalid_api_key(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key", message)
    }

    /// 403: the key may not use this model.
    #[must_use]
    pub fn model_not_allowed(model: &str) -> Self {
        let message = format!("this key may not use the model {model:?}");
        let error = Self::new(StatusCode::FORBIDDEN, "permission_error", "model_not_allowed", message);
        Error { param: Some("model".to_owned()), ..error }
    }

    /// 404: no such model or route; near names are offered.
    #[must_use]
    pub fn model_not_found(model: &str, near: &[&str]) -> Self {
        let mut message = format!("the model {model:?} does not exist; GET /v1/models lists those that do");
        if let Some((last, others)) = near.split_last() {
            let mut names: Vec<String> = others.iter().map(|name| format!("{name:?}")).collect();
            names.push(if names.is_empty() { format!("{last:?}") } else { format!("or {last:?}") });
            message = format!("the model {model:?} does not exist; did you mean {}?", names.join(", "));
        }
        let error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "model_not_found", message);
        Error { param: Some("model".to_owned()), ..error }
    }

    /// 404: no such path.
    #[must_use]
    pub fn unknown_path(path: &str) -> Self {
        let message = format!("no such path: {path}; chat is at POST /v1/chat/completions");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
    }

    /// 404: no such path on the admin listener.
    #[must_use]
    pub fn unknown_admin_path(path: &str) -> Self {
        let message = format!("no such path: {path}; GET / lists what there is");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
    }

    /// 403: not for this client.
    #[must_use]
    pub fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", "forbidden", message)
    }

    /// 404: nothing is kept under that request id, or it is somebody else's.
    #[must_use]
    pub fn unknown_decision() -> Self {
        let message = "no decision is kept under this request id";
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
    }

    /// 409: it contradicts what is so already.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "invalid_request_error", "conflict", message)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let message = format!("{method} is not allowed on {path}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", message)
    }

    /// 413: over a size limit.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let limit = match limit >> 20 {
            0 => format!("{limit} bytes"),
            mebibytes => format!("{mebibytes} MiB"),
        };
        let message = format!("the request body is larger than {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "request_too_large", message)
    }

    /// 408: the body came too slowly.
    #[must_use]
    pub fn too_slow() -> Self {
        let message = "the request body came too slowly";
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", "request_timeout", message)
            .retry(None)
    }

    /// 415: a content-encoding we cannot undo.
    #[must_use]
    pub fn unsupported_encoding(coding: &str) -> Self {
        let message =
            format!("content-encoding {coding:?} is not supported; use zstd, gzip, deflate or none");
        let kind = "invalid_request_error";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, kind, "invalid_request", message)
    }

    /// 422: hard constraints left no candidate; `details` names each with its
    /// binding one.
    #[must_use]
    pub fn no_candidate(message: impl Into<String>, details: Value) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let error = Self::new(status, "invalid_request_error", "no_candidate", message);
        Error { details: Some(Box::new(details)), ..error }
    }

    /// 503: there are candidates, but all are resting.
    #[must_use]
    pub fn no_healthy_upstream(
        message: impl Into<String>,
        retry_after: Option<Duration>,
        details: Value,
    ) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let error = Self::new(status, "service_unavailable_error", "no_healthy_upstream", message);
        Error { details: Some(Box::new(details)), ..error.retry(retry_after) }
    }

    /// 501: in the contract, not built yet.
    #[must_use]
    pub fn not_implemented(what: &str) -> Self {
        let message = format!("{what} is not implemented yet");
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented_error", "not_implemented", message)
            .counted(Outcome::CallerError)
    }

    /// 503: too busy.
    #[must_use]
    pub fn overloaded() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(
            status,
            "service_unavailable_error",
            "overloaded",
            "too many requests at once; try again soon",
        )
        .retry(Some(Duration::from_secs(1)))
        .counted(Outcome::Shed)
    }

    /// 503: shutting down.
    #[must_use]
    pub fn shutting_down() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(
            status,
            "service_unavailable_error",
            "shutting_down",
            "this instance is shutting down; try again",
        )
        .retry(Some(Duration::from_secs(1)))
        .counted(Outcome::Shed)
    }

    /// 500: a defect of ours.
    #[must_use]
    pub fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(
            status,
            "api_error",
            "internal_error",
            "an internal error; please report it with the request id",
        )
        .retry(None)
        .counted(Outcome::Internal)
    }

    /// The code that is sent.
    #[must_use]
    pub fn sent_code(&self) -> &str {
        self.upstream_code.as_deref().unwrap_or(self.code)
    }

    /// The body in the caller's dialect.
    #[must_use]
    pub fn body(&self, dialect: Dialect) -> Value {
        let mut body = match dialect {
            Dialect::Anthropic => json!({
                "type": "error",
                "error": { "type": anthropic_kind(self.status), "message": self.message },
            }),
            Dialect::OpenAi | Dialect::Gemini | Dialect::Bedrock => json!({
                "error": {
                    "message": self.message,
                    "type": self.kind,
                    "param": self.param,
                    "code": self.sent_code(),
                },
            }),
        };
        if let (Some(details), Some(members)) = (&self.details, body.as_object_mut()) {
            members.insert("merit".to_owned(), details.as_ref().clone());
        }
        body
    }

    /// The error as an event inside a stream that has begun.
    #[must_use]
    pub fn event(&self) -> Bytes {
        Bytes::from(format!("data: {}\n\n", self.body(Dialect::OpenAi)))
    }

    /// The whole response in the caller's dialect.
    #[must_use]
    pub fn response(&self, dialect: Dialect) -> Response {
        let mut response = Response::new(Body::from(self.body(dialect).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let should = if self.should_retry { "true" } else { "false" };
        headers.insert("x-should-retry", HeaderValue::from_static(should));
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up: a date or a fraction confuses clients.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Anthropic's word for a status.
fn anthropic_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_members_are_present() {
        let body = Error::invalid_request("bad", None).body(Dialect::OpenAi);
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["message", "type", "param", "code"]);
        assert!(error["param"].is_null());
    }

    #[test]
    fn near_names_are_offered() {
        let message = |near: &[&str]| Error::model_not_found("gpt4", near).message;
        assert_eq!(message(&[]), r#"the model "gpt4" does not exist; GET /v1/models lists those that do"#);
        assert!(message(&["gpt-4"]).ends_with(r#"did you mean "gpt-4"?"#));
        assert!(message(&["a", "b"]).ends_with(r#"did you mean "a", or "b"?"#));
    }
}
