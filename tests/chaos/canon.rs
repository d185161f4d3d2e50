//! What a caller may be given: a whole answer in exactly OpenAI's form, or an
//! honest error. Anything else is a violation, told in words.

use std::collections::BTreeMap;

use serde_json::Value;

use super::caller::{Ask, Heard, Sure};

/// How a request ended, as its caller saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// A whole answer.
    Complete,
    /// An error instead of an answer.
    Error { status: u16, code: String },
    /// An answer that broke off, and said so.
    Broken { code: String },
}

/// What a stream said.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) text: String,
    pub(crate) comments: usize,
    pub(crate) usage: Option<Value>,
    pub(crate) merit: Option<Value>,
    choices: BTreeMap<u64, Choice>,
    envelope: Option<[Value; 3]>,
    error: Option<String>,
    done: bool,
}

#[derive(Debug, Default)]
struct Choice {
    opened: bool,
    finished: bool,
}

/// How the request ended.
///
/// # Errors
/// Whatever a caller must never see.
pub(crate) fn judge(heard: &Heard, ask: &Ask) -> Sure<Seen> {
    if heard.header("x-request-id").is_none() {
        return Err("no x-request-id".to_owned());
    }
    if heard.status != 200 {
        return refused(heard);
    }
    if ask.stream {
        let stream = stream(heard, ask.include_usage)?;
        return Ok(match stream.error {
            Some(code) => Seen::Broken { code },
            None => Seen::Complete,
        });
    }
    ensure(heard.whole, "an answer that broke off under status 200")?;
    whole(&heard.json()?)
}

fn refused(heard: &Heard) -> Sure<Seen> {
    ensure(heard.whole, "an error that broke off")?;
    let code = error_code(&heard.json()?)?;
    let retry = heard.header("x-should-retry");
    ensure(matches!(retry, Some("true" | "false")), "an error without x-should-retry")?;
    if let Some(after) = heard.header("retry-after") {
        ensure(after.parse::<u64>().is_ok(), "a retry-after that is not whole seconds")?;
    }
    Ok(Seen::Error { status: heard.status, code })
}

/// All four members are there, and the code is a word.
fn error_code(body: &Value) -> Sure<String> {
    let error = body.get("error").and_then(Value::as_object).ok_or("an error without `error`")?;
    for name in ["message", "type", "param", "code"] {
        ensure(error.contains_key(name), &format!("an error without {name}: {body}"))?;
    }
    let code = error.get("code").and_then(Value::as_str);
    code.map(str::to_owned).ok_or_else(|| format!("an error without a code: {body}"))
}

fn whole(body: &Value) -> Sure<Seen> {
    ensure(body["object"] == "chat.completion", "not a chat.completion")?;
    let choices = body["choices"].as_array().ok_or("no choices")?;
    ensure(!choices.is_empty(), "no choice")?;
    for choice in choices {
        ensure(choice["message"]["role"] == "assistant", "a message without role")?;
        ensure(choice["finish_reason"].is_string(), "a choice without finish_reason")?;
    }
    Ok(Seen::Complete)
}

/// Reads a stream, strictly.
///
/// # Errors
/// Each deviation from OpenAI's own streams, but for comments between events.
pub(crate) fn stream(heard: &Heard, include_usage: bool) -> Sure<Stream> {
    let kind = heard.header("content-type").unwrap_or_default();
    ensure(kind.starts_with("text/event-stream"), "a stream of another type")?;
    ensure(heard.whole, "a stream without its last chunk")?;
    let body = std::str::from_utf8(&heard.body).map_err(|_| "a stream that is not UTF-8")?;
    let body = body.strip_suffix("\n\n").ok_or("the last event does not end")?;
    let mut told = Stream::default();
    for event in body.split("\n\n") {
        ensure(!told.done && told.error.is_none(), "bytes after the end")?;
        if event.starts_with(':') {
            told.comments += 1;
            continue;
        }
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("not an event: {event:?}"))?;
        ensure(!data.contains(['\n', '\r']), "an event of several lines")?;
        told.event(data, include_usage)?;
    }
    told.check(heard, include_usage)?;
    Ok(told)
}

