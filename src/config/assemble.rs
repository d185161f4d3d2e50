//! From checked values to the settings as written: the last step of reading,
//! done by the crate `config`.
//!
//! Layers are laid over each other before this, in a tree that knows the line
//! of every value; the crate alone would forget them, and with them the means
//! to say where a problem is.

use config::{ConfigError, Map, Source, Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// A table as a source of the crate.
#[derive(Debug, Clone)]
struct Checked(Json);

impl Source for Checked {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        value(&self.0).into_table()
    }
}

/// Reads `checked` as a `T`.
///
/// # Errors
/// What does not fit, with its key.
pub(super) fn assemble<T: DeserializeOwned>(checked: Json) -> Result<T, ConfigError> {
    config::Config::builder().add_source(Checked(checked)).build()?.try_deserialize()
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => ValueKind::Nil,
        Json::Bool(flag) => ValueKind::Boolean(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => ValueKind::I64(whole),
            (None, Some(whole), _) => ValueKind::U64(whole),
            (None, None, real) => real.map_or(ValueKind::Nil, ValueKind::Float),
        },
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => ValueKind::Array(items.iter().map(value).collect()),
        Json::Object(entries) => {
            ValueKind::Table(entries.iter().map(|(key, entry)| (key.clone(), value(entry))).collect())
        }
    };
    Value::new(None, kind)
}
