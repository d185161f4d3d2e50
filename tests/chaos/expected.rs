//! What each behaviour of the simulator must come to, streamed and not.

/// What a behaviour must come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    /// The caller gets a complete answer.
    Fine,
    /// The attempt fails before content with this result: another candidate
    /// takes over, and where there is none the caller gets this error.
    Fails(&'static str, u16, &'static str),
    /// The request itself is refused: no other candidate is asked.
    Refused(&'static str, u16, &'static str),
    /// Content had gone out: the stream ends with an error of this code.
    Breaks(&'static str, &'static str),
    /// The stream is cut at a place that depends on its text: before its first
    /// content as [`SHORT`], after it as [`CUT`].
    Cut,
}

use Fate::{Breaks, Cut, Fails, Fine, Refused};

const CLOSED: Fate = Fails("closed", 502, "upstream_error");
const SERVER: Fate = Fails("server_error", 502, "upstream_error");
const BUSY: Fate = Fails("overloaded", 503, "no_healthy_upstream");
const LIMITED: Fate = Fails("rate_limited", 429, "rate_limit_exceeded");
const KEY: Fate = Fails("key_refused", 502, "upstream_error");
const LATE: Fate = Fails("first_content_timeout", 504, "upstream_timeout");
pub(crate) const SHORT: Fate = Fails("truncated", 502, "upstream_protocol");
const WRONG: Fate = Fails("protocol", 502, "upstream_protocol");
pub(crate) const CUT: Fate = Breaks("truncated", "upstream_protocol");
const STALLED: Fate = Breaks("stalled", "upstream_timeout");
const REFUSED: Fate = Refused("refused", 400, "invalid_request");

