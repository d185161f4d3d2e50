//! What a model wants back with its tool calls, for callers that drop it.
//!
//! Models that think sign what they thought before they called a tool, and refuse,
//! or think anew, when the next turn comes without it. It travels in members that
//! OpenAI does not have (`reasoning_details` of a message, `extra_content` of a
//! call), which many clients do not send back. So it is also kept here, by caller,
//! model and the call's id, and put back where it is missing. Callers are kept
//! apart: an id that somebody else was given is of no use.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::warm::{Identity, Tenant};
use crate::json::{Kind, Raw, document};

/// Bytes kept in all, in two halves: the signatures of some 20,000 calls.
const MOST_BYTES: usize = 64 << 20;
/// Most bytes of one answer; longer thoughts are not kept.
const MOST_ANSWER: usize = 256 << 10;
/// What an entry takes beside its content, roughly.
const OVERHEAD: usize = 128;

/// The carrier of thoughts, in a message.
const DETAILS: &[u8] = b"reasoning_details";
/// The carrier of a call's signature, in the call.
const EXTRA: &[u8] = b"extra_content";
const CALLS: &[u8] = b"tool_calls";

/// Whose a call is: nothing is given to anybody else, whatever its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Who asked.
    pub tenant: Tenant,
    /// The model that called; another could not read what it signed.
    pub model: Identity,
}

/// What is kept of one call.
#[derive(Debug, Clone)]
struct Kept {
    owner: Owner,
    id: String,
    /// The call's `extra_content`.
    extra: Option<Bytes>,
    /// The elements of its message's `reasoning_details`, if it is the first call.
    details: Option<Bytes>,
}

/// What is kept of all calls, lately.
#[derive(Debug, Default)]
pub struct Carried {
    secret: RandomState,
    kept: Mutex<Halves>,
}

/// When the young half is full, the old one is forgotten.
#[derive(Debug, Default)]
struct Halves {
    young: HashMap<u64, Kept>,
    old: HashMap<u64, Kept>,
    /// Bytes in the young half.
    bytes: usize,
}

impl Halves {
    fn put(&mut self, key: u64, kept: Kept) {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let bytes = OVERHEAD + kept.id.len() + length(&kept.extra) + length(&kept.details);
        if self.bytes + bytes > MOST_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(key, kept);
    }
}

/// What an answer has said that belongs to its calls.
#[derive(Debug, Default)]
pub struct Heard {
    /// Elements of `reasoning_details`, with commas between them.
    details: Vec<u8>,
    calls: Vec<Call>,
    bytes: usize,
}

/// A call of an answer.
#[derive(Debug)]
struct Call {
    /// The index of its choice, and its own.
    place: (u64, u64),
    id: String,
    /// Its `extra_content`.
    extra: Option<Bytes>,
}

impl Heard {
    /// Listens to whole events of a stream.
    pub fn events(&mut self, events: &[u8]) {
        let has = |name| memchr::memmem::find(events, name).is_some();
        if has(CALLS) || has(DETAILS) {
            for data in events.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")) {
                self.message_of(data, b"delta");
            }
        }
    }

    /// Listens to a whole answer.
    pub fn answer(&mut self, body: &[u8]) {
        if memchr::memmem::find(body, CALLS).is_some() {
            self.message_of(body, b"message");
        }
    }

    fn message_of(&mut self, text: &[u8], name: &[u8]) {
        let Ok(whole) = document(text.trim_ascii()) else { return };
        let choices = whole.get(b"choices");
        for choice in choices.iter().flat_map(Raw::elements).flatten() {
            if let Some(message) = choice.get(name) {
                self.message(index(&choice), &message);
            }
        }
    }

    fn message(&mut self, choice: u64, message: &Raw<'_>) {
        for detail in list(message, DETAILS).into_iter().flat_map(|list| list.elements().flatten()) {
            if self.fits(detail.text.len()) {
                if !self.details.is_empty() {
                    self.details.push(b',');
                }
                self.details.extend_from_slice(detail.text);
            }
        }
        for call in list(message, CALLS).into_iter().flat_map(|list| list.elements().flatten()) {
            let extra = call.get(EXTRA).filter(|extra| extra.kind == Kind::Object);
            let place = (choice, index(&call));
            let id = id(&call);
            if !self.fits(id.as_ref().map_or(0, String::len) + extra.map_or(0, |extra| extra.text.len())) {
                continue;
            }
            let extra = extra.map(|extra| Bytes::copy_from_slice(extra.text));
            // In a stream the id comes first, and what belongs to it may come later.
            match (id, self.calls.iter_mut().rev().find(|call| call.place == place)) {
                (Some(id), _) => self.calls.push(Call { place, id, extra }),
                (None, Some(begun)) => begun.extra = extra.or(begun.extra.take()),
                (None, None) => {}
            }
        }
    }

    /// Whether so many bytes more may be kept.
    fn fits(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.bytes <= MOST_ANSWER
    }
}

