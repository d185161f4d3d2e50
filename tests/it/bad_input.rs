//! Whatever comes in, an answer goes out: the right status, an error that says
//! what is wrong, a request id, and a process that lives on.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use serde_json::json;

use crate::support::Fallible;
use crate::support::chat::chat;
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::{self, Answer};
use crate::support::market::Market;

/// The largest body of these gateways, in bytes.
const LARGEST: usize = 64 * 1024;

fn start(market: &Market) -> Fallible<Gateway> {
    Gateway::start_with(&Setup {
        config: &market.config(),
        arguments: &["--set", "server.request_body=64KiB"],
        ..Setup::default()
    })
}

/// The answer is an error with this status and code, in full dress.
fn refuses(what: &str, answer: &Answer, status: u16, code: &str) -> Fallible<()> {
    let told = answer.error_code().map_err(|error| format!("{what}: {error}"))?;
    assert_eq!((answer.status, told.as_str()), (status, code), "{what}: {}", answer.body);
    assert_eq!(answer.must("content-type")?, "application/json", "{what}");
    assert_eq!(answer.must("x-request-id")?.len(), 36, "{what}");
    answer.must("x-should-retry")?;
    let message = answer.json()?.pointer("/error/message").map(ToString::to_string).unwrap_or_default();
    assert!(message.len() > 10, "{what}: {message}");
    Ok(())
}

fn still_serves(gateway: &Gateway, market: &Market, before: usize) -> Fallible<()> {
    assert_eq!(market.entries().len(), before, "a bad request reached an upstream");
    assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    assert_eq!(gateway.count("merit_panics_total", &[])?, 0, "{}", gateway.log());
    Ok(())
}

