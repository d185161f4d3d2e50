//! Reads a text in one pass, from left to right.
//!
//! [`Raw`] is convenient, but looking into a value that has been
//! found means crossing it again, once for every level. A cursor is at one place
//! and never goes back: the reader enters the containers it wants to see into
//! and crosses the others whole.

use super::walk::Walk;
use super::{JsonError, Key, Kind, MAX_DEPTH, Raw, Reason};

/// A position in a text, always before or behind a whole value.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    walk: Walk<'a>,
}

impl<'a> Cursor<'a> {
    /// Before the first value of `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        let mut walk = Walk::new(text);
        walk.white();
        Cursor { walk }
    }

    /// The kind of the value that comes next, told by its first byte.
    ///
    /// # Errors
    /// When no value can begin here.
    pub fn kind(&self) -> Result<Kind, JsonError> {
        self.walk.kind()
    }

    /// Offset of what comes next.
    #[must_use]
    pub fn at(&self) -> usize {
        self.walk.at
    }

    /// Crosses the next value whole.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn value(&mut self) -> Result<Raw<'a>, JsonError> {
        self.walk.value()
    }

    /// Enters an object and calls `each` for every member, with the cursor
    /// before the member's value, which `each` must cross.
    ///
    /// # Errors
    /// [`Reason::WrongType`] when what comes next is not an object, the text's
    /// own faults, and whatever `each` says.
    pub fn members<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(Key<'a>, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.inside(Kind::Object, |cursor| {
            let start = cursor.walk.at;
            let raw = cursor.walk.key()?;
            each(Key { raw, start }, cursor)
        })
    }

    /// Enters an array and calls `each` for every element, with the cursor
    /// before the element, which `each` must cross.
    ///
    /// # Errors
    /// As [`Cursor::members`].
    pub fn elements<E: From<JsonError>>(
        &mut self,
        each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.inside(Kind::Array, each)
    }

    /// Nothing but white space may follow.
    ///
    /// # Errors
    /// [`Reason::Trailing`] when something does.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.walk.white();
        match self.walk.peek() {
            None => Ok(()),
            Some(_) => Err(self.walk.error(Reason::Trailing)),
        }
    }

    fn inside<E: From<JsonError>>(
        &mut self,
        kind: Kind,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let walk = &mut self.walk;
        if walk.kind()? != kind {
            return Err(walk.error(Reason::WrongType).into());
        }
        if walk.depth >= MAX_DEPTH {
            return Err(walk.error(Reason::TooDeep).into());
        }
        walk.at += 1;
        walk.depth += 1;
        let close = if kind == Kind::Object { b'}' } else { b']' };
        walk.white();
        if self.walk.peek() != Some(close) {
            loop {
                item(self)?;
                self.walk.white();
                if self.walk.peek() == Some(close) {
                    break;
                }
                self.walk.expect(b',')?;
                self.walk.white();
            }
        }
        self.walk.at += 1;
        self.walk.depth -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters every container, so that a cursor alone reads the whole text.
    fn tour(cursor: &mut Cursor<'_>, values: &mut usize) -> Result<(), JsonError> {
        *values += 1;
        match cursor.kind()? {
            Kind::Object => cursor.members(|_, inner| tour(inner, values)),
            Kind::Array => cursor.elements(|inner| tour(inner, values)),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => cursor.value().map(drop),
        }
    }

    fn read(text: &str) -> Result<usize, JsonError> {
        let (mut cursor, mut values) = (Cursor::new(text.as_bytes()), 0);
        tour(&mut cursor, &mut values)?;
        cursor.end().map(|()| values)
    }

    #[test]
    fn enters_what_it_is_told_to() {
        assert_eq!(read(r#" {"a": [1, {"b": "c"}, []], "d": {}} "#), Ok(7));
        assert_eq!(read("[]"), Ok(1));
    }

    #[test]
    fn says_what_is_wrong() {
        let reason = |text: &str| read(text).err().map(|error| error.reason);
        assert_eq!(reason("[1,]"), Some(Reason::Unexpected));
        assert_eq!(reason("[,1]"), Some(Reason::Unexpected));
        assert_eq!(reason("[1"), Some(Reason::Truncated));
        assert_eq!(reason(r#"{"a":1 "b":2}"#), Some(Reason::Unexpected));
        assert_eq!(reason(r#"{"a":1,}"#), Some(Reason::Unexpected));
        assert_eq!(reason("[] x"), Some(Reason::Trailing));
        assert_eq!(reason(&"[".repeat(10_000)), Some(Reason::TooDeep));
    }

    #[test]
    fn depth_counts_from_the_outermost_container() {
        let text = format!("[{}{}]", "[".repeat(128), "]".repeat(128));
        let mut cursor = Cursor::new(text.as_bytes());
        let result = cursor.elements(|inner| inner.value().map(drop));
        assert_eq!(result.map_err(|error| error.reason), Err(Reason::TooDeep));
    }
}
