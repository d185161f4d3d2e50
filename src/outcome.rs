//! How attempts end, whose fault a failure is, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::NanoUsd;

/// Why an attempt failed, in the terms the router acts on.
///
/// There is no catch-all: a new kind of failure must say whose fault it is and
/// what follows (see the functions below, which have no wildcard arm).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unreachable, reset before anything was sent.
    Connect,
    /// The name could not be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// The connection broke after the request was sent, before any answer.
    Closed,
    /// No content within the first-content timeout.
    FirstContentTimeout,
    /// Content had begun, then nothing came for the idle timeout.
    Stalled,
    /// The answer broke off without its terminal marker.
    Truncated,
    /// Too many requests.
    RateLimited {
        /// How long the upstream asks to wait.
        retry_after: Option<Duration>,
    },
    /// The account has no credit or has spent its limit: waiting will not help.
    QuotaExhausted,
    /// Overloaded (503, 529 and their kin).
    Overloaded {
        /// How long the upstream asks to wait.
        retry_after: Option<Duration>,
    },
    /// Another server error, or a 403 that does not name our credential (a
    /// firewall's, a policy's).
    Server {
        /// The HTTP status, or 500 for an error inside a stream.
        status: u16,
    },
    /// Our credential was refused (401, or a code or text that says so).
    Key {
        /// The HTTP status.
        status: u16,
    },
    /// The upstream does not know the model or the path (404), or does not serve
    /// it to us where we are.
    NotFound,
    /// The request is at fault; another provider would say the same, unless the
    /// refusal is [local](Refusal::local).
    Refused(Refusal),
    /// The prompt does not fit this endpoint's context.
    ContextLength {
        /// The upstream's words, scrubbed.
        message: String,
    },
    /// The provider's content policy refused the prompt.
    ContentFilter {
        /// The upstream's words, scrubbed.
        message: String,
    },
    /// What came is not what the dialect allows: HTML, broken JSON, a redirect,
    /// an event or answer over its size limit.
    Protocol {
        /// What was wrong, for the log; never the upstream's own text.
        detail: &'static str,
    },
    /// The request cannot be said in this endpoint's dialect.
    Unsupported {
        /// What cannot be said.
        what: String,
    },
    /// The caller went away.
    CallerGone,
    /// We are shutting down and the drain deadline has passed.
    ShuttingDown,
    /// The time that the caller gave the whole answer is over.
    OutOfTime,
    /// A budget of the caller does not allow this attempt, or any more of it.
    OverBudget(OverBudget),
    /// The ledger cannot be written, so that nothing may be spent.
    LedgerUnavailable,
}

/// The budget that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget {
    /// Whose it is: `key`, `customer` or `organisation`.
    pub scope: &'static str,
    /// Its limit.
    pub limit: NanoUsd,
    /// When it begins anew (seconds since 1970).
    pub resets: Option<u64>,
}

/// An upstream's refusal of the request itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// 400, 413 or 422.
    pub status: u16,
    /// The upstream's words, scrubbed.
    pub message: String,
    /// Its `type`, when it has OpenAI's shape.
    pub kind: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// Its code, always as a string.
    pub code: Option<String>,
    /// Whether it is about what this provider takes (a parameter it does not
    /// support), so that another may well serve the request.
    pub local: bool,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same endpoint may be tried again, or the next candidate.
    Again,
    /// Only another candidate can help.
    Fallback,
    /// Nothing will help.
    Stop,
}

