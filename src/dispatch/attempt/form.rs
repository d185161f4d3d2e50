//! Whether an answer is a stream of events or JSON.
//!
//! Upstreams label the one as the other, and proxies between label everything as
//! they like, so the first byte decides. It nearly always can: JSON that is an
//! answer begins with a bracket, an event stream with the name of a field or the
//! colon of a comment, a binary event stream with a zero.

use crate::outcome::Failure;

/// What an answer can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events, or AWS's binary ones.
    Events,
    /// One JSON text.
    Json,
}

impl Form {
    /// What a content type says it is; nothing when it is of another kind.
    pub(super) fn labelled(content_type: &[u8]) -> Option<Form> {
        let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let kind = kind.to_ascii_lowercase();
        match kind.as_slice() {
            b"text/event-stream" | b"application/vnd.amazon.eventstream" => Some(Form::Events),
            b"application/json" => Some(Form::Json),
            other => other.ends_with(b"+json").then_some(Form::Json),
        }
    }

    /// What begins with `first` and is labelled so.
    ///
    /// # Errors
    /// [`Failure::Protocol`] when it is neither.
    pub(super) fn told(first: u8, labelled: Option<Form>) -> Result<Form, Failure> {
        match (first, labelled) {
            (b'{' | b'[', _) => Ok(Form::Json),
            (b'<', _) => Err(Failure::Protocol { detail: "HTML instead of an answer" }),
            // `data`, `event`, `id`, `retry`, a comment, or the length of a binary
            // message; and an event stream may have fields that nobody knows.
            (b'd' | b'e' | b'i' | b'r' | b':' | 0, _) | (_, Some(Form::Events)) => Ok(Form::Events),
            (_, Some(Form::Json) | None) => {
                Err(Failure::Protocol { detail: "neither JSON nor an event stream" })
            }
        }
    }
}

/// The first byte that tells something: behind a byte order mark and white space.
pub(super) fn first(chunk: &[u8]) -> Option<u8> {
    let text = chunk.strip_prefix(b"\xef\xbb\xbf").unwrap_or(chunk);
    text.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, content_type: &str) -> Result<Form, Failure> {
        Form::told(first(text.as_bytes()).unwrap(), Form::labelled(content_type.as_bytes()))
    }

    #[test]
    fn bytes_count_for_more_than_labels() {
        let json = "application/json";
        let events = "text/event-stream";
        for label in [json, events, "text/plain", ""] {
            for text in ["{\"id\":1}", "\n\n [{}]", "\u{feff}{}"] {
                assert_eq!(told(text, label), Ok(Form::Json), "{text} as {label}");
            }
            for text in
                ["data: {}", "\0\0\0\u{80}", ": PROCESSING", "event: x", "\r\nid: 1", "\u{feff}retry: 5"]
            {
                assert_eq!(told(text, label), Ok(Form::Events), "{text} as {label}");
            }
            let page = told("<html>", label);
            assert_eq!(page, Err(Failure::Protocol { detail: "HTML instead of an answer" }));
        }
    }

    #[test]
    fn labels_decide_where_bytes_do_not() {
        assert_eq!(told("x-field: 1", "Text/Event-Stream; charset=utf-8"), Ok(Form::Events));
        for label in ["application/json", "", "text/html"] {
            assert!(told("oops", label).is_err(), "{label}");
        }
    }

    #[test]
    fn labels_are_read_in_any_case() {
        for (label, form) in [
            ("APPLICATION/JSON", Some(Form::Json)),
            ("application/json;charset=UTF-8", Some(Form::Json)),
            ("application/problem+json", Some(Form::Json)),
            ("text/event-stream ; x=y", Some(Form::Events)),
            ("application/vnd.amazon.eventstream", Some(Form::Events)),
            ("text/event-streams", None),
            ("", None),
        ] {
            assert_eq!(Form::labelled(label.as_bytes()), form, "{label}");
        }
    }

    #[test]
    fn white_space_tells_nothing() {
        assert_eq!(first(b" \r\n"), None);
        assert_eq!(first("\u{feff}\n".as_bytes()), None);
        assert_eq!(first(b""), None);
    }
}
