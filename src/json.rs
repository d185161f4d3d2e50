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
//! Not checked: raw control characters inside strings (harmless to us, and the
//! upstream's business) and that escapes name valid code points (checked when a
//! string is decoded).

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;

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
    let mut walk = Walk { text, at: 0, base: 0 };
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

/// A position in a text.
#[derive(Debug, Clone)]
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// Offset of `text` in the document.
    base: usize,
}

impl<'a> Walk<'a> {
    /// Between the brackets of `outer`, or nowhere when it is of another kind.
    fn inside(outer: &Raw<'a>, kind: Kind) -> Self {
        let text = match outer.kind == kind {
            true => outer.text.get(1..outer.text.len() - 1).unwrap_or_default(),
            false => &[],
        };
        Walk { text, at: 0, base: outer.start + 1 }
    }

    /// The next item of a list: nothing at its end, else behind a comma.
    fn next_item<T>(
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

    fn error(&self, reason: Reason) -> JsonError {
        JsonError { at: self.base + self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
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
    fn key(&mut self) -> Result<&'a [u8], JsonError> {
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

    /// One whole value. White space before it must have been crossed.
    fn value(&mut self) -> Result<Raw<'a>, JsonError> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(_) => return Err(self.error(Reason::Unexpected)),
            None => return Err(self.error(Reason::Truncated)),
        };
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
                    if depth > MAX_DEPTH {
                        return Err(self.error(Reason::TooDeep));
                    }
                    let object = open == b'{';
                    stack = stack << 1 | u128::from(object);
                    self.at += 1;
                    self.white();
                    if self.peek() != Some(if object { b'}' } else { b']' }) {
                        if object {
                            self.key()?;
                        }
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
                    if object {
                        self.key()?;
                    }
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

    fn scalar(&mut self) -> Result<(), JsonError> {
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

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(next) = memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return Err(self.error(Reason::Truncated));
            };
            self.at += next;
            if rest.get(next) == Some(&b'"') {
                self.at += 1;
                return Ok(());
            }
            self.at += 2;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(text: &str) -> Option<Reason> {
        document(text.as_bytes()).err().map(|error| error.reason)
    }

    #[test]
    fn finds_members_in_place() {
        let text = br#" {"a": [1, {"b": "c\"d"}], "mod\u0065l" : "x"} "#;
        let whole = document(text).unwrap();
        let model = whole.get(b"model").unwrap();
        assert_eq!(model.as_str().unwrap(), "x");
        assert_eq!(&text[model.start..model.end()], b"\"x\"");
        let inner = whole.get(b"a").unwrap().elements().nth(1).unwrap().unwrap();
        assert_eq!(inner.get(b"b").unwrap().as_str().unwrap(), "c\"d");
        assert_eq!(&text[inner.start..inner.end()], br#"{"b": "c\"d"}"#);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(reason(r#"{"a":1"#), Some(Reason::Truncated));
        assert_eq!(reason(r#"{"a":}"#), Some(Reason::Unexpected));
        assert_eq!(reason(r#"{"a":1,}"#), Some(Reason::Unexpected));
        assert_eq!(reason("[1,]"), Some(Reason::Unexpected));
        assert_eq!(reason("[1}"), Some(Reason::Unexpected));
        assert_eq!(reason("{} x"), Some(Reason::Trailing));
        assert_eq!(reason("01"), Some(Reason::Trailing));
        assert_eq!(reason("NaN"), Some(Reason::Unexpected));
        assert_eq!(reason(&"[".repeat(10_000)), Some(Reason::TooDeep));
        assert_eq!(reason(&format!("{}{}", "[".repeat(128), "]".repeat(128))), None);
    }

    #[test]
    fn numbers_outside_the_range_are_not_whole_numbers() {
        let number = |text: &'static str| document(text.as_bytes()).unwrap().as_u64();
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        assert_eq!(number("18446744073709551616"), None);
        assert_eq!(number("-1"), None);
        assert_eq!(number("1.0"), None);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Walks everything that can be reached, so that ranges are really used.
    fn walk_all(value: &Raw<'_>) -> usize {
        let inside: usize = value.members().flatten().map(|(_, inner)| walk_all(&inner)).sum();
        inside + value.elements().flatten().map(|inner| walk_all(&inner)).sum::<usize>() + 1
    }

    fn count(value: &serde_json::Value) -> usize {
        1 + match value {
            serde_json::Value::Array(items) => items.iter().map(count).sum(),
            serde_json::Value::Object(members) => members.values().map(count).sum::<usize>(),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn accepts_and_walks_all_json(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let whole = document(text.as_bytes()).unwrap();
            prop_assert_eq!(walk_all(&whole), count(&value));
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_text(value in any_json(), at in any::<prop::sample::Index>(), byte in prop::sample::select(b"{}[]\",:0-.e \\tn".to_vec())) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let index = at.index(text.len());
            text[index] = byte;
            let ours = document(&text).is_ok();
            let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
            // We are laxer inside strings only (escapes, control characters, encoding).
            prop_assert!(ours || !theirs, "{}", String::from_utf8_lossy(&text));
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = document(&text) {
                walk_all(&value);
            }
        }
    }
}
