//! Why a candidate ended, in the middle form's words.

use crate::outcome::{Failure, FinishReason};

/// What Google's `finishReason` means; `called` when the candidate has tool
/// calls, which Google ends with `STOP` like anything else. Words nobody knows
/// count as `stop`: the answer is there and complete.
///
/// # Errors
/// For those that say that the model wrote something its host could not read:
/// there is no answer then, and another try may have one.
pub(super) fn understand(word: &str, called: bool) -> Result<FinishReason, Failure> {
    match word {
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE" => Err(Failure::Server { status: 500 }),
        "MAX_TOKENS" => Ok(FinishReason::Length),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Ok(FinishReason::ContentFilter),
        _ if called => Ok(FinishReason::ToolCalls),
        _ => Ok(FinishReason::Stop),
    }
}

/// Whether the middle form's word says all that Google's does.
pub(super) fn is_plain(word: &str) -> bool {
    matches!(word, "STOP" | "MAX_TOKENS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_they_mean() {
        assert_eq!(understand("STOP", false), Ok(FinishReason::Stop));
        assert_eq!(understand("STOP", true), Ok(FinishReason::ToolCalls));
        assert_eq!(understand("MAX_TOKENS", true), Ok(FinishReason::Length));
        assert_eq!(understand("SPII", true), Ok(FinishReason::ContentFilter));
        assert_eq!(understand("OTHER", false), Ok(FinishReason::Stop));
        assert_eq!(understand("BRAND_NEW", false), Ok(FinishReason::Stop));
        assert_eq!(understand("MALFORMED_FUNCTION_CALL", true), Err(Failure::Server { status: 500 }));
    }
}
