//! Anthropic's Messages as providers say them. Events follow the published
//! reference on streaming; requests are refused where the real API would refuse
//! them for their form, so that a translator's mistakes are seen.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Ask, Complaint, Consumed, Event, Speech, Tale};
use crate::sim::behaviour::{Behaviour, Statement};
use crate::sim::inbound::Inbound;
use crate::sim::quirks::Quirk;
use crate::sim::script::Kind;

mod strict;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anthropic;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    model: String,
    anthropic_version: Option<String>,
    max_tokens: usize,
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    stream: Option<bool>,
    #[serde(default)]
    tools: Vec<Value>,
    tool_choice: Option<Value>,
}

impl Speech for Anthropic {
    fn serves(&self, path: &str) -> bool {
        path.ends_with("/messages")
    }

    fn event_name<'d>(&self, data: &'d str) -> Option<&'d str> {
        data.strip_prefix("{\"type\":\"")?.split('"').next()
    }

    fn understand(&self, inbound: &Inbound) -> Result<Ask, String> {
        if inbound.header("anthropic-version").is_none() {
            return Err("anthropic-version: header is required".to_owned());
        }
        read(inbound, None)
    }

    fn whole(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Value {
        let mut message = message(ask, tale, &blocks(tale), &ending(tale, behaviour));
        if let Some(usage) = usage(tale, behaviour, tale.consumed.completion_tokens) {
            set(&mut message, "usage", usage);
        }
        message
    }

    fn events(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Vec<Event> {
        let mut writer = Writer { tale, behaviour, events: Vec::new(), index: 0 };
        writer.open(ask);
        writer.content();
        writer.close();
        writer.events
    }

    fn big_event(&self, _ask: &Ask, _tale: &Tale, bytes: usize) -> Event {
        delta(0, &json!({"type": "text_delta", "text": "a".repeat(bytes)}), 0)
    }

    fn error(&self, complaint: Complaint<'_>, _behaviour: &Behaviour) -> Value {
        // It has no code for this, only a phrase.
        let message = match complaint.code {
            Some("context_length_exceeded") => "prompt is too long: 200001 tokens > 200000 maximum",
            _ => complaint.message,
        };
        let mut error = json!({"type": kind_of(complaint.status), "message": message});
        // The one code that Anthropic has stands in the details.
        if complaint.code == Some("insufficient_quota") {
            set(&mut error, "details", json!({"error_code": "enforced_spend_limit_reached"}));
        }
        json!({"type": "error", "error": error, "request_id": "req_sim"})
    }

    fn error_event(&self, _ask: &Ask, _chunk: bool) -> Event {
        let error = json!({"type": "overloaded_error", "message": "Overloaded"});
        event(&json!({"type": "error", "error": error}), Kind::Other, 0)
    }

    fn models(&self, names: &[&str]) -> Bytes {
        let data: Vec<Value> = names
            .iter()
            .map(|name| {
                json!({"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"})
            })
            .collect();
        let (first, last) = (names.first(), names.last());
        json!({"data": data, "has_more": false, "first_id": first, "last_id": last}).to_string().into()
    }
}

/// Understands a body; `version` where a platform has it inside, and the model in
/// the path instead.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(inbound: &Inbound, version: Option<&str>) -> Result<Ask, String> {
    let body: Body<'_> = serde_json::from_slice(&inbound.body).map_err(|error| error.to_string())?;
    match (version, body.model.is_empty()) {
        (None, true) => return Err("model: field required".to_owned()),
        (Some(_), false) => return Err("model: extra inputs are not permitted".to_owned()),
        _ if body.anthropic_version.as_deref() != version => {
            return Err("anthropic_version: field required here, and nowhere else".to_owned());
        }
        (Some(_), _) if body.stream.is_some() => {
            return Err("stream: extra inputs are not permitted".to_owned());
        }
        _ => {}
    }
    strict::check(body.messages)?;
    let choice = body.tool_choice.unwrap_or(Value::Null);
    let named = choice.get("name").and_then(Value::as_str);
    let first = body.tools.first().and_then(|tool| tool.get("name")).and_then(Value::as_str);
    let kind = choice.get("type").and_then(Value::as_str);
    let system = body.system.map_or(0, |system| system.get().len());
    Ok(Ask {
        schema: None,
        model: body.model,
        stream: body.stream.unwrap_or(false),
        include_usage: true,
        choices: 1,
        max_tokens: Some(body.max_tokens),
        must_call: first.is_some() && matches!(kind, Some("any" | "tool")),
        tool: named.or(first).filter(|_| kind != Some("none")).map(str::to_owned),
        prompt_bytes: (body.messages.get().len() + system) as u64,
        native: false,
    })
}

