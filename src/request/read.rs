//! The one pass over a request's bytes.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::control::{Dress, duplicate, names, wrong};
use super::messages::Tally;
use super::spans::{Member, Name, Spans};
use super::{BadRequest, ChatRequest, Control, Prefix, class};
use crate::catalog::Capabilities;
use crate::json::{Cursor, Key, Kind, Raw};

/// Choices that may be asked for at once: OpenAI's own limit.
const MOST_CHOICES: u64 = 128;

/// Longest `metadata` that is recorded as tags, in bytes.
const MOST_TAGS: usize = 1024;

/// The top-level members that are read. Each may be given once.
const KNOWN: [&str; 26] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_completion_tokens",
    "max_tokens",
    "n",
    "tools",
    "functions",
    "response_format",
    "modalities",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "merit",
    "provider",
    "models",
    "prompt_cache_key",
    "safety_identifier",
    "user",
    "metadata",
];

impl ChatRequest {
    /// Understands a request's body (content-encoding undone) in one pass.
    ///
    /// # Errors
    /// Says what is wrong and where; never more than the first mistake.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the request keeps the body; nobody else has use for it"
    )]
    pub fn read(body: Bytes) -> Result<ChatRequest, BadRequest> {
        simdutf8::compat::from_utf8(&body).map_err(|error| BadRequest {
            message: format!("the body is not UTF-8 at byte {}", error.valid_up_to()),
            param: None,
        })?;
        let mut reader = Reader::default();
        reader.body(&body)?;
        reader.finish(body.clone())
    }
}

/// What has been read so far; values borrow from the body.
#[expect(clippy::struct_excessive_bools, reason = "members of a request that do not depend on each other")]
#[derive(Debug, Default)]
struct Reader<'b> {
    seen: u32,
    position: usize,
    spans: Spans,
    tally: Tally,
    model: Option<String>,
    has_input: bool,
    stream: bool,
    include_usage: bool,
    /// Whether the answer is to be JSON.
    json: bool,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    n: Option<u32>,
    merit: Option<Raw<'b>>,
    provider: Option<Raw<'b>>,
    models: Vec<String>,
    cache_key: Option<String>,
    safety_identifier: Option<String>,
    user: Option<String>,
    tags: Option<String>,
    /// Where tools and messages stand.
    tools: Range<usize>,
    messages: Range<usize>,
}

impl<'b> Reader<'b> {
    fn body(&mut self, body: &'b [u8]) -> Result<(), BadRequest> {
        let mut cursor = Cursor::new(body);
        if body.trim_ascii().is_empty() {
            return Err(BadRequest { message: "the body is empty".to_owned(), param: None });
        }
        if cursor.kind()? != Kind::Object {
            let value = cursor.value()?;
            cursor.end()?;
            let message = format!("the body must be a JSON object, not {}", value.kind.name());
            return Err(BadRequest { message, param: None });
        }
        self.spans.open = cursor.at() + 1;
        let mut end = self.spans.open;
        cursor
            .members(|key, cursor| {
                if let Some(last) = self.spans.members.last_mut()
                    && last.position + 1 == self.position
                {
                    last.next = key.start;
                }
                let value_start = cursor.at();
                let name = self.member(&key, cursor)?;
                if let Some(name) = name {
                    self.spans.members.push(Member {
                        name,
                        position: self.position,
                        key: key.start..key.start + key.raw.len() + 2,
                        value: value_start..cursor.at(),
                        before: end,
                        next: cursor.at(),
                    });
                }
                end = cursor.at();
                self.position += 1;
                Ok(())
            })
            .and_then(|()| Ok(cursor.end()?))
    }

