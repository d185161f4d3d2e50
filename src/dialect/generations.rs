//! Salesforce's chat generations: what its Models API documents. Texts go in and
//! a text comes out, at once: no tools, no images, no streams, no parameters. An
//! answer is put into the middle form and read as such, so that everything that
//! holds of `OpenAI`'s answers holds of these.
//!
//! Facts about the format are from Salesforce's Models API reference
//! (`developer.salesforce.com/docs/ai/agentforce`) and its Mobile SDK, seen
//! 2026-11-22.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::openai::OpenAi;
use super::{Codec, Decoder, Encoded, Reply, Style};
use crate::catalog::Endpoint;
use crate::catalog::reach::encoded;
use crate::outcome::Failure;
use crate::request::ChatRequest;

/// Members that change nothing in an answer, or are said by other means.
const SILENT: [&str; 13] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "merit",
    "provider",
    "models",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "tools",
    "n",
];
/// Members without which the answer would be another than was asked for.
const NEEDED: [&str; 7] =
    ["response_format", "stop", "logprobs", "functions", "modalities", "audio", "web_search_options"];
/// Most warnings about one request; they become headers.
const MOST_WARNINGS: usize = 16;

/// Speaks Salesforce's chat generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatGenerations;

impl Codec for ChatGenerations {
    fn encode(&self, request: &ChatRequest, endpoint: &Endpoint) -> Result<Encoded, Failure> {
        let body: Map<String, Value> =
            serde_json::from_slice(&request.body).map_err(|_| cannot("a body that is not JSON"))?;
        let (messages, warnings) = (messages(&body)?, leftovers(&body)?);
        let said = json!({ "messages": messages }).to_string();
        let path = format!("/models/{}/chat-generations", encoded(&endpoint.upstream));
        Ok(Encoded { path, body: vec![said.into()], warnings })
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        OpenAi.failure(status, headers, body)
    }

    fn reply(&self, body: Bytes, style: &Style) -> Result<Reply, Failure> {
        OpenAi.reply(middle(&body, style)?, style)
    }

    /// There are no streams, so whatever streams is something else.
    fn stream_as_reply(&self, _: Bytes, _: &Style) -> Result<Reply, Failure> {
        Err(Failure::Protocol { detail: "a stream where there is none" })
    }

    fn reply_as_stream(&self, body: Bytes, style: &Style) -> Result<Box<dyn Decoder>, Failure> {
        OpenAi.reply_as_stream(middle(&body, style)?, style)
    }

    fn stream(&self, style: &Style) -> Box<dyn Decoder> {
        OpenAi.stream(style)
    }
}

/// What has no words here; another provider may have them.
fn cannot(what: impl Into<String>) -> Failure {
    Failure::Unsupported { what: what.into() }
}

/// The messages, each with one text.
fn messages(body: &Map<String, Value>) -> Result<Vec<Value>, Failure> {
    let messages = body.get("messages").and_then(Value::as_array);
    messages.into_iter().flatten().map(message).collect()
}

fn message(message: &Value) -> Result<Value, Failure> {
    let role = match message.get("role").and_then(Value::as_str).unwrap_or_default() {
        "system" | "developer" => "system",
        role @ ("user" | "assistant") => role,
        _ => return Err(cannot("results of tools")),
    };
    if message.get("tool_calls").is_some_and(|calls| !calls.is_null()) {
        return Err(cannot("calls of tools"));
    }
    let content = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let text = |part: &Value| part.get("text").and_then(Value::as_str).map(ToOwned::to_owned);
            let texts: Option<Vec<String>> = parts.iter().map(text).collect();
            texts.ok_or_else(|| cannot("messages with anything but text"))?.concat()
        }
        _ => String::new(),
    };
    Ok(json!({ "role": role, "content": content }))
}

/// Warns of members that have no effect.
///
/// # Errors
/// When one of them is needed.
fn leftovers(body: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        other => other.get("type").and_then(Value::as_str) == Some("text"),
    };
    let mut warnings = Vec::new();
    for (name, value) in body.iter().filter(|(_, value)| !says_nothing(value)) {
        match name.as_str() {
            "tools" => return Err(cannot("tools")),
            "n" if value.as_u64() != Some(1) => return Err(cannot("more than one choice")),
            name if NEEDED.contains(&name) => return Err(cannot(name)),
            name if SILENT.contains(&name) => {}
            name if warnings.len() < MOST_WARNINGS => {
                let name: String = name.chars().filter(char::is_ascii_graphic).take(40).collect();
                warnings.push(format!("{name} has no effect here"));
            }
            _ => {}
        }
    }
    Ok(warnings)
}

