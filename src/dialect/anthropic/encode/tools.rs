//! What tools there are, and which must be called.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::asked::Asked;
use super::block::{Cache, cache};
use super::format::Form;
use super::turns::Conversation;
use super::{Notes, schema, unsupported};
use crate::dialect::anthropic::ANSWER_TOOL;
use crate::dialect::anthropic::models::Family;
use crate::json::{Kind, Raw};
use crate::outcome::Failure;

/// One tool.
#[derive(Debug)]
pub(in crate::dialect) struct Tool<'b> {
    pub(in crate::dialect) name: Cow<'b, str>,
    pub(in crate::dialect) description: Option<Raw<'b>>,
    pub(in crate::dialect) parameters: Parameters<'b>,
    pub(in crate::dialect) strict: bool,
    pub(in crate::dialect) cache: Option<Cache<'b>>,
}

/// What a tool takes.
#[derive(Debug)]
pub(in crate::dialect) enum Parameters<'b> {
    /// As the caller wrote it.
    Given(Raw<'b>),
    /// As we had to write it.
    Made(Value),
}

/// Which tool is to be called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::dialect) enum Choice<'b> {
    /// Nothing is said about it.
    #[default]
    Unsaid,
    /// Any or none.
    Auto,
    /// None.
    None,
    /// At least one.
    Any,
    /// This one.
    Named(Cow<'b, str>),
}

/// All about tools.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Tools<'b> {
    pub(in crate::dialect) all: Vec<Tool<'b>>,
    pub(in crate::dialect) choice: Choice<'b>,
    /// Whether only one may be called at a time.
    pub(in crate::dialect) alone: bool,
}

impl Tools<'_> {
    /// Whether one must be called.
    pub(in crate::dialect) fn is_forced(&self) -> bool {
        matches!(self.choice, Choice::Any | Choice::Named(_))
    }
}

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
    if !tools.all.is_empty() {
        tools.choice = choice(asked.tool_choice)?;
        tools.alone = asked.parallel == Some(false);
    } else if !conversation.called.is_empty() {
        // Calls in the history need their tools; none of them is to be called.
        tools.all = called(conversation);
        tools.choice = Choice::None;
    }
    if let Some(answer) = &form.tool {
        let others = tools.choice != Choice::None && !tools.all.is_empty();
        if !matches!(tools.choice, Choice::Named(_)) {
            tools.choice = if others { Choice::Any } else { Choice::Named(ANSWER_TOOL.into()) };
        }
        tools.alone = true;
        tools.all.push(Tool {
            name: ANSWER_TOOL.into(),
            description: None,
            parameters: Parameters::Made(answer.clone()),
            strict: false,
            cache: None,
        });
    }
    if tools.alone && tools.choice == Choice::Unsaid {
        tools.choice = Choice::Auto;
    }
    Ok(tools)
}

/// The function of a tool; some callers leave the envelope out. `schemas`: whether
/// the model can be held to its parameters.
///
/// # Errors
/// For a tool that cannot be said.
pub(in crate::dialect) fn tool<'b>(
    given: &Raw<'b>,
    schemas: bool,
    notes: &mut Notes,
) -> Result<Tool<'b>, Failure> {
    let kind = given.get(b"type").and_then(|kind| kind.as_str());
    if kind.is_some_and(|kind| kind != "function") {
        return Err(unsupported("a tool that is not a function"));
    }
    let function = given.get(b"function").unwrap_or(*given);
    let name = function.get(b"name").and_then(|name| name.as_str()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| unsupported("a tool without a name"))?;
    if name == ANSWER_TOOL {
        return Err(unsupported("a tool with a reserved name"));
    }
    let mut strict = function.get(b"strict").and_then(|strict| strict.as_bool()) == Some(true);
    if strict && !schemas {
        notes.no_effect("strict");
        strict = false;
    }
    let description = function.get(b"description").filter(|text| text.kind == Kind::String);
    Ok(Tool {
        name,
        description: description.filter(|text| text.inner().is_some_and(|text| !text.is_empty())),
        parameters: parameters(function.get(b"parameters"), strict),
        strict,
        cache: cache(given).or_else(|| cache(&function)),
    })
}

/// The API insists on a schema, and on its being one of an object.
fn parameters(given: Option<Raw<'_>>, strict: bool) -> Parameters<'_> {
    let nothing = || Parameters::Made(json!({"type": "object", "properties": {}}));
    let Some(given) = given.filter(|given| given.kind == Kind::Object) else { return nothing() };
    let typed = given.get(b"type").is_some();
    if typed && !strict {
        return Parameters::Given(given);
    }
    let Ok(Value::Object(mut schema)) = serde_json::from_slice(given.text) else { return nothing() };
    schema.entry("type").or_insert_with(|| "object".into());
    Parameters::Made(if strict { schema::sanitize(schema.into()) } else { schema.into() })
}

/// # Errors
/// For a choice that cannot be said.
pub(in crate::dialect) fn choice(given: Option<Raw<'_>>) -> Result<Choice<'_>, Failure> {
    let Some(given) = given else { return Ok(Choice::Unsaid) };
    let bad = || unsupported("this tool_choice");
    if let Some(word) = given.as_str() {
        return match word.as_ref() {
            "auto" => Ok(Choice::Auto),
            "none" => Ok(Choice::None),
            "required" | "any" => Ok(Choice::Any),
            _ => Err(bad()),
        };
    }
    let name = given.get(b"function").unwrap_or(given).get(b"name").and_then(|name| name.as_str());
    match given.get(b"type").and_then(|kind| kind.as_str()).as_deref() {
        Some("function") => name.map(Choice::Named).ok_or_else(bad),
        _ => Err(bad()),
    }
}

/// The tools of the history, as far as their names tell.
fn called<'b>(conversation: &Conversation<'b>) -> Vec<Tool<'b>> {
    let mut tools: Vec<Tool<'b>> = Vec::new();
    for name in conversation.called.iter().filter_map(Raw::as_str) {
        if !tools.iter().any(|tool| tool.name == name) {
            tools.push(Tool {
                name,
                description: None,
                parameters: Parameters::Made(json!({"type": "object"})),
                strict: false,
                cache: None,
            });
        }
    }
    tools
}