impl Carried {
    /// Keeps what an answer has said for its calls.
    pub fn keep(&self, owner: Owner, heard: Heard) {
        // Half of what was thought is worth nothing.
        let whole = heard.bytes <= MOST_ANSWER && !heard.details.is_empty();
        let mut details = whole.then(|| Bytes::from(heard.details));
        for Call { id, extra, .. } in heard.calls {
            let details = details.take();
            if extra.is_some() || details.is_some() {
                let key = self.key(owner, &id);
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.put(key, Kept { owner, id, extra, details });
            }
        }
    }

    /// The body of a request with all that its calls lack and that is known;
    /// `None` when that is nothing.
    #[must_use]
    pub fn restored(&self, owner: Owner, body: &[u8]) -> Option<Bytes> {
        memchr::memmem::find(body, CALLS)?;
        let whole = document(body).ok()?;
        let mut missing: Vec<(usize, Vec<u8>)> = Vec::new();
        for message in whole.get(b"messages")?.elements().flatten() {
            let calls = list(&message, CALLS);
            let mut thoughts = None;
            for (position, call) in calls.iter().flat_map(Raw::elements).flatten().enumerate() {
                let Some(kept) = id(&call).and_then(|id| self.of(owner, &id)) else { continue };
                if let Some(extra) = kept.extra.filter(|_| call.get(EXTRA).is_none()) {
                    missing.push((call.end() - 1, [b",\"extra_content\":", &extra[..]].concat()));
                }
                thoughts = thoughts.or(kept.details.filter(|_| position == 0));
            }
            let told = message.get(DETAILS).is_some() || message.get(b"thinking_blocks").is_some();
            if let Some(thoughts) = thoughts.filter(|_| !told) {
                missing
                    .push((message.end() - 1, [b",\"reasoning_details\":[", &thoughts[..], b"]"].concat()));
            }
        }
        (!missing.is_empty()).then(|| put_in(body, &missing))
    }

    fn of(&self, owner: Owner, id: &str) -> Option<Kept> {
        let key = self.key(owner, id);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.young.get(&key).or_else(|| kept.old.get(&key));
        found.filter(|kept| kept.owner == owner && kept.id == id).cloned()
    }

    fn key(&self, owner: Owner, id: &str) -> u64 {
        self.secret.hash_one((owner.tenant, owner.model, id))
    }
}

/// The member of that name, if it is a list.
fn list<'b>(message: &Raw<'b>, name: &[u8]) -> Option<Raw<'b>> {
    message.get(name).filter(|list| list.kind == Kind::Array)
}

/// The member `index`, which whole answers do without.
fn index(one: &Raw<'_>) -> u64 {
    one.get(b"index").and_then(|index| index.as_u64()).unwrap_or_default()
}

fn id(call: &Raw<'_>) -> Option<String> {
    call.get(b"id")?.as_str().filter(|id| !id.is_empty()).map(std::borrow::Cow::into_owned)
}