/// A good request with one member replaced or added.
fn with(member: &str, value: &str) -> Vec<u8> {
    let mut members =
        vec![("model", "\"small\""), ("messages", "[{\"role\":\"user\",\"content\":\"Hello\"}]")];
    members.retain(|(name, _)| *name != member);
    members.push((member, value));
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

fn without(member: &str) -> Vec<u8> {
    let whole = String::from_utf8(with("stream", "false")).unwrap_or_default();
    whole.replace(&format!("\"{member}\""), "\"unknown\"").into_bytes()
}

/// What is wrong, the body, the code and the member at fault.
type Bad = (&'static str, Vec<u8>, u16, &'static str, Option<&'static str>);

fn bodies() -> Vec<Bad> {
    let deep = "[".repeat(10_000);
    let not_text =
        [br#"{"model":"small","messages":[{"role":"user","content":""#.as_slice(), b"\xff\"}]}"].concat();
    let bad = |what, body, param| (what, body, 400, "invalid_request", param);
    vec![
        bad("nothing", Vec::new(), None),
        bad("blanks", b"  \n".to_vec(), None),
        bad("no JSON", b"hello".to_vec(), None),
        bad("an array", b"[]".to_vec(), None),
        bad("cut off", br#"{"model":"small","messages":[{"role""#.to_vec(), None),
        bad(
            "more after the end",
            br#"{"model":"small","messages":[{"role":"user","content":"x"}]} {}"#.to_vec(),
            None,
        ),
        bad("not UTF-8", not_text, None),
        bad("open brackets only", deep.clone().into_bytes(), None),
        bad("nested too deep", with("x", &format!("{deep}{}", "]".repeat(10_000))), None),
        bad("model twice", with("model", "\"small\",\"model\":\"large\""), Some("model")),
        bad("messages twice", with("messages", "[],\"messages\":[]"), Some("messages")),
        bad("stream twice", with("stream", "true,\"stream\":false"), Some("stream")),
        bad("no model", without("model"), Some("model")),
        bad("no messages", without("messages"), Some("messages")),
        bad("model is a number", with("model", "7"), Some("model")),
        bad("model is empty", with("model", "\"\""), Some("model")),
        bad("messages is a text", with("messages", "\"hello\""), Some("messages")),
        bad("messages is empty", with("messages", "[]"), Some("messages")),
        bad("a message is a number", with("messages", "[7]"), Some("messages[0]")),
        bad("stream is a text", with("stream", "\"yes\""), Some("stream")),
        bad("n is negative", with("n", "-1"), Some("n")),
        bad("max_tokens is a text", with("max_tokens", "\"many\""), Some("max_tokens")),
        bad("merit is misspelt", with("merit", "{\"max_prise\":1}"), Some("merit.max_prise")),
        bad("an unknown objective", with("merit", "{\"objective\":\"nicest\"}"), Some("objective")),
        ("an unknown model", with("model", "\"smal\""), 404, "model_not_found", Some("model")),
        ("too large", with("x", &format!("\"{}\"", "x".repeat(LARGEST))), 413, "request_too_large", None),
    ]
}

#[test]
fn bad_bodies_are_refused_for_what_is_wrong_with_them() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    for (what, body, status, code, param) in bodies() {
        let answer = http::send(gateway.api, "POST", CHAT, &[], &body)?;
        refuses(what, &answer, status, code)?;
        assert_eq!(answer.json()?.pointer("/error/param"), Some(&json!(param)), "{what}: {}", answer.body);
    }
    let near = http::send(gateway.api, "POST", CHAT, &[], with("model", "\"smal\""))?;
    assert!(near.body.contains("did you mean \\\"small\\\"?"), "{}", near.body);
    still_serves(&gateway, &market, 0)
}

fn gzip(text: &[u8]) -> Fallible<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

#[test]
fn compressed_bodies_are_read_and_bombs_are_not() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let post = |coding: &str, body: &[u8]| {
        http::send(gateway.api, "POST", CHAT, &[("content-encoding", coding)], body)
    };
    let good = with("x", "1");
    for (coding, body) in [("gzip", gzip(&good)?), ("zstd", zstd::encode_all(good.as_slice(), 0)?)] {
        let answer = post(coding, &body)?;
        assert_eq!(answer.status, 200, "{coding}: {}", answer.body);
    }
    assert!(market.entries().iter().all(|entry| entry.body.as_bytes() == good), "{:?}", market.entries());
    let zeros = vec![b' '; 64 * 1024 * 1024];
    for (coding, bomb) in [("gzip", gzip(&zeros)?), ("zstd", zstd::encode_all(zeros.as_slice(), 0)?)] {
        // Small enough to be read, too large once it is unpacked.
        assert!(bomb.len() < LARGEST * 2, "{coding}: {}", bomb.len());
        refuses(coding, &post(coding, &bomb)?, 413, "request_too_large")?;
    }
    for coding in ["gzip", "zstd", "deflate"] {
        refuses(coding, &post(coding, b"not compressed at all")?, 400, "invalid_request")?;
        refuses(coding, &post(coding, &gzip(&good)?[..20])?, 400, "invalid_request")?;
    }
    refuses("br", &post("br", &good)?, 415, "invalid_request")?;
    still_serves(&gateway, &market, 2)
}

#[test]
fn paths_and_methods_that_do_not_exist_are_named() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let call = |method: &str, path: &str| http::send(gateway.api, method, path, &[], "");
    for path in
        ["/v1/nothing", "/nothing", "/v1", "/v1/v1/models", "/v1/chat", "/metrics", "/admin/v1/reload"]
    {
        refuses(path, &call("GET", path)?, 404, "not_found")?;
    }
    for (method, path) in [
        ("GET", CHAT),
        ("DELETE", CHAT),
        ("PUT", "/chat/completions"),
        ("POST", "/v1/models"),
        ("PATCH", "/v1/models/small"),
        ("POST", "/v1/decisions/x"),
    ] {
        let answer = call(method, path)?;
        refuses(path, &answer, 405, "method_not_allowed")?;
        answer.must("allow")?;
    }
    for (method, path) in [
        ("POST", "/v1/responses"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/audio/speech"),
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/rerank"),
    ] {
        refuses(path, &call(method, path)?, 501, "not_implemented")?;
        refuses(path, &call(method, path.trim_start_matches("/v1"))?, 501, "not_implemented")?;
    }
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let answer = call("POST", path)?;
        assert_eq!(answer.status, 501, "{}", answer.body);
        let told = answer.json()?;
        assert_eq!(told.get("type"), Some(&json!("error")), "{told}");
        assert!(told.pointer("/error/type").is_some() && told.pointer("/error/message").is_some(), "{told}");
    }
    still_serves(&gateway, &market, 0)
}

#[test]
fn every_spelling_of_a_path_works() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    for path in [
        CHAT,
        "/chat/completions",
        "/v1/chat/completions/",
        "/chat/completions/",
        "/v1/chat/completions?api-version=1",
    ] {
        let answer = http::send(gateway.api, "POST", path, &[], with("x", "1"))?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    for path in ["/v1/models", "/models", "/v1/models/", "/v1/models/small", "/models/small/"] {
        let answer = http::get(gateway.api, path)?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.must("x-request-id")?;
    }
    for (method, path) in [("HEAD", "/"), ("GET", "/livez"), ("GET", "/readyz"), ("HEAD", "/v1/models")] {
        let answer = http::send(gateway.api, method, path, &[], "")?;
        assert_eq!(answer.status, 200, "{method} {path}");
        assert_eq!(answer.body.is_empty(), method == "HEAD", "{method} {path}: {}", answer.body);
    }
    Ok(())
}

#[test]
fn a_body_in_chunks_is_read_within_its_limit() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let chunked = |body: &[u8]| {
        let mut framed = Vec::new();
        for piece in body.chunks(7) {
            framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        http::send_framed(gateway.api, CHAT, "transfer-encoding: chunked", &framed)
    };
    assert_eq!(chunked(&with("x", "1"))?.status, 200);
    assert_eq!(market.entries()[0].body.as_bytes(), with("x", "1"));
    let large = with("x", &format!("\"{}\"", "x".repeat(LARGEST)));
    refuses("too large in chunks", &chunked(&large)?, 413, "request_too_large")?;
    still_serves(&gateway, &market, 1)
}

/// Not even HTTP; there is no one answer to these, but they must not hurt.
#[test]
fn noise_on_the_wire_does_not_hurt() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let announced = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{\"model\"");
    let two =
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{{}}");
    let both = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let chunks = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
    let header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    for noise in ["\x16\x03\x01\x02", "GET", "\r\n\r\n\0\0", &announced, &two, &both, &chunks, &header] {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.api))?;
        // The other side may have had enough of it before it is all said.
        drop(stream.write_all(noise.as_bytes()));
        drop(stream.shutdown(Shutdown::Write));
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    }
    still_serves(&gateway, &market, 0)
}
