//! Says a request as `generateContent` wants it.

use serde_json::Value;

use crate::catalog::Quirk;
use crate::dialect::Encoded;
use crate::json::{Kind, Raw, document};
use crate::outcome::Failure;
use crate::request::ChatRequest;

use super::models;
use body::{Body, Commas};
use turns::Conversation;

mod body;
mod config;
mod parts;
mod schema;
mod tools;
mod turns;
mod write;

/// Most warnings about one request; they become headers.
const MOST_WARNINGS: usize = 16;

/// Members that change nothing in the answer, or are said by other means.
const SILENT: [&str; 20] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "merit",
    "provider",
    "models",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "moderation",
    "usage",
    "transforms",
];

/// What was adjusted, each thing once.
#[derive(Debug, Default)]
pub(super) struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if self.0.len() < MOST_WARNINGS && !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }
}

/// What a conversation may have at this endpoint.
#[derive(Debug, Clone, Copy)]
struct Dialogue {
    /// Whether there is `systemInstruction`.
    system: bool,
    /// Whether calls must be signed.
    signatures: bool,
    /// Whether calls have ids.
    ids: bool,
}

/// What Google's dialect has no words for.
fn cannot(what: impl Into<String>) -> Failure {
    Failure::Unsupported { what: what.into() }
}

/// The members of a request that mean something here.
#[derive(Debug, Default)]
struct Asked<'r> {
    messages: Option<Raw<'r>>,
    tools: Vec<tools::Tool>,
    choice: Option<Raw<'r>>,
    format: Option<Raw<'r>>,
    effort: Option<Raw<'r>>,
    modalities: Option<Raw<'r>>,
    /// What Google's OpenAI-compatible address takes as `extra_body.google`.
    google: Option<Raw<'r>>,
    /// Members of `generationConfig`: name and JSON.
    config: Vec<(&'static str, String)>,
}

/// The request for an endpoint whose provider calls the model `upstream`, where
/// it says at most `max_output` tokens.
///
/// # Errors
/// [`Failure::Unsupported`] for what cannot be said.
pub(in crate::dialect) fn encode_for(
    request: &ChatRequest,
    upstream: &str,
    max_output: Option<u32>,
    quirks: &[Quirk],
) -> Result<Encoded, Failure> {
    let traits = models::traits(upstream);
    let mut warnings = Warnings::default();
    let whole = document(&request.body).map_err(|_| cannot("a body that is not JSON"))?;
    let mut asked = Asked::default();
    for (key, value) in whole.members().filter_map(Result::ok).filter(|(_, value)| value.kind != Kind::Null) {
        asked.member(key.decoded().as_ref(), value, &mut warnings)?;
    }
    let dialogue = Dialogue {
        system: traits.system,
        signatures: traits.signatures,
        ids: !quirks.contains(&Quirk::NoCallIds),
    };
    let messages = asked.messages.ok_or_else(|| cannot("a request without messages"))?;
    let conversation = Conversation::read(&messages, dialogue, &mut warnings)?;
    let (system, turns) = (conversation.system, conversation.turns);

    config::limits(request, max_output, &mut asked.config, &mut warnings)?;
    config::modalities(asked.modalities.as_ref(), &mut asked.config)?;
    config::thinking(asked.effort.as_ref(), asked.google.as_ref(), traits, &mut asked.config, &mut warnings);
    let beside_tools = !asked.tools.is_empty() && !traits.json_beside_tools;
    config::format(asked.format.as_ref(), beside_tools, &mut asked.config, &mut warnings)?;

    let mut body = Body::new(&request.body);
    let mut commas = Commas::default();
    body.json(b"{");
    if !system.is_empty() {
        commas.next(&mut body);
        body.json(b"\"systemInstruction\":");
        write::parts(&system, &mut body);
    }
    commas.next(&mut body);
    write::turns(&turns, &mut body);
    write::tools(&asked.tools, &mut body);
    if let Some(choice) = tools::choice(asked.choice.as_ref(), &asked.tools, &mut warnings)? {
        body.json(format!(",\"toolConfig\":{{\"functionCallingConfig\":{choice}}}"));
    }
    write::config(&asked.config, &mut body);
    if let Some(settings) = asked.google.and_then(|google| google.get(b"safety_settings")) {
        body.json(b",\"safetySettings\":");
        body.json(settings.text);
    }
    body.json(b"}");
    Ok(Encoded { path: path(upstream, request.stream), body: body.finish(), warnings: warnings.0 })
}

impl<'r> Asked<'r> {
    fn member(&mut self, name: &str, value: Raw<'r>, warnings: &mut Warnings) -> Result<(), Failure> {
        match name {
            "messages" => self.messages = Some(value),
            "tools" => self.tools.extend(tools::read(&value, Some("function"), warnings)?),
            "functions" => self.tools.extend(tools::read(&value, None, warnings)?),
            "tool_choice" | "function_call" => self.choice = Some(value),
            "response_format" => self.format = Some(value),
            "reasoning_effort" => self.effort = Some(value),
            "modalities" => self.modalities = Some(value),
            "reasoning" => self.effort = value.get(b"effort").or(self.effort),
            "google" => self.google(Some(value), warnings),
            "extra_body" => self.google(value.get(b"google"), warnings),
            "audio" => return Err(cannot("an answer in audio")),
            _ if SILENT.contains(&name) || config::is_default(name, &value) => {}
            _ => {
                if !config::plain(name, &value, &mut self.config)? {
                    warnings.add(format!("{} has no effect here", parts::short(name)));
                }
            }
        }
        Ok(())
    }
}

impl<'r> Asked<'r> {
    /// What belongs to the account that all callers share (`cached_content`) is
    /// not for one of them to name.
    fn google(&mut self, google: Option<Raw<'r>>, warnings: &mut Warnings) {
        self.google = google.or(self.google);
        for (key, _) in google.iter().flat_map(Raw::members).filter_map(Result::ok) {
            if !["thinking_config", "thinkingConfig", "safety_settings"].contains(&key.decoded().as_ref()) {
                warnings.add(format!("google.{} has no effect here", parts::short(&key.decoded())));
            }
        }
    }
}

/// Where the request goes: a model, or a resource that has a name of its own.
fn path(upstream: &str, stream: bool) -> String {
    let (folder, name) = match upstream.split_once('/') {
        Some((folder @ ("models" | "tunedModels"), name)) => (folder, name),
        _ => ("models", upstream),
    };
    let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    format!("/{folder}/{}:{method}", segment(name))
}

/// A text as one segment of a path (RFC 3986: all but the unreserved is encoded).
fn segment(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
