//! Understands an answer that was not streamed.

use std::ops::Range;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::calls::Calls;
use super::encode::json_string;
use super::usage::Stated;
use super::{delta, failure, finish, hide, usage};
use crate::dialect::splice::{self, Edit};
use crate::dialect::{Reply, Style};
use crate::json::{self, Kind, Raw, strings};
use crate::outcome::{Failure, FinishReason};

/// Reads a complete answer. One that has the canonical form goes out as it came,
/// but for what this caller may not see; another is mended.
pub(super) fn read(body: &Bytes, style: &Style) -> Result<Reply, Failure> {
    let body = trim(body);
    if simdutf8::basic::from_utf8(&body).is_ok()
        && let Some(look) = look(&body, style.hides_upstream())
        && strings::are_valid(&body)
    {
        let shown = style.model.as_ref().map(|model| look.edits(model));
        let body = shown.map_or_else(|| body.clone(), |edits| splice::pieces(&body, edits).concat().into());
        return Ok(reply(body, look.stated, look.finish, look.text));
    }
    let mut answer = canonical(&body)?;
    let Some(model) = &style.model else { return Ok(of(answer)) };
    let stated = answer.get("usage").map(usage::read).unwrap_or_default();
    hide::members(&mut answer);
    answer.insert("model".to_owned(), model.as_ref().into());
    if let Some(Value::String(id)) = answer.get("id") {
        let id = hide::id(&json_string(id));
        answer.insert("id".to_owned(), serde_json::from_slice(&id).unwrap_or_default());
    }
    if let Some(Value::Object(usage)) = answer.get_mut("usage") {
        hide::usage(usage);
    }
    let Stated { usage, implausible, cost_usd } = stated;
    Ok(Reply { usage, usage_implausible: implausible, reported_cost_usd: cost_usd, ..of(answer) })
}

/// A mended answer as a reply.
pub(super) fn of(answer: Map<String, Value>) -> Reply {
    let stated = answer.get("usage").map(usage::read).unwrap_or_default();
    let choices = answer.get("choices").and_then(Value::as_array);
    let (mut text, mut ended) = (0, None);
    for choice in choices.into_iter().flatten() {
        let message = choice.get("message").and_then(Value::as_object);
        text += message.map_or(0, |message| delta::carried(message).text);
        ended = choice.get("finish_reason").and_then(Value::as_str).and_then(finish::canonical);
    }
    reply(Value::Object(answer).to_string().into(), stated, ended, text)
}

fn reply(body: Bytes, stated: Stated, finish: Option<FinishReason>, output_bytes: u64) -> Reply {
    Reply {
        body,
        usage: stated.usage,
        usage_implausible: stated.implausible,
        finish,
        output_bytes,
        reported_cost_usd: stated.cost_usd,
    }
}

/// Without byte order mark and white space around (DeepSeek sends blank lines
/// while it works).
fn trim(body: &Bytes) -> Bytes {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.slice_ref(text.trim_ascii())
}

/// The answer in the canonical form, as a tree.
///
/// # Errors
/// The failure that the body reports, or [`Failure::Protocol`].
pub(super) fn canonical(body: &Bytes) -> Result<Map<String, Value>, Failure> {
    let body = trim(body);
    if body.first() == Some(&b'<') {
        return Err(Failure::Protocol { detail: "HTML instead of an answer" });
    }
    let value = serde_json::from_slice(&body).or_else(|_| serde_json::from_slice(&strings::repaired(&body)));
    let value = value.map_err(|_| Failure::Protocol { detail: "an answer that is not JSON" })?;
    let value = match value {
        Value::Array(mut items) if items.len() == 1 => items.pop().unwrap_or_default(),
        other => other,
    };
    let Value::Object(mut answer) = value else {
        return Err(Failure::Protocol { detail: "an answer that is not an object" });
    };
    match answer.shift_remove("error") {
        None | Some(Value::Null) => {}
        Some(error) => return Err(failure::in_band(&error)),
    }
    if answer.get("object").and_then(Value::as_str) == Some("error") {
        return Err(failure::in_band(&Value::Object(answer)));
    }
    let Some(Value::Array(choices)) =
        answer.get_mut("choices").filter(|choices| choices != &&Value::Array(vec![]))
    else {
        return Err(Failure::Protocol { detail: "an answer without choices" });
    };
    for (position, choice) in choices.iter_mut().enumerate() {
        mend_choice(choice, position)?;
    }
    let digest = blake3::hash(&body).to_hex();
    let id = format!("chatcmpl-{}", digest.get(..24).unwrap_or_default());
    fill(&mut answer, "id", |id| id.as_str().is_some_and(|id| !id.is_empty()), id.into());
    answer.insert("object".to_owned(), "chat.completion".into());
    fill(&mut answer, "created", Value::is_u64, 0.into());
    fill(&mut answer, "model", Value::is_string, "".into());
    if let Some(stated) = answer.get_mut("usage") {
        usage::mend(stated);
    }
    Ok(answer)
}

