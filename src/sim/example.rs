//! A small value that a JSON schema allows, as a provider with constrained decoding
//! would give. It knows what schemas of structured outputs are made of and no more.

use serde_json::{Map, Value, json};

/// Schemas nested deeper than this get `null`.
const DEEPEST: u32 = 16;

/// A value that `schema` allows.
pub(super) fn of(schema: &Value) -> Value {
    example(schema, schema, DEEPEST)
}

fn example(schema: &Value, root: &Value, left: u32) -> Value {
    let Some(left) = left.checked_sub(1) else { return Value::Null };
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let target = to.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| example(target, root, left));
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(first) = schema.get(choice).and_then(|schemas| schemas.get(0)) {
            return example(first, root, left);
        }
    }
    let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind)).and_then(Value::as_str);
    match kind {
        Some("string") => json!("Zürich"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(3)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => {
            let item = schema.get("items").map(|items| example(items, root, left));
            item.into_iter().collect()
        }
        Some(_) | None => {
            let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            let members = members.map(|(name, schema)| (name.clone(), example(schema, root, left)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_what_their_schemas_allow() {
        let schema = json!({"type": "object", "required": ["a", "b", "c", "d"], "$defs": {"n": {"type": "integer", "minimum": 7}},
            "additionalProperties": false, "properties": {"a": {"enum": ["x", "y"]}, "b": {"$ref": "#/$defs/n"},
            "c": {"type": "array", "items": {"type": "boolean"}}, "d": {"anyOf": [{"type": "string"}, {"type": "null"}]}}});
        let value = of(&schema);
        assert!(jsonschema::is_valid(&schema, &value), "{value}");
        assert!(of(&json!(true)).is_object());
        assert!(of(&json!({ "$ref": "#" })).is_null(), "no schema makes it turn in circles for ever");
    }
}