/// An answer in the middle form. What has it already, an error at status 200, is
/// left as it is.
fn middle(body: &Bytes, style: &Style) -> Result<Bytes, Failure> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| Failure::Protocol { detail: "not valid JSON" })?;
    let Some(details) = answer.get("generationDetails") else { return Ok(body.clone()) };
    let parameters = details.get("parameters").cloned().unwrap_or_default();
    let generations = details.get("generations").and_then(Value::as_array);
    let choices: Vec<Value> = generations.into_iter().flatten().enumerate().map(choice).collect();
    let member = |name: &str, other: Value| parameters.get(name).cloned().unwrap_or(other);
    let middle = json!({
        "id": answer.get("id").cloned().unwrap_or_else(|| "generation".into()),
        "object": "chat.completion",
        "created": member("created", style.created.into()),
        "model": member("model", "".into()),
        "choices": choices,
        "usage": member("usage", Value::Null),
    });
    Ok(middle.to_string().into())
}

fn choice((index, generation): (usize, &Value)) -> Value {
    let parameter = |name: &str| generation.get("parameters").and_then(|all| all.get(name)).cloned();
    json!({
        "index": index,
        "message": {
            "role": "assistant",
            "content": generation.get("content").cloned().unwrap_or_default(),
            "refusal": parameter("refusal").unwrap_or_default(),
        },
        "logprobs": null,
        "finish_reason": parameter("finish_reason").filter(Value::is_string).unwrap_or_else(|| "stop".into()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::FinishReason;

    /// As the Mobile SDK's tests have it, shortened.
    const ANSWER: &str = r#"{"id":"g-1","generationDetails":{"generations":[{"id":"c-1","role":"assistant","content":"Hello.",
        "contentQuality":{"scanToxicity":{"isDetected":false}},"parameters":{"finish_reason":"length","index":0,"logprobs":null}}],
        "parameters":{"model":"gpt-4o","created":1700000000,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}}}"#;

    fn body(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_answer_reads_as_one_of_the_middle_form() {
        let reply = ChatGenerations.reply(ANSWER.into(), &Style::default()).unwrap();
        let usage = reply.usage.unwrap();
        assert_eq!((usage.input, usage.output, reply.finish), (5, 2, Some(FinishReason::Length)));
        let said: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(said["choices"][0]["message"]["content"], "Hello.");
        assert_eq!((&said["created"], &said["model"]), (&json!(1_700_000_000), &json!("gpt-4o")));
    }

    #[test]
    fn a_stream_is_made_of_the_whole_answer() {
        let mut decoder = ChatGenerations.reply_as_stream(ANSWER.into(), &Style::default()).unwrap();
        let mut out = Vec::new();
        decoder.end_of_input(&mut out).unwrap();
        assert!(String::from_utf8(out.concat()).unwrap().contains("Hello."));
        assert_eq!(decoder.watch().finish, Some(FinishReason::Length));
    }

    #[test]
    fn texts_go_and_all_else_is_refused_or_named() {
        let plain = body(
            r#"{"messages":[{"role":"developer","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]}],"temperature":0.5,"stream":true,"tools":[]}"#,
        );
        assert_eq!(
            messages(&plain).unwrap(),
            [json!({"role":"system","content":"a"}), json!({"role":"user","content":"bc"})]
        );
        assert_eq!(leftovers(&plain).unwrap(), ["temperature has no effect here"]);
        for refused in [
            r#"{"tools":[{"type":"function"}]}"#,
            r#"{"n":2}"#,
            r#"{"response_format":{"type":"json_object"}}"#,
            r#"{"stop":["x"]}"#,
        ] {
            assert!(leftovers(&body(refused)).is_err(), "{refused}");
        }
        for refused in [
            r#"{"messages":[{"role":"tool","content":"x"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#,
            r#"{"messages":[{"role":"assistant","tool_calls":[{}]}]}"#,
        ] {
            assert!(messages(&body(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_error_is_an_error_whatever_its_status() {
        let body = r#"[{"errorCode":"INVALID_JWT","message":"bad token"}]"#;
        let failure = ChatGenerations.failure(StatusCode::UNAUTHORIZED, &HeaderMap::new(), body.as_bytes());
        assert_eq!(failure, Failure::Key { status: 401 });
        let error = Bytes::from_static(br#"{"error":{"message":"no","code":"rate_limit_exceeded"}}"#);
        assert!(ChatGenerations.reply(error, &Style::default()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_a_failure(text in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(ChatGenerations.reply(text.into(), &Style::default()));
        }
    }
}
