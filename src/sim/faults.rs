//! The named behaviours: each is a word for a few knobs, so that this table is
//! the whole list and the user's guide is checked against it.

/// Every named behaviour: name, its knobs, and what it does. A name that ends
/// in `N` stands for any number there.
pub const FAULTS: &[(&str, &str, &str)] = &[
    ("normal", "", "a proper answer at the provider's usual pace"),
    ("bench", "bench", "a proper answer from a prebuilt buffer, as fast as can be, not in the journal"),
    ("tools", "answer=tools:2", "two tool calls"),
    ("reasoning", "answer=reasoning", "reasoning, then text"),
    ("refusal", "answer=refusal", "a refusal"),
    ("slow-first-byte", "delay=5s", "nothing for 5 s, then a proper answer"),
    ("slow-tokens", "gap=1s", "one event a second"),
    ("slow-head", "slice=1&drip=1s", "one byte a second, from the status line on"),
    ("stall", "stall=start", "never a byte"),
    ("stall-after-head", "stall=head", "a head, and never an event"),
    ("stall-after-N", "stall=events:N", "N events with content, then silence"),
    ("pings", "inject=pings:10ms@preamble", "comments for ever and no content"),
    ("pings-after-N", "inject=pings:10ms@events:N", "N events with content, then comments for ever"),
    ("cut", "cut=start", "closes before any byte"),
    ("reset", "cut=start&how=rst", "resets before any byte"),
    ("cut-after-head", "cut=head", "closes after the head"),
    ("cut-after-preamble", "cut=preamble", "closes after the events without content"),
    ("cut-after-N", "cut=events:N", "closes after N events with content"),
    ("reset-after-N", "cut=events:N&how=rst", "resets after N events with content"),
    ("cut-bytes-N", "cut=bytes:N", "closes after N bytes of the body"),
    ("cut-mid-char", "cut=mid-char", "closes between the bytes of one character"),
    ("cut-mid-json", "cut=mid-json", "closes inside the JSON of an event"),
    ("cut-before-done", "cut=end", "closes before the terminal marker"),
    ("length", "framing=length", "a stream framed by content-length"),
    ("until-close", "framing=close", "a body that ends when the connection closes"),
    ("crlf", "eol=crlf", "lines end in CR LF"),
    ("cr", "eol=cr", "lines end in CR"),
    ("byte-by-byte", "slice=1", "one byte per write"),
    ("burst-N", "words=N&quirks=burst&gap=0", "N words, all events in one write"),
    ("malformed", "inject=malformed@events:2", "one event with broken JSON among good ones"),
    ("not-utf8", "inject=not-utf8@events:2", "one event that is not UTF-8"),
    (
        "bad-checksum",
        "inject=checksum@events:2",
        "one message with a wrong checksum; as malformed where there are none",
    ),
    ("big-event-N", "inject=big:N@events:2", "one proper event with N bytes of text"),
    ("giant-line-N", "inject=giant:N@events:2", "N bytes without a line end"),
    ("no-done", "quirks=no-done", "no `[DONE]`"),
    ("no-finish", "quirks=no-finish", "no finish reason"),
    (
        "nothing-final",
        "quirks=no-finish+no-done",
        "neither finish reason nor `[DONE]`, but a proper end of the body",
    ),
    ("done-twice", "quirks=done-twice+bytes-after-done", "`[DONE]` twice, and bytes after it"),
    ("no-usage", "usage=missing", "usage is never stated"),
    ("usage-negative", "usage=negative", "usage of -1"),
    ("usage-huge", "usage=huge", "usage of 2^63"),
    ("usage-float", "usage=float", "usage of 1e308"),
    ("usage-text", "usage=text", "usage as text"),
    (
        "error-after-preamble",
        "inject=error@preamble&cut=preamble&how=end",
        "status 200, the role, then an error event",
    ),
    (
        "error-after-N",
        "inject=error@events:N&cut=events:N&how=end",
        "N events with content, then an error event",
    ),
    (
        "error-chunk",
        "inject=error-chunk@preamble&cut=preamble&how=end",
        "status 200, then OpenRouter's error chunk, then a proper end",
    ),
    ("error-200", "shape=error", "status 200 with a JSON error"),
    ("rate-limit", "status=429", "429 without a word about when to come back"),
    ("rate-limit-N", "status=429&retry-after=N", "429 with retry-after: N"),
    ("rate-limit-date", "status=429&retry-after=date:2", "429 with retry-after as a date"),
    ("rate-limit-ms", "status=429&retry-after=ms:1500", "429 with retry-after-ms"),
    ("rate-limit-reset", "status=429&retry-after=reset:360", "429 with x-ratelimit-reset-requests: 6m0s"),
    ("no-quota", "status=429&code=insufficient_quota", "429 because the account is empty"),
    ("context-length", "status=400&code=context_length_exceeded", "400 because the prompt is too long"),
    ("status-N", "status=N", "status N with the dialect's error body"),
    ("html-N", "status=N&shape=html", "status N with a web page"),
    ("html", "shape=html", "status 200 with a web page"),
    ("plain-N", "status=N&shape=plain", "status N with plain text"),
    ("json-for-stream", "shape=json", "a JSON answer although a stream was asked for"),
    ("stream-for-json", "shape=stream", "a stream although none was asked for"),
    ("wrong-type", "type=application/octet-stream", "a proper body under a wrong content type"),
    ("empty", "shape=empty", "status 200 without a body"),
    ("truncated-json", "shape=truncated", "half of a JSON answer, properly framed"),
    ("short-body", "shape=json&framing=length&length-error=10", "closes 10 bytes before the declared length"),
    ("long-body", "shape=json&framing=length&length-error=-10", "10 bytes more than the declared length"),
    ("garbage", "shape=garbage", "bytes that are nothing"),
    ("not-http", "script=[send \"\\x16\\x03\\x01\\x00\\xff no http\", fin]", "an answer that is not HTTP"),
    ("deep-N", "shape=deep:N", "N nested arrays"),
    ("nan", "shape=nan", "`NaN` in the JSON"),
    ("duplicate-keys", "shape=duplicate", "`choices` twice in one object"),
    ("padded-N", "shape=json&pad=N", "N blanks before the JSON"),
    ("gzip", "quirks=gzip", "compressed although nobody asked"),
    ("redirect", "status=307&location=http://127.0.0.1:9/", "307 to another host"),
    ("headers-N", "headers=N", "N superfluous headers"),
    ("header-bytes-N", "headers=1&header-bytes=N", "a header of N bytes"),
    ("two-lengths", "head=two-lengths", "two content lengths that differ"),
    ("length-and-chunked", "head=length-and-chunked", "a content length beside chunked"),
    ("negative-length", "head=negative-length", "a negative content length"),
    ("folded-header", "head=fold", "a header continued on the next line"),
    ("illegal-header", "head=illegal", "bytes that no header may have"),
    ("bad-status-line", "head=bad-status", "a status line that is none"),
    ("no-content", "status=204&shape=empty", "status 204"),
    ("early-hints", "early=103", "an interim 103, then a proper answer"),
    ("continue", "early=100", "an interim 100 nobody asked for, then a proper answer"),
    ("trailers", "quirks=trailers", "header lines after the last chunk"),
    ("die-on-reuse", "quirks=die-on-reuse", "the connection dies when it is used again"),
    ("echo-key", "quirks=echo-key-body+echo-key-header", "the caller's credential in body and header"),
    ("echo-key-error", "status=400&quirks=echo-key-body", "the caller's credential in an error message"),
    ("like-mistral", "quirks=no-tool-index+whole-tool-call+usage-on-finish", "as Mistral streams"),
    ("like-groq", "answer=reasoning&quirks=reasoning-field+usage-on-finish", "as Groq streams reasoning"),
    ("like-xai", "answer=reasoning&quirks=reasoning-apart", "as xAI counts reasoning"),
    ("like-openrouter", "quirks=comments+cost-in-usage+numeric-error-code", "as OpenRouter streams"),
    ("like-azure", "quirks=empty-first", "as Azure streams"),
    ("like-llama-cpp", "quirks=no-role+numeric-error-code", "as llama.cpp streams with some templates"),
    ("like-gemini", "quirks=no-tool-index+error-in-array", "as Gemini's compatible path streams"),
];

