//! The columns: what is asked, and what must come of it.

use serde_json::{Value, json};

use super::errors;
use super::stage::{Outcome, Stage, Told};
use crate::support::Fallible;
use crate::support::chat::{chat, with};

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is done.
    Done,
    /// It is refused, with a reason and before anything is sent.
    Refused,
    /// Neither.
    Wrong,
}

impl Mark {
    /// In the table.
    pub(super) fn word(self) -> &'static str {
        match self {
            Mark::Done => "✓",
            Mark::Refused => "refused",
            Mark::Wrong => "WRONG",
        }
    }
}

/// Tries one thing.
pub(super) type Cell = fn(&Stage) -> Fallible<Mark>;

/// All columns.
pub(super) const ALL: [(&str, Cell); 10] = [
    ("plain", plain),
    ("stream", stream),
    ("tools", tools),
    ("tools streamed", tools_streamed),
    ("parallel tools", parallel_tools),
    ("image", image),
    ("JSON schema", schema),
    ("reasoning", reasoning),
    ("usage and cost", cost),
    ("errors", errors::all),
];

/// A PNG of one pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What the simulator calls every function with.
fn arguments() -> Value {
    json!({ "city": "Zürich", "days": 3 })
}

/// Asks for the same whole or streamed; a refusal ends the cell.
macro_rules! told {
    ($stage:expr, $body:expr, $stream:expr) => {
        match $stage.ask($body, $stream)? {
            Outcome::Told(told) => told,
            Outcome::Refused => return Ok(Mark::Refused),
        }
    };
}

/// That a text has as many words as the upstream counted, and ended by itself.
fn is_whole(stage: &Stage, told: &Told) -> Fallible<()> {
    let words = |name: &str| {
        told.message.get(name).and_then(Value::as_str).unwrap_or_default().split_whitespace().count() as u64
    };
    let counted = stage.consumed()?.completion_tokens;
    if words("content") + words("reasoning_content") != counted || words("content") == 0 {
        return Err(format!("{counted} words became {told:?}").into());
    }
    if told.finish != json!("stop") {
        return Err(format!("it ended with {}", told.finish).into());
    }
    Ok(())
}

fn plain(stage: &Stage) -> Fallible<Mark> {
    stage.answers("text")?;
    is_whole(stage, &told!(stage, &chat("model"), false))?;
    Ok(Mark::Done)
}

fn stream(stage: &Stage) -> Fallible<Mark> {
    stage.answers("text")?;
    is_whole(stage, &told!(stage, &chat("model"), true))?;
    Ok(Mark::Done)
}

fn with_tools() -> Value {
    let parameters = json!({ "type": "object", "required": ["city"],
        "properties": { "city": { "type": "string" }, "days": { "type": "integer" } } });
    let function = json!({ "name": "look_up", "description": "The weather.", "parameters": parameters });
    with(chat("model"), "tools", json!([{ "type": "function", "function": function }]))
}

