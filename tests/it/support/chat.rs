//! Requests for a chat.

use serde_json::{Value, json};

/// A plain one.
pub(crate) fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] })
}

/// One for a stream.
pub(crate) fn streamed(model: &str) -> Value {
    with(chat(model), "stream", json!(true))
}

/// The same with one member set.
pub(crate) fn with(mut body: Value, member: &str, value: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
    body
}
