//! Brings a JSON schema into the part of the language that Google reads.
//!
//! The members `parametersJsonSchema` and `responseJsonSchema` take JSON Schema,
//! while the older `parameters` and `responseSchema` take a dialect of `OpenAPI`
//! that refuses whole requests over one unknown keyword. Even so, not all
//! keywords mean something there. References are written out, since they may
//! stand alone only and come back to themselves only in some places.

use serde_json::{Map, Value};

use super::Warnings;
use super::parts::short;

/// Keywords that go over as they are (Google's reference of
/// `GenerationConfig.responseJsonSchema`).
const KEPT: [&str; 11] = [
    "type",
    "format",
    "title",
    "description",
    "enum",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "required",
    "propertyOrdering",
];

/// Keywords that restrict nothing.
const NOTES: [&str; 14] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "strict",
    "nullable",
];

/// Most schemas in a schema, references written out. Google's own limits are
/// lower; this one bounds our work.
const MOST_NODES: usize = 10_000;
/// Deepest nesting, references written out.
const DEEPEST: usize = 64;

/// The schema as Google reads it.
pub(super) fn clean(schema: &Value, warnings: &mut Warnings) -> Value {
    let mut cleaner = Cleaner { root: schema, warnings, nodes: 0, depth: 0, following: Vec::new() };
    cleaner.node(schema)
}

/// Whether a tool's schema lets it take anything: Google refuses an object
/// without properties.
pub(super) fn says_something(schema: &Value) -> bool {
    let Some(members) = schema.as_object() else { return false };
    let empty =
        |name: &str| members.get(name).is_none_or(|value| value.as_object().is_none_or(Map::is_empty));
    !(empty("properties") && empty("additionalProperties") && !members.contains_key("anyOf"))
}

struct Cleaner<'a, 'w> {
    root: &'a Value,
    warnings: &'w mut Warnings,
    nodes: usize,
    depth: usize,
    /// References that are being written out.
    following: Vec<&'a str>,
}

impl<'a> Cleaner<'a, '_> {
    fn node(&mut self, schema: &'a Value) -> Value {
        // `true` allows anything, and so does a schema that says nothing.
        let Value::Object(members) = schema else { return Value::Object(Map::new()) };
        self.nodes += 1;
        if self.nodes > MOST_NODES || self.depth > DEEPEST {
            self.warnings.add("a schema was loosened where it is too large");
            return Value::Object(Map::new());
        }
        self.depth += 1;
        let mut cleaned = Map::new();
        if let Some(target) = members.get("$ref").and_then(Value::as_str) {
            self.follow(target, &mut cleaned);
        }
        for (name, value) in members {
            self.keyword(name, value, &mut cleaned);
        }
        self.depth -= 1;
        only_known(&mut cleaned);
        Value::Object(cleaned)
    }

    fn keyword(&mut self, name: &str, value: &'a Value, cleaned: &mut Map<String, Value>) {
        match (name, value) {
            // The first has been followed; the second allows anything.
            ("$ref", _) | ("items", Value::Bool(_)) => {}
            ("properties", Value::Object(properties)) => {
                let each = properties.iter().map(|(name, schema)| (name.clone(), self.node(schema)));
                let properties: Map<String, Value> = each.collect();
                insert(cleaned, "properties", properties.into());
            }
            ("items" | "additionalProperties", Value::Object(_)) => {
                let schema = self.node(value);
                insert(cleaned, name, schema);
            }
            ("additionalProperties", Value::Bool(_)) => insert(cleaned, name, value.clone()),
            // An older way to write `prefixItems`.
            ("items" | "prefixItems", Value::Array(schemas)) => {
                let schemas = self.nodes(schemas);
                insert(cleaned, "prefixItems", schemas);
            }
            // Google reads `oneOf` as `anyOf`.
            ("anyOf" | "oneOf", Value::Array(schemas)) => {
                let schemas = self.nodes(schemas);
                insert(cleaned, "anyOf", schemas);
            }
            ("allOf", Value::Array(schemas)) => {
                for schema in schemas {
                    if let Value::Object(more) = self.node(schema) {
                        merge(cleaned, more);
                    }
                }
            }
            ("const", value) => insert(cleaned, "enum", Value::Array(vec![value.clone()])),
            _ if KEPT.contains(&name) => insert(cleaned, name, value.clone()),
            _ if NOTES.contains(&name) => {}
            _ => self.warnings.add(format!("the schema keyword {} was left out", short(name))),
        }
    }

    fn nodes(&mut self, schemas: &'a [Value]) -> Value {
        schemas.iter().map(|schema| self.node(schema)).collect()
    }

    /// Writes out a reference into the same document.
    fn follow(&mut self, target: &'a str, cleaned: &mut Map<String, Value>) {
        if self.following.contains(&target) {
            self.warnings.add("a schema that contains itself was loosened where it does");
            return;
        }
        let root = self.root;
        let place = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(schema) = place else {
            self.warnings.add("a schema's reference to another document was left out");
            return;
        };
        self.following.push(target);
        if let Value::Object(more) = self.node(schema) {
            cleaned.extend(more);
        }
        self.following.pop();
    }
}

