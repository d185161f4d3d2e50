//! What upstreams are known to send, and exactly what callers get for it; what
//! callers ask, and exactly what upstreams get.
//!
//! `tests/golden/bedrock/NAME.upstream.events`, a line for each message, becomes
//! `NAME.caller.sse`, and `NAME.upstream.json` becomes `NAME.caller.json`, for a
//! caller who asked for usage. A line `! LABEL` at the end stands for the failure
//! that ended it. `NAME.request.json` becomes `NAME.encoded.txt`: path, body and
//! warnings for an upstream that calls the model as the request does.

use super::*;
use crate::dialect::bedrock::encode_for;
use crate::dialect::openai::tests::canonical::judge;
use crate::dialect::tests::{Golden, failed};
use crate::request::ChatRequest;

pub(super) const GOLDEN: Golden = Golden("bedrock");

#[test]
fn streams() {
    for name in GOLDEN.pairs(".upstream.events", ".caller.sse") {
        let source = framed(&GOLDEN.read(&name, ".upstream.events"));
        let expected = GOLDEN.read(&name, ".caller.sse");
        let told = decode(&Bedrock, [source.as_slice()], &named());
        assert_eq!(failed(told.text(), &told.result), expected, "{name}");
        let pieces = decode(&Bedrock, source.chunks(7), &named());
        assert_eq!(failed(pieces.text(), &pieces.result), expected, "{name} in pieces");
        if told.result.is_ok() {
            judge(told.text(), true).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

#[test]
fn answers() {
    for name in GOLDEN.pairs(".upstream.json", ".caller.json") {
        let reply = Bedrock.reply(GOLDEN.read(&name, ".upstream.json").into(), &named());
        let (text, result) = match reply {
            Ok(reply) => (String::from_utf8(reply.body.to_vec()).unwrap() + "\n", Ok(())),
            Err(failure) => (String::new(), Err(failure)),
        };
        assert_eq!(failed(&text, &result), GOLDEN.read(&name, ".caller.json"), "{name}");
    }
}

#[test]
fn requests() {
    for name in GOLDEN.pairs(".request.json", ".encoded.txt") {
        let request = ChatRequest::read(GOLDEN.read(&name, ".request.json").into()).unwrap();
        let said = match encode_for(&request, &request.model, Some(65_536)) {
            Ok(encoded) => {
                let body = String::from_utf8(encoded.body.concat()).unwrap();
                let _valid: serde_json::Value = serde_json::from_str(&body).unwrap();
                let notes: Vec<String> = encoded.warnings.iter().map(|note| format!("~ {note}\n")).collect();
                format!("POST {}\n{body}\n{}", encoded.path, notes.concat())
            }
            Err(Failure::Unsupported { what }) => format!("! {what}\n"),
            Err(failure) => panic!("{name}: {failure:?}"),
        };
        assert_eq!(said, GOLDEN.read(&name, ".encoded.txt"), "{name}");
    }
}
