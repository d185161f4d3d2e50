//! A conversation as Google wants it: two roles that take turns, calls and their
//! results side by side and equal in number.

use crate::json::{Kind, Raw};
use crate::outcome::Failure;

use super::body::Text;
use super::parts::{self, Outcome, Part, What, short};
use super::{Dialogue, Warnings, cannot};

/// Stands in for a signature that did not survive. Google names it in its guide
/// on thought signatures for histories that come from elsewhere.
const PLACEHOLDER: &str = "skip_thought_signature_validator";

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `user`
    User,
    /// `model`
    Model,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// Who speaks.
    pub(super) role: Role,
    /// What is said.
    pub(super) parts: Vec<Part>,
    /// Whether it is the results of the calls before it, which stand alone.
    results: bool,
}

/// A call whose result is awaited.
#[derive(Debug)]
struct Awaited {
    id: String,
    name: String,
    result: Option<Outcome>,
}

/// A conversation being read.
#[derive(Debug)]
pub(super) struct Conversation<'w> {
    dialogue: Dialogue,
    warnings: &'w mut Warnings,
    /// What `systemInstruction` says.
    pub(super) system: Vec<Part>,
    /// The turns, in order.
    pub(super) turns: Vec<Turn>,
    awaited: Vec<Awaited>,
    /// What came with results and is not text.
    beside: Vec<Part>,
    /// Results that nobody awaited.
    lost: Vec<Part>,
}

impl<'w> Conversation<'w> {
    /// Reads `messages`.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] for what cannot be said.
    pub(super) fn read(
        messages: &Raw<'_>,
        dialogue: Dialogue,
        warnings: &'w mut Warnings,
    ) -> Result<Self, Failure> {
        let mut read = Conversation {
            dialogue,
            warnings,
            system: Vec::new(),
            turns: Vec::new(),
            awaited: Vec::new(),
            beside: Vec::new(),
            lost: Vec::new(),
        };
        for message in messages.elements().filter_map(Result::ok) {
            read.message(&message)?;
        }
        read.settle();
        if read.turns.is_empty() {
            // A prompt of instructions alone; Google wants somebody to speak.
            let parts = std::mem::take(&mut read.system);
            read.warnings.add("instructions without a user's message were sent as the user's");
            read.say(Role::User, parts);
        }
        Ok(read)
    }

    fn message(&mut self, message: &Raw<'_>) -> Result<(), Failure> {
        let role = message.get(b"role").and_then(|role| role.as_str()).unwrap_or_default();
        let content = message.get(b"content");
        if message.get(b"name").is_some() && !matches!(role.as_ref(), "function" | "tool") {
            self.warnings.add("the name of a participant was left out");
        }
        match role.as_ref() {
            "tool" | "function" => return self.result(message, content.as_ref()),
            "assistant" => return self.assistant(message, content.as_ref()),
            _ => self.settle(),
        }
        let said = content.map_or(Ok(Vec::new()), |content| parts::read(&content, self.warnings))?;
        match role.as_ref() {
            "user" => self.say(Role::User, said),
            "system" | "developer" if self.turns.is_empty() && self.dialogue.system => {
                self.system.extend(said);
            }
            "system" | "developer" => {
                self.warnings.add("a system message was sent as the user's");
                self.say(Role::User, said);
            }
            other => return Err(cannot(format!("a message of role {:?}", short(other)))),
        }
        Ok(())
    }

