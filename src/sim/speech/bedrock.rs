//! Bedrock from the provider's side: Converse and its stream, and `InvokeModel`
//! with Anthropic's body, in AWS's binary event stream.
//!
//! Which of the two is asked for tells the path. Requests are refused where the
//! real API refuses them for their form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Ask, Complaint, Consumed, Event, Speech, Tale, anthropic};
use crate::dialect::event_stream;
use crate::sim::behaviour::{Behaviour, Statement};
use crate::sim::inbound::Inbound;
use crate::sim::quirks::Quirk;
use crate::sim::script::Kind;

mod strict;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bedrock;

/// What the path asks for.
struct Asked {
    model: String,
    stream: bool,
    /// Whether Claude is asked in its own words.
    messages: bool,
}

fn asked(path: &str) -> Option<Asked> {
    let path = path.split('?').next().unwrap_or_default();
    let (model, method) = path.rsplit_once("/model/")?.1.split_once('/')?;
    let (stream, messages) = match method {
        "converse" => (false, false),
        "converse-stream" => (true, false),
        "invoke" => (false, true),
        "invoke-with-response-stream" => (true, true),
        _ => return None,
    };
    Some(Asked { model: decoded(model)?, stream, messages })
}

/// A segment of a path, percent-encoding undone; nothing when it is not sound.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

impl Speech for Bedrock {
    fn serves(&self, path: &str) -> bool {
        asked(path).is_some()
    }