    /// Reads one top-level member; tells whether encoding may touch it.
    fn member(&mut self, key: &Key<'b>, cursor: &mut Cursor<'b>) -> Result<Option<Name>, BadRequest> {
        let Some(known) = KNOWN.iter().position(|name| key.is(name.as_bytes())) else {
            self.has_input |= key.raw == b"input";
            cursor.value()?;
            return Ok(None);
        };
        let name = KNOWN.get(known).copied().unwrap_or_default();
        if self.seen & 1 << known != 0 {
            return Err(duplicate(name.to_owned()));
        }
        self.seen |= 1 << known;
        if name == "messages" {
            let start = cursor.at();
            self.tally.messages(cursor)?;
            self.messages = start..cursor.at();
            self.spans.messages = self.messages.clone();
            return Ok(None);
        }
        let value = cursor.value()?;
        match name {
            "model" => {
                let model = value.as_str().filter(|model| !model.is_empty());
                let model = model.ok_or_else(|| wrong(name, "the name of a model", &value))?;
                self.model = Some(model.into_owned());
                return Ok(Some(Name::Model));
            }
            "merit" => self.merit = Some(value),
            "provider" => self.provider = Some(value),
            "models" if value.kind != Kind::Null => self.models = names(name, &value)?,
            _ => {}
        }
        match name {
            "merit" | "provider" | "models" => return Ok(Some(Name::Control)),
            _ if value.kind == Kind::Null => {}
            _ => self.optional(name, &value)?,
        }
        Ok(match name {
            "stream_options" => Some(Name::StreamOptions),
            "max_tokens" => Some(Name::MaxTokens),
            "max_completion_tokens" => Some(Name::MaxCompletionTokens),
            "reasoning_effort" => Some(Name::Effort),
            "temperature" | "top_p" | "presence_penalty" | "frequency_penalty" | "logit_bias"
            | "logprobs" | "top_logprobs" => Some(Name::Sampling),
            _ => None,
        })
    }

    /// A member for which `null` means the same as leaving it out.
    fn optional(&mut self, name: &str, value: &Raw<'b>) -> Result<(), BadRequest> {
        match name {
            "stream" => self.stream = boolean(name, value)?,
            "stream_options" => self.stream_options(value)?,
            "max_tokens" => self.max_tokens = Some(whole(name, value, u64::from(u32::MAX))?),
            "max_completion_tokens" => {
                self.max_completion_tokens = Some(whole(name, value, u64::from(u32::MAX))?);
            }
            "n" => {
                let n = whole(name, value, MOST_CHOICES)?;
                self.need_if(n > 1, Capabilities::N);
                self.n = Some(n);
            }
            "tools" | "functions" => {
                if value.kind != Kind::Array {
                    return Err(wrong(name, "an array", value));
                }
                let some = value.elements().next().is_some();
                self.need_if(some, Capabilities::TOOLS);
                self.tools = value.start..value.end();
                if some && (name == "tools" || self.spans.tools.is_none()) {
                    self.spans.tools = Some(self.tools.clone());
                }
                self.tally.count(value);
            }
            "response_format" => {
                let kind = value.get(b"type").and_then(|kind| kind.as_str());
                self.need_if(kind.as_deref() == Some("json_schema"), Capabilities::JSON_SCHEMA);
                self.json = matches!(kind.as_deref(), Some("json_schema" | "json_object"));
                if self.json {
                    self.spans.json_format = Some(value.start..value.end());
                }
                self.tally.count(value);
            }
            "modalities" => {
                let audio = value.elements().flatten().any(|word| word.as_str().as_deref() == Some("audio"));
                self.need_if(audio, Capabilities::AUDIO);
            }
            "reasoning_effort" => {
                let effort = value.as_str().ok_or_else(|| wrong(name, "a string", value))?;
                self.need_if(effort != "none", Capabilities::REASONING);
            }
            // Upstreams judge it; to us it is a name like that of a session.
            "prompt_cache_key" => {
                self.cache_key = value.as_str().map(Cow::into_owned).filter(|key| !key.is_empty());
            }
            "safety_identifier" => self.safety_identifier = value.as_str().map(Cow::into_owned),
            "user" => self.user = value.as_str().map(Cow::into_owned),
            "metadata" => self.tags = tags(value),
            "logprobs" => self.need_if(value.as_bool() != Some(false), Capabilities::LOGPROBS),
            "top_logprobs" => self.need_if(value.as_u64() != Some(0), Capabilities::LOGPROBS),
            _ => {}
        }
        Ok(())
    }

    /// Whether a member of that name was there.
    fn saw(&self, name: &str) -> bool {
        KNOWN.iter().position(|known| *known == name).is_some_and(|known| self.seen & 1 << known != 0)
    }

