//! What generations of models accept, as far as a request must be worded
//! differently for them.

/// How a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// It does not think.
    None,
    /// `thinkingBudget`, in tokens.
    Budget {
        /// The smallest budget.
        least: u32,
        /// The largest.
        most: u32,
        /// Whether 0 turns thinking off.
        off: bool,
    },
    /// `thinkingLevel`: the levels it knows, lowest first.
    Level(&'static [&'static str]),
}

/// What a generation accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// How it is told to think.
    pub(super) thinking: Thinking,
    /// Whether it knows `systemInstruction`.
    pub(super) system: bool,
    /// Whether JSON output can be asked for beside tools.
    pub(super) json_beside_tools: bool,
    /// Whether tool calls in the history must have signatures.
    pub(super) signatures: bool,
}

const OLD: Traits =
    Traits { thinking: Thinking::None, system: true, json_beside_tools: false, signatures: false };

/// Gemini 2.5, with its smallest and largest budget.
const fn budget(least: u32, most: u32, off: bool) -> Traits {
    Traits { thinking: Thinking::Budget { least, most, off }, ..OLD }
}

/// Gemini 3 and later, with its levels.
const fn levels(levels: &'static [&'static str]) -> Traits {
    Traits { thinking: Thinking::Level(levels), system: true, json_beside_tools: true, signatures: true }
}

/// Families by the beginning of their names; the first that fits applies.
/// Levels and budgets are from Google's guide on thinking
/// (docs.cloud.google.com/gemini-enterprise-agent-platform/models/thinking and
/// ai.google.dev/gemini-api/docs/thinking, seen 2026-11-24).
const FAMILIES: [(&str, Traits); 15] = [
    ("gemma-", Traits { system: false, ..OLD }),
    ("gemini-1", OLD),
    ("gemini-2.0", OLD),
    ("gemini-2.5-pro", budget(128, 32_768, false)),
    ("gemini-2.5-flash-lite", budget(512, 24_576, true)),
    ("gemini-2.5-flash-image", OLD),
    ("gemini-2.5", budget(1, 24_576, true)),
    ("gemini-3-pro", levels(&["low", "high"])),
    ("gemini-3-flash", levels(&["minimal", "low", "medium", "high"])),
    ("gemini-3.1-flash", levels(&["minimal", "low", "medium", "high"])),
    ("gemini-3.5-flash", levels(&["minimal", "low", "medium", "high"])),
    ("gemini-3.6-flash", levels(&["minimal", "low", "medium", "high"])),
    ("gemini-flash-lite-latest", levels(&["minimal", "low", "medium", "high"])),
    ("learnlm", OLD),
    // What nobody has heard of is taken for the newest.
    ("", levels(&["low", "medium", "high"])),
];

/// The traits of the model that a provider calls `upstream`, which may be a
/// resource's name (`models/…`).
pub(super) fn traits(upstream: &str) -> Traits {
    let name = upstream.rsplit('/').next().unwrap_or(upstream);
    let family = FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix));
    family.map_or(OLD, |(_, traits)| *traits)
}

/// `thinkingConfig` for an effort; `None` when the effort cannot be had, with
/// the member's name and value as JSON otherwise.
pub(super) fn thinking(traits: Traits, effort: &str) -> Option<(&'static str, String)> {
    match traits.thinking {
        Thinking::None => None,
        Thinking::Budget { off, least, most } => {
            // Google's own table for its OpenAI-compatible address.
            let tokens = match effort {
                "none" if off => return Some(("thinkingBudget", "0".to_owned())),
                "none" => least,
                "minimal" | "low" => 1_024,
                "medium" => 8_192,
                "high" => 24_576,
                "xhigh" | "max" => most,
                _ => return None,
            };
            Some(("thinkingBudget", tokens.clamp(least, most).to_string()))
        }
        Thinking::Level(levels) => {
            const ORDER: [&str; 4] = ["minimal", "low", "medium", "high"];
            let wanted = match effort {
                "none" | "minimal" => 0,
                "low" => 1,
                "medium" => 2,
                "high" | "xhigh" | "max" => 3,
                _ => return None,
            };
            // The nearest at or above what was asked for.
            let level = ORDER.iter().skip(wanted).find(|level| levels.contains(level))?;
            Some(("thinkingLevel", format!("{level:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Member and value, or nothing.
    fn asked(model: &str, effort: &str) -> String {
        let said = thinking(traits(model), effort);
        said.map_or_else(String::new, |(member, value)| format!("{member} {value}"))
    }

    #[test]
    fn effort_follows_the_generation() {
        assert_eq!(asked("gemini-2.5-flash", "none"), "thinkingBudget 0");
        assert_eq!(asked("gemini-2.5-pro", "none"), "thinkingBudget 128");
        assert_eq!(asked("gemini-2.5-flash-lite", "low"), "thinkingBudget 1024");
        assert_eq!(asked("models/gemini-2.5-pro-preview", "max"), "thinkingBudget 32768");
        assert_eq!(asked("gemini-3-pro-preview", "minimal"), r#"thinkingLevel "low""#);
        assert_eq!(asked("gemini-3-pro-preview", "medium"), r#"thinkingLevel "high""#);
        assert_eq!(asked("gemini-3.1-pro-preview", "medium"), r#"thinkingLevel "medium""#);
        assert_eq!(asked("gemini-3.5-flash", "none"), r#"thinkingLevel "minimal""#);
        assert_eq!(asked("gemini-3.7-flash", "none"), r#"thinkingLevel "low""#);
        assert_eq!(asked("gemini-9-ultra", "xhigh"), r#"thinkingLevel "high""#);
        assert_eq!(asked("gemini-2.0-flash", "high"), "");
        assert_eq!(asked("gemini-2.5-flash", "extreme"), "");
        assert_eq!(asked("gemini-3-flash", "extreme"), "");
    }

    #[test]
    fn only_newer_models_need_signatures() {
        assert!(traits("gemini-3-pro").signatures && traits("gemini-flash-latest").signatures);
        assert!(!traits("gemini-2.5-pro").signatures && !traits("gemma-4-31b-it").system);
    }
}