/// Builds the events of one stream.
struct Writer<'a> {
    tale: &'a Tale,
    behaviour: &'a Behaviour,
    events: Vec<Event>,
    /// Of the next block.
    index: u32,
}

impl Writer<'_> {
    fn push(&mut self, data: &Value, kind: Kind, words: u32) {
        self.events.push(event(data, kind, words));
    }

    fn open(&mut self, ask: &Ask) {
        if self.behaviour.has(Quirk::EmptyFirst) {
            self.push(&json!({"type": "ping"}), Kind::Preamble, 0);
        }
        let mut message = message(ask, self.tale, &[], &Value::Null);
        // The output so far is a handful of tokens, as with the real API.
        if let Some(usage) = usage(self.tale, self.behaviour, 1) {
            set(&mut message, "usage", usage);
        }
        self.push(&json!({"type": "message_start", "message": message}), Kind::Preamble, 0);
        self.push(&json!({"type": "ping"}), Kind::Preamble, 0);
    }

    fn content(&mut self) {
        let content = &self.tale.content;
        if !content.reasoning.is_empty() {
            let start = json!({"type": "thinking", "thinking": "", "signature": ""});
            let pieces = content
                .reasoning
                .iter()
                .map(|piece| (json!({"type": "thinking_delta", "thinking": piece}), 1));
            let signature = json!({"type": "signature_delta", "signature": signature(self.tale)});
            self.block(&start, Kind::Preamble, &pieces.chain([(signature, 0)]).collect::<Vec<_>>());
        }
        if !content.text.is_empty() {
            let piece = |piece: &String| (json!({"type": "text_delta", "text": piece}), 1);
            let pieces: Vec<_> = content.text.iter().map(piece).collect();
            self.block(&json!({"type": "text", "text": ""}), Kind::Preamble, &pieces);
        }
        for call in &content.calls {
            let whole = self.behaviour.has(Quirk::WholeToolCall);
            let input = if whole { arguments(call) } else { json!({}) };
            let start = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input});
            let pieces = call.arguments.iter().filter(|_| !whole);
            let pieces = pieces.map(|piece| (json!({"type": "input_json_delta", "partial_json": piece}), 1));
            self.block(&start, Kind::Content, &pieces.collect::<Vec<_>>());
        }
    }

    fn block(&mut self, start: &Value, kind: Kind, pieces: &[(Value, u32)]) {
        let index = self.index;
        self.index += 1;
        self.push(&json!({"type": "content_block_start", "index": index, "content_block": start}), kind, 0);
        self.events.extend(pieces.iter().map(|(piece, words)| delta(index, piece, *words)));
        self.push(&json!({"type": "content_block_stop", "index": index}), Kind::Other, 0);
    }

    fn close(&mut self) {
        let stop = ending(self.tale, self.behaviour);
        let mut last =
            json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}});
        if let Some(details) = explanation(self.tale) {
            set(last.get_mut("delta").unwrap_or(&mut Value::Null), "stop_details", details);
        }
        let usage = usage(self.tale, self.behaviour, self.tale.consumed.completion_tokens);
        let kind = if usage.is_some() { Kind::FinishAndUsage } else { Kind::Finish };
        if let Some(usage) = usage {
            set(&mut last, "usage", usage);
        }
        self.push(&last, kind, 0);
        let times = match () {
            () if self.behaviour.has(Quirk::NoDone) => 0,
            () if self.behaviour.has(Quirk::DoneTwice) => 2,
            () => 1,
        };
        for _ in 0..times {
            self.push(&json!({"type": "message_stop"}), Kind::Terminal, 0);
        }
        if self.behaviour.has(Quirk::BytesAfterDone) {
            let mut late = delta(0, &json!({"type": "text_delta", "text": " too late"}), 0);
            late.kind = Kind::Other;
            late.data.push_str("\n\njunk");
            self.events.push(late);
        }
    }
}

