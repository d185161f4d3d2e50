//! Behaviours that end properly, and what they say.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::client::{ask_and_close, body, connect, events, parts, read_to_end, request};
use super::{Ending, ended, provider, sim};

#[tokio::test]
async fn a_stream_has_every_part_in_order() {
    let sim = sim().await;
    let text = ask_and_close(provider(&sim), "normal?words=12", true).await;
    let (head, body) = parts(&text);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/event-stream"));
    let events = events(&body);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events.len(), 1 + 12 + 1 + 1);
    assert_eq!(events[13]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[14]["choices"], json!([]));
    assert_eq!(events[14]["usage"]["completion_tokens"], 12);
    assert!(body.ends_with("data: [DONE]\n\n"));
    let entry = ended(&sim).await;
    assert_eq!((entry.ending, entry.status, entry.words), (Ending::Complete, 200, 12));
    assert!(entry.sent.terminal && entry.sent.finish && entry.sent.usage);
    assert_eq!(events[14]["usage"]["prompt_tokens"], entry.consumed.prompt_tokens);
}

#[tokio::test]
async fn usage_follows_from_the_request() {
    let sim = sim().await;
    let text = ask_and_close(provider(&sim), "normal?words=9", false).await;
    let answer: Value = serde_json::from_str(&parts(&text).1).unwrap();
    let messages = r#"[{"role":"user","content":"hi"}]"#.len() as u64;
    assert_eq!(answer["usage"]["prompt_tokens"], messages.div_ceil(4));
    assert_eq!(answer["usage"]["completion_tokens"], 9);
    assert_eq!(answer["choices"][0]["message"]["content"].as_str().unwrap().split_whitespace().count(), 9);
    assert!(body("m", false).contains(r#"[{"role":"user","content":"hi"}]"#));
}

#[tokio::test]
async fn usage_lies_as_told() {
    let sim = sim().await;
    for (fault, said) in [
        ("usage-negative", json!(-1)),
        ("usage-huge", json!(9_223_372_036_854_775_808_u64)),
        ("usage-float", json!(1e308)),
        ("usage-text", json!("many")),
    ] {
        let events = events(&parts(&ask_and_close(provider(&sim), fault, true).await).1);
        assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], said, "{fault}");
    }
    let text = ask_and_close(provider(&sim), "no-usage", true).await;
    assert!(!text.contains("\"usage\"") && text.contains("[DONE]"));
    assert!(!ended(&sim).await.sent.usage);
}

#[tokio::test]
async fn quirks_show() {
    let sim = sim().await;
    for (fault, has, has_not) in [
        ("no-done", "\"finish_reason\":\"stop\"", "[DONE]"),
        ("no-finish", "[DONE]", "\"finish_reason\":\"stop\""),
        ("normal?quirks=no-role", "[DONE]", "\"role\""),
        ("tools", "\"tool_calls\":[{\"index\":1,\"id\":\"call_", "\"index\":2"),
        ("tools?quirks=no-tool-index", "\"tool_calls\":[{\"id\"", "\"tool_calls\":[{\"index\""),
        ("tools?quirks=tool-index-from-one", "\"tool_calls\":[{\"index\":2", "\"tool_calls\":[{\"index\":0"),
        (
            "tools?quirks=whole-tool-call",
            "\"arguments\":\"{\\\"city\\\":\\\"Zürich\\\"",
            "\"arguments\":\"\"",
        ),
        ("reasoning", "\"reasoning_content\":", "\"reasoning\":"),
        ("like-groq", "\"reasoning\":", "\"reasoning_content\":"),
        ("normal?quirks=content-array", "\"content\":[{\"type\":\"text\"", "\"error\""),
        ("normal?quirks=error-null", "\"error\":null", "\"error\":{"),
        ("like-openrouter", ": PROCESSING\n\n", "\"error\""),
        ("normal?quirks=no-space", "data:{", "data: "),
        ("normal?quirks=split-data", "data: {\ndata: \"id\"", "data: {\""),
        ("normal?quirks=odd-finish", "\"finish_reason\":\"eos\"", "\"finish_reason\":\"stop\""),
        ("refusal", "\"refusal\":\"I’m\"", "\"error\""),
        ("crlf", "\r\n\r\ndata: [DONE]", "}\n\n"),
    ] {
        let text = parts(&ask_and_close(provider(&sim), fault, true).await).1;
        assert!(text.contains(has), "{fault} lacks {has}: {text}");
        assert!(!text.contains(has_not), "{fault} has {has_not}: {text}");
    }
}

