//! Brings a JSON schema into the part of the language that Anthropic enforces
//! (its page on structured outputs, seen 2026-11-22). What it refuses is said in
//! the description instead, where the model still reads it.

use serde_json::{Map, Value};

/// Keywords that are enforced as they are.
const KEPT: [&str; 7] = ["type", "required", "enum", "const", "title", "description", "default"];
/// Keywords whose value is a schema, a list of them, or schemas by name.
const NESTED: [&str; 6] = ["items", "anyOf", "allOf", "properties", "$defs", "definitions"];
/// Values of `format` that are enforced.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The schema without what would be refused.
pub(in crate::dialect) fn sanitize(schema: Value) -> Value {
    let Value::Object(mut given) = schema else { return schema };
    if let Some(reference) = given.remove("$ref") {
        // Refused beside anything else, but for the definitions at the root.
        let mut kept = Map::from_iter([("$ref".to_owned(), reference)]);
        for name in ["$defs", "definitions"] {
            kept.extend(given.remove(name).map(|definitions| (name.to_owned(), each(name, definitions))));
        }
        return Value::Object(kept);
    }
    let mut kept = Map::new();
    let mut said = Vec::new();
    for (name, value) in given {
        match name.as_str() {
            // Written below for every object; what it said otherwise is refused.
            "additionalProperties" | "$schema" | "$id" | "$comment" => {}
            "oneOf" => {
                kept.insert("anyOf".to_owned(), each("anyOf", value));
            }
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                kept.insert(name, value);
            }
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                kept.insert(name, value);
            }
            name if KEPT.contains(&name) => {
                kept.insert(name.to_owned(), value);
            }
            name if NESTED.contains(&name) => {
                kept.insert(name.to_owned(), each(name, value));
            }
            _ => said.push(format!("{name}: {value}")),
        }
    }
    if is_object(&kept) {
        kept.insert("additionalProperties".to_owned(), false.into());
    }
    if !said.is_empty() {
        let before = kept.get("description").and_then(Value::as_str);
        let before = before.map(|text| format!("{text}\n")).unwrap_or_default();
        kept.insert("description".to_owned(), format!("{before}({})", said.join(", ")).into());
    }
    Value::Object(kept)
}

fn is_object(schema: &Map<String, Value>) -> bool {
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => false,
    };
    named || schema.contains_key("properties")
}

fn each(name: &str, value: Value) -> Value {
    let by_name = matches!(name, "properties" | "$defs" | "definitions");
    match value {
        Value::Array(schemas) => schemas.into_iter().map(sanitize).collect(),
        Value::Object(schemas) if by_name => {
            Value::Object(schemas.into_iter().map(|(name, schema)| (name, sanitize(schema))).collect())
        }
        other => sanitize(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_refused_is_said_in_the_description() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 0, "maximum": 150, "description": "In years."},
                "when": {"type": "string", "format": "date"},
                "what": {"type": "string", "format": "regex", "pattern": "^a"},
                "either": {"oneOf": [{"type": "object", "properties": {}}, {"$ref": "#/$defs/node", "title": "t"}]},
            },
            "required": ["age"],
            "additionalProperties": {"type": "string"},
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": "In years.\n(minimum: 0, maximum: 150)"},
                "when": {"type": "string", "format": "date"},
                "what": {"type": "string", "description": "(format: \"regex\", pattern: \"^a\")"},
                "either": {"anyOf": [
                    {"type": "object", "properties": {}, "additionalProperties": false},
                    {"$ref": "#/$defs/node"},
                ]},
            },
            "required": ["age"],
            "$defs": {"node": {
                "type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "additionalProperties": false,
            }},
            "additionalProperties": false,
        });
        assert_eq!(sanitize(schema), expected);
    }

    #[test]
    fn a_property_may_have_the_name_of_a_keyword() {
        let schema =
            json!({"type": "object", "properties": {"pattern": {"type": "string"}, "not": {"type": "null"}}});
        let expected = json!({
            "type": "object",
            "properties": {"pattern": {"type": "string"}, "not": {"type": "null"}},
            "additionalProperties": false,
        });
        assert_eq!(sanitize(schema), expected);
    }

    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop::sample::select(vec![
            json!(true),
            json!({"type": "string", "minLength": 3}),
            json!({"type": "integer", "multipleOf": 2, "description": "d"}),
            json!({"$ref": "#/$defs/a", "description": "x"}),
        ]);
        leaf.prop_recursive(4, 32, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"oneOf": all})),
                inner.clone().prop_map(|one| json!({"type": "array", "items": one, "uniqueItems": true})),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|all| json!({"type": "object", "properties": all, "minProperties": 1})),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_clean_stays_as_it_is(schema in schemas()) {
            let clean = sanitize(schema);
            prop_assert!(!clean.to_string().contains("\"oneOf\""));
            prop_assert_eq!(sanitize(clean.clone()), clean);
        }
    }
}