/// The knobs of a named behaviour, with its number filled in.
#[must_use]
pub fn knobs(name: &str) -> Option<String> {
    if let Some((_, knobs, _)) = FAULTS.iter().find(|(known, ..)| *known == name) {
        return Some((*knobs).to_owned());
    }
    FAULTS.iter().find_map(|(known, knobs, _)| {
        let number = name.strip_prefix(known.strip_suffix('N')?)?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| knobs.replace('N', number))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Behaviour;
    use super::*;

    #[test]
    fn every_name_is_a_behaviour_with_a_number_where_it_needs_one() {
        for (name, ..) in FAULTS {
            let name = name.replace('N', "429");
            let behaviour = name.parse::<Behaviour>().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(behaviour.name, name);
        }
        assert_eq!(knobs("cut-after-"), None);
        assert_eq!(knobs("cut-after-x"), None);
    }

    #[test]
    fn the_guide_lists_every_name_and_quirk() {
        let guide = include_str!("../../docs/simulator.md");
        for (name, _, meaning) in FAULTS {
            assert!(guide.contains(&format!("| `{name}` | {meaning} |")), "{name}: {meaning}");
        }
        for (word, _, meaning) in super::super::quirks::QUIRKS {
            assert!(guide.contains(&format!("| `{word}` | {meaning} |")), "{word}: {meaning}");
        }
    }
}
