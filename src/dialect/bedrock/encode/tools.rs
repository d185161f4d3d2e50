//! What tools there are, and which must be called.

use super::format::Form;
use super::{Notes, unsupported};
use crate::dialect::anthropic::ANSWER_TOOL;
use crate::dialect::anthropic::encode::asked::Asked;
use crate::dialect::anthropic::encode::tools::{Choice, Parameters, Tool, Tools, choice, tool};
use crate::dialect::anthropic::encode::turns::Conversation;
use crate::dialect::bedrock::models::{Family, Forced};
use crate::outcome::Failure;

/// # Errors
/// For tools and choices that cannot be said.
pub(super) fn plan<'b>(
    asked: &Asked<'b>,
    conversation: &Conversation<'b>,
    form: &Form,
    family: &Family,
    notes: &mut Notes,
) -> Result<Tools<'b>, Failure> {
    let mut tools = Tools::default();
    for given in asked.tools.into_iter().flat_map(|list| list.elements().flatten()) {
        tools.all.push(tool(&given, family.json_schema, notes)?);
    }
    if tools.all.iter().any(|tool| !acceptable(&tool.name)) {
        return Err(unsupported("a tool with a name that is not of letters, digits, _ and -"));
    }
    tools.choice = choice(asked.tool_choice)?;
    if tools.choice == Choice::None {
        // There is no word for it, so there are no tools then; calls in the
        // history become text.
        tools.all.clear();
    }
    if let Form::Tool(schema) = form {
        let others = !tools.all.is_empty();
        if !matches!(tools.choice, Choice::Named(_)) {
            tools.choice = if others { Choice::Any } else { Choice::Named(ANSWER_TOOL.into()) };
        }
        tools.all.push(Tool {
            name: ANSWER_TOOL.into(),
            description: None,
            parameters: Parameters::Made(schema.clone()),
            strict: false,
            cache: None,
        });
    }
    if asked.parallel == Some(false) && !tools.all.is_empty() {
        notes.no_effect("parallel_tool_calls");
    }
    if tools.all.is_empty() {
        tools.choice = Choice::Unsaid;
        if !conversation.called.is_empty() {
            notes.add("tool calls in the conversation were sent as text, because no tool may be called");
        }
    }
    insist(&mut tools, family.forced, notes);
    Ok(tools)
}

/// What can be insisted on, and no more.
fn insist(tools: &mut Tools<'_>, forced: Forced, notes: &mut Notes) {
    let wanted = std::mem::take(&mut tools.choice);
    let alone = tools.all.len() == 1;
    tools.choice = match (wanted, forced) {
        (choice @ (Choice::Unsaid | Choice::Auto | Choice::None), _) | (choice, Forced::Tool) => choice,
        (Choice::Any, Forced::Any) => Choice::Any,
        // Of one tool, any is this one.
        (Choice::Named(_), Forced::Any) if alone => Choice::Any,
        (Choice::Named(_), Forced::Any) => {
            notes.add("tool_choice was weakened to required");
            Choice::Any
        }
        (Choice::Any | Choice::Named(_), Forced::None) => {
            notes.add("tool_choice was weakened to auto");
            Choice::Auto
        }
    };
}

/// Names as the API accepts them.
fn acceptable(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
