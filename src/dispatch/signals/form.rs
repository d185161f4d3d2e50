//! Whether an answer has the form that was asked for.

use serde_json::Value;

use super::schema::Schema;
use super::signal::Signal;

/// What was asked for, understood.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Whether the text must be JSON …
    json: bool,
    /// … an object …
    object: bool,
    /// … and of which schema.
    schema: Option<Schema>,
    /// The tools that were offered; calls say nothing when there are none.
    tools: Vec<Tool>,
}

#[derive(Debug)]
struct Tool {
    name: String,
    /// What its arguments must be; anything when there is none that can be used.
    schema: Option<Schema>,
}

impl Wanted {
    /// Reads a `response_format` and the `tools` or `functions` of a request.
    pub(super) fn of(format: Option<&[u8]>, tools: Option<&[u8]>) -> Wanted {
        let parsed = |text: Option<&[u8]>| serde_json::from_slice::<Value>(text?).ok();
        let mut wanted = Wanted::default();
        if let Some(format) = parsed(format) {
            wanted.json = true;
            wanted.object = format.get("type").and_then(Value::as_str) == Some("json_object");
            wanted.schema = format.pointer("/json_schema/schema").and_then(Schema::of);
        }
        if let Some(Value::Array(offered)) = parsed(tools) {
            wanted.tools = offered.iter().filter_map(Tool::of).collect();
        }
        wanted
    }

    /// What is found in a complete answer, each signal once; nothing when its form
    /// is right.
    pub(super) fn found(&self, answer: &Value) -> Vec<Signal> {
        let mut found = Vec::new();
        for choice in answer.get("choices").and_then(Value::as_array).into_iter().flatten() {
            let message = choice.get("message").unwrap_or(&Value::Null);
            for signal in self.message(message) {
                if !found.contains(&signal) {
                    found.push(signal);
                }
            }
        }
        found
    }

    fn message(&self, message: &Value) -> Vec<Signal> {
        if message.get("refusal").and_then(Value::as_str).is_some_and(|refusal| !refusal.is_empty()) {
            return vec![Signal::Refused];
        }
        let calls = calls(message);
        if !calls.is_empty() {
            return calls.into_iter().filter_map(|call| self.call(call)).collect();
        }
        let text = text(message);
        if text.trim().is_empty() {
            let heard = message.get("audio").is_some_and(|audio| !audio.is_null());
            return if heard { Vec::new() } else { vec![Signal::Empty] };
        }
        if self.json { self.text(&text).into_iter().collect() } else { Vec::new() }
    }

    fn text(&self, text: &str) -> Option<Signal> {
        let Ok(value) = serde_json::from_str::<Value>(text) else { return Some(Signal::NotJson) };
        let fits = self.schema.as_ref().is_none_or(|schema| schema.allows(&value));
        let right = fits && (!self.object || value.is_object());
        (!right).then_some(Signal::SchemaMismatch)
    }

    /// What is wrong with one call. The three ways are those that `OpenRouter`'s
    /// documentation of Auto Exacto counts as a tool error (read in November 2026).
    fn call(&self, (name, arguments): (&str, Option<&str>)) -> Option<Signal> {
        if self.tools.is_empty() {
            return None;
        }
        let Some(tool) = self.tools.iter().find(|tool| tool.name == name) else {
            return Some(Signal::ToolUnknown);
        };
        // A call without arguments is one with none.
        let arguments = arguments.map(|text| if text.trim().is_empty() { "{}" } else { text })?;
        let Ok(value) = serde_json::from_str::<Value>(arguments) else { return Some(Signal::ToolNotJson) };
        let fits = tool.schema.as_ref().is_none_or(|schema| schema.allows(&value));
        (!fits).then_some(Signal::ToolMismatch)
    }
}

impl Tool {
    fn of(offered: &Value) -> Option<Tool> {
        // The older `functions` are what `tools` have under `function`.
        let described = offered.get("function").or_else(|| offered.get("custom")).unwrap_or(offered);
        let name = described.get("name").and_then(Value::as_str)?.to_owned();
        Some(Tool { name, schema: described.get("parameters").and_then(Schema::of) })
    }
}

/// Names and arguments of the calls; a custom tool's input is no JSON.
fn calls<'m>(message: &'m Value) -> Vec<(&'m str, Option<&'m str>)> {
    let listed = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let named = |call: &'m Value| call.get("function").or_else(|| call.get("custom")).unwrap_or(call);
    let mut calls: Vec<_> = listed.map(|call| as_call(named(call))).collect();
    if let Some(old) = message.get("function_call").filter(|call| call.is_object()) {
        calls.push(as_call(old));
    }
    calls
}

