//! Patterns of model names, as a price list defines them: `#` is one digit, `*`
//! is anything, also nothing; all else is itself.

/// Whether `name` fits `pattern`, from end to end.
///
/// Goes back to the last `*` only, so its time is at most the product of the
/// two lengths, whatever the pattern.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(at_name) {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern + 1, at_name));
                at_pattern += 1;
            }
            Some(wanted) if is(*wanted, *byte) => {
                at_pattern += 1;
                at_name += 1;
            }
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                at_pattern = after;
                at_name = from + 1;
            }
        }
    }
    pattern.get(at_pattern..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

fn is(wanted: u8, byte: u8) -> bool {
    if wanted == b'#' { byte.is_ascii_digit() } else { wanted == byte }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_digits() {
        for (pattern, name, expected) in [
            ("gpt-5.6-sol-####-##-##", "gpt-5.6-sol-2026-07-30", true),
            ("gpt-5.6-sol-####-##-##", "gpt-5.6-sol-2026-07-3", false),
            ("gpt-5.6-sol-####-##-##", "gpt-5.6-sol-2026-07-301", false),
            ("claude-2*", "claude-2.1", true),
            ("claude-2*", "claude-2", true),
            ("claude-2*", "claude-3", false),
            ("*claude-v2*", "anthropic.claude-v2:1", true),
            ("*-ab", "x-aab-ab", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_what_it_starts_ends_with_and_contains(head in "[a-z.-]{0,5}", body in "[a-z.-]{1,5}", tail in "[a-z.-]{0,5}") {
            let name = format!("{head}{body}{tail}");
            prop_assert!(fits(&name, &name));
            let start = format!("{head}*");
            let end = format!("*{tail}");
            let within = format!("*{body}*");
            prop_assert!(fits(&start, &name) && fits(&end, &name) && fits(&within, &name));
        }

        #[test]
        fn agrees_with_the_plain_meaning(pattern in "[ab*#]{0,8}", name in "[ab0]{0,8}") {
            prop_assert_eq!(fits(&pattern, &name), plain(pattern.as_bytes(), name.as_bytes()));
        }
    }

    fn plain(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|taken| plain(rest, &name[taken..])),
            Some((wanted, rest)) => {
                name.split_first().is_some_and(|(byte, name)| is(*wanted, *byte) && plain(rest, name))
            }
        }
    }
}
