//! Changes a few places of a text and leaves every other byte alone.

use std::ops::Range;

use bytes::Bytes;

/// What stands at `range` is replaced. An empty range inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Byte offsets in the text.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub with: Bytes,
}

impl Edit {
    /// Replaces `range`.
    #[must_use]
    pub fn replace(range: Range<usize>, with: impl Into<Bytes>) -> Self {
        Edit { range, with: with.into() }
    }

    /// Inserts before `at`.
    #[must_use]
    pub fn insert(at: usize, with: impl Into<Bytes>) -> Self {
        Edit { range: at..at, with: with.into() }
    }

    /// Leaves `range` out.
    #[must_use]
    pub fn cut(range: Range<usize>) -> Self {
        Edit { range, with: Bytes::new() }
    }
}

/// The text with all `edits`, as pieces: what is unchanged is a slice of `text`.
/// Edits must not overlap; they need not be in order.
#[must_use]
pub fn pieces(text: &Bytes, mut edits: Vec<Edit>) -> Vec<Bytes> {
    if edits.is_empty() {
        return vec![text.clone()];
    }
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut at = 0;
    for edit in edits {
        let start = edit.range.start.clamp(at, text.len());
        pieces.push(text.slice(at..start));
        pieces.push(edit.with);
        at = edit.range.end.clamp(start, text.len());
    }
    pieces.push(text.slice(at..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Appends the text with all `edits`, which must be in order, to `out`.
pub fn write(text: &[u8], edits: &[Edit], out: &mut Vec<u8>) {
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(text.get(at..edit.range.start).unwrap_or_default());
        out.extend_from_slice(&edit.with);
        at = edit.range.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_and_write_agree(text in "[a-z]{0,40}", cuts in prop::collection::btree_set(0..40_usize, 0..8)) {
            let at: Vec<usize> = cuts.into_iter().filter(|at| *at <= text.len()).collect();
            let edits: Vec<Edit> = at
                .chunks_exact(2)
                .map(|pair| Edit::replace(pair[0]..pair[1], "XY"))
                .collect();
            let mut expected = text.clone();
            for edit in edits.iter().rev() {
                expected.replace_range(edit.range.clone(), "XY");
            }
            let mut written = Vec::new();
            write(text.as_bytes(), &edits, &mut written);
            prop_assert_eq!(&written, expected.as_bytes());
            let shuffled = edits.into_iter().rev().collect();
            prop_assert_eq!(pieces(&Bytes::from(text), shuffled).concat(), expected.as_bytes());
        }
    }

    #[test]
    fn no_edit_no_copy() {
        let text = Bytes::from_static(b"{}");
        let pieces = pieces(&text, Vec::new());
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].as_ptr(), text.as_ptr());
    }
}
