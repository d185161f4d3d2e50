//! Whether a configuration has the right shape: known keys, right types,
//! numbers within their ranges, texts of their kind. The JSON Schema that is
//! published is the one that is checked against, so the two cannot differ; and
//! unlike deserialisation, which stops at the first error, this finds them all.
//! What is wrong is left out of the result, so that the rest can be checked too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

use serde_json::{Map, Value as Json};

use super::assemble::assemble;
use super::human::{Bytes, Span};
use super::problem::{Problems, did_you_mean};
use super::raw::Raw;
use super::tree::{Node, Path, Value};

/// The JSON Schema of a configuration file.
pub(super) fn schema() -> &'static Json {
    static SCHEMA: OnceLock<Json> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true);
        settings.into_generator().into_root_schema_for::<Raw>().to_value()
    })
}

/// Reads what has the right shape and adds what has not to the problems.
pub(super) fn read(tree: &Node, problems: &mut Problems) -> Raw {
    let mut shape = Shape { tree, problems };
    let root = Path::default();
    let clean = shape.value(tree, schema(), &root).unwrap_or_default();
    match assemble::<Raw>(clean) {
        Ok(raw) => raw,
        Err(error) => {
            shape.problems.error(
                tree,
                &root,
                error.to_string(),
                "compare it with the JSON Schema: merit config schema",
            );
            Raw::default()
        }
    }
}

/// Says what is wrong with a text.
type Test = fn(&str) -> Result<(), String>;

/// A check of texts of one kind, and an example for who gets it wrong.
struct Kind {
    name: &'static str,
    check: Test,
    example: &'static str,
}

const KINDS: [Kind; 7] = [
    Kind { name: "duration", check: |text| Span::parse(text).map(drop), example: "10s" },
    Kind { name: "size", check: |text| Bytes::parse(text).map(drop), example: "32MiB" },
    Kind { name: "address", check: address, example: "127.0.0.1:8080" },
    Kind { name: "url", check: url, example: "https://api.example.com/v1" },
    Kind {
        name: "digest",
        check: digest,
        example: "64 hexadecimal digits, as merit keys create prints them",
    },
    Kind { name: "header-name", check: header_name, example: "x-api-key" },
    Kind { name: "log-filter", check: log_filter, example: "info,merit::dispatch=debug" },
];

fn address(text: &str) -> Result<(), String> {
    text.parse::<SocketAddr>().map(drop).map_err(|_| format!("{text:?} is not an IP address with a port"))
}

/// The URL is not repeated in messages, for it may have a password or key in it.
fn url(text: &str) -> Result<(), String> {
    // A variable may stand for the beginning; what it comes to is checked later.
    let text = text.strip_prefix('{').map_or_else(|| text.to_owned(), |rest| format!("https://{rest}"));
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return Err("does not begin with https:// or http://".to_owned());
    }
    let plain = text.replace(['{', '}'], "");
    let uri: http::Uri = plain.parse().map_err(|error| format!("not a URL: {error}"))?;
    let wrong = if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        "has a user or password in it"
    } else if uri.query().is_some() || text.contains('#') {
        "has a query or a fragment"
    } else if uri.path().ends_with("/completions") || uri.path().ends_with("/messages") {
        "is the address of one call and not what comes before /chat/completions or /messages"
    } else {
        return Ok(());
    };
    Err(wrong.to_owned())
}

fn digest(text: &str) -> Result<(), String> {
    crate::accounts::keys::from_hex(text).map(drop).ok_or_else(|| "not a digest".to_owned())
}

fn header_name(text: &str) -> Result<(), String> {
    http::HeaderName::try_from(text).map(drop).map_err(|_| format!("{text:?} is not a header name"))
}

fn log_filter(text: &str) -> Result<(), String> {
    tracing_subscriber::EnvFilter::try_new(text).map(drop).map_err(|error| format!("{text:?}: {error}"))
}

