//! Mends what one choice says: a stream's delta, or a whole message.

use serde_json::{Map, Value};

use super::calls::Calls;

/// What a delta was found to carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// Text, reasoning, a refusal, a tool call, audio.
    pub(super) content: bool,
    /// Bytes of generated text.
    pub(super) text: u64,
}

/// Brings all but role and finish reason into the canonical form.
pub(super) fn mend(delta: &mut Map<String, Value>, calls: &mut Calls, seed: &str) {
    if let Some(Value::Array(parts)) = delta.get_mut("content") {
        let (text, thinking) = flatten(std::mem::take(parts));
        delta.insert("content".to_owned(), text.into());
        if !thinking.is_empty() {
            delta.insert("reasoning_content".to_owned(), thinking.into());
        }
    }
    if let Some(Value::String(reasoning)) = delta.get("reasoning")
        && !delta.contains_key("reasoning_content")
    {
        let again = reasoning.clone();
        delta.insert("reasoning_content".to_owned(), again.into());
    }
    if let Some(given) = delta.remove("tool_calls") {
        let entries = match given {
            Value::Array(entries) => entries,
            one @ Value::Object(_) => vec![one],
            _ => Vec::new(),
        };
        let mended: Vec<Value> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                Value::Object(entry) => calls.mend(entry, seed),
                _ => None,
            })
            .collect();
        if !mended.is_empty() {
            delta.insert("tool_calls".to_owned(), mended.into());
        }
    }
}

/// Gives the objects in lists that deltas extend an index: SDKs merge them by it.
pub(super) fn number_lists(delta: &mut Map<String, Value>) {
    delta.iter_mut().filter(|(name, _)| *name != "tool_calls").for_each(|(_, value)| number(value));
}

/// What it carries; of a delta that has been mended.
pub(super) fn carried(delta: &Map<String, Value>) -> Carried {
    let length = |name: &str| delta.get(name).and_then(Value::as_str).map_or(0, str::len);
    let texts = length("content") + length("reasoning_content") + length("refusal");
    let calls = delta.get("tool_calls").and_then(Value::as_array);
    let arguments = calls.into_iter().flatten().filter_map(|call| {
        let text = call.pointer("/function/arguments").or_else(|| call.pointer("/custom/input"));
        text.and_then(Value::as_str).map(str::len)
    });
    let others = ["function_call", "audio"].iter().filter_map(|name| delta.get(*name)?.as_object());
    let others: usize = others.map(|other| Value::Object(other.clone()).to_string().len()).sum();
    let text = texts + arguments.sum::<usize>() + others;
    Carried { content: text > 0 || calls.is_some_and(|calls| !calls.is_empty()), text: text as u64 }
}

/// Content in parts (Mistral's reasoning models) as text and reasoning.
fn flatten(parts: Vec<Value>) -> (String, String) {
    let (mut text, mut thinking) = (String::new(), String::new());
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("thinking" | "reasoning") => {
                let inner = ["thinking", "reasoning", "text"].iter().find_map(|name| part.get(*name));
                gather(inner.unwrap_or(&Value::Null), &mut thinking);
            }
            _ => gather(&part, &mut text),
        }
    }
    (text, thinking)
}

/// All text of a part: itself, its `text`, or that of its parts.
fn gather(part: &Value, into: &mut String) {
    match part {
        Value::String(text) => into.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|part| gather(part, into)),
        Value::Object(members) => {
            if let Some(text) = members.get("text") {
                gather(text, into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn number(list: &mut Value) {
    let Value::Array(items) = list else { return };
    for (position, item) in items.iter_mut().enumerate() {
        if let Value::Object(members) = item
            && !members.get("index").is_some_and(Value::is_u64)
        {
            members.insert("index".to_owned(), position.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mended(delta: Value) -> Value {
        let Value::Object(mut delta) = delta else { panic!("not an object") };
        mend(&mut delta, &mut Calls::default(), "seed");
        number_lists(&mut delta);
        Value::Object(delta)
    }

    #[test]
    fn content_in_parts_becomes_text() {
        let parts = json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "ja"}
        ]});
        assert_eq!(mended(parts), json!({"content": "ja", "reasoning_content": "hm"}));
    }

    #[test]
    fn reasoning_has_both_names() {
        let both = json!({"reasoning": "hm", "reasoning_content": "hm"});
        assert_eq!(mended(json!({"reasoning": "hm"})), both);
        assert_eq!(mended(both.clone()), both);
    }

    #[test]
    fn lists_get_an_index() {
        let blocks = json!({"thinking_blocks": [{"type": "a"}, {"type": "b"}], "words": ["x"]});
        let numbered = json!({"thinking_blocks": [{"type": "a", "index": 0}, {"type": "b", "index": 1}], "words": ["x"]});
        assert_eq!(mended(blocks), numbered);
    }
}
