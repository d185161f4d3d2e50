//! What upstreams send, and exactly what callers get for it; what callers send,
//! and exactly what upstreams get.
//!
//! `tests/golden/gemini/NAME.upstream.sse` becomes `NAME.caller.sse`, and
//! `NAME.upstream.json` becomes `NAME.caller.json`, for a caller who asked for
//! usage. A line `! LABEL` at the end stands for the failure that ended it.
//! `NAME.request.json` becomes `NAME.encoded.txt`: path, body and warnings for an
//! upstream that calls the model as the request does.

use super::*;
use crate::dialect::gemini::encode_for;
use crate::dialect::tests::{Golden, failed};
use crate::request::ChatRequest;

const GOLDEN: Golden = Golden("gemini");

#[test]
fn streams() {
    for name in GOLDEN.pairs(".upstream.sse", ".caller.sse") {
        let source = GOLDEN.read(&name, ".upstream.sse");
        let expected = GOLDEN.read(&name, ".caller.sse");
        let told = whole(&source, &with_usage());
        assert_eq!(failed(&told.text, &told.result), expected, "{name}");
        let pieces = decode(source.as_bytes().chunks(7), &with_usage());
        assert_eq!(failed(&pieces.text, &pieces.result), expected, "{name} in pieces");
        if told.result.is_ok() {
            judge(&told.text, true).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

fn answer(name: &str) -> String {
    let reply = Gemini.reply(GOLDEN.read(name, ".upstream.json").into(), &with_usage());
    let (text, result) = match reply {
        Ok(reply) => (String::from_utf8(reply.body.to_vec()).unwrap() + "\n", Ok(())),
        Err(failure) => (String::new(), Err(failure)),
    };
    failed(&text, &result)
}

#[test]
fn answers() {
    for name in GOLDEN.pairs(".upstream.json", ".caller.json") {
        assert_eq!(answer(&name), GOLDEN.read(&name, ".caller.json"), "{name}");
    }
}

fn encoded(name: &str) -> String {
    let request = ChatRequest::read(GOLDEN.read(name, ".request.json").into()).unwrap();
    match encode_for(&request, &request.model, Some(65_536), &[]) {
        Ok(encoded) => {
            let body = String::from_utf8(encoded.body.concat()).unwrap();
            let sent: serde_json::Value =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{name}: {error}: {body}"));
            assert!(sent["contents"].as_array().is_some_and(|contents| !contents.is_empty()), "{name}");
            let mut lines = vec![format!("POST {}", encoded.path), body];
            lines.extend(encoded.warnings.iter().map(|warning| format!("! {warning}")));
            lines.join("\n") + "\n"
        }
        Err(failure) => format!("{failure:?}\n"),
    }
}

#[test]
fn requests() {
    for name in GOLDEN.pairs(".request.json", ".encoded.txt") {
        assert_eq!(encoded(&name), GOLDEN.read(&name, ".encoded.txt"), "{name}");
    }
}
