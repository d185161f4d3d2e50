//! What must hold for any bytes at all. Fuzzers call this (`fuzz/`), and so do
//! property tests on stable, so that neither can rot.

use bytes::Bytes;

use super::sse::{MOST_EVENT, Splitter};
use super::{Codec, Progress, Style, Tail, openai};
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
    let body = openai::encode_for(&request, "upstream", &[]).body.concat();
    let sent = json::document(&body).map_err(|_| "what is sent is not JSON")?;
    let model = sent.get(b"model").and_then(|model| model.as_str());
    ensure(model.as_deref() == Some("upstream"), "another model is asked for")?;
    ensure(sent.get(b"merit").is_none() && sent.get(b"provider").is_none(), "control is forwarded")?;
    let usage = sent.get(b"stream_options").and_then(|options| options.get(b"include_usage"));
    let asked = usage.and_then(|usage| usage.as_bool()) == Some(true);
    ensure(!request.stream || asked, "usage is not asked for")
}

/// What a caller gets is the same wherever the chunks' borders are.
///
/// # Errors
/// When it is not.
pub fn openai_stream(text: &[u8]) -> Result<(), Broken> {
    let style = Style { model: None, include_usage: text.len().is_multiple_of(2) };
    let told = |size: usize| {
        let mut decoder = openai::OpenAi.stream(&style);
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
            for probe in [sse_split, openai_request, openai_stream, json_walk] {
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
