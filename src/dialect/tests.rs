//! What the tests of all dialects need: golden files, and a decoder run as
//! `dispatch` runs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Codec, Progress, Style, Tail, Watch};
use crate::outcome::Failure;
use crate::units::Usage;

/// The golden files of one dialect: pairs of what goes in and what comes out.
pub(super) struct Golden(pub(super) &'static str);

impl Golden {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.0)
    }

    fn names(&self, ending: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let entries = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
    }

    /// One file.
    pub(super) fn read(&self, name: &str, ending: &str) -> String {
        let path = self.folder().join(format!("{name}{ending}"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names of all pairs. Every source has its result, and no result is left
    /// over.
    pub(super) fn pairs(&self, source: &str, result: &str) -> BTreeSet<String> {
        let sources = self.names(source);
        assert_eq!(sources, self.names(result));
        assert!(!sources.is_empty());
        sources
    }
}

/// What a caller got, and behind it the failure that ended it.
pub(super) fn failed(text: &str, result: &Result<(), Failure>) -> String {
    match result {
        Ok(()) => text.to_owned(),
        Err(failure) => format!("{text}! {}\n", failure.label()),
    }
}

/// What a caller got, and what the decoder saw.
pub(super) struct Told {
    pub(super) bytes: Vec<u8>,
    pub(super) result: Result<(), Failure>,
    pub(super) watch: Watch,
}

impl Told {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

/// A caller who asked for usage.
pub(super) fn with_usage() -> Style {
    Style { include_usage: true, ..Style::default() }
}

/// What stands in for an estimate where the upstream states no usage.
pub(super) fn tail() -> Tail {
    let usage = Usage { input: 10, output: 5, estimated: true, ..Usage::default() };
    Tail {
        usage: Some(usage),
        cost: Some("0.000123".to_owned()),
        merit: Some(r#"{"attempts":1}"#.to_owned()),
    }
}

/// Runs a stream through a decoder as `dispatch` would.
pub(super) fn decode<'c>(
    codec: &dyn Codec,
    chunks: impl IntoIterator<Item = &'c [u8]>,
    style: &Style,
) -> Told {
    let mut decoder = codec.stream(style);
    let mut out = Vec::new();
    let mut result = Ok(Progress::More);
    for chunk in chunks {
        result = decoder.feed(Bytes::copy_from_slice(chunk), &mut out);
        if result != Ok(Progress::More) {
            break;
        }
    }
    let result = match result {
        Ok(Progress::More) => decoder.end_of_input(&mut out),
        other => other.map(drop),
    };
    if result.is_ok() {
        decoder.close(&tail(), &mut out);
    }
    Told { bytes: out.concat(), result, watch: decoder.watch().clone() }
}