impl Stream {
    fn event(&mut self, data: &str, include_usage: bool) -> Sure<()> {
        if data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            self.error = Some(error_code(&chunk)?);
            return Ok(());
        }
        ensure(self.usage.is_none(), "a chunk after the usage")?;
        ensure(chunk["object"] == "chat.completion.chunk", "not a chat.completion.chunk")?;
        let envelope = ["id", "created", "model"].map(|name| chunk[name].clone());
        ensure(
            self.envelope.as_ref().is_none_or(|known| *known == envelope),
            "another id, created or model",
        )?;
        self.envelope = Some(envelope);
        let choices = chunk["choices"].as_array().ok_or("a chunk without choices")?;
        for choice in choices {
            self.choice(choice)?;
        }
        match chunk.get("usage").filter(|usage| !usage.is_null()) {
            None => Ok(()),
            Some(_) if !include_usage => Err("usage nobody asked for".to_owned()),
            Some(_) if !choices.is_empty() => Err("usage beside a choice".to_owned()),
            Some(usage) => {
                self.usage = Some(usage.clone());
                self.merit = chunk.get("merit").cloned();
                Ok(())
            }
        }
    }

    fn choice(&mut self, choice: &Value) -> Sure<()> {
        let index = choice["index"].as_u64().ok_or("a choice without index")?;
        let delta = choice["delta"].as_object().ok_or("a choice without delta")?;
        let known = self.choices.entry(index).or_default();
        ensure(!known.finished, "a choice goes on after its finish_reason")?;
        let role = delta.get("role").is_some_and(|role| !role.is_null());
        ensure(role != known.opened, "the role is not in the first delta, and only there")?;
        known.opened = true;
        known.finished = choice.get("finish_reason").is_some_and(Value::is_string);
        if let Some(text) = delta.get("content").and_then(Value::as_str) {
            self.text.push_str(text);
        }
        Ok(())
    }

    fn check(&self, heard: &Heard, include_usage: bool) -> Sure<()> {
        if self.error.is_some() {
            ensure(!self.done, "[DONE] beside an error")?;
            return ensure(heard.closed, "an error, and the connection stays open");
        }
        ensure(self.done, "neither [DONE] nor an error")?;
        ensure(!self.choices.is_empty(), "a stream without a choice")?;
        ensure(self.choices.values().all(|choice| choice.finished), "a choice without finish_reason")?;
        ensure(self.usage.is_some() == include_usage, "usage is missing")
    }
}

fn ensure(holds: bool, otherwise: &str) -> Sure<()> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}]}"#;
    const LAST: &str = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    const USAGE: &str = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"total_tokens":1}}"#;
    const ERROR: &str = r#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#;

    /// Events, whether usage was asked for, whether the connection closes.
    type Tried<'a> = (&'a [&'a str], bool, bool);

    fn tried(events: &[&str], include_usage: bool, closed: bool) -> Sure<Stream> {
        let body = events.iter().fold(String::new(), |body, event| body + "data: " + event + "\n\n");
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        let body = body.into_bytes();
        stream(&Heard { status: 200, headers, body, whole: true, closed, ..Heard::default() }, include_usage)
    }

    #[test]
    fn only_canonical_streams_pass() {
        assert!(tried(&[ROLE, LAST, "[DONE]"], false, false).is_ok());
        assert!(tried(&[ROLE, LAST, USAGE, "[DONE]"], true, false).is_ok());
        assert!(tried(&[ROLE, ERROR], false, true).is_ok());
        let wrong: [Tried<'_>; 10] = [
            (&[ROLE, LAST], false, false),
            (&[ROLE, "[DONE]"], false, false),
            (&[LAST, "[DONE]"], false, false),
            (&[ROLE, ROLE, LAST, "[DONE]"], false, false),
            (&[ROLE, LAST, LAST, "[DONE]"], false, false),
            (&[ROLE, LAST, "[DONE]", "[DONE]"], false, false),
            (&[ROLE, LAST, USAGE, "[DONE]"], false, false),
            (&[ROLE, LAST, "[DONE]"], true, false),
            (&[ROLE, ERROR], false, false),
            (&[ROLE, ERROR, "[DONE]"], false, true),
        ];
        for (events, include_usage, closed) in wrong {
            assert!(tried(events, include_usage, closed).is_err(), "{events:?}");
        }
    }
}