impl Failure {
    /// What may be done next, as long as no content has gone to the caller.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            // One that says when to come back is not asked again before.
            Failure::Overloaded { retry_after: Some(_) }
            // Nor does it help to ask who forbids it.
            | Failure::Server { status: 403 }
            | Failure::Dns
            | Failure::Tls
            | Failure::FirstContentTimeout
            | Failure::Stalled
            | Failure::RateLimited { .. }
            | Failure::QuotaExhausted
            | Failure::Key { .. }
            | Failure::NotFound
            | Failure::Refused(Refusal { local: true, .. })
            | Failure::ContextLength { .. }
            // A cheaper one may be affordable.
            | Failure::OverBudget(_)
            | Failure::Unsupported { .. } => Next::Fallback,
            Failure::Connect
            | Failure::ConnectTimeout
            | Failure::Closed
            | Failure::Truncated
            | Failure::Overloaded { retry_after: None }
            | Failure::Server { .. }
            | Failure::Protocol { .. } => Next::Again,
            Failure::Refused(Refusal { local: false, .. })
            | Failure::ContentFilter { .. }
            | Failure::CallerGone
            | Failure::LedgerUnavailable
            | Failure::ShuttingDown
            | Failure::OutOfTime => Next::Stop,
        }
    }

    /// Whether it counts against the endpoint's health. What the caller, the
    /// prompt or we ourselves caused does not.
    #[must_use]
    pub fn is_endpoints_fault(&self) -> bool {
        match self {
            Failure::Connect
            | Failure::Dns
            | Failure::Tls
            | Failure::ConnectTimeout
            | Failure::Closed
            | Failure::FirstContentTimeout
            | Failure::Stalled
            | Failure::Truncated
            | Failure::RateLimited { .. }
            | Failure::QuotaExhausted
            | Failure::Overloaded { .. }
            | Failure::Server { .. }
            | Failure::Key { .. }
            | Failure::NotFound
            | Failure::Protocol { .. } => true,
            Failure::Refused(_)
            | Failure::ContextLength { .. }
            | Failure::ContentFilter { .. }
            | Failure::Unsupported { .. }
            | Failure::CallerGone
            | Failure::OverBudget(_)
            | Failure::LedgerUnavailable
            | Failure::ShuttingDown
            | Failure::OutOfTime => false,
        }
    }

    /// Whether the request was certainly never processed, so that sending it
    /// again cannot be a second paid generation.
    #[must_use]
    pub fn was_never_sent(&self) -> bool {
        matches!(
            self,
            Failure::Connect
                | Failure::Dns
                | Failure::Tls
                | Failure::ConnectTimeout
                | Failure::OverBudget(_)
                | Failure::LedgerUnavailable
                | Failure::Unsupported { .. }
        )
    }

    /// The word in metrics, logs and decisions; a closed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Dns => "dns",
            Failure::Tls => "tls",
            Failure::ConnectTimeout => "connect_timeout",
            Failure::Closed => "closed",
            Failure::FirstContentTimeout => "first_content_timeout",
            Failure::Stalled => "stalled",
            Failure::Truncated => "truncated",
            Failure::RateLimited { .. } => "rate_limited",
            Failure::QuotaExhausted => "quota_exhausted",
            Failure::Overloaded { .. } => "overloaded",
            Failure::Server { .. } => "server_error",
            Failure::Key { .. } => "key_refused",
            Failure::NotFound => "not_found",
            Failure::Refused(_) => "refused",
            Failure::ContextLength { .. } => "context_length",
            Failure::ContentFilter { .. } => "content_filter",
            Failure::Protocol { .. } => "protocol",
            Failure::Unsupported { .. } => "unsupported",
            Failure::CallerGone => "caller_gone",
            Failure::ShuttingDown => "shutting_down",
            Failure::OverBudget(_) => "budget_exceeded",
            Failure::LedgerUnavailable => "ledger_unavailable",
            Failure::OutOfTime => "out_of_time",
        }
    }

    /// Every label, in the order of [`Failure::index`].
    pub const LABELS: [&'static str; 24] = [
        "connect",
        "dns",
        "tls",
        "connect_timeout",
        "closed",
        "first_content_timeout",
        "stalled",
        "truncated",
        "rate_limited",
        "quota_exhausted",
        "overloaded",
        "server_error",
        "key_refused",
        "not_found",
        "refused",
        "context_length",
        "content_filter",
        "protocol",
        "unsupported",
        "caller_gone",
        "shutting_down",
        "budget_exceeded",
        "ledger_unavailable",
        "out_of_time",
    ];

    /// Position of the label in [`Failure::LABELS`].
    #[must_use]
    pub fn index(&self) -> usize {
        Self::LABELS.iter().position(|label| *label == self.label()).unwrap_or(0)
    }

    /// How long the upstream asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::RateLimited { retry_after } | Failure::Overloaded { retry_after } => *retry_after,
            _ => None,
        }
    }
}

/// How one attempt went, as the books learn from it.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Seconds from sending to the first content; `None` when none came.
    pub ttft: Option<f64>,
    /// Seconds per output token after the first; `None` when too few came.
    pub itl: Option<f64>,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// Whether `itl` was told of once already, while the stream went on.
    pub followed: bool,
    /// Seconds the attempt took in all.
    pub seconds: f64,
    /// Input tokens, counted or estimated.
    pub input_tokens: u64,
    /// Output tokens, counted or estimated.
    pub output_tokens: u64,
    /// Why it failed; `None` when it ended properly.
    pub failure: Option<Failure>,
}

/// Why an answer ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// At a natural end or a stop sequence.
    Stop,
    /// At the token limit.
    Length,
    /// To have tools called.
    ToolCalls,
    /// By the provider's content filter.
    ContentFilter,
    /// The older form of `ToolCalls`.
    FunctionCall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_listed_once() {
        let mut labels = Failure::LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Failure::LABELS.len());
        assert_eq!(Failure::ShuttingDown.index(), 20);
        assert_eq!(Failure::Connect.index(), 0);
    }

    #[test]
    fn a_bad_request_goes_to_one_provider_only() {
        let refused = |local| Failure::Refused(Refusal { local, ..Refusal::default() });
        assert_eq!((refused(false).next(), refused(true).next()), (Next::Stop, Next::Fallback));
        assert!(!refused(true).is_endpoints_fault());
    }

    #[test]
    fn who_asks_to_wait_is_left_alone() {
        assert_eq!(Failure::Overloaded { retry_after: None }.next(), Next::Again);
        let asked = Failure::Overloaded { retry_after: Some(Duration::from_secs(2)) };
        assert_eq!((asked.next(), asked.is_endpoints_fault()), (Next::Fallback, true));
    }
}
