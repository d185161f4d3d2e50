//! Finds things in JSON without building it.
//!
//! A gateway mostly forwards: of a request it must know the model's name and a
//! handful of fields, of a streamed chunk whether it is content and whether it
//! is the end. Parsing such bytes into owned values and writing them out again
//! is what makes other gateways cost milliseconds on a 200 kB prompt. This
//! module walks the text once, checks that it is well formed, and hands out
//! byte ranges; whoever edits, splices.
//!
//! Long strings (nearly all of a prompt) are crossed with `memchr`, so the cost
//! is that of reading memory. Nesting is limited to [`MAX_DEPTH`] and no
//! recursion is used, so hostile input can neither overflow the stack nor make
//! the work grow faster than its length.
//!
//! Not checked by walking: what stands inside strings. Whoever passes a text on
//! asks [`strings`].

use std::borrow::Cow;
use std::fmt;

mod cursor;
pub mod strings;
mod walk;

pub use cursor::Cursor;

use walk::Walk;

/// Deepest nesting accepted. `serde_json`'s own recursion limit, so that what
/// passes here can also be parsed there.
pub const MAX_DEPTH: u32 = 128;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset in the text that was given.
    pub at: usize,
    /// What was found there.
    pub reason: Reason,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The text ends inside a value.
    Truncated,
    /// A byte that cannot stand here.
    Unexpected,
    /// More than [`MAX_DEPTH`] arrays and objects inside each other.
    TooDeep,
    /// Something follows the value.
    Trailing,
    /// A string whose escapes cannot be decoded.
    BadString,
    /// Another kind of value was needed here.
    WrongType,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Reason::Truncated => "the text ends inside a value",
            Reason::Unexpected => "unexpected character",
            Reason::TooDeep => "nested more than 128 levels deep",
            Reason::Trailing => "trailing characters after the value",
            Reason::BadString => "a string with an invalid escape",
            Reason::WrongType => "a value of the wrong type",
        };
        write!(f, "{what} at byte {}", self.at)
    }
}

impl std::error::Error for JsonError {}

/// The kind of a value, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Any number.
    Number,
    /// A string, with its quotes.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The word used in messages to callers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

/// A value in place: its exact bytes, and where they start in the text.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its exact bytes, without surrounding white space.
    pub text: &'a [u8],
    /// Offset of `text` in the text first given to [`document`].
    pub start: usize,
}

impl<'a> Raw<'a> {
    /// Offset just behind the value.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The value if it is `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.text {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The value if it is a whole number from 0 to `u64::MAX`.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if self.kind != Kind::Number || self.text.len() > 20 {
            return None;
        }
        self.text.iter().try_fold(0_u64, |sum, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
    }

    /// The value if it is a finite number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.text).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The bytes between the quotes, escapes not decoded, if it is a string.
    #[must_use]
    pub fn inner(&self) -> Option<&'a [u8]> {
        match self.kind {
            Kind::String => self.text.get(1..self.text.len() - 1),
            _ => None,
        }
    }

    /// The string, decoded; borrowed when it has no escapes.
    ///
    /// `None` when it is not a string or cannot be decoded.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        let inner = self.inner()?;
        if memchr::memchr(b'\\', inner).is_none() {
            return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
        }
        serde_json::from_slice::<String>(self.text).ok().map(Cow::Owned)
    }

    /// The members of an object; nothing when it is not one.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        Members { walk: Walk::inside(self, Kind::Object), first: true }
    }

    /// The elements of an array; nothing when it is not one.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        Elements { walk: Walk::inside(self, Kind::Array), first: true }
    }

    /// The last member of that name, as JSON parsers agree for duplicates.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Raw<'a>> {
        self.members().filter_map(Result::ok).filter(|(key, _)| key.is(name)).map(|(_, value)| value).last()
    }
}

/// The name of a member, as it stands between its quotes.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Bytes between the quotes, escapes not decoded.
    pub raw: &'a [u8],
    /// Offset of the opening quote.
    pub start: usize,
}

impl Key<'_> {
    /// Whether the name is `name`, also when it is written with escapes.
    #[must_use]
    pub fn is(&self, name: &[u8]) -> bool {
        if memchr::memchr(b'\\', self.raw).is_none() {
            return self.raw == name;
        }
        self.decoded().as_bytes() == name
    }

    /// The name with its escapes decoded; as it stands when they are invalid.
    #[must_use]
    pub fn decoded(&self) -> Cow<'_, str> {
        let plain = String::from_utf8_lossy(self.raw);
        if !plain.contains('\\') {
            return plain;
        }
        serde_json::from_str::<String>(&format!("\"{plain}\"")).map_or(plain, Cow::Owned)
    }
}

/// The value that the whole text is. Nothing but white space may surround it;
/// the inside is checked too.
pub fn document(text: &[u8]) -> Result<Raw<'_>, JsonError> {
    let mut walk = Walk::new(text);
    walk.white();
    let value = walk.value()?;
    walk.white();
    if walk.at < text.len() {
        return Err(walk.error(Reason::Trailing));
    }
    Ok(value)
}

/// Members of an object, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    walk: Walk<'a>,
    first: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Key<'a>, Raw<'a>), JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.next_item(&mut self.first, |walk| {
            let start = walk.base + walk.at;
            let raw = walk.key()?;
            Ok((Key { raw, start }, walk.value()?))
        })
    }
}

/// Elements of an array, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    walk: Walk<'a>,
    first: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Raw<'a>, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.next_item(&mut self.first, Walk::value)
    }
}

#[cfg(test)]
mod tests;
