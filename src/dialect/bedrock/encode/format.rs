//! Answers of a given form.

use serde_json::{Value, json};

use super::{Notes, unsupported};
use crate::dialect::anthropic::encode::schema;
use crate::dialect::anthropic::encode::sheet::Sheet;
use crate::dialect::bedrock::models::{Family, Forced};
use crate::json::{Kind, Raw};
use crate::outcome::Failure;

/// Converse has no mode for JSON without a schema.
const JSON: &str = "Answer with one valid JSON object and nothing else.";
/// What is said before a schema that can be asked for in no other way.
const SCHEMA: &str = "Answer with one JSON value and nothing else. It must match this JSON schema:\n";

/// How the form is asked for.
#[derive(Debug, Default)]
pub(super) enum Form {
    /// Any will do.
    #[default]
    Free,
    /// As `outputConfig.textFormat`: name and schema.
    Schema(String, Value),
    /// As a tool that must be called: its parameters.
    Tool(Value),
    /// In words.
    Words(String),
}

/// # Errors
/// For a form that cannot be asked for.
pub(super) fn plan(format: Option<Raw<'_>>, family: &Family, notes: &mut Notes) -> Result<Form, Failure> {
    let Some(format) = format else { return Ok(Form::Free) };
    match format.get(b"type").and_then(|kind| kind.as_str()).as_deref() {
        Some("text") => Ok(Form::Free),
        Some("json_object") => {
            notes.add("response_format json_object was asked for in words");
            Ok(Form::Words(JSON.to_owned()))
        }
        Some("json_schema") => {
            let given = format.get(b"json_schema");
            let schema =
                given.and_then(|given| given.get(b"schema")).filter(|schema| schema.kind == Kind::Object);
            let schema = schema.and_then(|schema| serde_json::from_slice::<Value>(schema.text).ok());
            let schema = schema.ok_or_else(|| unsupported("a response_format without a schema"))?;
            let name = given.and_then(|given| given.get(b"name")?.as_str()).unwrap_or_default().into_owned();
            Ok(with_schema(name, schema, family, notes))
        }
        _ => Err(unsupported("this response_format")),
    }
}

fn with_schema(name: String, schema: Value, family: &Family, notes: &mut Notes) -> Form {
    let object = schema.get("type").and_then(Value::as_str) == Some("object");
    match family.forced {
        _ if family.json_schema => Form::Schema(name, schema::sanitize(schema)),
        Forced::Tool | Forced::Any if object => Form::Tool(schema),
        _ => {
            notes.add("response_format json_schema was asked for in words");
            Form::Words(format!("{SCHEMA}{schema}"))
        }
    }
}

impl Form {
    /// What is to be said in the system's words.
    pub(super) fn instruction(&self) -> Option<&str> {
        match self {
            Form::Words(words) => Some(words),
            Form::Free | Form::Schema(..) | Form::Tool(_) => None,
        }
    }

    /// Writes `outputConfig`. The schema is a string there.
    pub(super) fn write(&self, sheet: &mut Sheet<'_>) {
        let Form::Schema(name, schema) = self else { return };
        let mut definition = json!({ "schema": schema.to_string() });
        if let (false, Some(members)) = (name.is_empty(), definition.as_object_mut()) {
            members.insert("name".to_owned(), name.as_str().into());
        }
        let format = json!({"type": "json_schema", "structure": {"jsonSchema": definition}});
        sheet.push(&format!(",\"outputConfig\":{{\"textFormat\":{format}}}"));
    }
}
