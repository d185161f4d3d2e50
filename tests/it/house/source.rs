//! Rust source as the rules see it: without comments, without the insides of
//! literals, without its tests. Lines keep their numbers.

/// What [`strip`] leaves in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literals {
    /// The insides of string literals stay.
    Kept,
    /// They become spaces, so that words in messages are not taken for code.
    Blanked,
}

/// `text` with comments, and if asked for the insides of literals, as spaces.
///
/// Knows line and nested block comments, strings with escapes, raw strings, and
/// characters beside lifetimes. What it is not is a parser: macros are text.
pub(crate) fn strip(text: &str, literals: Literals) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kept) = match token(rest, out.chars().next_back()) {
            Token::Comment(length) => (length, false),
            Token::Literal(length) => (length, literals == Literals::Kept),
            Token::Code => (first.len_utf8(), true),
        };
        let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match kept {
            true => out.push_str(taken),
            false => out.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    out
}

/// What `rest` begins with, and its length in bytes.
enum Token {
    Comment(usize),
    Literal(usize),
    Code,
}

fn token(rest: &str, before: Option<char>) -> Token {
    let within_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        Token::Comment(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Token::Comment(block_comment(rest))
    } else if rest.starts_with('"') {
        Token::Literal(quoted(rest, '"'))
    } else if let Some(length) = raw_string(rest).filter(|_| !within_word) {
        Token::Literal(length)
    } else if let Some(length) = character(rest) {
        Token::Literal(length)
    } else {
        Token::Code
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else if let Some(c) = tail.chars().next() {
            at += c.len_utf8();
        } else {
            break;
        }
    }
    rest.len()
}

/// Up to and with the closing `quote`, over escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, and the same with `b` or `c` before.
fn raw_string(rest: &str) -> Option<usize> {
    let after =
        rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'))?;
    let opened = after.trim_start_matches('#');
    let fence = format!("\"{}", "#".repeat(after.len() - opened.len()));
    let inside = opened.strip_prefix('"')?;
    let end = inside.find(&fence).map_or(inside.len(), |at| at + fence.len());
    Some(rest.len() - inside.len() + end)
}

/// `'x'` or `'\n'`, but not the lifetime `'x`.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let first = chars.next()?;
    (first == '\\' || chars.next() == Some('\'')).then(|| quoted(rest, '\''))
}

/// `text` up to its `#[cfg(test)]` module at the bottom.
pub(crate) fn without_tests(text: &str) -> &str {
    let mark = "\n#[cfg(test)]\nmod ";
    text.find(mark).and_then(|at| text.get(..=at)).unwrap_or(text)
}

/// Whether `word` occurs in `code` as a whole word. A word may hold `::` and `.`.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        let open = word.starts_with(part) && before.is_some_and(part);
        let close = word.ends_with(part) && after.is_some_and(part);
        !open && !close
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_and_literals_go_and_code_stays() {
        let text = "a // b\n/* c /* d */ e */ f(\"g // \\\" h\", r#\"i \" j\"#, 'k', '\\'', b\"l\") <'m>";
        let code = strip(text, Literals::Blanked);
        let words: String = code.chars().filter(char::is_ascii_alphabetic).collect();
        // The `b` of a byte string is code to us; nothing looks for it.
        assert_eq!(words, "afbm");
        let kept = strip(text, Literals::Kept);
        assert!(kept.contains("g // \\\" h") && kept.contains("i \" j") && !kept.contains("e */"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("use tokio::time;", "tokio"));
        assert!(!has_word("use tokio_util::x; my_tokio", "tokio"));
        assert!(has_word("client.request(http)", ".request("));
    }

    #[test]
    fn tests_at_the_bottom_do_not_count() {
        assert_eq!(without_tests("fn a() {}\n\n#[cfg(test)]\nmod tests {}\n"), "fn a() {}\n\n");
        assert_eq!(without_tests("fn a() {}\n"), "fn a() {}\n");
    }

    proptest! {
        #[test]
        fn lines_and_lengths_survive_whatever_the_text(text in r#"[a'"/*\\#r\né ]{0,60}"#) {
            for literals in [Literals::Kept, Literals::Blanked] {
                let out = strip(&text, literals);
                prop_assert_eq!(out.chars().count(), text.chars().count());
                prop_assert_eq!(out.lines().count(), text.lines().count());
            }
        }
    }
}
