//! From an upstream's failure to what the caller is told.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use serde_json::json;

use super::Error;
use crate::accounts::Expose;
use crate::outcome::{Failure, OverBudget, Refusal};
use crate::telemetry::Outcome;

impl Error {
    /// What a caller is told when no upstream gave an answer. Texts of
    /// upstreams only reach callers who may see them.
    #[must_use]
    pub fn from_failure(failure: &Failure, expose: Expose) -> Self {
        let kind = "api_error";
        match failure {
            Failure::Refused(refusal) => Self::refused(refusal, expose),
            Failure::ContextLength { message } => {
                let message = text(message, expose, "the prompt does not fit the model's context");
                let bad = StatusCode::BAD_REQUEST;
                Self::new(bad, "invalid_request_error", "context_length_exceeded", message)
            }
            Failure::ContentFilter { message } => {
                let message = text(message, expose, "the provider's content policy refused the prompt");
                Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", "content_filter", message)
            }
            Failure::RateLimited { retry_after } => Self::limited("rate_limit_error", *retry_after),
            Failure::QuotaExhausted => {
                let error = Self::limited("insufficient_quota", None);
                let message = "the providers' quota for this model is exhausted".to_owned();
                Error {
                    message,
                    upstream_code: Some("insufficient_quota".to_owned()),
                    should_retry: false,
                    retry_after: None,
                    ..error
                }
            }
            Failure::Overloaded { retry_after } => {
                let message = "all providers of this model are overloaded";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "service_unavailable_error", "no_healthy_upstream", message)
                    .retry(*retry_after)
            }
            Failure::ConnectTimeout | Failure::FirstContentTimeout | Failure::Stalled => {
                let message = "the provider did not answer in time";
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", "upstream_timeout", message)
                    .retry(None)
            }
            Failure::OutOfTime => {
                let message = "the deadline of this request has passed";
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", "upstream_timeout", message)
            }
            Failure::Truncated => {
                Self::protocol("the provider's answer broke off before its end").retry(None)
            }
            Failure::Protocol { .. } => Self::protocol("the provider's answer was not valid"),
            Failure::Key { .. } => Self::upstream("the provider refused the gateway's credential"),
            Failure::NotFound => Self::upstream("the provider does not know this model"),
            Failure::Unsupported { what } => {
                let message = format!("no provider of this model can be asked for {what}");
                Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request", message)
            }
            Failure::Connect | Failure::Dns | Failure::Tls | Failure::Closed | Failure::Server { .. } => {
                Self::upstream("the provider failed").retry(None)
            }
            Failure::ShuttingDown => Self::shutting_down(),
            Failure::OverBudget(over) => Self::budget_exceeded(over),
            Failure::LedgerUnavailable => Self::ledger_unavailable(),
            Failure::CallerGone => {
                Self::new(StatusCode::BAD_GATEWAY, kind, "client_closed", "the caller hung up")
                    .counted(Outcome::CallerCancelled)
            }
        }
    }

    /// 402: a budget of the caller does not allow this request.
    #[must_use]
    pub fn budget_exceeded(over: &OverBudget) -> Self {
        let mut message = format!("the budget of this {} is used up: {} USD", over.scope, over.limit);
        if let Some(resets) = over.resets {
            let at = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(resets));
            message = format!("{message}, anew at {at}");
        }
        let error = Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", "budget_exceeded", message);
        let details = json!({
            "scope": over.scope,
            "limit_usd": over.limit.to_string(),
            "resets_at_unix": over.resets,
        });
        Error { details: Some(Box::new(details)), ..error.counted(Outcome::BudgetDenied) }
    }

    /// 503: what is spent cannot be recorded, so nothing may be.
    #[must_use]
    pub fn ledger_unavailable() -> Self {
        let message = "the ledger cannot be written at the moment";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "service_unavailable_error", "ledger_unavailable", message)
            .retry(Some(Duration::from_secs(1)))
            .counted(Outcome::Shed)
    }

    /// 429: a limit of the caller's own; `whose` and `what` say which.
    #[must_use]
    pub fn over_rate(whose: &str, what: &str, most: u32, wait: Duration) -> Self {
        let message = format!("this {whose} may have {most} {what}");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message)
            .retry(Some(wait))
            .counted(Outcome::RateLimited)
    }

    fn upstream(message: &str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "api_error", "upstream_error", message)
    }

    fn protocol(message: &str) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "api_error", "upstream_protocol", message)
    }

    fn limited(kind: &'static str, retry_after: Option<Duration>) -> Self {
        let message = "all providers of this model limit the rate of requests";
        Self::new(StatusCode::TOO_MANY_REQUESTS, kind, "rate_limit_exceeded", message)
            .retry(retry_after.or(Some(Duration::from_secs(1))))
            .counted(Outcome::RateLimited)
    }

    /// An upstream's judgement of the request: its status and parameter, and
    /// for those who may see them its words and its code.
    fn refused(refusal: &Refusal, expose: Expose) -> Self {
        let status = match refusal.status {
            413 => StatusCode::PAYLOAD_TOO_LARGE,
            422 => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        let code =
            if status == StatusCode::PAYLOAD_TOO_LARGE { "request_too_large" } else { "invalid_request" };
        let message = text(&refusal.message, expose, "the provider refused the request");
        let error = Self::new(status, "invalid_request_error", code, message);
        let upstream_code = refusal.code.clone().filter(|_| expose == Expose::Full);
        Error { param: refusal.param.clone(), upstream_code, ..error }
    }
}

/// An upstream's words for those who may see them.
fn text(upstream: &str, expose: Expose, generic: &str) -> String {
    match expose {
        Expose::Full if !upstream.is_empty() => upstream.to_owned(),
        Expose::Full | Expose::Model | Expose::None => generic.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Dialect;

    #[test]
    fn infrastructure_is_never_the_callers_fault() {
        let failures = [
            Failure::Connect,
            Failure::Dns,
            Failure::Tls,
            Failure::ConnectTimeout,
            Failure::Closed,
            Failure::FirstContentTimeout,
            Failure::Stalled,
            Failure::Truncated,
            Failure::Overloaded { retry_after: None },
            Failure::Server { status: 500 },
            Failure::Key { status: 401 },
            Failure::NotFound,
            Failure::Protocol { detail: "x" },
            Failure::ShuttingDown,
            Failure::OutOfTime,
        ];
        for failure in failures {
            let error = Error::from_failure(&failure, Expose::Full);
            assert!(error.status.is_server_error(), "{failure:?} gives {}", error.status);
        }
    }

    #[test]
    fn an_exhausted_quota_is_not_to_be_waited_for() {
        let response = Error::from_failure(&Failure::QuotaExhausted, Expose::Full).response(Dialect::OpenAi);
        assert!(!response.headers().contains_key("retry-after"));
        assert_eq!(response.headers()["x-should-retry"], "false");
    }

    #[test]
    fn retry_after_is_whole_seconds() {
        let limited = Failure::RateLimited { retry_after: Some(Duration::from_millis(1200)) };
        let response = Error::from_failure(&limited, Expose::Full).response(Dialect::OpenAi);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["x-should-retry"], "true");
        assert_eq!(response.status(), 429);
    }

    #[test]
    fn upstream_words_stay_with_those_who_may_see_them() {
        let failure = Failure::ContextLength { message: "max 8192 at provider-x".to_owned() };
        assert!(Error::from_failure(&failure, Expose::Full).message.contains("provider-x"));
        assert!(!Error::from_failure(&failure, Expose::Model).message.contains("provider-x"));
    }
}
