//! From the counter's refusals to what operators are told.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Error;
use crate::catalog::Dialect;
use crate::store::StoreError;

impl Error {
    /// What an operator is told of a change that was refused, or a question that
    /// was not answered.
    #[must_use]
    pub fn from_store(error: &StoreError) -> Self {
        match error {
            StoreError::Full
            | StoreError::Locked(_)
            | StoreError::Newer { .. }
            | StoreError::Unavailable(_) => Self::no_store(error.to_string()),
            StoreError::Conflict => Self::precondition_failed(),
            StoreError::NotFound => Self::not_found(),
            StoreError::Exists => Self::conflict(error.to_string()),
            StoreError::Invalid(why) => Self::invalid_request(why.clone(), None),
        }
    }

    /// 503: accounts and the ledger cannot be read or written.
    #[must_use]
    pub fn no_store(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "service_unavailable_error", "ledger_unavailable", message).retry(None)
    }

    /// 404: there is nothing of that id.
    #[must_use]
    pub fn not_found() -> Self {
        let message = "there is no such thing, or it has been deleted";
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
    }

    /// 412: it has another version than the change is based on.
    #[must_use]
    pub fn precondition_failed() -> Self {
        let message = "it was changed meanwhile: get it again, and send its ETag as If-Match";
        let status = StatusCode::PRECONDITION_FAILED;
        Self::new(status, "invalid_request_error", "precondition_failed", message)
    }

    /// 428: a change must say which version it is based on.
    #[must_use]
    pub fn precondition_required() -> Self {
        let message = "send the ETag of what you change as If-Match, so that nobody's change is lost";
        let status = StatusCode::PRECONDITION_REQUIRED;
        Self::new(status, "invalid_request_error", "precondition_required", message)
    }
}

/// In OpenAI's form: where nobody's dialect is known.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.response(Dialect::OpenAi)
    }
}
