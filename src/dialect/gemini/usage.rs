//! What an answer consumed, from Google's words.

use crate::json::Raw;
use crate::units::Usage;

/// What `usageMetadata` says; `None` when it states no figures (some chunks of
/// Vertex have only the kind of traffic). The figures may be implausible.
///
/// Google counts the prompt with its cached part, tokens that tools added to it
/// apart from it, and thoughts apart from what was said.
pub(super) fn read(stated: &Raw<'_>) -> Option<Usage> {
    let mut input = None;
    let mut usage = Usage { requests: 1, ..Usage::default() };
    let (mut tools, mut said) = (0, 0);
    for (key, value) in stated.members().filter_map(Result::ok) {
        let count = || value.as_u64().unwrap_or(0);
        match key.raw {
            b"promptTokenCount" => input = value.as_u64(),
            b"toolUsePromptTokenCount" => tools = count(),
            b"candidatesTokenCount" => said = count(),
            b"thoughtsTokenCount" => usage.reasoning = count(),
            b"cachedContentTokenCount" => usage.cached_input = count(),
            b"promptTokensDetails" => {
                usage.audio_input = of_kind(&value, "AUDIO");
                usage.image_input = of_kind(&value, "IMAGE");
            }
            b"candidatesTokensDetails" => usage.audio_output = of_kind(&value, "AUDIO"),
            _ => {}
        }
    }
    usage.input = input?.saturating_add(tools);
    usage.output = u64::saturating_add(said, usage.reasoning);
    Some(usage)
}

/// Tokens of one modality.
fn of_kind(details: &Raw<'_>, kind: &str) -> u64 {
    let counts = details.elements().filter_map(Result::ok).filter_map(|detail| {
        let same = detail.get(b"modality")?.as_str()? == kind;
        detail.get(b"tokenCount")?.as_u64().filter(|_| same)
    });
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::document;
    use proptest::prelude::*;

    fn of(text: &str) -> Option<Usage> {
        read(&document(text.as_bytes()).unwrap())
    }

    #[test]
    fn thoughts_are_added_and_the_cache_is_not() {
        let usage = of(r#"{"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":160,
            "cachedContentTokenCount":60,"thoughtsTokenCount":30,"toolUsePromptTokenCount":10,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":40},{"modality":"IMAGE","tokenCount":50},
                {"modality":"AUDIO","tokenCount":10}],
            "candidatesTokensDetails":[{"modality":"TEXT","tokenCount":20}]}"#);
        let expected = Usage {
            input: 110,
            cached_input: 60,
            output: 50,
            reasoning: 30,
            audio_input: 10,
            image_input: 50,
            requests: 1,
            ..Usage::default()
        };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn without_figures_there_is_no_usage() {
        assert_eq!(of(r#"{"trafficType":"ON_DEMAND"}"#), None);
        assert_eq!(of(r#"{"promptTokenCount":"many"}"#), None);
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{"promptTokenCount":3}"#).map(|usage| usage.output), Some(0));
    }

    proptest! {
        #[test]
        fn hostile_figures_do_not_overflow(prompt: u64, said: u64, thoughts: u64, cached: u64, tools: u64) {
            let usage = of(&format!(
                r#"{{"promptTokenCount":{prompt},"candidatesTokenCount":{said},"thoughtsTokenCount":{thoughts},
                "cachedContentTokenCount":{cached},"toolUsePromptTokenCount":{tools}}}"#
            ));
            prop_assert!(usage.is_some_and(|usage| usage.input >= prompt && usage.output >= said));
            prop_assert!(!usage.unwrap().is_plausible() || usage.unwrap().cached_input <= usage.unwrap().input);
        }
    }
}