/// Sets a member that is missing or not what it must be.
fn fill(object: &mut Map<String, Value>, name: &str, is_good: impl Fn(&Value) -> bool, value: Value) {
    if !object.get(name).is_some_and(is_good) {
        object.insert(name.to_owned(), value);
    }
}

fn mend_choice(choice: &mut Value, position: usize) -> Result<(), Failure> {
    let Value::Object(choice) = choice else {
        return Err(Failure::Protocol { detail: "a choice that is not an object" });
    };
    fill(choice, "index", Value::is_u64, position.into());
    fill(choice, "message", Value::is_object, Value::Object(Map::new()));
    let mut called = false;
    if let Some(Value::Object(message)) = choice.get_mut("message") {
        let seed = format!("{position}/{}", Value::Object(message.clone()));
        delta::mend(message, &mut Calls::default(), &seed);
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
            call.shift_remove("index");
            called = true;
        }
        fill(message, "role", |role| role.as_str().is_some_and(|role| !role.is_empty()), "assistant".into());
        fill(message, "content", |_| true, Value::Null);
        fill(message, "refusal", |_| true, Value::Null);
    }
    let given = choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned);
    let reason = match &given {
        Some(word) => finish::of(word, called)?,
        None if called => FinishReason::ToolCalls,
        None => FinishReason::Stop,
    };
    if let Some(word) = given.filter(|word| finish::canonical(word).is_none()) {
        choice.entry("native_finish_reason").or_insert_with(|| word.into());
    }
    choice.insert("finish_reason".to_owned(), finish::name(reason).into());
    fill(choice, "logprobs", |_| true, Value::Null);
    Ok(())
}

/// An answer that needs no mending.
struct Look<'a> {
    id: Raw<'a>,
    model: Raw<'a>,
    /// What must not be shown.
    cuts: Vec<Range<usize>>,
    stated: Stated,
    finish: Option<FinishReason>,
    text: u64,
}

impl Look<'_> {
    /// What changes for a caller who knows the model as `model` and may not see
    /// who answered.
    fn edits(&self, model: &str) -> Vec<Edit> {
        let values = [(self.id, hide::id(self.id.text)), (self.model, json_string(model))];
        let replaced = values.map(|(value, shown)| Edit::replace(value.start..value.end(), shown));
        replaced.into_iter().chain(self.cuts.iter().cloned().map(Edit::cut)).collect()
    }
}

