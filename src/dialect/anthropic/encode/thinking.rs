//! How hard the model is to think.

use super::Notes;
use super::asked::Asked;
use super::sheet::Sheet;
use super::tools::Tools;
use super::turns::Conversation;
use crate::dialect::anthropic::models::{Family, Thinking};
use crate::json::Raw;

/// Smallest budget that is accepted, in tokens.
const LEAST_BUDGET: u32 = 1024;

/// Efforts, and the part of the answer's limit that thinking may take where it
/// has a budget (in per cent, as the Anthropic provider of Vercel's AI SDK has it).
const BUDGETS: [(&str, u32); 6] =
    [("minimal", 2), ("low", 10), ("medium", 30), ("high", 60), ("xhigh", 90), ("max", 90)];

/// What is sent.
#[derive(Debug, Default)]
pub(super) struct Plan<'b> {
    /// The object `thinking`, when we word it.
    words: Option<String>,
    /// The caller's own.
    given: Option<Raw<'b>>,
    /// `output_config.effort`
    pub(super) effort: Option<&'static str>,
    /// Whether the model will think.
    pub(super) active: bool,
}

/// Decides; `bounds` are the model's family and the answer's limit in tokens.
pub(super) fn plan<'b>(
    asked: &Asked<'b>,
    conversation: &Conversation<'b>,
    tools: &Tools<'b>,
    bounds: (&Family, u32),
    notes: &mut Notes,
) -> Plan<'b> {
    let (family, limit) = bounds;
    let off = || Plan { words: Some(r#"{"type":"disabled"}"#.to_owned()), ..Plan::default() };
    let unasked = || Plan { active: family.by_default, ..Plan::default() };
    if let Some(given) = asked.thinking {
        let disabled = given.get(b"type").is_some_and(|kind| kind.inner() == Some(b"disabled"));
        return Plan { given: Some(given), active: !disabled, ..Plan::default() };
    }
    let effort = asked.effort.and_then(|effort| effort.as_str());
    let effort = effort.as_deref();
    // A tool that must be called leaves no room for thought.
    if tools.is_forced() && family.thinking != Thinking::None && (family.by_default || effort.is_some()) {
        if effort.is_some_and(|effort| effort != "none") {
            notes.add("reasoning_effort has no effect beside a tool that must be called");
        }
        return off();
    }
    let planned = match (effort, family.thinking) {
        (None, _) => return unasked(),
        (Some("none"), Thinking::None) => return Plan::default(),
        (Some("none"), _) => return off(),
        (Some(_), Thinking::None) => None,
        (Some(effort), Thinking::Adaptive) => adaptive(effort, family),
        // The model insists on the thoughts of a turn it is to go on with.
        (Some(_), Thinking::Budget) if conversation.lacks_thoughts() => {
            notes
                .add("reasoning_effort has no effect: the reasoning before the tool calls was not sent back");
            return Plan::default();
        }
        (Some(effort), Thinking::Budget) => budget(effort, limit),
    };
    planned.unwrap_or_else(|| {
        notes.no_effect("reasoning_effort");
        unasked()
    })
}

/// The nearest effort that an adaptive model knows.
fn adaptive<'b>(effort: &str, family: &Family) -> Option<Plan<'b>> {
    let effort = match effort {
        "minimal" | "low" => "low",
        "medium" => "medium",
        "high" => "high",
        "xhigh" if family.xhigh => "xhigh",
        "xhigh" | "max" => "max",
        _ => return None,
    };
    let words = r#"{"type":"adaptive","display":"summarized"}"#.to_owned();
    Some(Plan { words: Some(words), effort: Some(effort), active: true, ..Plan::default() })
}

/// Tokens to think with, so that some are left to answer with.
fn budget<'b>(effort: &str, limit: u32) -> Option<Plan<'b>> {
    let (_, part) = BUDGETS.iter().find(|(name, _)| *name == effort)?;
    let budget = u64::from(limit) * u64::from(*part) / 100;
    let budget = u32::try_from(budget).unwrap_or(u32::MAX).max(LEAST_BUDGET);
    let words = format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
    (budget < limit).then(|| Plan { words: Some(words), active: true, ..Plan::default() })
}

impl<'b> Plan<'b> {
    pub(super) fn write(&self, sheet: &mut Sheet<'b>) {
        if let Some(given) = &self.given {
            sheet.push(",\"thinking\":");
            sheet.raw(given);
        } else if let Some(words) = &self.words {
            sheet.push(",\"thinking\":");
            sheet.push(words);
        }
    }
}
