//! Google's `generateContent` as the Gemini API says it: answers in parts, usage
//! so far on every event, calls whole, no marker behind the last event. The form
//! follows Google's published reference (ai.google.dev/api/generate-content);
//! contents are refused where the real API would refuse them for their form, so
//! that a translator's mistakes are seen.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Ask, Call, Complaint, Consumed, Event, Speech, Tale};
use crate::sim::behaviour::{Behaviour, Statement};
use crate::sim::inbound::Inbound;
use crate::sim::quirks::Quirk;
use crate::sim::script::Kind;

mod strict;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gemini;

/// What a model signs its first tool call with.
const SIGNATURE: &str = "c2lnbmVkIGJ5IHRoZSBzaW11bGF0b3I=";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    contents: &'a RawValue,
    #[serde(default)]
    generation_config: Config,
    #[serde(default)]
    tools: Vec<Value>,
    tool_config: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Config {
    max_output_tokens: Option<usize>,
    candidate_count: Option<u32>,
}

impl Speech for Gemini {
    fn serves(&self, path: &str) -> bool {
        called(path).is_some()
    }

    fn understand(&self, inbound: &Inbound) -> Result<Ask, String> {
        let path = inbound.path.split('?').next().unwrap_or_default();
        let (model, stream) = called(path).ok_or("there is no such method")?;
        let body: Body<'_> = serde_json::from_slice(&inbound.body).map_err(|error| error.to_string())?;
        strict::check(body.contents, &model)?;
        let name = "/functionDeclarations/0/name";
        let tool = body.tools.iter().find_map(|tool| tool.pointer(name)).and_then(Value::as_str);
        let mode = body.tool_config.as_ref().and_then(|config| config.pointer("/functionCallingConfig/mode"));
        Ok(Ask {
            schema: None,
            model,
            stream,
            include_usage: true,
            choices: body.generation_config.candidate_count.unwrap_or(1).clamp(1, 8),
            max_tokens: body.generation_config.max_output_tokens,
            must_call: tool.is_some() && mode.is_some_and(|mode| mode == "ANY"),
            tool: tool.map(str::to_owned),
            prompt_bytes: body.contents.get().len() as u64,
            native: false,
        })
    }

    fn whole(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Value {
        let content = &tale.content;
        let mut parts = Vec::new();
        if !content.reasoning.is_empty() {
            parts.push(json!({"text": content.reasoning.concat(), "thought": true}));
        }
        if !content.text.is_empty() {
            parts.push(json!({"text": content.text.concat()}));
        }
        parts.extend(calls(&content.calls));
        let parts = &parts;
        let candidates = (0..ask.choices).map(|index| {
            let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
            finish(&mut candidate, tale, behaviour);
            candidate
        });
        answer(ask, tale, candidates.collect(), usage(&tale.consumed, behaviour))
    }

    fn events(&self, ask: &Ask, tale: &Tale, behaviour: &Behaviour) -> Vec<Event> {
        let said = Consumed { completion_tokens: 0, reasoning_tokens: 0, ..tale.consumed };
        let mut writer = Writer { ask, tale, behaviour, said, events: Vec::new() };
        if behaviour.has(Quirk::EmptyFirst) {
            writer.push(Vec::new(), Kind::Preamble, 0);
        }
        let content = &tale.content;
        for piece in &content.reasoning {
            writer.said.reasoning_tokens += u64::from(ask.choices);
            writer.say(&json!({"text": piece, "thought": true}), 1);
        }
        for piece in &content.text {
            writer.say(&json!({"text": piece}), 1);
        }
        for (part, call) in calls(&content.calls).iter().zip(&content.calls) {
            writer.say(part, u32::try_from(call.arguments.len()).unwrap_or(u32::MAX));
        }
        writer.close();
        writer.events
    }

    fn big_event(&self, ask: &Ask, tale: &Tale, bytes: usize) -> Event {
        let parts = json!([{"text": "a".repeat(bytes)}]);
        let candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
        let data = answer(ask, tale, vec![candidate], None).to_string();
        Event { data, kind: Kind::Content, words: 0 }
    }

    fn error(&self, complaint: Complaint<'_>, behaviour: &Behaviour) -> Value {
        let (message, details) = match complaint.code {
            Some("insufficient_quota") => {
                let quota = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]});
                ("You exceeded your current quota", vec![quota])
            }
            Some("context_length_exceeded") => {
                ("The input token count exceeds the maximum number of tokens allowed (32768).", Vec::new())
            }
            _ => (complaint.message, Vec::new()),
        };
        let body = json!({"error": {"code": complaint.status, "message": message,
            "status": word_for(complaint.status), "details": details}});
        if behaviour.has(Quirk::ErrorInArray) { json!([body]) } else { body }
    }

    fn error_event(&self, _ask: &Ask, chunk: bool) -> Event {
        let status = if chunk { 502 } else { 503 };
        let error =
            json!({"code": status, "message": "The model is overloaded.", "status": word_for(status)});
        Event { data: json!({ "error": error }).to_string(), kind: Kind::Other, words: 0 }
    }

    fn models(&self, names: &[&str]) -> Bytes {
        let one = |name: &&str| {
            json!({"name": format!("models/{name}"),
                "supportedGenerationMethods": ["generateContent", "streamGenerateContent"]})
        };
        json!({"models": names.iter().map(one).collect::<Vec<_>>()}).to_string().into()
    }
}