/// That a message has exactly `count` calls of the function, each with an id of
/// its own.
fn has_calls(told: &Told, count: usize) -> Fallible<Vec<Value>> {
    let calls = told.message.get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut ids: Vec<_> =
        calls.iter().filter_map(|call| call["id"].as_str()).filter(|id| !id.is_empty()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut good = ids.len() == count && calls.len() == count && told.finish == json!("tool_calls");
    for call in &calls {
        let said = call["function"]["arguments"].as_str().ok_or("arguments that are no text")?;
        good &= call["function"]["name"] == "look_up" && call["type"] == "function";
        good &= serde_json::from_str::<Value>(said)? == arguments();
    }
    if good { Ok(calls) } else { Err(format!("{count} calls became {told:?}").into()) }
}

fn tools(stage: &Stage) -> Fallible<Mark> {
    stage.answers("tools:1")?;
    has_calls(&told!(stage, &with_tools(), false), 1)?;
    Ok(Mark::Done)
}

fn tools_streamed(stage: &Stage) -> Fallible<Mark> {
    stage.answers("tools:1")?;
    // What is refused is so before it matters how it is to be answered.
    told!(stage, &with_tools(), false);
    has_calls(&told!(stage, &with_tools(), true), 1)?;
    Ok(Mark::Done)
}

/// Two calls at once, whole and streamed, and both results back, in the other order.
fn parallel_tools(stage: &Stage) -> Fallible<Mark> {
    stage.answers("tools:2")?;
    has_calls(&told!(stage, &with_tools(), false), 2)?;
    let told = told!(stage, &with_tools(), true);
    let calls = has_calls(&told, 2)?;
    let mut message = told.message.clone();
    message["role"] = json!("assistant");
    let result =
        |call: &Value, text: &str| json!({ "role": "tool", "tool_call_id": call["id"], "content": text });
    let messages = json!([{ "role": "user", "content": "Hello" }, message,
        result(&calls[1], "the second result"), result(&calls[0], "the first result")]);
    stage.answers("text")?;
    is_whole(stage, &told!(stage, &with(with_tools(), "messages", messages), false))?;
    let sent = stage.sent()?;
    if !(sent.contains("the first result") && sent.contains("the second result")) {
        return Err(format!("a result was lost: {sent}").into());
    }
    Ok(Mark::Done)
}

fn image(stage: &Stage) -> Fallible<Mark> {
    stage.answers("text")?;
    let parts = json!([{ "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PIXEL}") } }]);
    let body = with(chat("model"), "messages", json!([{ "role": "user", "content": parts }]));
    is_whole(stage, &told!(stage, &body, false))?;
    let sent = stage.sent()?;
    if !(sent.contains(PIXEL) && sent.contains("What is this?")) {
        return Err(format!("the image was lost: {sent}").into());
    }
    Ok(Mark::Done)
}

fn schema(stage: &Stage) -> Fallible<Mark> {
    stage.answers("text")?;
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["verdict"],
        "properties": { "verdict": { "type": "string", "enum": ["good", "bad"] } } });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "verdict", "strict": true, "schema": schema } });
    let body = with(chat("model"), "response_format", format);
    for stream in [false, true] {
        let told = told!(stage, &body, stream);
        // A simulator's text is no JSON; a schema that is held to by a forced
        // call comes back as the call's arguments.
        let said = told.message.get("content").and_then(Value::as_str).unwrap_or_default();
        if said.is_empty()
            || told.finish != json!("stop")
            || told.message.get("tool_calls").is_some_and(|calls| !calls.is_null())
        {
            return Err(format!("the answer became {told:?}").into());
        }
        let sent: Value = serde_json::from_str(&stage.sent()?)?;
        if !sent.to_string().contains(r#""verdict":{"#) {
            return Err(format!("the schema was lost: {sent}").into());
        }
    }
    Ok(Mark::Done)
}

fn reasoning(stage: &Stage) -> Fallible<Mark> {
    stage.answers("reasoning")?;
    let body = with(chat("model"), "reasoning_effort", json!("low"));
    let mut thoughts = Vec::new();
    for stream in [false, true] {
        let told = told!(stage, &body, stream);
        is_whole(stage, &told)?;
        let thought = told.message.get("reasoning_content").and_then(Value::as_str).unwrap_or_default();
        if thought.is_empty() {
            // It cannot say what it thought, so it was told not to.
            return Err(format!("no reasoning in {told:?}").into());
        }
        thoughts.push(thought.to_owned());
    }
    if thoughts[0] != thoughts[1] {
        return Err(format!("{thoughts:?}").into());
    }
    Ok(Mark::Done)
}

/// The same long prompt again: what was cached costs less. That usage and cost are
/// exact is looked at in every cell.
fn cost(stage: &Stage) -> Fallible<Mark> {
    stage.answers("text")?;
    let long = "All work and no play makes Jack a dull boy. ".repeat(400);
    let body = with(chat("model"), "messages", json!([{ "role": "user", "content": long }]));
    let mut cached = 0;
    for stream in [false, true, false] {
        told!(stage, &body, stream);
        cached = stage.consumed()?.cached_tokens;
    }
    if cached == 0 && !stage.manner.is_empty() {
        return Err("the simulator cached nothing".into());
    }
    Ok(Mark::Done)
}
