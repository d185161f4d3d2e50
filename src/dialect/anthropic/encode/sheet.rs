//! A body being written: our words in between, the caller's long texts and
//! images as slices of the caller's own bytes.

use bytes::Bytes;

use crate::json::Raw;

/// From this many bytes on a slice costs less than a copy.
const SLICE: usize = 1024;

/// A body being written.
#[derive(Debug)]
pub(in crate::dialect) struct Sheet<'b> {
    source: &'b Bytes,
    text: Vec<u8>,
    done: Vec<Bytes>,
}

impl<'b> Sheet<'b> {
    /// An empty one; `source` is what the raw values lie in.
    pub(in crate::dialect) fn new(source: &'b Bytes) -> Self {
        Sheet { source, text: Vec::with_capacity(SLICE), done: Vec::new() }
    }

    /// JSON text.
    pub(in crate::dialect) fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// A text, as a JSON string.
    pub(in crate::dialect) fn string(&mut self, text: &str) {
        self.push(&serde_json::Value::from(text).to_string());
    }

    /// A value as the caller wrote it.
    pub(in crate::dialect) fn raw(&mut self, value: &Raw<'b>) {
        self.slice(value.text, value.start);
    }

    /// The part of a string behind `skip` bytes, as a string. Escapes before
    /// that place are the caller's business, so it must not be inside one.
    pub(in crate::dialect) fn tail(&mut self, string: &Raw<'b>, skip: usize) {
        self.push("\"");
        let at = (skip + 1).min(string.text.len());
        self.slice(string.text.get(at..).unwrap_or_default(), string.start + at);
    }

    fn slice(&mut self, text: &[u8], start: usize) {
        if text.len() < SLICE {
            self.text.extend_from_slice(text);
            return;
        }
        if !self.text.is_empty() {
            self.done.push(std::mem::take(&mut self.text).into());
        }
        self.done.push(self.source.slice(start..start + text.len()));
    }

    /// All of it, in pieces.
    pub(in crate::dialect) fn finish(mut self) -> Vec<Bytes> {
        if !self.text.is_empty() {
            self.done.push(self.text.into());
        }
        self.done
    }
}
