//! What upstreams are known to send, and exactly what callers get for it.
//!
//! `tests/golden/openai/NAME.upstream.sse` becomes `NAME.caller.sse`, and
//! `NAME.upstream.json` becomes `NAME.caller.json`, for a caller who asked for
//! usage. A line `! LABEL` at the end stands for the failure that ended it.
//! `NAME.request.json` becomes `NAME.encoded.json` for a streaming-capable
//! upstream that calls the model `upstream-model`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::canonical::judge;
use super::*;
use crate::dialect::openai::encode;
use crate::request::ChatRequest;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai")
}

fn names(ending: &str) -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

fn read(name: &str, ending: &str) -> String {
    let path = folder().join(format!("{name}{ending}"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every source has its result, and no result is left over.
fn pairs(source: &str, result: &str) -> BTreeSet<String> {
    let sources = names(source);
    assert_eq!(sources, names(result));
    assert!(!sources.is_empty());
    sources
}

fn failed(text: &str, result: &Result<(), Failure>) -> String {
    match result {
        Ok(()) => text.to_owned(),
        Err(failure) => format!("{text}! {}\n", failure.label()),
    }
}

#[test]
fn streams() {
    for name in pairs(".upstream.sse", ".caller.sse") {
        let source = read(&name, ".upstream.sse");
        let expected = read(&name, ".caller.sse");
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
    for name in pairs(".upstream.json", ".caller.json") {
        let reply = OpenAi.reply(read(&name, ".upstream.json").into(), &Style::default());
        let (text, result) = match reply {
            Ok(reply) => (String::from_utf8(reply.body.to_vec()).unwrap() + "\n", Ok(())),
            Err(failure) => (String::new(), Err(failure)),
        };
        assert_eq!(failed(&text, &result), read(&name, ".caller.json"), "{name}");
    }
}

#[test]
fn requests() {
    for name in pairs(".request.json", ".encoded.json") {
        let request = ChatRequest::read(read(&name, ".request.json").into()).unwrap();
        let encoded = encode::encode(&request, "upstream-model", &[]);
        let text = String::from_utf8(encoded.unwrap().body.concat()).unwrap();
        assert_eq!(text, read(&name, ".encoded.json"), "{name}");
    }
}
