//! Why an answer ended, in OpenAI's words, whatever words were used.

use std::time::Duration;

use crate::outcome::{Failure, FinishReason};

/// OpenAI's own words.
pub(super) const CANONICAL: [(&str, FinishReason); 5] = [
    ("stop", FinishReason::Stop),
    ("length", FinishReason::Length),
    ("tool_calls", FinishReason::ToolCalls),
    ("content_filter", FinishReason::ContentFilter),
    ("function_call", FinishReason::FunctionCall),
];

/// Other words that providers use for the same (Together, Mistral, Cohere,
/// Gemini, Anthropic and others behind their OpenAI-compatible addresses).
const ALIASES: [(&str, FinishReason); 21] = [
    ("eos", FinishReason::Stop),
    ("eos_token", FinishReason::Stop),
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    ("complete", FinishReason::Stop),
    ("model_length", FinishReason::Length),
    ("max_tokens", FinishReason::Length),
    ("max_output_tokens", FinishReason::Length),
    ("max_length", FinishReason::Length),
    ("model_context_window_exceeded", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("tool_call", FinishReason::ToolCalls),
    ("tool-calls", FinishReason::ToolCalls),
    ("safety", FinishReason::ContentFilter),
    ("recitation", FinishReason::ContentFilter),
    ("prohibited_content", FinishReason::ContentFilter),
    ("blocklist", FinishReason::ContentFilter),
    ("spii", FinishReason::ContentFilter),
    ("refusal", FinishReason::ContentFilter),
    ("sensitive", FinishReason::ContentFilter),
    ("content-filter", FinishReason::ContentFilter),
];

/// The canonical reason of exactly that name.
pub(super) fn canonical(word: &str) -> Option<FinishReason> {
    CANONICAL.iter().find(|(name, _)| *name == word).map(|(_, reason)| *reason)
}

/// The word for a reason.
pub(super) fn name(reason: FinishReason) -> &'static str {
    CANONICAL.iter().find(|(_, known)| *known == reason).map_or("stop", |(name, _)| name)
}

/// What a provider's word means. Words nobody knows count as `stop`: the answer
/// is there and complete.
///
/// # Errors
/// Some providers put a failure where the reason belongs.
pub(super) fn understand(word: &str) -> Result<FinishReason, Failure> {
    if let Some(reason) = canonical(word) {
        return Ok(reason);
    }
    match word.to_ascii_lowercase().as_str() {
        "error" | "failed" | "abort" | "network_error" | "malformed_function_call" => {
            Err(Failure::Server { status: 500 })
        }
        // DeepSeek's word for being out of machines.
        "insufficient_system_resource" => Err(Failure::Overloaded { retry_after: None::<Duration> }),
        lower => Ok(canonical(lower)
            .or_else(|| ALIASES.iter().find(|(name, _)| *name == lower).map(|(_, reason)| *reason))
            .unwrap_or(FinishReason::Stop)),
    }
}

/// The same of an answer of which it is known whether it called tools: one that
/// did, and ended with a word that only its provider has, ended in order to. Who
/// says OpenAI's `stop` is believed: OpenAI says it too where a call was forced.
///
/// # Errors
/// As [`understand`].
pub(super) fn of(word: &str, called: bool) -> Result<FinishReason, Failure> {
    match understand(word)? {
        FinishReason::Stop if called && canonical(word).is_none() => Ok(FinishReason::ToolCalls),
        reason => Ok(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_mean_the_same() {
        assert_eq!(understand("stop"), Ok(FinishReason::Stop));
        assert_eq!(understand("COMPLETE"), Ok(FinishReason::Stop));
        assert_eq!(understand("STOP"), Ok(FinishReason::Stop));
        assert_eq!(understand("model_length"), Ok(FinishReason::Length));
        assert_eq!(understand("MAX_TOKENS"), Ok(FinishReason::Length));
        assert_eq!(understand("brand_new"), Ok(FinishReason::Stop));
    }

    #[test]
    fn who_called_tools_ended_to_call_them() {
        assert_eq!(of("eos", true), Ok(FinishReason::ToolCalls));
        assert_eq!(of("eos", false), Ok(FinishReason::Stop));
        assert_eq!(of("stop", true), Ok(FinishReason::Stop));
        assert_eq!(of("max_tokens", true), Ok(FinishReason::Length));
    }

    #[test]
    fn a_failure_is_not_a_reason() {
        assert_eq!(understand("error"), Err(Failure::Server { status: 500 }));
        let full = understand("insufficient_system_resource");
        assert_eq!(full, Err(Failure::Overloaded { retry_after: None }));
    }

    #[test]
    fn names_come_back() {
        for (word, reason) in CANONICAL {
            assert_eq!(name(reason), word);
        }
    }
}
