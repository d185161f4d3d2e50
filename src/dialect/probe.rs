//! What must hold for any bytes at all. Fuzzers call this (`fuzz/`), and so do
//! property tests on stable, so that neither can rot.

use bytes::Bytes;

use super::sse::{MOST_EVENT, Splitter};
use super::{Codec, Progress, Style, Tail, anthropic, bedrock, event_stream, gemini, openai};
use crate::json::{self, Cursor, JsonError, Kind};
use crate::outcome::Failure;
use crate::request::ChatRequest;

/// What did not hold.
pub type Broken = &'static str;

fn ensure(condition: bool, what: Broken) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(what) }
}

/// Events are the same wherever the chunks' borders are.
///
/// # Errors
/// When they are not.
pub fn sse_split(text: &[u8]) -> Result<(), Broken> {
    let events = |size: usize| {
        let mut splitter = Splitter::new(MOST_EVENT);
        let mut found = Vec::new();
        for chunk in text.chunks(size) {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Ok(Some(event)) = splitter.next() {
                found.push((event.data, event.name));
            }
        }
        found
    };
    let size = usize::from(text.first().copied().unwrap_or(0)) + 1;
    let whole = events(text.len().max(1));
    ensure(whole == events(1) && whole == events(size), "events depend on borders")
}

/// A request that is understood can be said, as JSON that means the same model
/// and keeps nothing that was meant for us.
///
/// # Errors
/// When it cannot.
pub fn openai_request(text: &[u8]) -> Result<(), Broken> {
    let Ok(request) = ChatRequest::read(Bytes::copy_from_slice(text)) else { return Ok(()) };
    let encoded =
        openai::encode_for(&request, "upstream", &[]).map_err(|_| "a request that cannot be said")?;
    let body = encoded.body.concat();
    let sent = json::document(&body).map_err(|_| "what is sent is not JSON")?;
    let model = sent.get(b"model").and_then(|model| model.as_str());
    ensure(model.as_deref() == Some("upstream"), "another model is asked for")?;
    ensure(sent.get(b"merit").is_none() && sent.get(b"provider").is_none(), "control is forwarded")?;
    let usage = sent.get(b"stream_options").and_then(|options| options.get(b"include_usage"));
    let asked = usage.and_then(|usage| usage.as_bool()) == Some(true);
    ensure(!request.stream || asked, "usage is not asked for")
}

/// A request that is understood is refused or said, as JSON that has what
/// Messages demands.
///
/// # Errors
/// When it is neither.
pub fn anthropic_request(text: &[u8]) -> Result<(), Broken> {
    let Ok(request) = ChatRequest::read(Bytes::copy_from_slice(text)) else { return Ok(()) };
    for upstream in ["claude-sonnet-4-5", "claude-sonnet-5", "other"] {
        let Ok(encoded) = anthropic::encode_for(&request, upstream, None) else { continue };
        let body = encoded.body.concat();
        let sent = json::document(&body).map_err(|_| "what is sent is not JSON")?;
        let model = sent.get(b"model").and_then(|model| model.as_str());
        ensure(model.as_deref() == Some(upstream), "another model is asked for")?;
        let limit = sent.get(b"max_tokens").and_then(|limit| limit.as_u64());
        ensure(limit.is_some_and(|limit| limit > 0), "no limit is sent")?;
        ensure(sent.get(b"messages").is_some(), "no messages are sent")?;
    }
    Ok(())
}

/// A request that is understood is refused or said, as JSON that has what
/// `generateContent` demands.
///
/// # Errors
/// When it is neither.
pub fn gemini_request(text: &[u8]) -> Result<(), Broken> {
    let Ok(request) = ChatRequest::read(Bytes::copy_from_slice(text)) else { return Ok(()) };
    for upstream in ["gemini-2.5-flash", "gemini-3-pro", "gemma-4-31b-it"] {
        let Ok(encoded) = gemini::encode_for(&request, upstream, None, &[]) else { continue };
        let body = encoded.body.concat();
        let sent = json::document(&body).map_err(|_| "what is sent is not JSON")?;
        ensure(sent.get(b"contents").is_some(), "no contents are sent")?;
        ensure(encoded.path.contains(upstream), "another model is asked for")?;
        let printable = |warning: &String| warning.chars().all(|c| !c.is_control());
        ensure(encoded.warnings.iter().all(printable), "a warning that cannot be a header")?;
    }
    Ok(())
}

