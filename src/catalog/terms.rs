//! What a provider promises about what it is sent.

use std::time::Duration;

/// How long a prompt cache lasts after its last use where nothing else is said:
/// five minutes at OpenAI (5 to 10) and Anthropic (2026).
pub const CACHE_LASTS: Duration = Duration::from_secs(300);

/// The terms under which an endpoint is offered, as far as routing reads them.
/// What is not known is not promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether prompts or answers are kept after the request.
    pub retention: Option<bool>,
    /// Whether models may be trained on them.
    pub training: Option<bool>,
    /// How long the beginning of a prompt stays in the cache after its last use.
    pub cache_lasts: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { retention: None, training: None, cache_lasts: CACHE_LASTS }
    }
}