    fn understand(&self, inbound: &Inbound) -> Result<Ask, String> {
        let asked = asked(&inbound.path).ok_or("there is no such operation")?;
        if asked.messages {
            let ask = anthropic::read(inbound, Some("bedrock-2023-05-31"))?;
            return Ok(Ask { model: asked.model, stream: asked.stream, native: true, ..ask });
        }
        let body: Value = serde_json::from_slice(&inbound.body).map_err(|error| error.to_string())?;
        strict::check(&body)?;
        let tools = body.pointer("/toolConfig/tools").and_then(Value::as_array).cloned().unwrap_or_default();
        let first = tools.iter().find_map(|tool| tool.pointer("/toolSpec/name")?.as_str());
        let choice = body.pointer("/toolConfig/toolChoice");
        let named = choice.and_then(|choice| choice.pointer("/tool/name")?.as_str());
        let any = choice.is_some_and(|choice| choice.get("any").is_some());
        let size = |name: &str| body.get(name).map_or(0, |value| value.to_string().len() as u64);
        let limit = body.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64);
        Ok(Ask {
            schema: None,
            model: asked.model,
            stream: asked.stream,
            include_usage: true,
            choices: 1,
            max_tokens: limit.and_then(|limit| usize::try_from(limit).ok()),
            tool: named.or(first).map(str::to_owned),
            must_call: first.is_some() && (any || named.is_some()),
            prompt_bytes: size("messages") + size("system"),
            native: false,
        })
    }

    fn whole(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Value {
        if ask.native {
            return anthropic::Anthropic.whole(ask, tale, behaviour);
        }
        let message = json!({"role": "assistant", "content": blocks(tale)});
        let mut answer = json!({"metrics": {"latencyMs": 5}, "output": {"message": message}});
        set(&mut answer, "stopReason", ending(tale, behaviour));
        set(&mut answer, "usage", usage(tale, behaviour));
        answer
    }

    fn events(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Vec<Event> {
        if ask.native {
            let events = anthropic::Anthropic.events(ask, tale, behaviour);
            return events.iter().map(chunk).collect();
        }
        let mut writer = Writer { tale, behaviour, events: Vec::new(), index: 0 };
        writer.push("messageStart", json!({"role": "assistant"}), Kind::Preamble, 0);
        writer.content();
        writer.close();
        writer.events
    }

    fn big_event(&self, ask: &Ask, tale: &Tale, bytes: usize) -> Event {
        if ask.native {
            return chunk(&anthropic::Anthropic.big_event(ask, tale, bytes));
        }
        event("contentBlockDelta", delta(0, &json!({"text": "a".repeat(bytes)})), Kind::Content, 0)
    }

    fn error(&self, complaint: Complaint<'_>, _behaviour: &Behaviour) -> Value {
        let message = match complaint.code {
            Some("context_length_exceeded") => "Input is too long for requested model.",
            Some("insufficient_quota") => "Too many tokens per day, please wait before trying again.",
            _ => complaint.message,
        };
        json!({ "message": message })
    }

    fn error_header(&self, status: u16) -> Option<(&'static str, &'static str)> {
        let name = match status {
            401 => "UnrecognizedClientException",
            403 => "AccessDeniedException",
            404 => "ResourceNotFoundException",
            408 | 504 => "ModelTimeoutException",
            424 => "ModelErrorException",
            429 => "ThrottlingException",
            503 | 529 => "ServiceUnavailableException",
            400..500 => "ValidationException",
            _ => "InternalServerException",
        };
        Some(("x-amzn-errortype", name))
    }

    fn error_event(&self, _ask: &Ask, chunk: bool) -> Event {
        let name = if chunk { "modelStreamErrorException" } else { "serviceUnavailableException" };
        Event { data: json!({ name: {"message": "Overloaded"} }).to_string(), kind: Kind::Other, words: 0 }
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    /// A frame of what `event` wrote: the name, and what it carries.
    fn frame(&self, data: &[u8]) -> Option<Bytes> {
        // What is broken on purpose is broken in a sound frame.
        let Ok(event) = serde_json::from_slice::<Map<String, Value>>(data) else {
            return Some(event_stream::event("contentBlockDelta", data));
        };
        let (name, payload) = event.into_iter().next()?;
        let payload = payload.to_string();
        Some(match name.ends_with("Exception") {
            true => event_stream::exception(&name, payload.as_bytes()),
            false => event_stream::event(&name, payload.as_bytes()),
        })
    }

    fn models(&self, names: &[&str]) -> Bytes {
        let summaries: Vec<Value> = names
            .iter()
            .map(|name| json!({"modelId": name, "modelName": name, "responseStreamingSupported": true}))
            .collect();
        json!({ "modelSummaries": summaries }).to_string().into()
    }
}

/// Builds the events of one stream of Converse.
struct Writer<'a> {
    tale: &'a Tale,
    behaviour: &'a Behaviour,
    events: Vec<Event>,
    /// Of the next block.
    index: u32,
}

impl Writer<'_> {
    fn push(&mut self, name: &str, payload: Value, kind: Kind, words: u32) {
        self.events.push(event(name, payload, kind, words));
    }

    fn content(&mut self) {
        let content = &self.tale.content;
        if !content.reasoning.is_empty() {
            let piece = |piece: &String| (json!({"reasoningContent": {"text": piece}}), 1);
            let mut pieces: Vec<_> = content.reasoning.iter().map(piece).collect();
            pieces.push((json!({"reasoningContent": {"signature": anthropic::signature(self.tale)}}), 0));
            self.block(None, &pieces);
        }
        let spoken: Vec<_> =
            content.text.iter().chain(&content.refusal).map(|piece| (json!({"text": piece}), 1)).collect();
        if !spoken.is_empty() {
            self.block(None, &spoken);
        }
        for call in &content.calls {
            let start = json!({"toolUse": {"toolUseId": call.id, "name": call.name}});
            let pieces = call.arguments.iter().map(|piece| (json!({"toolUse": {"input": piece}}), 1));
            self.block(Some(start), &pieces.collect::<Vec<_>>());
        }
    }

    /// Only calls are announced; texts begin with their first delta.
    fn block(&mut self, start: Option<Value>, pieces: &[(Value, u32)]) {
        let index = self.index;
        self.index += 1;
        if let Some(start) = start {
            let payload = json!({"contentBlockIndex": index, "start": start});
            self.push("contentBlockStart", payload, Kind::Content, 0);
        }
        for (piece, words) in pieces {
            self.push("contentBlockDelta", delta(index, piece), Kind::Content, *words);
        }
        self.push("contentBlockStop", json!({"contentBlockIndex": index}), Kind::Other, 0);
    }

    fn close(&mut self) {
        let metadata = json!({"metrics": {"latencyMs": 5}, "usage": usage(self.tale, self.behaviour)});
        let early = self.behaviour.has(Quirk::UsageOnFinish);
        let (tale, behaviour) = (self.tale, self.behaviour);
        if early {
            self.push("metadata", metadata.clone(), Kind::Usage, 0);
        }
        let times = match () {
            () if behaviour.has(Quirk::NoDone) => 0,
            () if behaviour.has(Quirk::DoneTwice) => 2,
            () => 1,
        };
        for _ in 0..times {
            let stop = json!({"stopReason": ending(tale, behaviour)});
            self.push("messageStop", stop, Kind::Terminal, 0);
        }
        if !early && behaviour.usage != Statement::Missing && times > 0 {
            self.push("metadata", metadata, Kind::Usage, 0);
        }
        if behaviour.has(Quirk::BytesAfterDone) {
            self.push("contentBlockDelta", delta(0, &json!({"text": " too late"})), Kind::Other, 0);
        }
    }
}

