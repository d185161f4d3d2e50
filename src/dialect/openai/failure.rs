//! What an upstream's error means to the router.
//!
//! Statuses and codes are used differently by everyone, so an error is read from
//! its most telling part to its least: codes that name one thing exactly, then
//! well-known phrases, then the status.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::retry_after;
use crate::outcome::{Failure, Refusal};

/// Longest text of an upstream that is kept, in characters.
const MOST_TEXT: usize = 500;

/// Codes and types that say: no credit left, and waiting will not help.
const QUOTA: [&str; 8] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "insufficient_balance",
    "quota_exhausted",
    "enforced_spend_limit_reached",
];

/// Codes and types that say: too busy.
const BUSY: [&str; 8] = [
    "server_is_overloaded",
    "overloaded_error",
    "overloaded",
    "service_unavailable",
    "service_unavailable_error",
    "unavailable",
    "insufficient_system_resource",
    "engine_overloaded",
];

/// Codes and types that say: too many requests.
const LIMITED: [&str; 6] = [
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limit_reached",
    "slow_down",
    "too_many_requests",
    "resource_exhausted",
];

/// Codes and types that say: the content policy refused.
const FILTERED: [&str; 6] = [
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "moderation_blocked",
    "data_inspection_failed",
    "sensitive_words_detected",
];

/// Codes and types that say: our credential is not accepted.
const KEY: [&str; 12] = [
    "invalid_api_key",
    "incorrect_api_key",
    "api_key_disabled",
    "api_key_expired",
    "account_deactivated",
    "organization_deactivated",
    "access_terminated_error",
    "authentication_error",
    "permission_error",
    "permission_denied",
    "unauthenticated",
    "api_key_invalid",
];

/// Codes and types that say: not this model, or not where we are (`OpenAI`, Azure,
/// Groq, Together, Fireworks).
const NO_MODEL: [&str; 9] = [
    "model_not_found",
    "model_not_available",
    "model_decommissioned",
    "model_not_supported",
    "unsupported_model",
    "unknown_model",
    "invalid_model",
    "deploymentnotfound",
    "unsupported_country_region_territory",
];

/// Codes and types that say: this provider does not take that parameter
/// (`extra_forbidden` is pydantic's, so Mistral's and vLLM's).
const NOT_TAKEN: [&str; 8] = [
    "unsupported_parameter",
    "unsupported_value",
    "unsupported_content",
    "unsupported_feature",
    "unknown_parameter",
    "unrecognized_parameter",
    "extra_forbidden",
    "not_supported",
];

/// The same in words, in lower case. The worst that a caller can do with them
/// is to have its own bad request refused by a second provider.
const NOT_TAKEN_WORDS: [&str; 6] = [
    "unsupported parameter",
    "unknown parameter",
    "unrecognized request argument",
    "extra inputs are not permitted",
    "is not supported",
    "does not support",
];

/// How upstreams say that the prompt does not fit, in lower case (OpenAI, vLLM,
/// llama.cpp, Anthropic, Gemini, Bedrock, Mistral, Groq, xAI, DeepSeek).
const TOO_LONG: [&str; 12] = [
    "maximum context length",
    "context_length_exceeded",
    "context length exceeded",
    "exceeds the available context size",
    "exceed context window",
    "exceeds the context window",
    "prompt is too long",
    "input is too long",
    "exceeds the maximum number of tokens",
    "maximum prompt length",
    "too large for model with",
    "reduce the length of the messages",
];

/// What an error body says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    kind: Option<String>,
    param: Option<String>,
    code: Option<String>,
    /// Code, type, reasons inside details: everything that names the error, in
    /// lower case.
    names: Vec<String>,
}

/// What a response with a status other than 2xx means.
pub(in crate::dialect) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let value = parse(body);
    let wait = retry_after::wait(headers, &value);
    classify(status.as_u16(), said(&value), wait)
}

/// What an error inside a body with status 200, or inside a stream, means.
/// `error` is the member `error`, or the whole body when that is one.
pub(in crate::dialect) fn in_band(error: &Value) -> Failure {
    let said = said(error);
    let number = said.code.as_deref().and_then(|code| code.parse().ok());
    let status = number.or_else(|| error.get("status").and_then(Value::as_u64)?.try_into().ok());
    let status = status.filter(|status| (400..600).contains(status));
    classify(status.unwrap_or_else(|| implied(&said)), said, retry_after::wait(&HeaderMap::new(), error))
}

/// The status that would have gone with an error that has none.
fn implied(said: &Said) -> u16 {
    let named = |name: &str| said.names.iter().any(|known| known == name);
    match named("invalid_request_error") || named("invalid_argument") {
        true => 400,
        false => 500,
    }
}

fn parse(body: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(body.trim_ascii()).unwrap_or_default();
    // Gemini's compatible address wraps its errors in an array.
    match value {
        Value::Array(mut items) if items.len() == 1 => items.pop().unwrap_or_default(),
        other => other,
    }
}

fn said(value: &Value) -> Said {
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    let text = |name: &str| match error.get(name).or_else(|| value.get(name)) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let message = match error {
        Value::String(text) => Some(text.clone()),
        _ => text("message").or_else(|| text("detail")).or_else(|| text("error_description")),
    };
    let (code, kind) = (text("code").or_else(|| text("errorCode")), text("type"));
    let deep = ["/innererror/code", "/metadata/error_type", "/details/error_code", "/status"];
    let details = error.get("details").and_then(Value::as_array);
    let reasons = details.into_iter().flatten().filter_map(|detail| detail.get("reason"));
    let names = deep
        .iter()
        .filter_map(|path| error.pointer(path))
        .chain(reasons)
        .chain(complaints(value))
        .filter_map(Value::as_str)
        .chain(code.as_deref())
        .chain(kind.as_deref())
        .map(str::to_ascii_lowercase)
        .collect();
    Said { message: scrub(&message.unwrap_or_default()), kind, param: text("param"), code, names }
        .with_quota(details)
        .with_moderation(error)
}

