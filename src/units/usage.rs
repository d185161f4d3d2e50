//! What one answer consumed.

use serde::{Deserialize, Serialize};

/// Tokens and other units one attempt consumed, in one meaning for all
/// providers: `input` and `output` are totals, the others are parts of them.
/// (Anthropic and Bedrock report input without its cached parts, Gemini output
/// without its reasoning; their dialects add before they fill this in.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All input tokens, cached or not.
    pub input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cached_input: u64,
    /// Input tokens written to a cache that lives five minutes.
    pub cache_write_5m: u64,
    /// Input tokens written to a cache that lives an hour.
    pub cache_write_1h: u64,
    /// All output tokens, visible or not.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// Input tokens that were audio.
    pub audio_input: u64,
    /// Output tokens that were audio.
    pub audio_output: u64,
    /// Input tokens that were images.
    pub image_input: u64,
    /// Billed requests, for fees per request.
    pub requests: u64,
    /// Provider-side tool calls (searches), for fees per call.
    pub tool_calls: u64,
    /// Whether the figures are our estimate because the provider sent none.
    pub estimated: bool,
}

/// No answer has more tokens than this; what claims more is damaged or hostile
/// and is not billed from.
pub const MOST_TOKENS: u64 = 1 << 40;

impl Usage {
    /// Whether the parts fit their totals and no figure is absurd.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let parts =
            [self.cached_input, self.cache_write_5m, self.cache_write_1h, self.audio_input, self.image_input];
        self.input <= MOST_TOKENS
            && self.output <= MOST_TOKENS
            && parts.iter().all(|part| *part <= self.input)
            && self.cached_input + self.cache_write_5m + self.cache_write_1h <= self.input
            && self.reasoning <= self.output
            && self.audio_output <= self.output
            && self.requests <= MOST_TOKENS
            && self.tool_calls <= MOST_TOKENS
    }
}
