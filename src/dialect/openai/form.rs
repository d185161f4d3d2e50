//! The form of the last chunk, for the next that differs only in its text.
//!
//! Nearly all chunks of a stream are equal but for one string. Where the last one
//! was canonical and the next has the same bytes before and behind that string,
//! it is canonical too, and needs no look: comparing memory is some ten times
//! faster than walking members.

use std::ops::Range;

use bytes::Bytes;

use crate::dialect::splice::{self, Edit};
use crate::json::strings;

/// A canonical chunk that says one text and changes nothing in what may follow.
#[derive(Debug, Clone)]
pub(super) struct Form {
    data: Bytes,
    /// The text, without its quotes.
    text: Range<usize>,
    is_call: bool,
    /// What must change for this caller, before the text and behind it; the
    /// latter with offsets from the text's end.
    before: Vec<Edit>,
    behind: Vec<Edit>,
}

impl Form {
    /// The form of `data`, whose text is at `text` and where `edits`, in order
    /// and all outside the text, are due.
    pub(super) fn new(data: Bytes, text: Range<usize>, is_call: bool, edits: Vec<Edit>) -> Self {
        let (before, mut behind): (Vec<Edit>, Vec<Edit>) =
            edits.into_iter().partition(|edit| edit.range.start < text.start);
        for edit in &mut behind {
            edit.range = edit.range.start - text.end..edit.range.end - text.end;
        }
        Form { data, text, is_call, before, behind }
    }

    /// Whether the text is part of a tool call.
    pub(super) fn is_call(&self) -> bool {
        self.is_call
    }

    /// Whether the chunk goes out as it comes.
    pub(super) fn is_untouched(&self) -> bool {
        self.before.is_empty() && self.behind.is_empty()
    }

    /// The text of `data`, if that has this form. Texts with quotes in them are
    /// left to the look.
    pub(super) fn text(&self, data: &[u8]) -> Option<Range<usize>> {
        let before = self.data.get(..self.text.start)?;
        let behind = self.data.get(self.text.end..)?;
        let end = data.len().checked_sub(behind.len()).filter(|end| *end >= before.len())?;
        let text = data.get(before.len()..end)?;
        let same = data.starts_with(before) && data.ends_with(behind);
        let whole = same && memchr::memchr(b'"', text).is_none() && strings::is_valid(text);
        whole.then_some(before.len()..end)
    }

    /// Appends `data`, which has this form and says `text`, as the caller gets it.
    pub(super) fn write(&self, data: &[u8], text: Range<usize>, out: &mut Vec<u8>) {
        splice::write(data.get(..text.end).unwrap_or_default(), &self.before, out);
        splice::write(data.get(text.end..).unwrap_or_default(), &self.behind, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(edits: Vec<Edit>) -> Form {
        Form::new(Bytes::from_static(b"{\"a\":1,\"t\":\"x\",\"b\":2}"), 12..13, false, edits)
    }

    #[test]
    fn only_the_text_may_differ() {
        let form = form(Vec::new());
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"\",\"b\":2}"), Some(12..12));
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"long\\n\",\"b\":2}"), Some(12..18));
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"x\",\"b\":3}"), None);
        assert_eq!(form.text(b"{\"a\":2,\"t\":\"x\",\"b\":2}"), None);
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"x\",\"c\":\"y\",\"b\":2}"), None);
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"x\\\",\"b\":2}"), None);
        assert_eq!(form.text(b"{\"a\":1,\"t\":\",\"b\":2}"), None);
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"x\ny\",\"b\":2}"), None);
        assert_eq!(form.text(b"{\"a\":1,\"t\":\"\\x\",\"b\":2}"), None);
        assert_eq!(form.text(b""), None);
    }

    #[test]
    fn edits_move_with_the_text() {
        let form = form(vec![Edit::replace(5..6, "ONE"), Edit::cut(14..20)]);
        let data = b"{\"a\":1,\"t\":\"longer\",\"b\":2}";
        let text = form.text(data).unwrap();
        let mut out = Vec::new();
        form.write(data, text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":ONE,\"t\":\"longer\"}");
    }
}
