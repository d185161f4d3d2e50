//! `OpenAI`'s Chat Completions as providers say them, with the deviations of
//! those that are only compatible. Chunks follow `OpenAI`'s published API
//! reference: all keys that it requires are present, `null` where empty.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Ask, Complaint, Consumed, Event, Speech, Tale};
use crate::sim::behaviour::{Behaviour, Statement};
use crate::sim::inbound::Inbound;
use crate::sim::quirks::Quirk;
use crate::sim::script::Kind;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenAi;

/// `created` of every answer: a fixed time (14 November 2023), so that runs are
/// the same to the byte.
const CREATED: u64 = 1_700_000_000;

#[derive(Deserialize)]
struct Body<'a> {
    model: String,
    #[serde(borrow)]
    messages: &'a RawValue,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    tools: Vec<Value>,
    tool_choice: Option<Value>,
    response_format: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Speech for OpenAi {
    fn serves(&self, path: &str) -> bool {
        path.ends_with("/chat/completions")
    }

    fn understand(&self, inbound: &Inbound) -> Result<Ask, String> {
        let body: Body<'_> = serde_json::from_slice(&inbound.body).map_err(|error| error.to_string())?;
        let choice = body.tool_choice.unwrap_or(Value::Null);
        let tool = body.tools.first().and_then(|tool| tool.pointer("/function/name")).and_then(Value::as_str);
        Ok(Ask {
            model: body.model,
            stream: body.stream.unwrap_or(false),
            include_usage: body.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            choices: body.n.unwrap_or(1).clamp(1, 128),
            max_tokens: body.max_completion_tokens.or(body.max_tokens),
            must_call: tool.is_some() && (choice.is_object() || choice == "required"),
            tool: tool.map(str::to_owned),
            schema: body.response_format.as_ref().and_then(schema),
            prompt_bytes: body.messages.get().len() as u64,
            native: false,
        })
    }

    fn whole(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Value {
        let choices: Vec<Value> = (0..ask.choices)
            .map(|index| {
                let finish = finish(tale, behaviour);
                json!({"index": index, "message": message(tale, behaviour), "logprobs": null, "finish_reason": finish})
            })
            .collect();
        let mut body = json!({"id": id(tale), "object": "chat.completion", "created": CREATED, "model": ask.model,
            "choices": choices});
        if let Some(usage) = usage(tale, behaviour) {
            set(&mut body, "usage", usage);
        }
        if behaviour.has(Quirk::ErrorNull) {
            set(&mut body, "error", Value::Null);
        }
        body
    }

    fn events(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Vec<Event> {
        let writer = Writer { ask, tale, behaviour };
        let mut events = Vec::new();
        if behaviour.has(Quirk::EmptyFirst) {
            events.push(writer.event(&json!([]), Kind::Preamble, 0));
        }
        writer.open(&mut events);
        writer.content(&mut events);
        writer.close(&mut events);
        events
    }

    fn big_event(&self, ask: &Ask, tale: &Tale, bytes: usize) -> Event {
        let writer = Writer { ask, tale, behaviour: &Behaviour::default() };
        writer.delta(0, json!({"content": "a".repeat(bytes)}), Kind::Content, 0)
    }

    fn error(&self, complaint: Complaint<'_>, behaviour: &Behaviour) -> Value {
        let (kind, usual) = words_for(complaint.status);
        let code = complaint.code.or(usual);
        let kind = if code == Some("insufficient_quota") { "insufficient_quota" } else { kind };
        let code = if behaviour.has(Quirk::NumericErrorCode) { json!(complaint.status) } else { json!(code) };
        let body =
            json!({"error": {"message": complaint.message, "type": kind, "param": null, "code": code}});
        if behaviour.has(Quirk::ErrorInArray) { json!([body]) } else { body }
    }

    fn error_event(&self, ask: &Ask, chunk: bool) -> Event {
        let data = if chunk {
            json!({"id": "gen-error", "object": "chat.completion.chunk", "created": CREATED, "model": ask.model,
                "error": {"code": 502, "message": "provider disconnected", "metadata": {"error_type": "provider_unavailable"}},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]})
        } else {
            json!({"error": {"message": "the server is overloaded", "type": "service_unavailable_error",
                "param": null, "code": "server_is_overloaded"}})
        };
        Event { data: data.to_string(), kind: Kind::Other, words: 0 }
    }

    fn models(&self, names: &[&str]) -> Bytes {
        let data: Vec<Value> = names
            .iter()
            .map(|name| json!({"id": name, "object": "model", "created": CREATED, "owned_by": "simulated"}))
            .collect();
        json!({"object": "list", "data": data}).to_string().into()
    }
}

/// The schema that a `response_format` asks for.
fn schema(format: &Value) -> Option<Value> {
    match format.get("type").and_then(Value::as_str)? {
        "json_schema" => format.pointer("/json_schema/schema").cloned(),
        "json_object" => Some(Value::Bool(true)),
        _ => None,
    }
}

/// Builds the chunks of one stream.
struct Writer<'a> {
    ask: &'a Ask,
    tale: &'a Tale,
    behaviour: &'a Behaviour,
}