/// `body` with each text put in at its place; places in order.
fn put_in(body: &[u8], texts: &[(usize, Vec<u8>)]) -> Bytes {
    let mut whole = Vec::with_capacity(body.len() + texts.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut at = 0;
    for (place, text) in texts {
        whole.extend_from_slice(body.get(at..*place).unwrap_or_default());
        whole.extend_from_slice(text);
        at = *place;
    }
    whole.extend_from_slice(body.get(at..).unwrap_or_default());
    whole.into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::books::Warm;

    fn owners() -> [Owner; 3] {
        let warm = Warm::default();
        let owner = |name, model| Owner { tenant: warm.tenant(name), model: Identity::of(model) };
        [owner("a", "m"), owner("b", "m"), owner("a", "other")]
    }

    fn heard(id: &str) -> Heard {
        let mut heard = Heard::default();
        for delta in [
            json!({"reasoning_details": [{"index": 0, "signature": "s1"}]}),
            json!({"reasoning_details": [{"index": 1, "signature": "s2"}]}),
            json!({"content": "a text about tool_calls"}),
            json!({"tool_calls": [{"index": 0, "id": id}]}),
            json!({"tool_calls": [{"index": 0, "extra_content": {"google": {"thought_signature": "g"}}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "second", "type": "function"}]}),
        ] {
            heard.events(format!("data: {}\n\n", json!({"choices": [{"delta": delta}]})).as_bytes());
        }
        heard.events(b"data: [DONE]\n\n");
        heard
    }

    fn asked(message: &Value) -> Vec<u8> {
        json!({"messages": [{"role": "user", "content": "x"}, message]}).to_string().into_bytes()
    }

    #[test]
    fn what_was_dropped_comes_back_and_nothing_else_changes() {
        let ([own, ..], carried) = (owners(), Carried::default());
        carried.keep(own, heard("first"));
        let bare = json!({"role": "assistant", "tool_calls": [{"id": "first"}, {"id": "second"}]});
        let restored: Value = serde_json::from_slice(&carried.restored(own, &asked(&bare)).unwrap()).unwrap();
        let message = &restored["messages"][1];
        assert_eq!(message["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "g");
        assert_eq!(message["tool_calls"][1], json!({"id": "second"}));
        let details = json!([{"index": 0, "signature": "s1"}, {"index": 1, "signature": "s2"}]);
        assert_eq!(message["reasoning_details"], details);

        let told = json!({"role": "assistant", "reasoning_details": [], "tool_calls": [{"id": "first", "extra_content": {}}]});
        assert_eq!(carried.restored(own, &asked(&told)), None, "what the caller says counts");
    }

    #[test]
    fn a_whole_answer_is_heard_too() {
        let ([own, ..], carried) = (owners(), Carried::default());
        let message = json!({"reasoning_details": [{"data": "d"}], "tool_calls": [{"id": "é\n"}]});
        let mut heard = Heard::default();
        heard.answer(json!({"choices": [{"message": message}]}).to_string().as_bytes());
        carried.keep(own, heard);
        let bare = asked(&json!({"role": "assistant", "tool_calls": [{"id": "é\n"}]}));
        let restored = carried.restored(own, &bare).unwrap();
        let restored: Value = serde_json::from_slice(&restored).unwrap();
        assert_eq!(restored["messages"][1]["reasoning_details"], json!([{"data": "d"}]));
    }

    #[test]
    fn nobody_gets_what_is_anothers() {
        let ([own, stranger, other_model], carried) = (owners(), Carried::default());
        carried.keep(own, heard("first"));
        let bare = asked(&json!({"role": "assistant", "tool_calls": [{"id": "first"}]}));
        assert!(carried.restored(own, &bare).is_some());
        assert_eq!(carried.restored(stranger, &bare), None);
        assert_eq!(carried.restored(other_model, &bare), None);
    }

    #[test]
    fn memory_is_bounded_and_the_latest_stay() {
        let ([own, ..], carried) = (owners(), Carried::default());
        let extra = Bytes::from(vec![b' '; 100_000]);
        for number in 0..2_000 {
            let calls = vec![Call { place: (0, 0), id: number.to_string(), extra: Some(extra.clone()) }];
            carried.keep(own, Heard { calls, ..Heard::default() });
            let kept = carried.kept.lock().unwrap();
            assert!((kept.young.len() + kept.old.len()) * (100_000 + OVERHEAD) <= MOST_BYTES);
        }
        assert!(carried.of(own, "1999").is_some() && carried.of(own, "0").is_none());
    }

    #[test]
    fn thoughts_that_are_too_long_are_not_kept_in_part() {
        let ([own, ..], carried) = (owners(), Carried::default());
        let mut heard = heard("first");
        let detail = json!({"text": "x".repeat(MOST_ANSWER)});
        heard.events(
            format!("data: {}\n\n", json!({"choices": [{"delta": {"reasoning_details": [detail]}}]}))
                .as_bytes(),
        );
        carried.keep(own, heard);
        let bare = asked(&json!({"role": "assistant", "tool_calls": [{"id": "first"}]}));
        let restored: Value = serde_json::from_slice(&carried.restored(own, &bare).unwrap()).unwrap();
        assert_eq!(restored["messages"][1].get("reasoning_details"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_left_alone_or_stays_json(body: Vec<u8>, id in "[a-z]{0,3}", text: String) {
            let ([own, ..], carried) = (owners(), Carried::default());
            carried.keep(own, heard("abc"));
            proptest::prop_assert_eq!(carried.restored(own, &body), None);
            let body = asked(&json!({"role": "assistant", "content": text, "tool_calls": [{"id": id}, {"id": "abc"}]}));
            let restored = carried.restored(own, &body).unwrap();
            proptest::prop_assert!(serde_json::from_slice::<Value>(&restored).is_ok());
        }
    }
}