/// Whether the body has the canonical form; when in doubt, it has not. Where the
/// upstream is to be hidden it also tells what must be cut.
fn look(body: &[u8], hides: bool) -> Option<Look<'_>> {
    let whole = json::document(body).ok().filter(|whole| whole.kind == Kind::Object)?;
    let (mut id, mut model, mut seen) = (None, None, 0);
    let mut found = (Stated::default(), None, 0);
    let mut cuts = if hides { hidden(&whole, hide::shows)? } else { Vec::new() };
    for member in whole.members() {
        let (key, value) = member.ok()?;
        let good = match key.raw {
            b"id" => id.replace(value).is_none() && value.inner().is_some_and(|id| !id.is_empty()),
            b"object" => value.text == b"\"chat.completion\"",
            b"created" => value.as_u64().is_some(),
            b"model" => model.replace(value).is_none() && value.kind == Kind::String,
            b"choices" => {
                for choice in value.elements() {
                    let choice = choice.ok()?;
                    if hides {
                        cuts.extend(hidden(&choice, hide::shows_of_choice)?);
                    }
                    let (reason, text) = look_at_choice(&choice)?;
                    found.1 = Some(reason);
                    found.2 += text;
                }
                found.1.is_some()
            }
            b"usage" => {
                found.0 = usage::read_text(&value)?;
                if hides {
                    // Other words than OpenAI's would have to be said in these.
                    value.get(b"prompt_tokens")?;
                    cuts.extend(hidden(&value, hide::shows_of_usage)?);
                }
                continue;
            }
            b"error" => return None,
            name if name.contains(&b'\\') => return None,
            _ => continue,
        };
        seen += i32::from(good);
        if !good {
            return None;
        }
    }
    (seen == 5).then_some(Look {
        id: id?,
        model: model?,
        cuts,
        stated: found.0,
        finish: found.1,
        text: found.2,
    })
}

/// Where the members stand that are not shown, each with the comma before it.
/// `None` when that is not so easily told.
fn hidden(object: &Raw<'_>, shows: fn(&[u8]) -> bool) -> Option<Vec<Range<usize>>> {
    let (mut cuts, mut end) = (Vec::new(), None);
    for member in object.members() {
        let (key, value) = member.ok()?;
        if !shows(key.raw) {
            cuts.push(end?..value.end());
        }
        end = Some(value.end());
    }
    Some(cuts)
}

/// The finish reason and the bytes of text of a canonical choice.
fn look_at_choice(choice: &Raw<'_>) -> Option<(FinishReason, u64)> {
    let (mut reason, mut text) = (None, None);
    let mut others = 0;
    for member in choice.members() {
        let (key, value) = member.ok()?;
        match key.raw {
            b"index" => others += i32::from(value.as_u64().is_some()),
            b"logprobs" => others += 1,
            b"finish_reason" => reason = finish::canonical(&value.as_str()?),
            b"message" => text = Some(look_at_message(&value)?),
            _ => {}
        }
    }
    (others == 2).then_some((reason?, text?))
}

fn look_at_message(message: &Raw<'_>) -> Option<u64> {
    let (mut seen, mut text) = (0, 0);
    let (mut reasoning, mut reasoning_content) = (false, false);
    for member in message.members() {
        let (key, value) = member.ok()?;
        match key.raw {
            b"role" => seen += i32::from(value.inner().is_some_and(|role| !role.is_empty())),
            b"content" | b"refusal" | b"reasoning_content" => {
                if !matches!(value.kind, Kind::String | Kind::Null) {
                    return None;
                }
                text += value.inner().map_or(0, <[u8]>::len);
                seen += i32::from(key.raw != b"reasoning_content");
                reasoning_content |= key.raw == b"reasoning_content";
            }
            b"reasoning" => reasoning = value.kind != Kind::Null,
            b"tool_calls" => {
                for call in value.elements() {
                    text += look_at_call(&call.ok()?)?;
                }
                if value.kind != Kind::Array {
                    return None;
                }
            }
            b"audio" | b"function_call" => text += value.text.len(),
            _ => {}
        }
    }
    (seen == 3 && (!reasoning || reasoning_content)).then_some(text as u64)
}

/// The bytes of a canonical call's arguments.
fn look_at_call(call: &Raw<'_>) -> Option<usize> {
    let function = call.get(b"function")?;
    let filled =
        |value: Option<Raw<'_>>| value.and_then(|value| value.inner()).is_some_and(|text| !text.is_empty());
    let whole = filled(call.get(b"id")) && filled(call.get(b"type")) && filled(function.get(b"name"));
    let plain = call.get(b"index").is_none();
    (whole && plain).then(|| function.get(b"arguments")?.inner().map(<[u8]>::len)).flatten()
}

#[cfg(test)]
mod tests;
