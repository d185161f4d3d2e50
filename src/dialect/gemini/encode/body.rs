//! Writes a body: our own words, and slices of the caller's.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use crate::json::Raw;

/// Texts of the caller's from this size on are sliced and not copied. Below it a
/// copy costs less than another piece does on its way to the socket.
const WORTH_SLICING: usize = 1024;

/// What stands between the quotes of a JSON string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// As the caller wrote it: byte offsets in the request's body.
    Kept(Range<usize>),
    /// Ours, or taken apart: escaped when it is written.
    Plain(String),
}

impl Text {
    /// The whole string `raw`; `None` when it is no string.
    pub(super) fn of(raw: &Raw<'_>) -> Option<Text> {
        raw.inner().map(|inner| Text::Kept(raw.start + 1..raw.start + 1 + inner.len()))
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Text::Kept(range) => range.is_empty(),
            Text::Plain(text) => text.is_empty(),
        }
    }
}

/// A body being written.
#[derive(Debug)]
pub(super) struct Body<'r> {
    source: &'r Bytes,
    pieces: Vec<Bytes>,
    written: Vec<u8>,
}

impl<'r> Body<'r> {
    /// For a request whose body is `source`.
    pub(super) fn new(source: &'r Bytes) -> Self {
        Body { source, pieces: Vec::new(), written: Vec::new() }
    }

    /// Writes JSON as it is.
    pub(super) fn json(&mut self, json: impl AsRef<[u8]>) {
        self.written.extend_from_slice(json.as_ref());
    }

    /// Writes a text with its quotes.
    pub(super) fn text(&mut self, text: &Text) {
        match text {
            Text::Plain(text) => self.json(Value::from(text.as_str()).to_string()),
            Text::Kept(range) => {
                self.json(b"\"");
                self.keep(range.clone());
                self.json(b"\"");
            }
        }
    }

    /// The caller's own bytes.
    fn keep(&mut self, range: Range<usize>) {
        if range.len() < WORTH_SLICING {
            let bytes = self.source.get(range).unwrap_or_default();
            self.written.extend_from_slice(bytes);
            return;
        }
        self.flush();
        self.pieces.push(self.source.slice(range));
    }

    fn flush(&mut self) {
        if !self.written.is_empty() {
            self.pieces.push(std::mem::take(&mut self.written).into());
        }
    }

    /// What has been written.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.flush();
        self.pieces
    }
}

/// Writes lists: nothing before the first element, a comma before each other.
#[derive(Debug, Default)]
pub(super) struct Commas(bool);

impl Commas {
    /// Before an element.
    pub(super) fn next(&mut self, body: &mut Body<'_>) {
        if std::mem::replace(&mut self.0, true) {
            body.json(b",");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_slices_and_short_ones_are_not() {
        let source = Bytes::from(format!("[\"a\\n\",\"{}\"]", "b".repeat(5_000)));
        let document = crate::json::document(&source).unwrap();
        let texts: Vec<Text> = document.elements().map(|raw| Text::of(&raw.unwrap()).unwrap()).collect();
        let mut body = Body::new(&source);
        let mut commas = Commas::default();
        body.json(b"[");
        for text in &texts {
            commas.next(&mut body);
            body.text(text);
        }
        body.json(b"]");
        let pieces = body.finish();
        assert_eq!(pieces.concat(), source);
        assert_eq!(pieces.len(), 3);
        let own = source.as_ptr_range();
        assert!(own.contains(&pieces[1].as_ptr()) && !own.contains(&pieces[0].as_ptr()));
    }
}