#[tokio::test]
async fn errors_and_wrong_bodies_are_as_told() {
    let sim = sim().await;
    for (fault, status, has) in [
        ("status-529", 529, "server_is_overloaded"),
        ("rate-limit-2", 429, "retry-after: 2\r\n"),
        ("rate-limit-ms", 429, "retry-after-ms: 1500\r\n"),
        ("rate-limit-date", 429, " GMT\r\n"),
        ("rate-limit-reset", 429, "x-ratelimit-reset-requests: 6m0s\r\n"),
        ("no-quota", 429, "\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\""),
        ("context-length", 400, "\"code\":\"context_length_exceeded\""),
        ("status-401", 401, "invalid_api_key"),
        ("status-500?quirks=numeric-error-code", 500, "\"code\":500"),
        ("html-502", 502, "text/html"),
        ("html", 200, "<!DOCTYPE html>"),
        ("json-for-stream", 200, "application/json"),
        ("error-200", 200, "{\"error\""),
        ("redirect", 307, "location: http://127.0.0.1:9/"),
        ("header-bytes-5000", 200, &"v".repeat(5000)),
        ("headers-200", 200, "x-superfluous-199: "),
        ("two-lengths", 200, "content-length: "),
        ("trailers", 200, "0\r\nx-checksum: none\r\n"),
        ("gzip", 200, "content-encoding: gzip"),
        ("echo-key", 200, "x-debug-authorization: Bearer sk-canary"),
        ("echo-key-error", 400, "sk-canary"),
        ("duplicate-keys?shape=duplicate", 200, "{\"choices\":[],"),
        ("nan", 200, ":NaN,"),
        ("deep-1000", 200, &"]".repeat(1000)),
        ("wrong-type", 200, "application/octet-stream"),
    ] {
        let text = ask_and_close(provider(&sim), fault, true).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{fault}: {text}");
        assert!(text.contains(has), "{fault} lacks {has}: {text}");
        assert_eq!(ended(&sim).await.status, status);
    }
    let text = ask_and_close(provider(&sim), "early-hints", true).await;
    assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\n") && text.contains("HTTP/1.1 200 OK\r\n"));
    let text = ask_and_close(provider(&sim), "empty", true).await;
    assert!(text.ends_with("\r\n\r\n"));
    let text = ask_and_close(provider(&sim), "truncated-json", false).await;
    assert!(serde_json::from_str::<Value>(&parts(&text).1).is_err());
    let text = ask_and_close(provider(&sim), "stream-for-json", false).await;
    assert!(text.contains("data: [DONE]"));
}

#[tokio::test]
async fn the_same_bytes_however_they_are_written() {
    let sim = sim().await;
    let mut seen = Vec::new();
    for fault in ["framing=chunked", "slice=1", "quirks=burst", "framing=length", "framing=close"] {
        provider(&sim).next(&[&format!("refusal?{fault}&quirks=say-close")]).unwrap();
        let mut connection = connect(provider(&sim)).await;
        connection.write_all(request(&body("m", true)).as_bytes()).await.unwrap();
        let (bytes, _) = read_to_end(&mut connection).await;
        let said = parts(std::str::from_utf8(&bytes).unwrap()).1;
        seen.push(said.replace(&format!("chatcmpl-sim-{}", seen.len()), "chatcmpl-sim"));
    }
    assert!(seen[0].contains("[DONE]"));
    assert!(seen.iter().all(|said| *said == seen[0]), "{seen:#?}");
}