/// Messages are the same wherever the chunks' borders are, and so is the end.
///
/// # Errors
/// When they are not.
pub fn event_stream_split(text: &[u8]) -> Result<(), Broken> {
    let messages = |size: usize| {
        let mut splitter = event_stream::Splitter::new(MOST_EVENT);
        let mut found = Vec::new();
        for chunk in text.chunks(size) {
            splitter.push(Bytes::copy_from_slice(chunk));
            loop {
                match splitter.next() {
                    Ok(Some(message)) => found.push(Ok(message)),
                    Ok(None) => break,
                    Err(broken) => {
                        found.push(Err(broken));
                        return found;
                    }
                }
            }
        }
        found
    };
    let size = usize::from(text.first().copied().unwrap_or(0)) + 1;
    let whole = messages(text.len().max(1));
    ensure(whole == messages(1) && whole == messages(size), "messages depend on borders")
}

/// A request that is understood is refused or said, as JSON that has what
/// Converse or Messages demand.
///
/// # Errors
/// When it is neither.
pub fn bedrock_request(text: &[u8]) -> Result<(), Broken> {
    let Ok(request) = ChatRequest::read(Bytes::copy_from_slice(text)) else { return Ok(()) };
    for upstream in
        ["amazon.nova-2-lite-v1:0", "meta.llama3-1-70b-instruct-v1:0", "anthropic.claude-opus-4-8"]
    {
        let Ok(encoded) = bedrock::encode_for(&request, upstream, None) else { continue };
        let body = encoded.body.concat();
        let sent = json::document(&body).map_err(|_| "what is sent is not JSON")?;
        ensure(sent.get(b"messages").is_some(), "no messages are sent")?;
        ensure(sent.get(b"model").is_none() && sent.get(b"stream").is_none(), "the path is said again")?;
        let printable = |warning: &String| warning.chars().all(|c| !c.is_control());
        ensure(encoded.warnings.iter().all(printable), "a warning that cannot be a header")?;
    }
    Ok(())
}

/// What a caller gets of Bedrock's streams is the same wherever the chunks' borders
/// are. Bytes that are no messages become the payload of one, so that not all end
/// at the first checksum.
///
/// # Errors
/// When it is not.
pub fn bedrock_stream(text: &[u8]) -> Result<(), Broken> {
    stream(&bedrock::Bedrock, text)?;
    let mut framed = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (name, payload) = line.split_at(at);
        framed.extend_from_slice(&event_stream::event(&String::from_utf8_lossy(name), payload));
    }
    stream(&bedrock::Bedrock, &framed)
}

/// What a caller gets is the same wherever the chunks' borders are.
///
/// # Errors
/// When it is not.
pub fn openai_stream(text: &[u8]) -> Result<(), Broken> {
    stream(&openai::OpenAi, text)
}

/// The same of Anthropic's streams.
///
/// # Errors
/// As [`openai_stream`].
pub fn anthropic_stream(text: &[u8]) -> Result<(), Broken> {
    stream(&anthropic::Anthropic, text)
}

/// The same of Google's streams.
///
/// # Errors
/// As [`openai_stream`].
pub fn gemini_stream(text: &[u8]) -> Result<(), Broken> {
    stream(&gemini::Gemini, text)
}

/// Any bytes are an answer of Google's or a failure, and what is said as a
/// stream is said as a whole.
///
/// # Errors
/// When the two differ.
pub fn gemini_answer(text: &[u8]) -> Result<(), Broken> {
    let style = Style::default();
    let whole = gemini::Gemini.reply(Bytes::copy_from_slice(text), &style);
    let streamed = gemini::Gemini
        .reply_as_stream(Bytes::copy_from_slice(text), &style)
        .and_then(|mut decoder| decoder.end_of_input(&mut Vec::new()).map(|()| decoder.watch().finish));
    match (whole, streamed) {
        (Ok(whole), Ok(finish)) => ensure(whole.finish == finish, "two reasons for one end"),
        (Err(_), Err(_)) => Ok(()),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => Err("an answer as a whole and none as a stream, or the reverse"),
    }
}

