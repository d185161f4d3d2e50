//! Rebuilds a chunk that deviates, as one or more canonical ones.

use serde_json::{Map, Value, json};

use super::calls::MOST_CALLS;
use super::delta::{self, Carried};
use super::state::{Envelope, State};
use super::{failure, finish, hide};
use crate::dialect::Style;
use crate::outcome::{Failure, FinishReason};

/// Members that all chunks have: one without choices and with these alone says
/// nothing, and there are clients that look for its first choice.
const SHARED: [&str; 6] = ["id", "object", "created", "model", "system_fingerprint", "service_tier"];

/// What a chunk became.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// For the caller, in order.
    pub(super) chunks: Vec<Map<String, Value>>,
    /// The consumption it states.
    pub(super) usage: Option<Value>,
    /// A chunk without choices, kept back: its members go out with the first
    /// chunk that has some, or with the usage.
    pub(super) held: Option<Map<String, Value>>,
    /// What it carries.
    pub(super) carried: Carried,
    /// Why a choice ended.
    pub(super) finish: Option<FinishReason>,
}

/// Rebuilds `chunk`; `None` when it is nothing a stream of this dialect has.
///
/// # Errors
/// The failure that it reports.
pub(super) fn mend(
    mut chunk: Map<String, Value>,
    state: &mut State,
    style: &Style,
    seed: &[u8],
) -> Result<Option<Mended>, Failure> {
    match chunk.shift_remove("error") {
        None | Some(Value::Null) => {}
        Some(error) => return Err(failure::in_band(&error)),
    }
    if chunk.get("object").and_then(Value::as_str) == Some("error") {
        return Err(failure::in_band(&Value::Object(chunk)));
    }
    let usage = chunk.shift_remove("usage").filter(Value::is_object);
    let usage =
        usage.or_else(|| chunk.get("x_groq")?.get("usage").filter(|usage| usage.is_object()).cloned());
    if style.hides_upstream() {
        hide::members(&mut chunk);
    }
    let choices = match chunk.shift_remove("choices") {
        Some(Value::Array(choices)) => choices,
        None | Some(Value::Null) if usage.is_some() => Vec::new(),
        _ => return Ok(None),
    };
    let mut mended = Mended { usage, ..Mended::default() };
    if choices.is_empty() {
        // What comes without choices when all is said has nothing to add but usage.
        let adds = chunk.keys().any(|name| !SHARED.contains(&name.as_str()));
        let says = adds && !style.hides_upstream() && !state.is_complete();
        let wanted = mended.usage.is_some() || says;
        mended.held = wanted.then_some(chunk);
        return Ok(Some(mended));
    }
    let envelope = state.envelope.get_or_insert_with(|| Envelope::of(&chunk, style, seed)).clone();
    let groups = sort_out(choices, state, &envelope, &mut mended)?;
    for mut choices in groups.into_iter().filter(|choices| !choices.is_empty()) {
        if style.hides_upstream() {
            hide::choices(&mut choices);
        }
        // Members we do not know go out once, with the first.
        mended.chunks.push(complete(std::mem::take(&mut chunk), choices, &envelope, style));
    }
    Ok(Some(mended))
}

/// A chunk with all members that a chunk must have.
pub(super) fn complete(
    mut chunk: Map<String, Value>,
    choices: Vec<Value>,
    envelope: &Envelope,
    style: &Style,
) -> Map<String, Value> {
    envelope.put(&mut chunk);
    chunk.insert("choices".to_owned(), choices.into());
    if style.include_usage {
        chunk.insert("usage".to_owned(), Value::Null);
    }
    chunk
}

/// Sorts what a chunk says into roles, contents and ends: these never share one.
fn sort_out(
    choices: Vec<Value>,
    state: &mut State,
    envelope: &Envelope,
    mended: &mut Mended,
) -> Result<[Vec<Value>; 3], Failure> {
    let (mut roles, mut contents, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (position, choice) in choices.into_iter().enumerate() {
        let Value::Object(mut choice) = choice else {
            return Err(Failure::Protocol { detail: "a choice that is not an object" });
        };
        let mut delta = match choice.shift_remove("delta").or_else(|| choice.shift_remove("message")) {
            Some(Value::Object(delta)) => delta,
            _ => Map::new(),
        };
        let inner = delta.shift_remove("index");
        let index = choice.shift_remove("index").or(inner).and_then(|index| index.as_u64());
        let index = index.unwrap_or(position as u64);
        let reason = [choice.shift_remove("finish_reason"), delta.shift_remove("finish_reason")];
        let reason = reason.into_iter().flatten().find_map(|reason| reason.as_str().map(str::to_owned));
        delta.shift_remove("role");
        let open = |index| {
            let delta = json!({"role": "assistant", "content": ""});
            roles.push(json!({"index": index, "delta": delta, "finish_reason": null}));
        };
        let known = state.choice(index, open)?;
        known.seen = true;
        if known.finished {
            continue;
        }
        let seed = format!("{:?}/{index}", envelope.id);
        delta::mend(&mut delta, &mut known.calls, &seed);
        delta::number_lists(&mut delta);
        if known.calls.len() > MOST_CALLS {
            return Err(Failure::Protocol { detail: "more tool calls than any model makes" });
        }
        let carried = delta::carried(&delta);
        mended.carried.content |= carried.content;
        mended.carried.text += carried.text;
        let called = known.calls.len() > 0;
        let end = reason.as_deref().map(|reason| ending(reason, called, &mut choice)).transpose()?;
        choice.retain(|name, value| name == "logprobs" || !value.is_null());
        let extras = choice.values().any(|value| !value.is_null());
        if !is_blank(&delta) || extras && end.is_none() {
            contents.push(one(index, delta, std::mem::take(&mut choice), None));
        }
        if let Some((reason, members)) = end {
            known.finished = true;
            mended.finish = Some(reason);
            choice.extend(members);
            ends.push(one(index, Map::new(), choice, Some(reason)));
        }
    }
    Ok([roles, contents, ends])
}

/// A finish reason, and the members that belong to it.
type Ending = (FinishReason, Map<String, Value>);

/// How a choice ends, which has called tools or not.
fn ending(reason: &str, called: bool, choice: &mut Map<String, Value>) -> Result<Ending, Failure> {
    let understood = finish::of(reason, called)?;
    let mut members = Map::new();
    for name in ["stop_reason", "native_finish_reason"] {
        if let Some(value) = choice.shift_remove(name) {
            members.insert(name.to_owned(), value);
        }
    }
    if finish::canonical(reason).is_none() {
        members.entry("native_finish_reason").or_insert_with(|| reason.into());
    }
    Ok((understood, members))
}

fn one(
    index: u64,
    delta: Map<String, Value>,
    extras: Map<String, Value>,
    end: Option<FinishReason>,
) -> Value {
    let mut choice = Map::new();
    choice.insert("index".to_owned(), index.into());
    choice.insert("delta".to_owned(), delta.into());
    choice.extend(extras);
    choice.insert("finish_reason".to_owned(), end.map_or(Value::Null, |end| finish::name(end).into()));
    Value::Object(choice)
}

/// Whether a delta says nothing.
fn is_blank(delta: &Map<String, Value>) -> bool {
    delta.values().all(|value| value.is_null() || value.as_str() == Some(""))
}