impl Writer<'_> {
    fn has(&self, quirk: Quirk) -> bool {
        self.behaviour.has(quirk)
    }

    fn event(&self, choices: &Value, kind: Kind, words: u32) -> Event {
        let mut chunk = json!({"id": id(self.tale), "object": "chat.completion.chunk", "created": CREATED,
            "model": self.ask.model, "choices": choices});
        if matches!(kind, Kind::Usage | Kind::FinishAndUsage) {
            set(&mut chunk, "usage", usage(self.tale, self.behaviour).unwrap_or(Value::Null));
        } else if self.ask.include_usage && self.behaviour.usage != Statement::Missing {
            set(&mut chunk, "usage", Value::Null);
        }
        if self.has(Quirk::ErrorNull) {
            set(&mut chunk, "error", Value::Null);
        }
        Event { data: chunk.to_string(), kind, words }
    }

    fn delta(&self, index: u32, mut delta: Value, kind: Kind, words: u32) -> Event {
        if self.has(Quirk::RoleRepeated) {
            set(&mut delta, "role", json!("assistant"));
        }
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
        self.event(&json!([choice]), kind, words)
    }

    fn open(&self, events: &mut Vec<Event>) {
        let mut order: Vec<u32> = (0..self.ask.choices).collect();
        if self.has(Quirk::ChoicesReversed) {
            order.reverse();
        }
        if !self.has(Quirk::NoRole) {
            let role = || json!({"role": "assistant", "content": "", "refusal": null});
            events.extend(order.iter().map(|index| self.delta(*index, role(), Kind::Preamble, 0)));
        }
    }

    fn content(&self, events: &mut Vec<Event>) {
        let content = &self.tale.content;
        let all = 0..self.ask.choices;
        let reasoning = if self.has(Quirk::ReasoningField) { "reasoning" } else { "reasoning_content" };
        for (field, pieces) in
            [(reasoning, &content.reasoning), ("content", &content.text), ("refusal", &content.refusal)]
        {
            for piece in pieces {
                let said = if field == "content" { self.text(piece) } else { json!(piece) };
                let delta = || Value::Object(Map::from_iter([(field.to_owned(), said.clone())]));
                events.extend(all.clone().map(|index| self.delta(index, delta(), Kind::Content, 1)));
            }
        }
        for index in all {
            self.calls(index, events);
        }
    }

    fn text(&self, piece: &str) -> Value {
        if self.has(Quirk::ContentArray) { json!([{"type": "text", "text": piece}]) } else { json!(piece) }
    }

    fn calls(&self, choice: u32, events: &mut Vec<Event>) {
        if self.has(Quirk::WholeToolCall) {
            return; // said together with the finish reason
        }
        let first = u32::from(self.has(Quirk::ToolIndexFromOne));
        for (index, call) in (first..).zip(&self.tale.content.calls) {
            let mut opening = json!({"index": index, "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": ""}});
            self.strip_index(&mut opening);
            events.push(self.delta(choice, json!({"tool_calls": [opening]}), Kind::Content, 0));
            for piece in &call.arguments {
                let mut delta = json!({"index": index, "function": {"arguments": piece}});
                if self.has(Quirk::ToolIdRepeated) {
                    delta = json!({"index": index, "id": call.id, "type": "function",
                        "function": {"name": call.name, "arguments": piece}});
                } else if self.has(Quirk::ToolNameEmpty) {
                    delta = json!({"index": index, "function": {"name": "", "arguments": piece}});
                }
                self.strip_index(&mut delta);
                events.push(self.delta(choice, json!({"tool_calls": [delta]}), Kind::Content, 1));
            }
        }
    }

    fn strip_index(&self, call: &mut Value) {
        if self.has(Quirk::NoToolIndex)
            && let Some(call) = call.as_object_mut()
        {
            call.shift_remove("index");
            call.shift_remove("type");
        }
    }

    /// The finish chunks, usage and terminal marker.
    fn close(&self, events: &mut Vec<Event>) {
        for index in 0..self.ask.choices {
            self.finish(index, events);
        }
        let told = self.behaviour.usage != Statement::Missing && !self.has(Quirk::UsageOnFinish);
        if told && (self.ask.include_usage || self.has(Quirk::UsageAlways)) {
            events.push(self.event(&json!([]), Kind::Usage, 0));
            if self.has(Quirk::EmptyAfterUsage) {
                events.push(self.event(&json!([]), Kind::Other, 0));
            }
        }
        let done = || Event { data: "[DONE]".to_owned(), kind: Kind::Terminal, words: 0 };
        if !self.has(Quirk::NoDone) {
            events.push(done());
        }
        if self.has(Quirk::DoneTwice) {
            events.push(done());
        }
        if self.has(Quirk::BytesAfterDone) {
            let mut late = self.delta(0, json!({"content": " too late"}), Kind::Other, 0);
            late.data.push_str("\n\njunk");
            events.push(late);
        }
    }

    fn finish(&self, index: u32, events: &mut Vec<Event>) {
        let calls = &self.tale.content.calls;
        let whole = self.has(Quirk::WholeToolCall) && !calls.is_empty();
        let words: usize = if whole { calls.iter().map(|call| call.arguments.len()).sum() } else { 0 };
        let mut delta = if whole { json!({"tool_calls": whole_calls(self.tale)}) } else { json!({}) };
        if let Some(calls) = delta.get_mut("tool_calls").and_then(Value::as_array_mut) {
            for call in calls.iter_mut() {
                self.strip_index(call);
            }
        }
        if self.has(Quirk::NoFinish) {
            if whole {
                events.push(self.delta(index, delta, Kind::Content, word_count(words)));
            }
            return;
        }
        let choice = json!({"index": index, "delta": delta, "logprobs": null,
            "finish_reason": finish(self.tale, self.behaviour)});
        let with_usage = self.has(Quirk::UsageOnFinish) && index + 1 == self.ask.choices;
        let kind = if with_usage { Kind::FinishAndUsage } else { Kind::Finish };
        events.push(self.event(&json!([choice]), kind, word_count(words)));
    }
}