fn as_call(named: &Value) -> (&str, Option<&str>) {
    let text = |name: &str| named.get(name).and_then(Value::as_str);
    (text("name").unwrap_or_default(), text("arguments"))
}

/// The text of a message, also where it comes in parts.
pub(super) fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(format: &Value, tools: &Value) -> Wanted {
        let text = |value: &Value| (!value.is_null()).then(|| value.to_string().into_bytes());
        Wanted::of(text(format).as_deref(), text(tools).as_deref())
    }

    fn found(wanted: &Wanted, message: &Value) -> Vec<Signal> {
        wanted.found(&json!({ "choices": [{ "message": message }] }))
    }

    fn says(text: &str) -> Value {
        json!({ "role": "assistant", "content": text, "refusal": null })
    }

    #[test]
    fn json_of_a_schema() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
        let wanted = wanted(&format, &Value::Null);
        assert_eq!(found(&wanted, &says(" {\"n\": 1}\n")), []);
        assert_eq!(found(&wanted, &says("{\"n\": \"1\"}")), [Signal::SchemaMismatch]);
        for text in ["```json\n{\"n\": 1}\n```", "Sure! {\"n\":1}", "{\"n\": 1"] {
            assert_eq!(found(&wanted, &says(text)), [Signal::NotJson], "{text}");
        }
        assert_eq!(found(&wanted, &says("")), [Signal::Empty]);
        assert_eq!(found(&wanted, &json!({ "content": null, "refusal": "no" })), [Signal::Refused]);
        let parts =
            json!({ "content": [{ "type": "text", "text": "{\"n\"" }, { "type": "text", "text": ":1}" }] });
        assert_eq!(found(&wanted, &parts), []);
    }

    #[test]
    fn json_of_any_form() {
        let object = wanted(&json!({ "type": "json_object" }), &Value::Null);
        assert_eq!(found(&object, &says("{}")), []);
        assert_eq!(found(&object, &says("[]")), [Signal::SchemaMismatch]);
        let broken = json!({ "type": "json_schema", "json_schema": { "schema": { "type": 7 } } });
        assert_eq!(found(&wanted(&broken, &Value::Null), &says("3")), [], "a bad schema blames nobody");
    }

    #[test]
    fn calls_of_tools() {
        let parameters =
            json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}},
            {"type": "custom", "custom": {"name": "shell"}}, {"type": "function", "function": {"name": "now"}}]);
        let wanted = wanted(&Value::Null, &tools);
        let call = |name: &str, arguments: &str| {
            let function = json!({ "name": name, "arguments": arguments });
            json!({ "content": null, "tool_calls": [{ "id": "1", "type": "function", "function": function }] })
        };
        assert_eq!(found(&wanted, &call("weather", "{\"city\":\"Bern\"}")), []);
        assert_eq!(found(&wanted, &call("now", "")), []);
        assert_eq!(found(&wanted, &call("wether", "{}")), [Signal::ToolUnknown]);
        assert_eq!(found(&wanted, &call("weather", "{\"city\":")), [Signal::ToolNotJson]);
        assert_eq!(found(&wanted, &call("weather", "{\"city\":3}")), [Signal::ToolMismatch]);
        let custom = json!({ "name": "shell", "input": "ls {" });
        let custom = json!({ "tool_calls": [{ "id": "1", "type": "custom", "custom": custom }] });
        assert_eq!(found(&wanted, &custom), []);
        assert_eq!(found(&wanted, &says("no call is needed")), []);
        let old = json!({ "content": null, "function_call": { "name": "gone", "arguments": "{}" } });
        assert_eq!(found(&wanted, &old), [Signal::ToolUnknown]);
    }

    #[test]
    fn each_kind_counts_once_however_often_it_occurs() {
        let wanted = wanted(&Value::Null, &json!([{"type": "function", "function": {"name": "a"}}]));
        let call = json!({ "function": { "name": "b", "arguments": "{}" } });
        let message = json!({ "tool_calls": [call, call] });
        let answer = json!({ "choices": [{ "message": message }, { "message": message }] });
        assert_eq!(wanted.found(&answer), [Signal::ToolUnknown]);
    }
}
