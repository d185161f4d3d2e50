//! What upstreams are known to send, and exactly what callers get for it.
//!
//! `tests/golden/openai/NAME.upstream.sse` becomes `NAME.caller.sse`, and
//! `NAME.upstream.json` becomes `NAME.caller.json`, for a caller who asked for
//! usage. A line `! LABEL` at the end stands for the failure that ended it.
//! `NAME.request.json` becomes `NAME.encoded.json` for a streaming-capable
//! upstream that calls the model `upstream-model`.

use super::canonical::judge;
use super::*;
use crate::dialect::openai::encode;
use crate::dialect::tests::{Golden, failed};
use crate::request::ChatRequest;

const GOLDEN: Golden = Golden("openai");

#[test]
fn streams() {
    for name in GOLDEN.pairs(".upstream.sse", ".caller.sse") {
        let source = GOLDEN.read(&name, ".upstream.sse");
        let expected = GOLDEN.read(&name, ".caller.sse");
        let told = whole(&source, &with_usage());
        assert_eq!(failed(told.text(), &told.result), expected, "{name}");
        let pieces = decode(source.as_bytes().chunks(7), &with_usage());
        assert_eq!(failed(pieces.text(), &pieces.result), expected, "{name} in pieces");
        if told.result.is_ok() {
            judge(told.text(), true).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

#[test]
fn answers() {
    for name in GOLDEN.pairs(".upstream.json", ".caller.json") {
        let reply = OpenAi.reply(GOLDEN.read(&name, ".upstream.json").into(), &Style::default());
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
        let encoded = encode::encode(&request, "upstream-model", &[]);
        let text = String::from_utf8(encoded.unwrap().body.concat()).unwrap();
        assert_eq!(text, GOLDEN.read(&name, ".encoded.json"), "{name}");
    }
}