fn word_count(words: usize) -> u32 {
    u32::try_from(words).unwrap_or(u32::MAX)
}

fn id(tale: &Tale) -> String {
    format!("chatcmpl-sim-{}", tale.number)
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn finish(tale: &Tale, behaviour: &Behaviour) -> Value {
    if behaviour.has(Quirk::NoFinish) {
        return Value::Null;
    }
    let content = &tale.content;
    json!(match () {
        () if behaviour.has(Quirk::OddFinish) => "eos",
        () if content.cut_short => "length",
        () if !content.calls.is_empty() => "tool_calls",
        () => "stop",
    })
}

fn whole_calls(tale: &Tale) -> Vec<Value> {
    let call = |(index, call): (u32, &super::Call)| {
        json!({"index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": call.arguments.concat()}})
    };
    (0..).zip(&tale.content.calls).map(call).collect()
}

fn message(tale: &Tale, behaviour: &Behaviour) -> Value {
    let content = &tale.content;
    let text = content.text.concat();
    let said = match behaviour.has(Quirk::ContentArray) {
        true => json!([{"type": "text", "text": text}]),
        false if content.text.is_empty() => Value::Null,
        false => json!(text),
    };
    let refusal = (!content.refusal.is_empty()).then(|| content.refusal.concat());
    let mut message = json!({"role": "assistant", "content": said, "refusal": refusal});
    if !content.reasoning.is_empty() {
        let field = if behaviour.has(Quirk::ReasoningField) { "reasoning" } else { "reasoning_content" };
        set(&mut message, field, json!(content.reasoning.concat()));
    }
    if !content.calls.is_empty() {
        let mut calls = whole_calls(tale);
        calls.iter_mut().filter_map(Value::as_object_mut).for_each(|call| drop(call.shift_remove("index")));
        set(&mut message, "tool_calls", json!(calls));
    }
    message
}

/// The usage stated; `None` when none is.
fn usage(tale: &Tale, behaviour: &Behaviour) -> Option<Value> {
    let Consumed { prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens } = tale.consumed;
    let apart = if behaviour.has(Quirk::ReasoningApart) { reasoning_tokens } else { 0 };
    let figure = |honest: u64| match behaviour.usage {
        Statement::Honest | Statement::Missing | Statement::Null => json!(honest),
        Statement::Negative => json!(-1),
        Statement::Huge => json!(1_u64 << 63),
        Statement::Float => json!(1e308),
        Statement::Text => json!("many"),
    };
    let mut usage = json!({
        "prompt_tokens": figure(prompt_tokens),
        "completion_tokens": figure(completion_tokens - apart),
        "total_tokens": figure(prompt_tokens + completion_tokens),
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    });
    if behaviour.has(Quirk::CostInUsage) {
        set(&mut usage, "cost", json!(tale.cost_usd));
    }
    match behaviour.usage {
        Statement::Missing => None,
        Statement::Null => Some(Value::Null),
        _ => Some(usage),
    }
}

/// Type and usual code of an error, by status: `OpenAI`'s published list, and
/// for the others what compatible providers say.
fn words_for(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("model_not_found")),
        413 => ("invalid_request_error", Some("request_too_large")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        503 | 529 => ("service_unavailable_error", Some("server_is_overloaded")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    }
}