fn event(data: &Value, kind: Kind, words: u32) -> Event {
    Event { data: data.to_string(), kind, words }
}

fn delta(index: u32, delta: &Value, words: u32) -> Event {
    event(&json!({"type": "content_block_delta", "index": index, "delta": delta}), Kind::Content, words)
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn message(ask: &Ask, tale: &Tale, content: &[Value], stop: &Value) -> Value {
    let mut message = json!({"id": format!("msg_sim_{}", tale.number), "type": "message", "role": "assistant",
        "model": ask.model, "content": content, "stop_reason": stop, "stop_sequence": null});
    if let Some(details) = explanation(tale).filter(|_| !stop.is_null()) {
        set(&mut message, "stop_details", details);
    }
    message
}

fn blocks(tale: &Tale) -> Vec<Value> {
    let content = &tale.content;
    let mut blocks = Vec::new();
    if !content.reasoning.is_empty() {
        let thinking = content.reasoning.concat();
        blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": signature(tale)}));
    }
    if !content.text.is_empty() {
        blocks.push(json!({"type": "text", "text": content.text.concat()}));
    }
    let call = |call: &super::Call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments(call)});
    blocks.extend(content.calls.iter().map(call));
    blocks
}

pub(super) fn arguments(call: &super::Call) -> Value {
    serde_json::from_str(&call.arguments.concat()).unwrap_or_else(|_| Value::Object(Map::new()))
}

/// What a real signature looks like: opaque base64.
pub(super) fn signature(tale: &Tale) -> String {
    format!("c2lnbmF0dXJlIA{}==", tale.number)
}

fn explanation(tale: &Tale) -> Option<Value> {
    let refusal = tale.content.refusal.concat();
    (!refusal.is_empty()).then(|| json!({"type": "refusal", "explanation": refusal}))
}

fn ending(tale: &Tale, behaviour: &Behaviour) -> Value {
    let content = &tale.content;
    json!(match () {
        () if behaviour.has(Quirk::NoFinish) => return Value::Null,
        () if behaviour.has(Quirk::OddFinish) => "brand_new",
        () if !content.refusal.is_empty() => "refusal",
        () if content.cut_short => "max_tokens",
        () if !content.calls.is_empty() => "tool_use",
        () => "end_turn",
    })
}

/// The usage stated when `output` tokens are said, what was cached apart from the
/// rest of the prompt; `None` when none is.
fn usage(tale: &Tale, behaviour: &Behaviour, output: u64) -> Option<Value> {
    let Consumed { prompt_tokens, reasoning_tokens, cached_tokens, .. } = tale.consumed;
    let figure = |honest: u64| match behaviour.usage {
        Statement::Honest | Statement::Missing | Statement::Null => json!(honest),
        Statement::Negative => json!(-1),
        Statement::Huge => json!(1_u64 << 63),
        Statement::Float => json!(1e308),
        Statement::Text => json!("many"),
    };
    match behaviour.usage {
        Statement::Missing => None,
        Statement::Null => Some(Value::Null),
        _ => Some(json!({
            "input_tokens": figure(prompt_tokens - cached_tokens.min(prompt_tokens)),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached_tokens,
            "output_tokens": figure(output),
            "output_tokens_details": {"thinking_tokens": reasoning_tokens.min(output)},
        })),
    }
}

/// The type of an error, by status (Anthropic's reference on errors).
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}
