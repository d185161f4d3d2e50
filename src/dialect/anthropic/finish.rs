//! Why an answer ended: from Anthropic's words to ours, and from those that
//! Bedrock's Converse has beside them.

use crate::outcome::FinishReason;

/// Anthropic's words (its reference on stop reasons, seen 2026-11-22), and at the
/// end Converse's own (the service model of AWS's SDKs, botocore 1.44.8).
const WORDS: [(&str, FinishReason); 9] = [
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    // A pause of a provider-side tool; the caller may send the turn back.
    ("pause_turn", FinishReason::Stop),
    ("max_tokens", FinishReason::Length),
    ("model_context_window_exceeded", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("refusal", FinishReason::ContentFilter),
    ("content_filtered", FinishReason::ContentFilter),
    ("guardrail_intervened", FinishReason::ContentFilter),
];

/// What a word means for an answer that has `calls` of tools. A word nobody
/// knows counts as `stop`: the answer is there and complete. Calls decide
/// between `stop` and `tool_calls`, since agents go by the reason: a schema that
/// was asked for as a tool ends as `tool_use` and is none.
pub(in crate::dialect) fn understand(word: &str, calls: bool) -> FinishReason {
    let known = WORDS.iter().find(|(name, _)| *name == word).map(|(_, reason)| *reason);
    match known.unwrap_or(FinishReason::Stop) {
        FinishReason::Stop | FinishReason::ToolCalls if calls => FinishReason::ToolCalls,
        FinishReason::ToolCalls => FinishReason::Stop,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_decide_between_stop_and_tool_calls() {
        assert_eq!(understand("tool_use", true), FinishReason::ToolCalls);
        assert_eq!(understand("tool_use", false), FinishReason::Stop);
        assert_eq!(understand("end_turn", true), FinishReason::ToolCalls);
        assert_eq!(understand("max_tokens", true), FinishReason::Length);
        assert_eq!(understand("refusal", false), FinishReason::ContentFilter);
        assert_eq!(understand("compaction", false), FinishReason::Stop);
    }
}
