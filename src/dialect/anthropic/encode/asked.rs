//! The members of a request, sorted by what becomes of them.

use super::sheet::Sheet;
use super::{Notes, unsupported};
use crate::json::{Kind, Raw};
use crate::outcome::Failure;
use crate::request::ChatRequest;

/// Members that are said in another place, or are meant for us.
const ELSEWHERE: [&str; 10] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "merit",
    "provider",
    "models",
    "store",
];

/// Values that mean the same as leaving a member out.
const DEFAULTS: [(&str, &str); 9] = [
    ("frequency_penalty", "0"),
    ("presence_penalty", "0"),
    ("frequency_penalty", "0.0"),
    ("presence_penalty", "0.0"),
    ("logit_bias", "{}"),
    ("logprobs", "false"),
    ("top_logprobs", "0"),
    ("metadata", "{}"),
    ("verbosity", "\"medium\""),
];

/// Members without which the answer would not be the one that was asked for.
const NEEDED: [(&str, &str); 6] = [
    ("logprobs", "log probabilities"),
    ("top_logprobs", "log probabilities"),
    ("functions", "functions in their old form"),
    ("function_call", "functions in their old form"),
    ("audio", "an answer in audio"),
    ("web_search_options", "a web search"),
];

/// What a request asks for, as it stands in the body.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Asked<'b> {
    pub(in crate::dialect) messages: Option<Raw<'b>>,
    pub(in crate::dialect) tools: Option<Raw<'b>>,
    pub(in crate::dialect) tool_choice: Option<Raw<'b>>,
    pub(in crate::dialect) parallel: Option<bool>,
    pub(in crate::dialect) format: Option<Raw<'b>>,
    pub(in crate::dialect) effort: Option<Raw<'b>>,
    /// Anthropic's own `thinking`, for callers who know it.
    pub(in crate::dialect) thinking: Option<Raw<'b>>,
    pub(in crate::dialect) temperature: Option<Raw<'b>>,
    pub(in crate::dialect) top_p: Option<Raw<'b>>,
    /// Anthropic's own `top_k`.
    pub(in crate::dialect) top_k: Option<Raw<'b>>,
    stop: Option<Raw<'b>>,
    pub(in crate::dialect) user: Option<Raw<'b>>,
    safety_identifier: Option<Raw<'b>>,
    pub(in crate::dialect) service_tier: Option<Raw<'b>>,
}

impl<'b> Asked<'b> {
    /// # Errors
    /// When something is asked for that cannot be said.
    pub(in crate::dialect) fn read(
        body: &Raw<'b>,
        request: &ChatRequest,
        notes: &mut Notes,
    ) -> Result<Self, Failure> {
        if request.n > 1 {
            return Err(unsupported("more than one choice"));
        }
        let mut asked = Asked::default();
        for (key, value) in body.members().flatten().filter(|(_, value)| value.kind != Kind::Null) {
            match key.decoded().as_ref() {
                "messages" => asked.messages = Some(value),
                "tools" => asked.tools = Some(value),
                "tool_choice" => asked.tool_choice = Some(value),
                "parallel_tool_calls" => asked.parallel = value.as_bool(),
                "response_format" => asked.format = Some(value),
                "reasoning_effort" => asked.effort = Some(value),
                "thinking" => asked.thinking = Some(value),
                "temperature" => asked.temperature = Some(value),
                "top_p" => asked.top_p = Some(value),
                "top_k" => asked.top_k = Some(value),
                "stop" => asked.stop = Some(value),
                "user" => asked.user = Some(value),
                "safety_identifier" => asked.safety_identifier = Some(value),
                "service_tier" => asked.service_tier = Some(value),
                name => other(name, &value, notes)?,
            }
        }
        Ok(asked)
    }

    /// Stop sequences and user.
    ///
    /// # Errors
    /// When `stop` is neither a string nor a list of strings.
    pub(in crate::dialect) fn write_rest(
        &self,
        sheet: &mut Sheet<'b>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        self.write_stop(sheet, notes)?;
        let user = self.safety_identifier.or(self.user).filter(|user| user.kind == Kind::String);
        if let Some(user) = user {
            sheet.push(",\"metadata\":{\"user_id\":");
            sheet.raw(&user);
            sheet.push("}");
        }
        Ok(())
    }

    /// The tier, where the platform has Anthropic's.
    pub(in crate::dialect) fn write_tier(&self, known: bool, sheet: &mut Sheet<'b>, notes: &mut Notes) {
        match self.service_tier.and_then(|tier| tier.as_str()).as_deref() {
            Some("auto") if known => sheet.push(",\"service_tier\":\"auto\""),
            Some("default") if known => sheet.push(",\"service_tier\":\"standard_only\""),
            None | Some("auto" | "default") => {}
            Some(_) => notes.no_effect("service_tier"),
        }
    }

    fn write_stop(&self, sheet: &mut Sheet<'b>, notes: &mut Notes) -> Result<(), Failure> {
        let stops = self.stops(notes)?;
        for (position, one) in stops.iter().enumerate() {
            sheet.push(if position == 0 { ",\"stop_sequences\":[" } else { "," });
            sheet.raw(one);
        }
        if !stops.is_empty() {
            sheet.push("]");
        }
        Ok(())
    }

    /// The stop sequences that can be said.
    ///
    /// # Errors
    /// When `stop` is neither a string nor a list of strings.
    pub(in crate::dialect) fn stops(&self, notes: &mut Notes) -> Result<Vec<Raw<'b>>, Failure> {
        let Some(stop) = self.stop else { return Ok(Vec::new()) };
        let all: Vec<Raw<'b>> = match stop.kind {
            Kind::String => vec![stop],
            _ => stop.elements().flatten().collect(),
        };
        if all.iter().any(|one| one.kind != Kind::String) || !matches!(stop.kind, Kind::String | Kind::Array)
        {
            return Err(unsupported("stop sequences that are not strings"));
        }
        // White space alone is refused.
        let some = |one: &Raw<'b>| one.as_str().is_some_and(|text| !text.trim().is_empty());
        let kept: Vec<Raw<'b>> = all.iter().copied().filter(some).collect();
        if kept.len() < all.len() {
            notes.add("stop sequences of white space have no effect here");
        }
        Ok(kept)
    }
}

/// A member without an equivalent.
fn other(name: &str, value: &Raw<'_>, notes: &mut Notes) -> Result<(), Failure> {
    if ELSEWHERE.contains(&name) || DEFAULTS.contains(&(name, &String::from_utf8_lossy(value.text))) {
        return Ok(());
    }
    if name == "modalities" {
        let audio = value.elements().flatten().any(|word| word.as_str().as_deref() == Some("audio"));
        return if audio { Err(unsupported("an answer in audio")) } else { Ok(()) };
    }
    if let Some((_, what)) = NEEDED.iter().find(|(needed, _)| *needed == name) {
        return Err(unsupported(*what));
    }
    notes.no_effect(name);
    Ok(())
}
