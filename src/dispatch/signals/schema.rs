//! Whether JSON is what a JSON Schema says, when both come from outside.
//!
//! The schema's library guards against references that turn in circles and
//! remembers what it has compared. What is added here are limits: nothing is ever
//! fetched, patterns cannot explode (no look-around, linear time), and a schema
//! with too many references, which nest where the library calls itself, is left
//! alone. A schema that cannot be used says nothing about an answer.

use jsonschema::PatternOptions;
use serde_json::Value;

/// References in one schema: a chain of them nests the checks that deep on every
/// level of an answer.
const MOST_REFERENCES: usize = 64;
/// Bytes of a compiled pattern.
const MOST_PATTERN: usize = 256 << 10;

/// A schema that can be used.
#[derive(Debug)]
pub(super) struct Schema(jsonschema::Validator);

impl Schema {
    /// Understands a schema; nothing when it cannot be used.
    pub(super) fn of(schema: &Value) -> Option<Schema> {
        if references(schema) > MOST_REFERENCES {
            return None;
        }
        let patterns = PatternOptions::regex().size_limit(MOST_PATTERN).dfa_size_limit(MOST_PATTERN);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        options.should_validate_formats(false).build(schema).ok().map(Schema)
    }

    /// Whether `value` is what the schema says.
    pub(super) fn allows(&self, value: &Value) -> bool {
        self.0.is_valid(value)
    }
}

fn references(schema: &Value) -> usize {
    match schema {
        Value::Array(items) => items.iter().map(references).sum(),
        Value::Object(members) => {
            let refers = |name: &&String| matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
            members.keys().filter(refers).count() + members.values().map(references).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// On a stack as large as the thread's, as schemas are checked.
    fn checked(schema: Value, value: Value) -> Option<bool> {
        let thread = std::thread::Builder::new().stack_size(super::super::STACK);
        let check = move || Schema::of(&schema).map(|schema| schema.allows(&value));
        thread.spawn(check).unwrap().join().unwrap()
    }

    fn chain(length: usize, next: impl Fn(Value) -> Value) -> Value {
        let mut definitions = serde_json::Map::new();
        for n in 0..length {
            let to = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            definitions.insert(format!("d{n}"), next(to));
        }
        definitions.insert(format!("d{length}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/d0", "$defs": definitions })
    }

    fn deep(levels: usize) -> Value {
        (0..levels).fold(json!({}), |inner, _| json!({ "next": inner, "a": inner }))
    }

    #[test]
    fn says_what_the_schema_says() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1},
            "s": {"type": "string", "pattern": "^a+$"}}, "required": ["n"], "additionalProperties": false});
        for (value, good) in [
            (json!({"n": 1}), true),
            (json!({"n": 1, "s": "aa"}), true),
            (json!({"n": 0}), false),
            (json!({"n": 1, "s": "b"}), false),
            (json!({"n": 1, "more": 1}), false),
            (json!([]), false),
        ] {
            assert_eq!(checked(schema.clone(), value.clone()), Some(good), "{value}");
        }
    }

    #[test]
    fn nothing_is_fetched() {
        for address in ["http://127.0.0.1:1/schema", "file:///etc/passwd", "https://example.com/x.json"] {
            assert_eq!(checked(json!({ "$ref": address }), json!({})), None, "{address}");
        }
    }

    #[test]
    fn circles_and_trees_of_references_end() {
        checked(json!({ "$ref": "#" }), json!({}));
        checked(json!({ "allOf": [{ "$ref": "#" }, { "not": { "$ref": "#" } }] }), json!({}));
        let doubled = |to: Value| json!({ "allOf": [to, to] });
        assert_eq!(checked(chain(30, doubled), json!({})), Some(true));
        let apart = |to: Value| json!({ "properties": { "a": to, "next": to } });
        assert_eq!(checked(chain(30, apart), json!({})), Some(true));
        let branching = json!({"anyOf": [
            {"properties": {"next": {"$ref": "#"}}, "required": ["missing"]},
            {"properties": {"next": {"$ref": "#"}}, "required": ["missing as well"]},
            {"type": "object", "not": {"required": ["next"]}}]});
        let line = (0..100).fold(json!({}), |inner, _| json!({ "next": inner }));
        assert!(checked(branching, line).is_some());
        assert_eq!(checked(chain(1000, doubled), json!({})), None, "too many references");
    }

    #[test]
    fn as_deep_as_json_may_be_is_not_too_deep() {
        let recursive = chain(MOST_REFERENCES - 4, |to| json!({ "allOf": [to], "maxProperties": 99 }));
        let mut recursive = recursive;
        let last = format!("d{}", MOST_REFERENCES - 4);
        recursive["$defs"][last] = json!({ "properties": { "next": { "$ref": "#" } } });
        let line = (0..126).fold(json!({}), |inner, _| json!({ "next": inner }));
        assert_eq!(checked(recursive, line), Some(true));
        assert_eq!(checked(json!({ "type": "object" }), deep(5)), Some(true));
    }

    #[test]
    fn patterns_cannot_explode() {
        let evil = json!({ "type": "string", "pattern": "^(a+)+$" });
        assert_eq!(checked(evil, json!(format!("{}b", "a".repeat(20_000)))), Some(false));
        assert_eq!(checked(json!({ "pattern": "(((a{99}){99}){99}){99}" }), json!("a")), None);
    }
}