/// An event, as an object with its name as the only member. Real payloads are
/// padded to hide how long a text is.
fn event(name: &str, mut payload: Value, kind: Kind, words: u32) -> Event {
    set(&mut payload, "p", json!("abcdefghijklmnop".get(..words.min(16) as usize + 3)));
    Event { data: json!({ name: payload }).to_string(), kind, words }
}

/// An event of Anthropic's in the envelope of `InvokeModelWithResponseStream`.
fn chunk(event: &Event) -> Event {
    let data = json!({"chunk": {"bytes": STANDARD.encode(&event.data), "p": "abc"}}).to_string();
    Event { data, kind: event.kind, words: event.words }
}

fn delta(index: u32, delta: &Value) -> Value {
    json!({"contentBlockIndex": index, "delta": delta})
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let (Some(object), false) = (object.as_object_mut(), value.is_null()) {
        object.insert(key.to_owned(), value);
    }
}

fn blocks(tale: &Tale) -> Vec<Value> {
    let content = &tale.content;
    let mut blocks = Vec::new();
    if !content.reasoning.is_empty() {
        let said = json!({"text": content.reasoning.concat(), "signature": anthropic::signature(tale)});
        blocks.push(json!({"reasoningContent": {"reasoningText": said}}));
    }
    let spoken = [content.text.concat(), content.refusal.concat()].concat();
    if !spoken.is_empty() {
        blocks.push(json!({ "text": spoken }));
    }
    let call = |call: &super::Call| json!({"toolUse": {"toolUseId": call.id, "name": call.name, "input": anthropic::arguments(call)}});
    blocks.extend(content.calls.iter().map(call));
    blocks
}

fn ending(tale: &Tale, behaviour: &Behaviour) -> Value {
    let content = &tale.content;
    json!(match () {
        () if behaviour.has(Quirk::NoFinish) => return Value::Null,
        () if behaviour.has(Quirk::OddFinish) => "brand_new",
        () if !content.refusal.is_empty() => "content_filtered",
        () if content.cut_short => "max_tokens",
        () if !content.calls.is_empty() => "tool_use",
        () => "end_turn",
    })
}

/// The usage stated; what was cached is apart from the rest of the prompt.
fn usage(tale: &Tale, behaviour: &Behaviour) -> Value {
    let Consumed { prompt_tokens, completion_tokens, cached_tokens, .. } = tale.consumed;
    let figure = |honest: u64| match behaviour.usage {
        Statement::Honest | Statement::Missing | Statement::Null => json!(honest),
        Statement::Negative => json!(-1),
        Statement::Huge => json!(1_u64 << 63),
        Statement::Float => json!(1e308),
        Statement::Text => json!("many"),
    };
    match behaviour.usage {
        Statement::Missing | Statement::Null => Value::Null,
        _ => {
            json!({"inputTokens": figure(prompt_tokens - cached_tokens.min(prompt_tokens)), "outputTokens": figure(completion_tokens),
            "totalTokens": figure(prompt_tokens + completion_tokens), "cacheReadInputTokens": cached_tokens, "cacheWriteInputTokens": 0})
        }
    }
}
