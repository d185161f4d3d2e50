//! What a caller who may not see the upstream gets of an answer.
//!
//! Answers say in many places who gave them: `provider`, `system_fingerprint`,
//! `x_groq`, `timings`, the pattern of `id`, the price in `usage`. New ones come
//! every month, so what may be shown is listed, not what must be hidden: the
//! members that `OpenAI` itself documents. What the model said (`message`,
//! `delta`) is left whole: the signatures inside must come back in the next turn.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::encode::json_string;
use super::usage;

/// Members of an answer or a chunk. `system_fingerprint` is `OpenAI`'s too, but
/// it is there to tell one backend from another.
const TOP: [&str; 8] =
    ["id", "object", "created", "model", "choices", "usage", "service_tier", "obfuscation"];

/// Members of a choice.
const CHOICE: [&str; 5] = ["index", "message", "delta", "finish_reason", "logprobs"];

/// Members of `usage`.
const USAGE: [&str; 5] = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
];

/// Whether a member of an answer or a chunk is shown.
pub(super) fn shows(name: &[u8]) -> bool {
    TOP.iter().any(|shown| shown.as_bytes() == name)
}

/// Whether a member of a choice is shown.
pub(super) fn shows_of_choice(name: &[u8]) -> bool {
    CHOICE.iter().any(|shown| shown.as_bytes() == name)
}

/// Whether a member of `usage` is shown.
pub(super) fn shows_of_usage(name: &[u8]) -> bool {
    USAGE.iter().any(|shown| shown.as_bytes() == name)
}

/// The `id` that stands for an upstream's (with quotes, as the result has them):
/// the same for the same, and of the form that `OpenAI`'s have.
pub(in crate::dialect) fn id(upstream: &[u8]) -> Bytes {
    let digest = blake3::hash(upstream).to_hex();
    json_string(&format!("chatcmpl-{}", digest.get(..24).unwrap_or_default()))
}

/// Leaves of an answer or a chunk what is shown; its `id` and `model` are the
/// business of others.
pub(super) fn members(answer: &mut Map<String, Value>) {
    answer.retain(|name, _| shows(name.as_bytes()));
    if let Some(Value::Array(choices)) = answer.get_mut("choices") {
        self::choices(choices);
    }
}

/// Leaves of choices what is shown.
pub(super) fn choices(choices: &mut [Value]) {
    for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
        choice.retain(|name, _| shows_of_choice(name.as_bytes()));
    }
}

/// Leaves of `usage` what is shown; says it in `OpenAI`'s words if it was said in
/// others.
pub(super) fn usage(stated: &mut Map<String, Value>) {
    match usage::read_map(stated).usage {
        Some(known) if !stated.contains_key("prompt_tokens") => *stated = usage::write(&known),
        _ => stated.retain(|name, _| shows_of_usage(name.as_bytes())),
    }
}