fn stream(codec: &dyn Codec, text: &[u8]) -> Result<(), Broken> {
    let style = Style { model: None, include_usage: text.len().is_multiple_of(2), ..Style::default() };
    let told = |size: usize| {
        let mut decoder = codec.stream(&style);
        let mut out = Vec::new();
        let mut result = Ok(Progress::More);
        for chunk in text.chunks(size) {
            result = decoder.feed(Bytes::copy_from_slice(chunk), &mut out);
            if result != Ok(Progress::More) {
                break;
            }
        }
        let result: Result<(), Failure> = match result {
            Ok(Progress::More) => decoder.end_of_input(&mut out),
            other => other.map(drop),
        };
        if result.is_ok() {
            decoder.close(&Tail::default(), &mut out);
        }
        (out.concat(), result, decoder.watch().content_events)
    };
    let size = usize::from(text.first().copied().unwrap_or(0)) + 1;
    let whole = told(text.len().max(1));
    ensure(whole == told(1) && whole == told(size), "a stream depends on borders")
}

/// All ways to walk a text agree on whether it is JSON, and accept whatever
/// `serde_json` does.
///
/// # Errors
/// When they do not.
pub fn json_walk(text: &[u8]) -> Result<(), Broken> {
    fn tour(cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        match cursor.kind()? {
            Kind::Object => cursor.members(|_, inner| tour(inner)),
            Kind::Array => cursor.elements(tour),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => cursor.value().map(drop),
        }
    }
    let mut cursor = Cursor::new(text);
    let entered = tour(&mut cursor).and_then(|()| cursor.end()).is_ok();
    let whole = json::document(text).is_ok();
    ensure(entered == whole, "entering and crossing disagree")?;
    ensure(whole || serde_json::from_slice::<serde_json::Value>(text).is_err(), "valid JSON is refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Probe = fn(&[u8]) -> Result<(), Broken>;

    const PROBES: [Probe; 12] = [
        sse_split,
        event_stream_split,
        openai_request,
        openai_stream,
        anthropic_request,
        anthropic_stream,
        gemini_request,
        gemini_stream,
        gemini_answer,
        bedrock_request,
        bedrock_stream,
        json_walk,
    ];

    /// Bytes that often come near to what is looked for.
    fn near() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "data: ",
            "event: error",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            ": x",
            "[DONE]",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\"model\"",
            "\"m\"",
            "\"messages\":[{}]",
            "\"stream\":true",
            "\"stream_options\":{}",
            "\"merit\":{}",
            "\"provider\":{\"order\":[\"a\"]}",
            "\"id\":\"a\"",
            "\"object\":\"chat.completion.chunk\"",
            "\"created\":1",
            "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]",
            "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]",
            "\"role\":\"tool\"",
            "\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
            "\ncontentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"a\"}}\n",
            "\ncontentBlockStart {\"start\":{\"toolUse\":{\"toolUseId\":\"a\",\"name\":\"f\"}}}\n",
            "\nmessageStop {\"stopReason\":\"end_turn\"}\n",
            "\nmetadata {\"usage\":{\"inputTokens\":1,\"outputTokens\":2}}\n",
            "\nchunk {\"bytes\":\"e30=\"}\n",
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"a\"}}\n\n",
            "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\"}}\n\n",
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\",\"signature\":\"b\"}}\n\n",
            "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":3}}\n\n",
            "data: {\"type\":\"message_stop\"}\n\n",
            "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]}}]}\n\n",
            "data: {\"candidates\":[{\"index\":1,\"finishReason\":\"SAFETY\"}]}\n\n",
            "data: {\"promptFeedback\":{\"blockReason\":\"OTHER\"}}\n\n",
            "null",
            "1",
            "-0.5e3",
            " ",
        ];
        let piece = prop_oneof![
            8 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn all_hold(text in near()) {
            for probe in PROBES {
                prop_assert_eq!(probe(&text), Ok(()));
            }
        }
    }

    #[test]
    fn deep_text_does_not_overflow() {
        for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            assert_eq!(json_walk(text.as_bytes()), Ok(()));
            assert_eq!(openai_request(text.as_bytes()), Ok(()));
        }
    }
}