/// Writes the events of one stream.
struct Writer<'a> {
    ask: &'a Ask,
    tale: &'a Tale,
    behaviour: &'a Behaviour,
    /// What has been consumed so far.
    said: Consumed,
    events: Vec<Event>,
}

impl Writer<'_> {
    fn push(&mut self, candidates: Vec<Value>, kind: Kind, words: u32) {
        let usage = usage(&self.said, self.behaviour);
        let data = answer(self.ask, self.tale, candidates, usage).to_string();
        self.events.push(Event { data, kind, words });
    }

    /// The same part for every candidate.
    fn say(&mut self, part: &Value, words: u32) {
        self.said.completion_tokens += u64::from(words) * u64::from(self.ask.choices);
        for index in 0..self.ask.choices {
            let candidate = json!({"content": {"parts": [part], "role": "model"}, "index": index});
            self.push(vec![candidate], Kind::Content, words);
        }
    }

    fn close(&mut self) {
        let candidates = (0..self.ask.choices).map(|index| {
            let mut candidate =
                json!({"content": {"parts": [{"text": ""}], "role": "model"}, "index": index});
            finish(&mut candidate, self.tale, self.behaviour);
            candidate
        });
        let told = self.behaviour.usage != Statement::Missing;
        let kind = match (self.behaviour.has(Quirk::NoFinish), told) {
            (true, true) => Kind::Usage,
            (true, false) => Kind::Other,
            (false, true) => Kind::FinishAndUsage,
            (false, false) => Kind::Finish,
        };
        self.push(candidates.collect(), kind, 0);
    }
}

fn answer(ask: &Ask, tale: &Tale, candidates: Vec<Value>, usage: Option<Value>) -> Value {
    let mut members = Map::new();
    if !candidates.is_empty() {
        members.insert("candidates".to_owned(), candidates.into());
    }
    if let Some(usage) = usage {
        members.insert("usageMetadata".to_owned(), usage);
    }
    members.insert("modelVersion".to_owned(), json!(ask.model));
    members.insert("responseId".to_owned(), json!(format!("sim-{}", tale.number)));
    members.into()
}

/// Parts with whole calls; the first is signed, as Google does it for calls that
/// are made together.
fn calls(calls: &[Call]) -> Vec<Value> {
    let one = |(index, call): (usize, &Call)| {
        let arguments: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_default();
        let call = json!({"id": call.id, "name": call.name, "args": arguments});
        match index {
            0 => json!({"functionCall": call, "thoughtSignature": SIGNATURE}),
            _ => json!({"functionCall": call}),
        }
    };
    calls.iter().enumerate().map(one).collect()
}

fn finish(candidate: &mut Value, tale: &Tale, behaviour: &Behaviour) {
    let content = &tale.content;
    let word = match () {
        () if behaviour.has(Quirk::NoFinish) => return,
        () if behaviour.has(Quirk::OddFinish) => "OTHER",
        () if content.cut_short => "MAX_TOKENS",
        // A refusal is no text here.
        () if !content.refusal.is_empty() => "SAFETY",
        () => "STOP",
    };
    if let Some(members) = candidate.as_object_mut() {
        members.insert("finishReason".to_owned(), word.into());
    }
}

/// The usage stated; thoughts are counted apart, what was cached is in the prompt.
/// `None` when none is.
fn usage(consumed: &Consumed, behaviour: &Behaviour) -> Option<Value> {
    let Consumed { prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens } = *consumed;
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
            "promptTokenCount": figure(prompt_tokens),
            "cachedContentTokenCount": cached_tokens,
            "candidatesTokenCount": figure(completion_tokens.saturating_sub(reasoning_tokens)),
            "thoughtsTokenCount": reasoning_tokens,
            "totalTokenCount": figure(prompt_tokens + completion_tokens),
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": figure(prompt_tokens)}],
        })),
    }
}

/// Model and whether a stream is wanted, from a path such as
/// `/v1beta/models/NAME:generateContent`.
fn called(path: &str) -> Option<(String, bool)> {
    let (_, resource) = path.split_once("/models/")?;
    let (name, method) = resource.rsplit_once(':')?;
    let stream = match method {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return None,
    };
    Some((decoded(name), stream))
}

/// Percent-encoding undone.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte =
            after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The word of `google.rpc.Code` for a status.
fn word_for(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..500 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_model_and_method() {
        let fault = "/v1beta/models/fault%2Fcut-after-3%3Fhow%3Drst:streamGenerateContent";
        assert_eq!(called(fault), Some(("fault/cut-after-3?how=rst".to_owned(), true)));
        assert_eq!(called("/v1/models/a:b:generateContent"), Some(("a:b".to_owned(), false)));
        for other in ["/v1/models/a:countTokens", "/v1/models/a", "/v1/chat/completions"] {
            assert_eq!(called(other), None, "{other}");
        }
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
