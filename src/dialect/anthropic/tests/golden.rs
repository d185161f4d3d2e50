//! What upstreams are known to send, and exactly what callers get for it; what
//! callers ask, and exactly what upstreams get.
//!
//! `tests/golden/anthropic/NAME.upstream.sse` becomes `NAME.caller.sse`, and
//! `NAME.upstream.json` becomes `NAME.caller.json`, for a caller who asked for
//! usage. A line `! LABEL` at the end stands for the failure that ended it.
//! `NAME.request.json` becomes `NAME.encoded.json`, for an upstream that calls
//! the model as the request does; lines `~ TEXT` are what the caller is told.

use serde_json::Value;

use super::*;
use crate::dialect::openai::tests::canonical::judge;
use crate::dialect::tests::{Golden, failed};
use crate::request::ChatRequest;

pub(super) const GOLDEN: Golden = Golden("anthropic");

#[test]
fn streams() {
    for name in GOLDEN.pairs(".upstream.sse", ".caller.sse") {
        let source = GOLDEN.read(&name, ".upstream.sse");
        let expected = GOLDEN.read(&name, ".caller.sse");
        let told = decode(&Anthropic, [source.as_bytes()], &with_usage());
        assert_eq!(failed(told.text(), &told.result), expected, "{name}");
        let pieces = decode(&Anthropic, source.as_bytes().chunks(7), &with_usage());
        assert_eq!(failed(pieces.text(), &pieces.result), expected, "{name} in pieces");
        if told.result.is_ok() {
            judge(told.text(), true).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

#[test]
fn answers() {
    for name in GOLDEN.pairs(".upstream.json", ".caller.json") {
        let reply = Anthropic.reply(GOLDEN.read(&name, ".upstream.json").into(), &Style::default());
        let (text, result) = match reply {
            Ok(reply) => (String::from_utf8(reply.body.to_vec()).unwrap() + "\n", Ok(())),
            Err(failure) => (String::new(), Err(failure)),
        };
        assert_eq!(failed(&text, &result), GOLDEN.read(&name, ".caller.json"), "{name}");
    }
}

#[test]
fn requests() {
    for name in GOLDEN.pairs(".request.json", ".encoded.json") {
        let request = ChatRequest::read(GOLDEN.read(&name, ".request.json").into()).unwrap();
        let said = match Anthropic.encode(&request, &endpoint(&request.model)) {
            Ok(encoded) => {
                let body = String::from_utf8(encoded.body.concat()).unwrap();
                let _valid: Value = serde_json::from_str(&body).unwrap();
                let notes: Vec<String> = encoded.warnings.iter().map(|note| format!("~ {note}\n")).collect();
                format!("{body}\n{}", notes.concat())
            }
            Err(Failure::Unsupported { what }) => format!("! {what}\n"),
            Err(failure) => panic!("{name}: {failure:?}"),
        };
        assert_eq!(said, GOLDEN.read(&name, ".encoded.json"), "{name}");
    }
}
