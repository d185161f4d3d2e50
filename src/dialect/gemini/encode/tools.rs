//! Tools, and which of them must be called.

use serde_json::{Value, json};

use super::body::Text;
use super::parts::short;
use super::{Warnings, cannot, schema};
use crate::json::{Kind, Raw};
use crate::outcome::Failure;

/// A function the model may call.
#[derive(Debug)]
pub(super) struct Tool {
    /// Its name.
    pub(super) name: String,
    /// What it is for.
    pub(super) description: Option<Text>,
    /// The schema of its arguments, as JSON; `None` when it takes none.
    pub(super) parameters: Option<String>,
    /// Whether arguments must keep to the schema.
    strict: bool,
}

/// Reads a list of tools, whose function is in the member `inner`, or of
/// functions.
pub(super) fn read(
    list: &Raw<'_>,
    inner: Option<&str>,
    warnings: &mut Warnings,
) -> Result<Vec<Tool>, Failure> {
    let mut tools = Vec::new();
    for tool in list.elements().filter_map(Result::ok) {
        let function = match inner {
            Some(inner) => tool.get(inner.as_bytes()),
            None => Some(tool),
        };
        let Some(function) = function.filter(|function| function.kind == Kind::Object) else {
            let kind = tool.get(b"type").and_then(|kind| kind.as_str()).unwrap_or_default();
            return Err(cannot(format!("a tool of type {:?}", short(&kind))));
        };
        tools.push(one(&function, warnings)?);
    }
    Ok(tools)
}

fn one(function: &Raw<'_>, warnings: &mut Warnings) -> Result<Tool, Failure> {
    let name = function.get(b"name").and_then(|name| name.as_str()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| cannot("a tool without a name"))?;
    let description =
        function.get(b"description").as_ref().and_then(Text::of).filter(|text| !text.is_empty());
    let parameters = function.get(b"parameters").filter(|parameters| parameters.kind == Kind::Object);
    let parameters = match parameters {
        None => None,
        Some(parameters) => {
            let schema: Value = serde_json::from_slice(parameters.text)
                .map_err(|_| cannot("a schema that cannot be read"))?;
            let mut schema = schema::clean(&schema, warnings);
            if let Some(members) = schema.as_object_mut().filter(|members| members.contains_key("properties"))
            {
                members.entry("type").or_insert_with(|| "object".into());
            }
            schema::says_something(&schema).then(|| schema.to_string())
        }
    };
    let strict = function.get(b"strict").and_then(|strict| strict.as_bool()) == Some(true);
    Ok(Tool { name: name.into_owned(), description, parameters, strict })
}

/// `functionCallingConfig`; `None` where Google's default is meant.
pub(super) fn choice(
    choice: Option<&Raw<'_>>,
    tools: &[Tool],
    warnings: &mut Warnings,
) -> Result<Option<Value>, Failure> {
    if tools.is_empty() {
        if choice.is_some_and(|choice| choice.as_str().is_none_or(|word| word != "none" && word != "auto")) {
            warnings.add("tool_choice was left out, since there are no tools");
        }
        return Ok(None);
    }
    let strict = tools.iter().any(|tool| tool.strict);
    let free = || strict.then(|| json!({"mode": "VALIDATED"}));
    let Some(choice) = choice else { return Ok(free()) };
    if let Some(word) = choice.as_str() {
        return match word.as_ref() {
            "auto" => Ok(free()),
            "none" => Ok(Some(json!({"mode": "NONE"}))),
            "required" | "any" => Ok(Some(json!({"mode": "ANY"}))),
            other => Err(cannot(format!("a tool_choice of {:?}", short(other)))),
        };
    }
    let name = |tool: &Raw<'_>| {
        let function = tool.get(b"function").unwrap_or(*tool);
        function.get(b"name").and_then(|name| name.as_str()).map(std::borrow::Cow::into_owned)
    };
    if let Some(allowed) = choice.get(b"allowed_tools") {
        let names: Vec<String> = allowed
            .get(b"tools")
            .iter()
            .flat_map(Raw::elements)
            .filter_map(Result::ok)
            .filter_map(|tool| name(&tool))
            .collect();
        let must = allowed.get(b"mode").and_then(|mode| mode.as_str()).is_some_and(|mode| mode == "required");
        // Only with these modes does Google look at the names.
        let mode = if must { "ANY" } else { "VALIDATED" };
        return Ok(Some(json!({"mode": mode, "allowedFunctionNames": names})));
    }
    let name = name(choice).ok_or_else(|| cannot("a tool_choice without a function"))?;
    Ok(Some(json!({"mode": "ANY", "allowedFunctionNames": [name]})))
}