/// The schemas that a value may fit.
fn alternatives(schema: &Json) -> Vec<&Json> {
    let listed = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array);
    match listed {
        Some(listed) => listed.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(several)) => {
            several.iter().filter_map(Json::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    }
}

fn accepts(schema: &Json, value: &Value) -> bool {
    types(schema).iter().any(|name| match (*name, value) {
        ("object", Value::Table(_)) | ("array", Value::List(_)) => true,
        ("string", Value::Scalar(scalar)) => scalar.is_string(),
        ("boolean", Value::Scalar(scalar)) => scalar.is_boolean(),
        ("integer", Value::Scalar(scalar)) => scalar.is_i64() || scalar.is_u64(),
        ("number", Value::Scalar(scalar)) => scalar.is_number(),
        _ => false,
    })
}

/// What a schema wants, in words.
fn wanted(schema: &Json) -> (String, String) {
    if let Some(kind) = kind_of(schema) {
        return (format!("a {}", kind.name), format!("for example \"{}\"", kind.example));
    }
    let alternatives = alternatives(schema);
    let names: Vec<&str> =
        alternatives.iter().flat_map(|schema| types(schema)).filter(|name| *name != "null").collect();
    let (what, advice) = match names.first().copied() {
        Some("string") => ("a text", "put it in quotation marks"),
        Some("integer") => ("a whole number", "write it without quotation marks and unit"),
        Some("number") => ("a number", "write it without quotation marks and unit"),
        Some("boolean") => ("true or false", "write true or false, without quotation marks"),
        Some("array") => ("a list", "write [ … ], or [[…]] for tables"),
        _ if names.contains(&"string") => {
            ("a table or a text", "write { env = \"NAME\" } or { file = \"/path\" }")
        }
        _ => ("a table", "write { key = value }, or a section [name]"),
    };
    (what.to_owned(), advice.to_owned())
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Table(_) => "a table",
        Value::List(_) => "a list",
        Value::Scalar(Json::String(_)) => "a text",
        Value::Scalar(Json::Bool(_)) => "true or false",
        Value::Scalar(number) if number.is_f64() => "a number with a fraction",
        Value::Scalar(_) => "a number",
    }
}

fn kind_of(schema: &Json) -> Option<&'static Kind> {
    let name = alternatives(schema).iter().find_map(|schema| schema.get("x-kind")).and_then(Json::as_str)?;
    KINDS.iter().find(|kind| kind.name == name)
}

/// The words that may stand here, if only certain ones may.
fn words(schema: &Json) -> Vec<&str> {
    fn of(schema: &Json) -> impl Iterator<Item = &str> {
        let constant = schema.get("const").and_then(Json::as_str);
        let listed =
            schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        constant.into_iter().chain(listed)
    }
    alternatives(schema).into_iter().flat_map(of).collect()
}

struct Shape<'s> {
    tree: &'s Node,
    problems: &'s mut Problems,
}

