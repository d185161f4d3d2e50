//! Crosses JSON text, checking its form, without building anything.

use memchr::memchr;

use super::{JsonError, Kind, MAX_DEPTH, Raw, Reason};

/// A position in a text.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Offset of `text` in the document.
    pub(super) base: usize,
    /// Containers that surround `text` and count towards [`MAX_DEPTH`].
    pub(super) depth: u32,
}

impl<'a> Walk<'a> {
    /// At the start of a document.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Walk { text, at: 0, base: 0, depth: 0 }
    }

    /// Between the brackets of `outer`, or nowhere when it is of another kind.
    pub(super) fn inside(outer: &Raw<'a>, kind: Kind) -> Self {
        let text = match outer.kind == kind {
            true => outer.text.get(1..outer.text.len() - 1).unwrap_or_default(),
            false => &[],
        };
        Walk { text, at: 0, base: outer.start + 1, depth: 0 }
    }

    /// The next item of a list: nothing at its end, else behind a comma.
    pub(super) fn next_item<T>(
        &mut self,
        first: &mut bool,
        read: impl FnOnce(&mut Self) -> Result<T, JsonError>,
    ) -> Option<Result<T, JsonError>> {
        self.white();
        if self.at >= self.text.len() {
            return None;
        }
        let before = if std::mem::take(first) { Ok(()) } else { self.expect(b',') };
        let item = before.and_then(|()| {
            self.white();
            read(self)
        });
        if item.is_err() {
            self.at = self.text.len();
        }
        Some(item)
    }

    pub(super) fn error(&self, reason: Reason) -> JsonError {
        JsonError { at: self.base + self.at, reason }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error(Reason::Unexpected)),
            None => Err(self.error(Reason::Truncated)),
        }
    }

    /// A member's name and the colon behind it.
    pub(super) fn key(&mut self) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            let reason = if self.at < self.text.len() { Reason::Unexpected } else { Reason::Truncated };
            return Err(self.error(reason));
        }
        self.string()?;
        let key = self.text.get(start + 1..self.at - 1).unwrap_or_default();
        self.white();
        self.expect(b':')?;
        self.white();
        Ok(key)
    }

    /// A member's name, where there must be one.
    fn key_if(&mut self, object: bool) -> Result<(), JsonError> {
        if object { self.key().map(drop) } else { Ok(()) }
    }

    /// The kind of the value that begins here.
    pub(super) fn kind(&self) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(_) => Err(self.error(Reason::Unexpected)),
            None => Err(self.error(Reason::Truncated)),
        }
    }

    /// One whole value. White space before it must have been crossed.
    pub(super) fn value(&mut self) -> Result<Raw<'a>, JsonError> {
        let start = self.at;
        let kind = self.kind()?;
        match kind {
            Kind::Array | Kind::Object => self.container()?,
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => self.scalar()?,
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Raw { kind, text, start: self.base + start })
    }

    /// Crosses an array or object and all that is in it. `stack` has one bit
    /// per open container, the lowest for the innermost: 1 for an object.
    fn container(&mut self) -> Result<(), JsonError> {
        let mut stack: u128 = 0;
        let mut depth: u32 = 0;
        loop {
            match self.peek() {
                Some(open @ (b'[' | b'{')) => {
                    depth += 1;
                    if depth + self.depth > MAX_DEPTH {
                        return Err(self.error(Reason::TooDeep));
                    }
                    let object = open == b'{';
                    stack = stack << 1 | u128::from(object);
                    self.at += 1;
                    self.white();
                    if self.peek() != Some(if object { b'}' } else { b']' }) {
                        self.key_if(object)?;
                        continue;
                    }
                }
                Some(_) => {
                    self.scalar()?;
                    self.white();
                }
                None => return Err(self.error(Reason::Truncated)),
            }
            if self.close(&mut stack, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Behind a value: crosses closing brackets, or a comma to the next value.
    /// Tells whether the outermost container was closed.
    fn close(&mut self, stack: &mut u128, depth: &mut u32) -> Result<bool, JsonError> {
        loop {
            let object = *stack & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.white();
                    self.key_if(object)?;
                    return Ok(false);
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(_) => return Err(self.error(Reason::Unexpected)),
                None => return Err(self.error(Reason::Truncated)),
            }
            self.at += 1;
            *stack >>= 1;
            *depth -= 1;
            if *depth == 0 {
                return Ok(true);
            }
            self.white();
        }
    }

    pub(super) fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error(Reason::Unexpected)),
            None => Err(self.error(Reason::Truncated)),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        for byte in word {
            self.expect(*byte)?;
        }
        Ok(())
    }

    /// A quote ends the string unless an odd number of backslashes stands before
    /// it. Looking for quotes alone, not for backslashes too, makes text full of
    /// `\n` as cheap to cross as plain text; each backslash is counted at most once.
    pub(super) fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        let mut from = self.at;
        loop {
            let rest = self.text.get(from..).unwrap_or_default();
            let Some(next) = memchr(b'"', rest) else {
                self.at = self.text.len();
                return Err(self.error(Reason::Truncated));
            };
            let before = rest.get(..next).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            from += next + 1;
            if backslashes % 2 == 0 {
                self.at = from;
                return Ok(());
            }
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false if self.at < self.text.len() => Err(self.error(Reason::Unexpected)),
            false => Err(self.error(Reason::Truncated)),
        }
    }
}