    /// Adds to the last turn, or begins one.
    fn say(&mut self, role: Role, parts: Vec<Part>) {
        if parts.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role && !turn.results => turn.parts.extend(parts),
            _ => self.turns.push(Turn { role, parts, results: false }),
        }
    }

    fn assistant(&mut self, message: &Raw<'_>, content: Option<&Raw<'_>>) -> Result<(), Failure> {
        // Calls said in several messages are one turn's, until a result comes.
        if self.awaited.iter().any(|call| call.result.is_some()) {
            self.settle();
        }
        if message.get(b"audio").is_some_and(|audio| audio.kind == Kind::Object) {
            return Err(cannot("an earlier answer in audio"));
        }
        let mut said = content.map_or(Ok(Vec::new()), |content| parts::read(content, self.warnings))?;
        if let Some(signature) = signature(message) {
            if said.is_empty() {
                said.push(What::Text(Text::Plain(String::new())).into());
            }
            if let Some(last) = said.last_mut() {
                last.signature = Some(signature);
            }
        }
        let before = self.awaited.len();
        for call in message.get(b"tool_calls").iter().flat_map(Raw::elements).filter_map(Result::ok) {
            said.push(self.call(&call, call.get(b"function"))?);
        }
        // The older form, which has no id.
        if let Some(call) = message.get(b"function_call").filter(|call| call.kind == Kind::Object) {
            said.push(self.call(&call, Some(call))?);
        }
        if before == 0 {
            self.sign(&mut said);
        }
        self.say(Role::Model, said);
        Ok(())
    }

    /// The first call of a turn must be signed.
    fn sign(&mut self, said: &mut [Part]) {
        let first = said.iter_mut().find(|part| matches!(part.what, What::Call { .. }));
        if let Some(part) = first.filter(|part| part.signature.is_none() && self.dialogue.signatures) {
            part.signature = Some(PLACEHOLDER.to_owned());
            self.warnings.add("the signature of a tool call was missing; Google's placeholder was sent");
        }
    }

    fn call(&mut self, call: &Raw<'_>, function: Option<Raw<'_>>) -> Result<Part, Failure> {
        let function = function.ok_or_else(|| cannot("a call of a custom tool"))?;
        let name = function.get(b"name").and_then(|name| name.as_str()).unwrap_or_default().into_owned();
        let id = call.get(b"id").and_then(|id| id.as_str()).unwrap_or_default().into_owned();
        let text = function.get(b"arguments").and_then(|text| text.as_str()).unwrap_or_default();
        let arguments = match is_json(&text, b'{') {
            true => text.into_owned(),
            false if text.trim().is_empty() => "{}".to_owned(),
            false => {
                self.warnings
                    .add("arguments of a tool call that are not a JSON object were sent as its member _raw");
                serde_json::json!({"_raw": text}).to_string()
            }
        };
        let what = What::Call { id: self.id(&id), name: name.clone(), arguments };
        self.awaited.push(Awaited { id, name, result: None });
        Ok(Part { what, signature: signature(call) })
    }

    /// The id as the upstream gets it.
    fn id(&self, id: &str) -> Option<String> {
        (self.dialogue.ids && !id.is_empty()).then(|| id.to_owned())
    }

    fn result(&mut self, message: &Raw<'_>, content: Option<&Raw<'_>>) -> Result<(), Failure> {
        let word = |name: &[u8]| message.get(name).and_then(|value| value.as_str()).unwrap_or_default();
        let (id, name) = (word(b"tool_call_id"), word(b"name"));
        let said = content.map_or(Ok(Vec::new()), |content| parts::read(content, self.warnings))?;
        let (texts, others): (Vec<Part>, Vec<Part>) =
            said.into_iter().partition(|part| matches!(part.what, What::Text(_)));
        let awaited = self.awaited.iter_mut().find(|call| {
            let same = if id.is_empty() { call.name == name } else { call.id == id };
            same && call.result.is_none()
        });
        if let Some(call) = awaited {
            call.result = Some(outcome(content));
        } else {
            self.warnings.add("the result of a tool that was not called was sent as text");
            self.lost.extend(texts);
        }
        self.beside.extend(others);
        Ok(())
    }

    /// Says the results of the calls so far: one for each, in their order.
    fn settle(&mut self) {
        let mut parts = Vec::new();
        for Awaited { id, name, result } in std::mem::take(&mut self.awaited) {
            if result.is_none() {
                self.warnings.add("a tool call without a result was given an error for one");
            }
            let result = result.unwrap_or(Outcome::Missing);
            parts.push(What::Response { id: self.id(&id), name, result }.into());
        }
        let results = !parts.is_empty();
        parts.append(&mut self.beside);
        if !parts.is_empty() {
            self.turns.push(Turn { role: Role::User, parts, results });
        }
        let lost = std::mem::take(&mut self.lost);
        self.say(Role::User, lost);
    }
}

/// What a tool gave, from the content of its message.
fn outcome(content: Option<&Raw<'_>>) -> Outcome {
    let whole = content.filter(|content| content.kind == Kind::String);
    let text = whole.map_or_else(
        || {
            let parts = content.into_iter().flat_map(Raw::elements).filter_map(Result::ok);
            let texts =
                parts.filter_map(|part| Some(part.get(b"text").unwrap_or(part).as_str()?.into_owned()));
            texts.collect::<Vec<String>>().join("\n")
        },
        |whole| whole.as_str().unwrap_or_default().into_owned(),
    );
    match text.trim_start().as_bytes().first() {
        Some(b'{') if is_json(&text, b'{') => Outcome::Object(text),
        Some(b'[') if is_json(&text, b'[') => Outcome::Value(text),
        _ => Outcome::Text(whole.and_then(Text::of).unwrap_or(Text::Plain(text))),
    }
}

/// Whether `text` is JSON that begins with `open`.
fn is_json(text: &str, open: u8) -> bool {
    text.trim_start().as_bytes().first() == Some(&open)
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The signature that a message or a call carries.
fn signature(carrier: &Raw<'_>) -> Option<String> {
    let signature = carrier.get(b"extra_content")?.get(b"google")?.get(b"thought_signature")?;
    signature.as_str().filter(|text| !text.is_empty()).map(std::borrow::Cow::into_owned)
}