    fn need_if(&mut self, needed: bool, capability: Capabilities) {
        if needed {
            self.tally.needs = self.tally.needs.with(capability);
        }
    }

    fn stream_options(&mut self, value: &Raw<'b>) -> Result<(), BadRequest> {
        if value.kind != Kind::Object {
            return Err(wrong("stream_options", "an object", value));
        }
        self.spans.options_empty = true;
        for member in value.members() {
            let (key, value) = member?;
            self.spans.options_empty = false;
            if !key.is(b"include_usage") {
                continue;
            }
            let path = "stream_options.include_usage";
            if self.spans.include_usage.is_some() {
                return Err(duplicate(path.to_owned()));
            }
            self.spans.include_usage = Some(value.start..value.end());
            self.include_usage = value.kind != Kind::Null && boolean(path, &value)?;
        }
        Ok(())
    }

    /// The class of task: by the request's form, else by what is asked.
    fn class(&self, body: &[u8]) -> Result<u8, BadRequest> {
        if self.tally.needs.has(Capabilities::TOOLS) {
            return Ok(class::TOOLS);
        }
        match body.get(self.tally.asked.clone()) {
            _ if self.json => Ok(class::EXTRACTION),
            None | Some([]) => Ok(class::CHAT),
            Some(content) => Ok(class::of_content(&Cursor::new(content).value()?)),
        }
    }

    fn finish(self, body: Bytes) -> Result<ChatRequest, BadRequest> {
        let class = self.class(&body)?;
        let has_messages = self.saw("messages");
        let model = self.model.ok_or_else(|| BadRequest::field("model", "model is missing"))?;
        if !has_messages {
            let message = match self.has_input {
                true => "messages is missing; a request with input belongs to /v1/responses",
                false => "messages is missing",
            };
            return Err(BadRequest::field("messages", message));
        }
        let mut warnings = Vec::new();
        let mut control = Control { models: self.models, ..Control::default() };
        // Ours is read last and so wins over OpenRouter's.
        for (value, dress, name) in
            [(self.provider, Dress::OpenRouter, "provider"), (self.merit, Dress::Merit, "merit")]
        {
            match value {
                None => {}
                Some(value) if value.kind == Kind::Null => {}
                Some(value) if value.kind == Kind::Object => control.read(&value, dress, &mut warnings)?,
                Some(value) => return Err(wrong(name, "an object", &value)),
            }
        }
        control.session = control.session.or(self.cache_key);
        let part = |range: Range<usize>| body.get(range).unwrap_or_default();
        let prefix = Prefix::of(&[part(self.tools), part(self.messages)]);
        Ok(ChatRequest {
            model,
            class,
            stream: self.stream,
            include_usage: self.include_usage,
            max_output_tokens: self.max_completion_tokens.or(self.max_tokens),
            n: self.n.unwrap_or(1),
            needs: self.tally.needs,
            input_tokens: self.tally.tokens(),
            end_user: self.safety_identifier.or(self.user).filter(|user| !user.is_empty()),
            tags: self.tags,
            prefix,
            continues: self.tally.continues,
            control,
            warnings,
            spans: self.spans,
            body,
        })
    }
}

/// Metadata as tags: an object of strings, not too long. Upstreams judge what is
/// anything else; it is no tag.
fn tags(value: &Raw<'_>) -> Option<String> {
    let small = value.kind == Kind::Object && value.text.len() <= MOST_TAGS;
    let strings = || value.members().all(|member| member.is_ok_and(|(_, value)| value.kind == Kind::String));
    (small && strings()).then(|| String::from_utf8_lossy(value.text).into_owned())
}

fn boolean(name: &str, value: &Raw<'_>) -> Result<bool, BadRequest> {
    value.as_bool().ok_or_else(|| wrong(name, "a boolean", value))
}

/// A whole number from 1 to `most`.
fn whole(name: &str, value: &Raw<'_>, most: u64) -> Result<u32, BadRequest> {
    let number = value.as_u64().filter(|number| (1..=most).contains(number));
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| wrong(name, &format!("a whole number from 1 to {most}"), value))
}