/// Behaviour, fate as a stream, fate as a whole answer.
pub(crate) const EXPECTED: &[(&str, Fate, Fate)] = &[
    ("normal", Fine, Fine),
    ("normal?delay=300ms", Fine, Fine),
    ("tools", Fine, Fine),
    ("reasoning", Fine, Fine),
    ("refusal", Fine, Fine),
    ("slow-first-byte?delay=20s", LATE, LATE),
    ("slow-tokens?words=2&gap=300ms", Fine, Fine),
    ("slow-head", LATE, LATE),
    ("stall", LATE, LATE),
    ("stall-after-head", LATE, LATE),
    ("stall-after-3", STALLED, LATE),
    ("pings", LATE, LATE),
    ("pings-after-3", STALLED, LATE),
    ("cut", CLOSED, CLOSED),
    ("reset", CLOSED, CLOSED),
    ("cut-after-head", SHORT, SHORT),
    ("cut-after-head?how=rst", SHORT, SHORT),
    ("cut-after-preamble", SHORT, SHORT),
    ("cut-after-3", CUT, SHORT),
    ("cut-after-3?framing=length", CUT, SHORT),
    ("cut-after-3?framing=close", CUT, WRONG),
    ("cut-after-3?how=end", CUT, LATE),
    ("reset-after-3", CUT, SHORT),
    ("cut-bytes-40", SHORT, SHORT),
    ("cut-mid-char", Cut, SHORT),
    ("cut-mid-json?delay=0ms", SHORT, SHORT),
    ("cut-before-done", Fine, Fine),
    ("length", Fine, Fine),
    ("until-close", Fine, Fine),
    ("crlf", Fine, Fine),
    ("cr", Fine, Fine),
    ("byte-by-byte", Fine, Fine),
    ("burst-8", Fine, Fine),
    ("malformed", Fine, WRONG),
    ("bad-checksum", Fine, WRONG),
    ("not-utf8", Fine, WRONG),
    ("big-event-70000", Fine, Fine),
    ("big-event-1100000", Fine, Fine),
    ("giant-line-9000000", Breaks("protocol", "upstream_protocol"), Fine),
    ("no-done", Fine, Fine),
    ("no-finish", CUT, Fine),
    ("nothing-final", CUT, Fine),
    ("done-twice", Fine, Fine),
    ("no-usage", Fine, Fine),
    ("usage-negative", Fine, Fine),
    ("usage-huge", Fine, Fine),
    ("usage-float", Fine, Fine),
    ("usage-text", Fine, Fine),
    ("error-after-preamble", BUSY, LATE),
    ("error-after-3", Breaks("overloaded", "no_healthy_upstream"), LATE),
    ("error-chunk", SERVER, LATE),
    ("error-200", SERVER, SERVER),
    ("rate-limit", LIMITED, LIMITED),
    ("rate-limit-2", LIMITED, LIMITED),
    ("rate-limit-date", LIMITED, LIMITED),
    ("rate-limit-ms", LIMITED, LIMITED),
    ("rate-limit-reset", LIMITED, LIMITED),
    (
        "no-quota",
        Fails("quota_exhausted", 429, "insufficient_quota"),
        Fails("quota_exhausted", 429, "insufficient_quota"),
    ),
    (
        "context-length",
        Fails("context_length", 400, "context_length_exceeded"),
        Fails("context_length", 400, "context_length_exceeded"),
    ),
    ("status-400", REFUSED, REFUSED),
    ("status-401", KEY, KEY),
    ("status-403", KEY, KEY),
    ("status-404", Fails("not_found", 502, "upstream_error"), Fails("not_found", 502, "upstream_error")),
    (
        "status-413",
        Refused("refused", 413, "request_too_large"),
        Refused("refused", 413, "request_too_large"),
    ),
    ("status-422", Refused("refused", 422, "invalid_request"), Refused("refused", 422, "invalid_request")),
    ("status-500", SERVER, SERVER),
    ("status-502", SERVER, SERVER),
    ("status-503", BUSY, BUSY),
    ("status-504", LATE, LATE),
    ("status-529", BUSY, BUSY),
    ("html-502", SERVER, SERVER),
    ("html-522", SERVER, SERVER),
    ("html", WRONG, WRONG),
    ("plain-503", BUSY, BUSY),
    ("json-for-stream", Fine, Fine),
    ("stream-for-json", Fine, Fine),
    ("wrong-type", Fine, Fine),
    ("empty", WRONG, WRONG),
    ("truncated-json", WRONG, WRONG),
    ("short-body", SHORT, SHORT),
    ("long-body", WRONG, WRONG),
    ("garbage", WRONG, WRONG),
    ("not-http", WRONG, WRONG),
    ("deep-10000", WRONG, WRONG),
    ("nan", WRONG, WRONG),
    ("duplicate-keys", Fine, Fine),
    ("padded-100000", Fine, Fine),
    ("gzip", WRONG, WRONG),
    ("redirect", WRONG, WRONG),
    ("headers-50", Fine, Fine),
    ("headers-10000", WRONG, WRONG),
    ("header-bytes-8000", Fine, Fine),
    ("header-bytes-1000000", WRONG, WRONG),
    ("two-lengths", WRONG, WRONG),
    ("length-and-chunked", WRONG, WRONG),
    ("negative-length", WRONG, WRONG),
    ("folded-header", WRONG, WRONG),
    ("illegal-header", WRONG, WRONG),
    ("bad-status-line", WRONG, WRONG),
    ("no-content", WRONG, WRONG),
    ("early-hints", Fine, Fine),
    ("continue", Fine, Fine),
    ("trailers", Fine, Fine),
    ("like-mistral", Fine, Fine),
    ("like-groq", Fine, Fine),
    ("like-xai", Fine, Fine),
    ("like-openrouter", Fine, Fine),
    ("like-azure", Fine, Fine),
    ("like-llama-cpp", Fine, Fine),
    ("like-gemini", Fine, Fine),
];

/// Named behaviours that other stories try, with why not here.
const ELSEWHERE: [(&str, &str); 4] = [
    ("bench", "not in the journal"),
    ("die-on-reuse", "reuse: it hurts whoever comes next"),
    ("echo-key", "keys"),
    ("echo-key-error", "keys"),
];

#[test]
fn no_behaviour_of_the_simulator_is_forgotten() {
    let tried = |name: &str| {
        EXPECTED.iter().any(|(text, ..)| {
            let text = text.split('?').next().unwrap_or_default();
            match name.strip_suffix('N') {
                Some(stem) => {
                    text.strip_prefix(stem).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
                }
                None => text == name,
            }
        })
    };
    let forgotten: Vec<&str> = merit::sim::faults::FAULTS
        .iter()
        .map(|(name, ..)| *name)
        .filter(|name| !tried(name) && ELSEWHERE.iter().all(|(known, _)| known != name))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
