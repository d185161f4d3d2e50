//! Answers of a given form.

use serde_json::Value;

use super::sheet::Sheet;
use super::{Notes, schema, unsupported};
use crate::dialect::anthropic::models::Family;
use crate::json::{Kind, Raw};
use crate::outcome::Failure;

/// Anthropic has no mode for JSON without a schema.
const INSTRUCTION: &str = "Answer with one valid JSON object and nothing else.";

/// How the form is asked for.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// As `output_config.format`: the schema.
    schema: Option<Value>,
    /// As a tool that must be called: its parameters.
    pub(super) tool: Option<Value>,
    /// In words.
    pub(super) instruction: Option<&'static str>,
}

/// # Errors
/// For a form that cannot be asked for.
pub(super) fn plan(format: Option<Raw<'_>>, family: &Family, notes: &mut Notes) -> Result<Form, Failure> {
    let Some(format) = format else { return Ok(Form::default()) };
    let in_words = Form { instruction: Some(INSTRUCTION), ..Form::default() };
    match format.get(b"type").and_then(|kind| kind.as_str()).as_deref() {
        Some("text") => Ok(Form::default()),
        Some("json_object") => {
            notes.add("response_format json_object was asked for in words");
            Ok(in_words)
        }
        Some("json_schema") => {
            let schema = format.get(b"json_schema").and_then(|inner| inner.get(b"schema"));
            let schema = schema.filter(|schema| schema.kind == Kind::Object);
            let schema = schema.and_then(|schema| serde_json::from_slice::<Value>(schema.text).ok());
            let Some(schema) = schema else { return Err(unsupported("a response_format without a schema")) };
            if family.json_schema {
                return Ok(Form { schema: Some(schema::sanitize(schema)), ..Form::default() });
            }
            if schema.get("type").and_then(Value::as_str) != Some("object") {
                return Err(unsupported("a JSON schema whose root is not an object"));
            }
            Ok(Form { tool: Some(schema), ..Form::default() })
        }
        _ => Err(unsupported("this response_format")),
    }
}

impl Form {
    /// Writes `output_config`, with the effort that goes into it as well.
    pub(super) fn write(&self, effort: Option<&str>, sheet: &mut Sheet<'_>) {
        let mut config = serde_json::Map::new();
        if let Some(effort) = effort {
            config.insert("effort".to_owned(), effort.into());
        }
        if let Some(schema) = &self.schema {
            config.insert("format".to_owned(), serde_json::json!({"type": "json_schema", "schema": schema}));
        }
        if !config.is_empty() {
            sheet.push(",\"output_config\":");
            sheet.push(&Value::Object(config).to_string());
        }
    }
}
