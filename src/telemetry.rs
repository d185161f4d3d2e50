//! What operators see: metrics declared once, one log line per request, and
//! the filter that keeps credentials out of everything that is written.

pub mod log;
pub mod metrics;
pub mod panics;
pub mod redact;

pub use metrics::{EndpointMetrics, Metrics, Outcome};
pub use redact::Redactor;