/// What stands beside a reference wins over what it refers to.
fn insert(cleaned: &mut Map<String, Value>, name: &str, value: Value) {
    cleaned.insert(name.to_owned(), value);
}

/// Adds what another schema asks for beside this one.
fn merge(cleaned: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match (cleaned.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) if name == "properties" => known.extend(more),
            (Some(Value::Array(known)), Value::Array(more)) if name == "required" => {
                let fresh: Vec<Value> = more.into_iter().filter(|one| !known.contains(one)).collect();
                known.extend(fresh);
            }
            (Some(_), _) => {}
            (None, value) => {
                cleaned.insert(name, value);
            }
        }
    }
}

/// Only properties that exist may be required.
fn only_known(cleaned: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = cleaned.get("properties") else { return };
    let names: Vec<String> = properties.keys().cloned().collect();
    if let Some(Value::Array(required)) = cleaned.get_mut("required") {
        required.retain(|name| name.as_str().is_some_and(|name| names.iter().any(|known| known == name)));
        if required.is_empty() {
            cleaned.shift_remove("required");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cleaned(schema: &Value) -> (Value, Vec<String>) {
        let mut warnings = Warnings::default();
        let cleaned = clean(schema, &mut warnings);
        (cleaned, warnings.0)
    }

    #[test]
    fn references_are_written_out() {
        let schema = json!({
            "$defs": {"City": {"type": "object", "title": "City", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
            "type": "object",
            "properties": {
                "from": {"$ref": "#/$defs/City", "description": "where it begins"},
                "to": {"allOf": [{"$ref": "#/$defs/City"}], "default": null}
            },
            "required": ["from", "gone"],
            "additionalProperties": false
        });
        let city = json!({"type": "object", "title": "City", "properties": {"name": {"type": "string"}}, "required": ["name"]});
        let mut from = city.clone();
        from["description"] = "where it begins".into();
        let expected = json!({
            "type": "object", "properties": {"from": from, "to": city}, "required": ["from"], "additionalProperties": false
        });
        assert_eq!(cleaned(&schema), (expected, vec![]));
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({
            "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "all": {"type": "array", "items": {"$ref": "#"}}}}},
            "$ref": "#/$defs/Node"
        });
        let (cleaned, warnings) = cleaned(&schema);
        assert_eq!(cleaned.pointer("/properties/next"), Some(&json!({})));
        assert_eq!(warnings, ["a schema that contains itself was loosened where it does"]);
    }

    #[test]
    fn what_google_does_not_read_is_named() {
        let schema = json!({
            "oneOf": [{"const": 1}, {"type": ["string", "null"], "pattern": "^a"}, true],
            "not": {}, "$comment": "x", "items": [{"type": "string"}], "$ref": "other.json"
        });
        let (cleaned, warnings) = cleaned(&schema);
        let expected = json!({"anyOf": [{"enum": [1]}, {"type": ["string", "null"]}, {}], "prefixItems": [{"type": "string"}]});
        assert_eq!(cleaned, expected);
        let named = ["reference to another document", "keyword pattern", "keyword not"];
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(
            named.iter().all(|word| warnings.iter().any(|warning| warning.contains(word))),
            "{warnings:?}"
        );
    }

    #[test]
    fn references_cannot_make_a_schema_explode() {
        let mut definitions = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            definitions.insert(level.to_string(), json!({"anyOf": [next, next, next, next]}));
        }
        let (cleaned, warnings) = cleaned(&json!({"$defs": definitions, "$ref": "#/$defs/0"}));
        assert!(cleaned.to_string().len() < 500_000);
        assert!(warnings.contains(&"a schema was loosened where it is too large".to_owned()));
    }

    #[test]
    fn a_tool_that_takes_nothing_has_no_schema() {
        assert!(!says_something(&json!({"type": "object", "properties": {}})));
        assert!(!says_something(&json!({"type": "object", "additionalProperties": false})));
        assert!(says_something(&json!({"type": "object", "properties": {"a": {}}})));
        assert!(says_something(&json!({"anyOf": [{"type": "object"}]})));
    }

    /// Schemas and things that only look like schemas.
    fn schema() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(vec![
            "$ref",
            "$defs",
            "properties",
            "items",
            "anyOf",
            "oneOf",
            "allOf",
            "type",
            "required",
            "const",
            "enum",
            "x",
        ]);
        let leaf = prop_oneof![
            Just(json!("#")),
            Just(json!("#/$defs")),
            Just(json!("#/properties")),
            Just(json!("string")),
            Just(json!(true)),
            Just(json!(1)),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 64, 4, move |inner| {
            prop_oneof![
                prop::collection::vec((word.clone(), inner.clone()), 0..4).prop_map(|members| members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Map<_, _>>()
                    .into()),
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_clean_stays_as_it_is(schema in schema()) {
            let once = cleaned(&schema).0;
            prop_assert!(once.is_object());
            prop_assert_eq!(cleaned(&once), (once, vec![]));
        }
    }
}
