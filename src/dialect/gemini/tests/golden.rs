//! What upstreams send, and exactly what callers get for it; what callers send,
//! and exactly what upstreams get.
//!
//! `tests/golden/gemini/NAME.upstream.sse` becomes `NAME.caller.sse`, and
//! `NAME.upstream.json` becomes `NAME.caller.json`, for a caller who asked for
//! usage. A line `! LABEL` at the end stands for the failure that ended it.
//! `NAME.request.json` becomes `NAME.encoded.txt`: path, body and warnings for an
//! upstream that calls the model as the request does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::dialect::gemini::encode_for;
use crate::request::ChatRequest;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gemini")
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
        assert_eq!(failed(&told.text, &told.result), expected, "{name}");
        let pieces = decode(source.as_bytes().chunks(7), &with_usage());
        assert_eq!(failed(&pieces.text, &pieces.result), expected, "{name} in pieces");
        if told.result.is_ok() {
            judge(&told.text, true).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

fn answer(name: &str) -> String {
    let reply = Gemini.reply(read(name, ".upstream.json").into(), &with_usage());
    let (text, result) = match reply {
        Ok(reply) => (String::from_utf8(reply.body.to_vec()).unwrap() + "\n", Ok(())),
        Err(failure) => (String::new(), Err(failure)),
    };
    failed(&text, &result)
}

#[test]
fn answers() {
    for name in pairs(".upstream.json", ".caller.json") {
        assert_eq!(answer(&name), read(&name, ".caller.json"), "{name}");
    }
}

fn encoded(name: &str) -> String {
    let request = ChatRequest::read(read(name, ".request.json").into()).unwrap();
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
    for name in pairs(".request.json", ".encoded.txt") {
        assert_eq!(encoded(&name), read(&name, ".encoded.txt"), "{name}");
    }
}