impl Shape<'_> {
    fn error(&mut self, path: &Path, message: impl Into<String>, advice: impl Into<String>) {
        self.problems.error(self.tree, path, message, advice);
    }

    /// The value, as far as it is right.
    fn value(&mut self, node: &Node, schema: &Json, path: &Path) -> Option<Json> {
        let alternatives = alternatives(schema);
        let fitting: Vec<&Json> =
            alternatives.iter().copied().filter(|schema| accepts(schema, &node.value)).collect();
        let Some(first) = fitting.first().copied() else {
            let (what, advice) = wanted(schema);
            self.error(path, format!("{what} is expected here, not {}", found(&node.value)), advice);
            return None;
        };
        match &node.value {
            Value::Table(entries) => {
                let knows = |schema: &&&Json| entries.keys().any(|key| property(schema, key).is_some());
                let schema = fitting.iter().find(knows).copied().unwrap_or(first);
                Some(Json::Object(self.table(entries, schema, path)))
            }
            Value::List(items) => {
                let of = first.get("items").unwrap_or(&Json::Null);
                let items = items.iter().enumerate().map(|(index, item)| {
                    // What is left out would move the others.
                    self.value(item, of, &path.index(index)).unwrap_or_else(|| nothing(of))
                });
                Some(Json::Array(items.collect()))
            }
            Value::Scalar(Json::String(text)) => self.text(text, schema, path),
            Value::Scalar(Json::Number(number)) => self.number(number, first, path),
            Value::Scalar(other) => Some(other.clone()),
        }
    }

    fn table(&mut self, entries: &BTreeMap<String, Node>, schema: &Json, path: &Path) -> Map<String, Json> {
        let mut clean = Map::new();
        for (key, node) in entries {
            let path = path.key(key);
            let Some(schema) = property(schema, key) else {
                let known =
                    schema.get("properties").and_then(Json::as_object).into_iter().flat_map(Map::keys);
                self.error(&path, "unknown key", did_you_mean(key, known.map(String::as_str)));
                continue;
            };
            if let Some(value) = self.value(node, schema, &path) {
                clean.insert(key.clone(), value);
            }
        }
        for key in
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
        {
            if !entries.contains_key(key) {
                self.error(&path.key(key), format!("{key} is missing"), format!("add {key} = …"));
            }
        }
        clean
    }

    fn text(&mut self, text: &str, schema: &Json, path: &Path) -> Option<Json> {
        let words = words(schema);
        if !words.is_empty() && !words.contains(&text) {
            self.error(path, format!("{text:?} is none of {}", words.join(", ")), did_you_mean(text, words));
            return None;
        }
        if let Some(kind) = kind_of(schema)
            && let Err(message) = (kind.check)(text)
        {
            self.error(path, message, format!("for example \"{}\"", kind.example));
            return None;
        }
        Some(Json::String(text.to_owned()))
    }

    fn number(&mut self, number: &serde_json::Number, schema: &Json, path: &Path) -> Option<Json> {
        let value = number.as_f64().unwrap_or(f64::NAN);
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        let widest = if schema.get("format").and_then(Json::as_str) == Some("uint32") {
            f64::from(u32::MAX)
        } else {
            1e15
        };
        let (least, most) = (bound("minimum").unwrap_or(-widest), bound("maximum").unwrap_or(widest));
        if (least..=most).contains(&value) {
            return Some(Json::Number(number.clone()));
        }
        let message = if value < 0.0 && least == 0.0 {
            "must not be negative".to_owned()
        } else {
            format!("{number} is out of range")
        };
        self.error(path, message, format!("use a number from {least} to {most}"));
        None
    }
}

/// The schema of a key's value.
fn property<'s>(schema: &'s Json, key: &str) -> Option<&'s Json> {
    let named = schema.get("properties").and_then(|properties| properties.get(key));
    named.or_else(|| schema.get("additionalProperties").filter(|schema| schema.is_object()))
}

/// What stands for an item that is wrong; its path is blamed already, so that
/// nothing is said of what it lacks.
fn nothing(schema: &Json) -> Json {
    match types(schema).first() {
        Some(&"object") => Json::Object(Map::new()),
        Some(&"string") => Json::String(String::new()),
        _ => Json::Null,
    }
}

/// A text from the environment or a flag, as the type that the key wants.
pub(super) fn coerce(keys: &[String], text: &str) -> Json {
    let wanted = keys.iter().try_fold(schema(), |schema, key| {
        alternatives(schema).into_iter().find_map(|schema| property(schema, key))
    });
    let wanted = wanted.map(alternatives).unwrap_or_default();
    let wants = |name: &str| wanted.iter().any(|schema| types(schema).contains(&name));
    let literal = || toml::from_str::<Json>(&format!("value = {text}")).ok()?.get("value").cloned();
    let structured = text.trim_start().starts_with('{') && wants("object");
    if wants("string") && !structured {
        return Json::String(text.to_owned());
    }
    // `a,b` is what people write for lists in variables.
    if wants("array") && !text.trim_start().starts_with('[') {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items.map(|item| Json::String(item.to_owned())).collect();
    }
    literal().unwrap_or_else(|| Json::String(text.to_owned()))
}
