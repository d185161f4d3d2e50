//! Whether strings are what JSON allows, and how they can be made so.
//!
//! Crossing a string only looks for its end. Some upstreams write line breaks and
//! other control characters into strings as they are, or escapes that JSON does
//! not know; a caller's parser then fails on the whole text. So what is passed on
//! is checked here, in a pass that costs next to nothing where nothing is
//! escaped.

use memchr::{memchr, memchr_iter};

/// Whether the strings of a text that is otherwise well formed are so too.
#[must_use]
pub fn are_valid(text: &[u8]) -> bool {
    // Without escapes and control characters there is nothing to be wrong, and
    // nothing need be found either.
    if memchr(b'\\', text).is_none() && !has_control(text) {
        return true;
    }
    let mut rest = text;
    while let Some(opens) = memchr(b'"', rest) {
        let inner = rest.get(opens + 1..).unwrap_or_default();
        let Some(ends) = memchr_iter(b'"', inner).find(|at| !is_escaped(inner, *at)) else { return false };
        if !is_valid(inner.get(..ends).unwrap_or_default()) {
            return false;
        }
        rest = inner.get(ends + 1..).unwrap_or_default();
    }
    true
}

/// Whether bytes may stand between quotes: no control characters, and only
/// escapes that JSON knows. Half a surrogate pair is let through: the grammar
/// has it, and there are upstreams that send the other half with the next event.
#[must_use]
pub fn is_valid(inner: &[u8]) -> bool {
    if has_control(inner) {
        return false;
    }
    let mut rest = inner;
    while let Some(at) = memchr(b'\\', rest) {
        let Some(length) = escape(rest.get(at + 1..).unwrap_or_default()) else { return false };
        rest = rest.get(at + 1 + length..).unwrap_or_default();
    }
    true
}

/// The text with strings that JSON allows: control characters are escaped,
/// backslashes that escape nothing are doubled, and half a surrogate pair becomes
/// the replacement character. Everything else stays as it is, also what is no
/// JSON at all.
#[must_use]
pub fn repaired(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let (mut rest, mut inside) = (text, false);
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'\\' if inside => match escape(rest) {
                Some(length) => {
                    let length = write_escape(rest, length, &mut out);
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => out.extend_from_slice(b"\\\\"),
            },
            control @ 0..0x20 if inside => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
            byte => {
                inside ^= *byte == b'"';
                out.push(*byte);
            }
        }
    }
    out
}

/// Writes the escape of `length` bytes behind a backslash, and its other half if
/// it has one. Returns how many bytes that was.
fn write_escape(rest: &[u8], length: usize, out: &mut Vec<u8>) -> usize {
    let whole = match unit(rest) {
        Some(0xd800..0xdc00) => match rest.get(length..) {
            Some([b'\\', low @ ..]) if matches!(unit(low), Some(0xdc00..0xe000)) => length * 2 + 1,
            _ => 0,
        },
        Some(0xdc00..0xe000) => 0,
        _ => length,
    };
    out.push(b'\\');
    match whole {
        0 => out.extend_from_slice(b"ufffd"),
        whole => out.extend_from_slice(rest.get(..whole).unwrap_or_default()),
    }
    whole.max(length)
}

/// How many bytes behind a backslash belong to it; `None` when it escapes nothing.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
    }
}

/// The UTF-16 unit that `uXXXX` stands for.
fn unit(rest: &[u8]) -> Option<u16> {
    let digits = rest.strip_prefix(b"u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether the quote at `at` has an odd number of backslashes before it.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Without an early end, so that it is compiled to a comparison of many bytes at
/// once.
fn has_control(text: &[u8]) -> bool {
    text.iter().fold(0, |found, byte| found | u8::from(*byte < 0x20)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn parsed(text: &[u8]) -> Option<Value> {
        serde_json::from_slice(text).ok()
    }

    #[test]
    fn tells_strings_that_no_parser_takes() {
        for good in [r#"{"a":"b\n\u00e4\"\\"}"#, "{\n\t\"a\": \"\"\r\n}", r#"["\ud83d"]"#, r#""\\""#] {
            assert!(are_valid(good.as_bytes()), "{good}");
        }
        for bad in ["[\"a\nb\"]", "[\"\u{0}\"]", r#"["\x"]"#, r#"["\u12"]"#, r#"["\u12g4"]"#, "{\"\t\":1}"] {
            assert!(!are_valid(bad.as_bytes()), "{bad}");
        }
        assert!(!is_valid(br"ends in \"));
    }

    #[test]
    fn repairs_what_can_only_mean_one_thing() {
        let text = b"{ \"a\":\n \"x\ny\t\\q \\u12 \\ud83d \\ud83d\\ude00 \\\"\" }";
        let value = parsed(&repaired(text)).unwrap();
        assert_eq!(value["a"], "x\ny\t\\q \\u12 \u{fffd} \u{1f600} \"");
    }

    /// Texts with many strings, good and bad.
    fn near() -> impl Strategy<Value = Vec<u8>> {
        let words =
            ["\"", "\\", "\\n", "\\u", "00e4", "\\ud83d", "\\ude00", "\n", "\u{1}", "[", "]", ",", "x", "ä"];
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..12)
            .prop_map(|words| format!("[\"{}\"]", words.concat()).into_bytes())
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in near()) {
            let fixed = repaired(&text);
            prop_assert_eq!(&repaired(&fixed), &fixed, "repairing is done once");
            if let Some(value) = parsed(&text) {
                prop_assert!(are_valid(&text));
                prop_assert_eq!(parsed(&fixed), Some(value), "what is good keeps its meaning");
            } else if crate::json::document(&text).is_ok() {
                let half = are_valid(&text);
                prop_assert!(parsed(&fixed).is_some() || !half, "what passes can be parsed");
            }
        }

        #[test]
        fn a_string_of_any_text_can_be_repaired(text in "[^\"]{0,30}") {
            let quoted = format!("\"{text}\"");
            prop_assume!(crate::json::document(quoted.as_bytes()).is_ok());
            let fixed = repaired(quoted.as_bytes());
            prop_assert!(parsed(&fixed).is_some(), "{}", String::from_utf8_lossy(&fixed));
        }
    }
}
