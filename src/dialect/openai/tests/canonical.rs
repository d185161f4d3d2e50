//! A strict judge of streams: what every caller's SDK can rely on.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a canonical stream said.
#[derive(Debug, Default, PartialEq)]
pub(in crate::dialect) struct Said {
    pub(in crate::dialect) choices: BTreeMap<u64, Choice>,
    pub(in crate::dialect) usage: Option<Value>,
}

/// What one choice said.
#[derive(Debug, Default, PartialEq)]
pub(in crate::dialect) struct Choice {
    pub(in crate::dialect) text: String,
    pub(in crate::dialect) reasoning: String,
    /// Id, name, arguments.
    pub(in crate::dialect) calls: Vec<(String, String, String)>,
    pub(in crate::dialect) finish: Option<String>,
}

fn ensure(condition: bool, what: &str, chunk: &Value) -> Result<(), String> {
    if condition { Ok(()) } else { Err(format!("{what}: {chunk}")) }
}

/// Judges a complete stream, `[DONE]` included.
pub(in crate::dialect) fn judge(stream: &str, include_usage: bool) -> Result<Said, String> {
    let mut events: Vec<&str> = stream.split("\n\n").collect();
    if events.pop() != Some("") || events.pop() != Some("data: [DONE]") {
        return Err("does not end with [DONE]".to_owned());
    }
    let mut said = Said::default();
    let mut common = None;
    let last = events.len().saturating_sub(1);
    for (position, event) in events.into_iter().enumerate() {
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("not one line of data: {event}"))?;
        let chunk: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
        let envelope = ["id", "object", "created", "model"].map(|name| chunk[name].clone());
        ensure(chunk["id"].as_str().is_some_and(|id| !id.is_empty()), "no id", &chunk)?;
        ensure(chunk["object"] == "chat.completion.chunk", "wrong object", &chunk)?;
        ensure(chunk["created"].is_u64() && chunk["model"].is_string(), "no created or model", &chunk)?;
        ensure(*common.get_or_insert_with(|| envelope.clone()) == envelope, "another envelope", &chunk)?;
        ensure(chunk.get("error").is_none(), "an error key", &chunk)?;
        let usage = chunk.get("usage");
        if include_usage && position == last {
            ensure(chunk["choices"] == Value::Array(Vec::new()), "usage beside choices", &chunk)?;
            ensure(usage.is_some_and(Value::is_object), "no usage at the end", &chunk)?;
            said.usage = usage.cloned();
        } else {
            ensure(usage.is_some() == include_usage, "usage where it is not wanted, or not", &chunk)?;
            ensure(usage.is_none_or(Value::is_null), "usage too early", &chunk)?;
        }
        for choice in chunk["choices"].as_array().ok_or("no choices")? {
            judge_choice(choice, &mut said)?;
        }
    }
    match said.choices.values().all(|choice| choice.finish.is_some()) && !said.choices.is_empty() {
        true => Ok(said),
        false => Err("a choice without a finish reason".to_owned()),
    }
}

fn judge_choice(choice: &Value, said: &mut Said) -> Result<(), String> {
    let index = choice["index"].as_u64().ok_or("a choice without index")?;
    let delta = choice["delta"].as_object().ok_or_else(|| format!("no delta: {choice}"))?;
    let next = said.choices.len() as u64;
    let opens = index == next;
    ensure(index <= next, "choices opened out of order", choice)?;
    ensure(delta.contains_key("role") == opens, "the role must come once, first", choice)?;
    ensure(!opens || delta["role"] == "assistant" && delta.contains_key("content"), "a bad opening", choice)?;
    let known = said.choices.entry(index).or_default();
    ensure(known.finish.is_none(), "something after the end", choice)?;
    let text = |name: &str| match delta.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{name} is not text: {choice}")),
    };
    let (content, reasoning) = (text("content")?, text("reasoning_content")?);
    ensure(text("reasoning")?.is_empty() || !reasoning.is_empty(), "reasoning by one name only", choice)?;
    let calls = delta.get("tool_calls").map_or(Ok(&[][..]), |calls| {
        calls.as_array().map(Vec::as_slice).ok_or_else(|| format!("bad tool calls: {choice}"))
    })?;
    for (name, value) in delta {
        let numbered = value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| !item.is_object() || item["index"].is_u64()));
        ensure(numbered, name, choice)?;
    }
    let reason = choice.get("finish_reason").ok_or_else(|| format!("no finish_reason: {choice}"))?;
    if let Some(reason) = reason.as_str() {
        let words = ["stop", "length", "tool_calls", "content_filter", "function_call"];
        ensure(words.contains(&reason), "an unknown finish reason", choice)?;
        ensure(content.is_empty() && reasoning.is_empty() && calls.is_empty(), "content at the end", choice)?;
        known.finish = Some(reason.to_owned());
    } else {
        ensure(reason.is_null(), "a bad finish reason", choice)?;
    }
    known.text.push_str(&content);
    known.reasoning.push_str(&reasoning);
    for call in calls {
        judge_call(call, known)?;
    }
    Ok(())
}

fn judge_call(call: &Value, choice: &mut Choice) -> Result<(), String> {
    let index =
        call["index"].as_u64().and_then(|index| usize::try_from(index).ok()).ok_or("a call without index")?;
    let (id, name) = (call.get("id"), call.pointer("/function/name"));
    let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
    if index == choice.calls.len() {
        let id = id.and_then(Value::as_str).filter(|id| !id.is_empty()).ok_or("a call without id")?;
        let name = name.and_then(Value::as_str).ok_or("a call without name")?;
        ensure(choice.calls.iter().all(|known| known.0 != id), "the same id again", call)?;
        ensure(call["type"] == "function", "a call without type", call)?;
        choice.calls.push((id.to_owned(), name.to_owned(), String::new()));
    } else {
        ensure(id.is_none() && name.is_none(), "id or name again", call)?;
    }
    let known = choice.calls.get_mut(index).ok_or_else(|| format!("a call out of order: {call}"))?;
    known.2.push_str(arguments.ok_or_else(|| format!("no arguments: {call}"))?);
    Ok(())
}
