//! Brings the tool calls of a choice into the canonical form: indices dense from
//! zero, id and name exactly once, arguments as text.
//!
//! Upstreams leave the index out (Mistral, Gemini), count from elsewhere, put
//! every parallel call at index 0, repeat id and name with each delta, or send
//! arguments as an object. SDKs crash on, or silently lose, each of these.

use serde_json::{Map, Value};

/// Most calls of one choice. No model makes so many; keeping track of more would
/// be work that grows with their square.
pub(super) const MOST_CALLS: usize = 1024;

/// One call that has been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    id: String,
    /// The index the upstream uses for it.
    upstream: Option<u64>,
}

/// The calls of one choice, in the order of their canonical index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Calls(Vec<Call>);

impl Calls {
    /// How many have been opened.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a delta at `index` can only be for the call of that very number.
    pub(super) fn is_straight(&self, index: usize) -> bool {
        self.latest(index as u64) == Some(index)
    }

    /// Whether a delta at `index` with this id can only open a call.
    pub(super) fn is_new(&self, index: usize, id: &str) -> bool {
        self.latest(index as u64).is_none() && self.0.iter().all(|call| call.id != id)
    }

    /// The latest call that the upstream has at `index`.
    fn latest(&self, index: u64) -> Option<usize> {
        self.0.iter().rposition(|call| call.upstream == Some(index))
    }

    /// A canonical opening has gone out as it came.
    pub(super) fn opened(&mut self, id: String) {
        let upstream = Some(self.0.len() as u64);
        self.0.push(Call { id, upstream });
    }

    /// Mends one element of `tool_calls`; nothing when it says nothing new.
    /// `seed` makes an id for a call that has none.
    pub(super) fn mend(&mut self, mut entry: Map<String, Value>, seed: &str) -> Option<Value> {
        let upstream = entry.remove("index").and_then(|index| index.as_u64());
        let id = entry.remove("id").and_then(text).filter(|id| !id.is_empty());
        let mut function = match entry.remove("function") {
            Some(Value::Object(function)) => function,
            _ => Map::new(),
        };
        let name = function.remove("name").and_then(text).filter(|name| !name.is_empty());
        let arguments = match function.remove("arguments") {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let known = self.find(upstream, id.as_deref(), name.is_some());
        let (index, opening) = match known {
            Some(index) => (index, false),
            None => (self.0.len(), true),
        };
        let mut mended = Map::new();
        mended.insert("index".to_owned(), index.into());
        if opening {
            let id = id.unwrap_or_else(|| {
                let digest = blake3::hash(format!("{seed}/{index}").as_bytes()).to_hex();
                format!("call_{}", digest.get(..24).unwrap_or_default())
            });
            mended.insert("id".to_owned(), id.clone().into());
            let kind = entry.remove("type").and_then(text).filter(|kind| !kind.is_empty());
            mended.insert("type".to_owned(), kind.unwrap_or_else(|| "function".to_owned()).into());
            function.insert("name".to_owned(), name.unwrap_or_default().into());
            self.0.push(Call { id, upstream });
        } else {
            entry.remove("type");
        }
        if opening || !arguments.is_empty() {
            function.insert("arguments".to_owned(), arguments.into());
        }
        // A custom tool has `custom` in place of `function`.
        if !function.is_empty() && !entry.contains_key("custom") {
            mended.insert("function".to_owned(), function.into());
        }
        let news = opening || mended.len() > 1 || !entry.is_empty();
        mended.extend(entry);
        news.then_some(Value::Object(mended))
    }

    /// Which opened call a delta belongs to; `None` for a new one.
    fn find(&self, upstream: Option<u64>, id: Option<&str>, named: bool) -> Option<usize> {
        match (upstream, id) {
            // The latest at that index: parallel calls may all have index 0 and
            // are then told by their ids.
            (Some(index), _) => {
                let at = self.latest(index)?;
                let call = self.0.get(at)?;
                let other = id.is_some_and(|id| id != call.id) && named;
                match other {
                    false => Some(at),
                    true => self.0.iter().position(|call| Some(call.id.as_str()) == id),
                }
            }
            (None, Some(id)) => self.0.iter().position(|call| call.id == id),
            (None, None) if named => None,
            (None, None) => self.0.len().checked_sub(1),
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mend(calls: &mut Calls, entry: Value) -> Option<Value> {
        let Value::Object(entry) = entry else { panic!("not an object") };
        calls.mend(entry, "seed")
    }

    #[test]
    fn parallel_calls_at_index_zero_are_told_apart() {
        let mut calls = Calls::default();
        let open = |id: &str| json!({"index": 0, "id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        assert_eq!(mend(&mut calls, open("a")).unwrap()["index"], 0);
        assert_eq!(mend(&mut calls, open("b")).unwrap()["index"], 1);
        let more = json!({"index": 0, "function": {"arguments": "x"}});
        assert_eq!(mend(&mut calls, more).unwrap(), json!({"index": 1, "function": {"arguments": "x"}}));
    }

    #[test]
    fn ids_and_names_come_once_and_indices_start_at_zero() {
        let mut calls = Calls::default();
        let delta = |part: &str| json!({"index": 7, "id": "a", "type": "function", "function": {"name": "f", "arguments": part}});
        let first = mend(&mut calls, delta("")).unwrap();
        assert_eq!(
            first,
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}})
        );
        assert_eq!(
            mend(&mut calls, delta("{}")).unwrap(),
            json!({"index": 0, "function": {"arguments": "{}"}})
        );
        assert_eq!(mend(&mut calls, delta("")), None);
    }

    #[test]
    fn calls_without_index_or_id() {
        let mut calls = Calls::default();
        let whole = |name: &str| json!({"function": {"name": name, "arguments": {"a": 1}}});
        let first = mend(&mut calls, whole("f")).unwrap();
        assert_eq!(first["function"]["arguments"], r#"{"a":1}"#);
        assert_eq!(first["type"], "function");
        let second = mend(&mut calls, whole("g")).unwrap();
        assert_eq!((&second["index"], &second["function"]["name"]), (&json!(1), &json!("g")));
        assert_ne!(first["id"], second["id"]);
    }

    #[test]
    fn custom_tools_and_extensions_survive() {
        let mut calls = Calls::default();
        let custom = json!({"index": 0, "id": "a", "type": "custom", "custom": {"name": "c", "input": "x"}, "extra_content": {"s": 1}});
        assert_eq!(mend(&mut calls, custom.clone()).unwrap(), custom);
    }
}
