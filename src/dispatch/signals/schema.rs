//! Whether JSON is what a JSON Schema says, when both come from outside.
//!
//! The schema's library guards against references that turn in circles and
//! remembers what it has compared on the way round. What is added here are limits:
//! nothing is ever fetched, patterns cannot explode (no look-around, linear time),
//! and a schema is left alone that has too many references, which nest where the
//! library calls itself, or whose references come to too many checks when each is
//! followed: thirty definitions that each name the next one twice are a thousand
//! million. A schema that cannot be used says nothing about an answer.

use jsonschema::PatternOptions;
use serde_json::Value;

/// References in one schema: a chain of them nests the checks that deep on every
/// level of an answer.
const MOST_REFERENCES: usize = 64;
/// References that are followed in all, each as often as it is named: a millisecond.
const MOST_FOLLOWED: usize = 10_000;
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
        let mut unfolding = Unfolding { root: schema, under_way: vec!["#"], left: MOST_FOLLOWED };
        unfolding.follow(schema)?;
        let patterns = PatternOptions::regex().size_limit(MOST_PATTERN).dfa_size_limit(MOST_PATTERN);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        options.should_validate_formats(false).build(schema).ok().map(Schema)
    }

    /// Whether `value` is what the schema says.
    pub(super) fn allows(&self, value: &Value) -> bool {
        self.0.is_valid(value)
    }
}

/// A schema being followed through all its references.
struct Unfolding<'s> {
    root: &'s Value,
    /// The references that led here: one that turns back is not followed again.
    under_way: Vec<&'s str>,
    left: usize,
}

impl<'s> Unfolding<'s> {
    /// Nothing when there is too much of it, or when a reference is no pointer into
    /// this document, so that nobody knows what it would come to.
    fn follow(&mut self, schema: &'s Value) -> Option<()> {
        match schema {
            Value::Array(items) => items.iter().try_for_each(|item| self.follow(item)),
            Value::Object(members) => {
                members.iter().try_for_each(|(name, value)| match (name.as_str(), value) {
                    ("$ref", Value::String(to)) => self.refer(to),
                    ("$dynamicRef" | "$recursiveRef", _) => None,
                    // It would be another document, with pointers of its own.
                    ("$id", Value::String(_)) if !std::ptr::eq(schema, self.root) => None,
                    // What they define counts where it is named.
                    ("$defs" | "definitions", _) => Some(()),
                    _ => self.follow(value),
                })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
        }
    }

    fn refer(&mut self, to: &'s str) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if self.under_way.contains(&to) {
            return Some(());
        }
        let found = self.root.pointer(to.strip_prefix('#')?)?;
        self.under_way.push(to);
        let followed = self.follow(found);
        self.under_way.pop();
        followed
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
        assert_eq!(checked(chain(11, doubled), json!({})), Some(true));
        assert_eq!(checked(chain(30, doubled), json!({})), None, "a thousand million checks");
        let apart = |to: Value| json!({ "properties": { "a": to, "next": to } });
        assert_eq!(checked(chain(11, apart), deep(8)), Some(true));
        assert_eq!(checked(chain(30, apart), json!({})), None, "as many");
        for other in [json!({ "$dynamicRef": "#" }), json!({ "$ref": "#anchor", "$anchor": "anchor" })] {
            assert_eq!(checked(other, json!({})), None, "nobody knows how many");
        }
        let inner = json!({ "$id": "inner", "$ref": "#/$defs/x", "$defs": { "x": { "type": "object" } } });
        assert_eq!(checked(json!({ "allOf": [inner] }), json!({})), None, "pointers of its own");
        let twice = |to: &str| {
            json!({ "allOf": [{ "properties": { "next": { "$ref": to } } },
            { "properties": { "next": { "$ref": to } } }] })
        };
        let ring =
            json!({ "$ref": "#/$defs/a", "$defs": { "a": twice("#/$defs/b"), "b": twice("#/$defs/a") } });
        assert_eq!(checked(ring, (0..100).fold(json!({}), |inner, _| json!({ "next": inner }))), Some(true));
        let shared = json!({ "prefixItems": vec![json!({ "$ref": "#/$defs/x" }); 60], "$defs": { "x": { "type": "string" } } });
        assert_eq!(checked(shared, json!(["a", 1])), Some(false), "naming one often is nothing much");
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
