//! Words of a text, as hashes: what the table of classes is about.
//!
//! A word is a run of letters (lower case), a run of digits (of which only the
//! number of digits counts, up to four), a run of bytes beyond ASCII, or one
//! sign. `config/books/build_classes.py` does exactly the same.

/// Only this many bytes of a text are read: what is asked stands at its beginning,
/// and a long document should cost no more than a long question.
pub(super) const WORDS_END: usize = 8192;

/// FNV-1a's offset and prime (64 bits): short, and good enough for words.
const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub(super) bytes: usize,
    pub(super) lines: usize,
}

/// The hash of one word. Never 0.
pub(super) fn hash(word: &[u8]) -> u64 {
    finished(word.iter().fold(OFFSET, |hash, byte| mix(hash, *byte)))
}

const fn mix(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(PRIME)
}

/// The high bits, which are the better mixed, folded into the low ones.
const fn finished(hash: u64) -> u64 {
    (hash ^ (hash >> 29)) | 1 << 63
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Space,
    Letters,
    Digits,
    Beyond,
    Sign,
}

const fn sort(byte: u8) -> Sort {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C => Sort::Space,
        b'a'..=b'z' | b'A'..=b'Z' => Sort::Letters,
        b'0'..=b'9' => Sort::Digits,
        0x80.. => Sort::Beyond,
        _ => Sort::Sign,
    }
}

/// Calls `word` with the hash of every word within the first `most` bytes of
/// `text`, which may be `escaped` as in a JSON string.
pub(super) fn scan(text: &[u8], escaped: bool, most: usize, word: impl FnMut(u64)) -> Size {
    let mut scan = Scan { word, sort: Sort::Space, hash: OFFSET, digits: 0, most, size: Size::default() };
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if scan.size.bytes >= most {
            break;
        }
        rest = after;
        if *first == b'\\' && escaped {
            rest = scan.escape(after);
        } else {
            scan.byte(*first);
        }
    }
    scan.flush();
    scan.size
}

struct Scan<F> {
    word: F,
    sort: Sort,
    hash: u64,
    digits: u8,
    most: usize,
    size: Size,
}

impl<F: FnMut(u64)> Scan<F> {
    fn byte(&mut self, byte: u8) {
        if self.size.bytes >= self.most {
            return;
        }
        self.size.bytes += 1;
        self.size.lines += usize::from(byte == b'\n');
        let sort = sort(byte);
        if sort != self.sort || sort == Sort::Sign {
            self.flush();
            self.sort = sort;
        }
        match sort {
            // A sign for each digit, whichever it is, up to four.
            Sort::Digits if self.digits < 4 => {
                self.digits += 1;
                self.hash = mix(self.hash, b'#');
            }
            Sort::Space | Sort::Digits => {}
            Sort::Letters | Sort::Beyond | Sort::Sign => {
                self.hash = mix(self.hash, byte.to_ascii_lowercase());
            }
        }
    }

    fn flush(&mut self) {
        if self.sort != Sort::Space {
            (self.word)(finished(self.hash));
        }
        (self.sort, self.hash, self.digits) = (Sort::Space, OFFSET, 0);
    }

    /// What a backslash before `rest` stands for. Returns what comes after it.
    fn escape<'t>(&mut self, rest: &'t [u8]) -> &'t [u8] {
        let Some((kind, after)) = rest.split_first() else { return rest };
        let byte = match kind {
            b'u' => return self.unicode(after),
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 0x08,
            b'f' => 0x0C,
            other => *other,
        };
        self.byte(byte);
        after
    }

    /// A character beyond ASCII, that is written by its number; `rest` begins
    /// with the four digits. One that is none is left out.
    fn unicode<'t>(&mut self, rest: &'t [u8]) -> &'t [u8] {
        let Some((unit, after)) = unit(rest) else { return rest };
        let pair = || after.strip_prefix(b"\\u").and_then(self::unit);
        let (code, after) = match (unit, pair()) {
            (0xD800..0xDC00, Some((low @ 0xDC00..0xE000, after))) => {
                (0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00), after)
            }
            _ => (unit, after),
        };
        let mut bytes = [0; 4];
        if let Some(char) = char::from_u32(code) {
            char.encode_utf8(&mut bytes).bytes().for_each(|byte| self.byte(byte));
        }
        after
    }
}

/// Four hexadecimal digits and what comes after them.
fn unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, after) = text.split_at_checked(4)?;
    let unit = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((unit, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &[u8], escaped: bool) -> Vec<u64> {
        let mut words = Vec::new();
        scan(text, escaped, WORDS_END, |word| words.push(word));
        words
    }

    #[test]
    fn letters_digits_and_signs_are_words() {
        let expected = ["in", "####", "x", "=", "#", "é", "."].map(|word| hash(word.as_bytes()));
        assert_eq!(words("In 123456 X=7 é.".as_bytes(), false), expected);
    }

    #[test]
    fn escapes_are_read_as_what_they_stand_for() {
        let plain = "a\n\"b\" é 😀 \\";
        let escaped = br#"a\n\"b\" \u00e9 \ud83d\ude00 \\"#;
        assert_eq!(words(escaped, true), words(plain.as_bytes(), false));
    }

    proptest! {
        #[test]
        fn a_text_has_the_same_words_however_it_is_written(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let inner = &json.as_bytes()[1..json.len() - 1];
            prop_assert_eq!(words(inner, true), words(text.as_bytes(), false));
        }

        #[test]
        fn nothing_is_read_beyond_the_end(text in prop::collection::vec(any::<u8>(), 0..300), most in 0_usize..200) {
            for escaped in [false, true] {
                let size = scan(&text, escaped, most, |_| ());
                prop_assert!(size.bytes <= most);
            }
        }
    }
}