/// The kinds of pydantic's complaints, wherever their list stands (vLLM, Mistral).
fn complaints(value: &Value) -> impl Iterator<Item = &Value> {
    let places = ["/detail", "/message/detail", "/error/message/detail"];
    let lists = places.into_iter().filter_map(|path| value.pointer(path)?.as_array());
    lists.flatten().filter_map(|complaint| complaint.get("type"))
}

impl Said {
    /// Gemini tells a day's quota, which waiting will not refill, from a
    /// minute's only inside its details.
    fn with_quota(mut self, details: Option<&Vec<Value>>) -> Self {
        let violations = details
            .into_iter()
            .flatten()
            .filter_map(|detail| detail.get("violations")?.as_array())
            .flatten()
            .filter_map(|violation| violation.get("quotaId")?.as_str());
        if violations.into_iter().any(|quota| quota.contains("PerDay")) {
            self.names.push("insufficient_quota".to_owned());
        }
        self
    }

    /// OpenRouter answers a flagged prompt with 403.
    fn with_moderation(mut self, error: &Value) -> Self {
        if error.pointer("/metadata/flagged_input").is_some() {
            self.names.push("content_filter".to_owned());
        }
        self
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        self.names.iter().any(|name| names.contains(&name.as_str()))
    }

    /// Whether the model is unknown or not served here. Of the words only those
    /// at the beginning count, where no upstream quotes the caller: an endpoint
    /// is blamed for this, and a caller must not be able to bring that about.
    fn names_no_model(&self, lower: &str) -> bool {
        let begins = |word: &str| lower.starts_with(word);
        let gone =
            || ["does not exist", "not found", "decommissioned"].iter().any(|word| lower.contains(word));
        self.is_one_of(&NO_MODEL)
            || begins("model not exist")
            || begins("unknown model")
            || begins("user location is not supported")
            || (begins("the model ") || begins("model ")) && gone()
            || lower.ends_with("is not a valid model id")
    }

    /// Whether the refusal is about what this provider takes.
    fn is_local(&self, lower: &str) -> bool {
        self.is_one_of(&NOT_TAKEN) || NOT_TAKEN_WORDS.iter().any(|phrase| lower.contains(phrase))
    }
}

fn classify(status: u16, said: Said, wait: Option<std::time::Duration>) -> Failure {
    let lower = said.message.to_ascii_lowercase();
    if status == 402
        || said.is_one_of(&QUOTA)
        // Only how a message begins: a refusal may quote what its caller wrote,
        // and no caller must be able to silence an endpoint by that.
        || lower.starts_with("your credit balance is too low")
        || lower.starts_with("insufficient balance")
    {
        return Failure::QuotaExhausted;
    }
    if status != 429
        && (said.is_one_of(&["context_length_exceeded", "exceed_context_size_error"])
            || TOO_LONG.iter().any(|phrase| lower.contains(phrase)))
    {
        return Failure::ContextLength { message: said.message };
    }
    if said.is_one_of(&FILTERED) {
        return Failure::ContentFilter { message: said.message };
    }
    if status != 429 && said.names_no_model(&lower) {
        return Failure::NotFound;
    }
    // A 403 that does not speak of the credential may be a firewall's, or about
    // this one request: it must not silence the endpoint.
    if status == 401
        || said.is_one_of(&KEY)
        || lower.starts_with("incorrect api key")
        || status == 403 && lower.contains("api key")
    {
        let status = if status == 403 { 403 } else { 401 };
        return Failure::Key { status };
    }
    match status {
        404 | 405 | 410 => Failure::NotFound,
        408 | 504 => Failure::FirstContentTimeout,
        429 => Failure::RateLimited { retry_after: wait },
        498 | 503 | 529 => Failure::Overloaded { retry_after: wait },
        // The model wrote a tool call that its host could not read (Groq): not
        // the caller's doing, and another try may succeed.
        400 if said.is_one_of(&["tool_use_failed"]) => Failure::Server { status },
        400 | 413 | 422 => Failure::Refused(refusal(status, said, &lower)),
        _ if said.is_one_of(&BUSY) => Failure::Overloaded { retry_after: wait },
        _ if said.is_one_of(&LIMITED) => Failure::RateLimited { retry_after: wait },
        _ => Failure::Server { status },
    }
}

fn refusal(status: u16, said: Said, lower: &str) -> Refusal {
    let local = said.is_local(lower);
    let message = match said.message.is_empty() {
        true => format!("the provider refused the request with status {status}"),
        false => said.message,
    };
    Refusal { status, message, kind: said.kind, param: said.param, code: said.code, local }
}

/// An upstream's words, fit for a log and a caller: one line, no control
/// characters, not too long, and never a web page. (Secrets are replaced where
/// the text leaves the process, by those who know them.)
fn scrub(text: &str) -> String {
    if text.trim_start().starts_with('<') || text.to_ascii_lowercase().contains("<html") {
        return String::new();
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_TEXT) {
        None => line,
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests;
