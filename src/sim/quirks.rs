//! The small deviations, each a word: what vendors do differently although they
//! say they speak the same dialect, and what a fault leaves out or adds.

/// Makes of one list the type, its documentation and the table of words.
macro_rules! quirks {
    ($($word:literal $name:ident $meaning:literal,)*) => {
        /// One deviation from the canonical answer. A vendor in brackets is one
        /// that has been seen to do it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Quirk {
            $(#[doc = $meaning] $name,)*
        }

        /// Every quirk: the word that asks for it, the quirk, what it does.
        pub const QUIRKS: &[(&str, Quirk, &str)] = &[$(($word, Quirk::$name, $meaning),)*];
    };
}

quirks! {
    "no-done" NoDone "the stream ends without `[DONE]`",
    "done-twice" DoneTwice "`[DONE]` comes twice",
    "bytes-after-done" BytesAfterDone "another content event and junk follow `[DONE]`",
    "no-finish" NoFinish "no event has a finish reason",
    "odd-finish" OddFinish "the finish reason is `eos` (Together)",
    "no-role" NoRole "no event has the role (llama.cpp)",
    "role-repeated" RoleRepeated "every event has the role",
    "empty-first" EmptyFirst "a first chunk without choices (Azure's prompt filter)",
    "empty-after-usage" EmptyAfterUsage "an empty chunk after the usage chunk",
    "usage-on-finish" UsageOnFinish "usage on the finish chunk, asked for or not (Mistral, Groq)",
    "usage-always" UsageAlways "a usage chunk although it was not asked for",
    "error-null" ErrorNull "every chunk has `\"error\": null`",
    "content-array" ContentArray "content is an array of typed parts (Mistral's magistral)",
    "reasoning-field" ReasoningField "reasoning is called `reasoning`, not `reasoning_content` (Groq)",
    "reasoning-apart" ReasoningApart "`completion_tokens` leaves reasoning tokens out (xAI)",
    "no-tool-index" NoToolIndex "tool-call deltas without index and type (Mistral, Gemini)",
    "tool-index-from-one" ToolIndexFromOne "the first tool call has index 1",
    "tool-id-repeated" ToolIdRepeated "every tool-call delta has id and name",
    "tool-name-empty" ToolNameEmpty "later tool-call deltas have `\"name\": \"\"` (GLM)",
    "whole-tool-call" WholeToolCall "whole calls and the finish reason in one chunk (Mistral)",
    "tool-unknown" ToolUnknown "calls a tool that nobody offered",
    "tool-broken" ToolBroken "the arguments of a call are not JSON",
    "tool-mistyped" ToolMistyped "the arguments of a call are JSON of another form",
    "schema-ignored" SchemaIgnored "text although JSON was asked for",
    "schema-broken" SchemaBroken "JSON, but not of the schema that was asked for",
    "choices-reversed" ChoicesReversed "with n > 1, the last choice opens first",
    "numeric-error-code" NumericErrorCode "`error.code` is a number (OpenRouter, llama.cpp)",
    "error-in-array" ErrorInArray "the error body is wrapped in an array (Gemini)",
    "cost-in-usage" CostInUsage "usage has `cost`, in USD (OpenRouter)",
    "comments" Comments "comments between events (OpenRouter)",
    "event-names" EventNames "every event has `event:` and `id:` lines",
    "split-data" SplitData "each event's data comes in two `data:` lines",
    "no-space" NoSpace "no space after `data:`",
    "bom" Bom "the body begins with a byte order mark",
    "leading-blank" LeadingBlank "blank lines before the body (DeepSeek)",
    "burst" Burst "all events in one write",
    "early-head" EarlyHead "the head comes at once, the first event after the usual time",
    "gzip" Gzip "the body is compressed although nobody asked for it",
    "trailers" Trailers "header lines after the last chunk",
    "say-close" SayClose "`connection: close`, and the connection closes",
    "die-on-reuse" DieOnReuse "the connection looks alive, and dies at the next request",
    "echo-key-body" EchoKeyBody "the caller's credential appears in the body or error message",
    "echo-key-header" EchoKeyHeader "the caller's credential appears in a response header",
}

/// The quirk a word asks for.
#[must_use]
pub fn quirk(word: &str) -> Option<Quirk> {
    QUIRKS.iter().find(|(name, ..)| *name == word).map(|(_, quirk, _)| *quirk)
}
