//! How an account is addressed where that differs from its dialect, and told
//! from the other accounts of the same provider.

/// How an account is addressed, and told from its siblings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Its region, where the provider has several; part of endpoint identities.
    pub region: Option<String>,
    /// The number of its key from 1, where the provider has several; likewise.
    pub key: Option<usize>,
    /// The path after the base URL, instead of the dialect's own; `{model}`
    /// stands for the upstream's name of the model.
    pub path: Option<String>,
    /// The same for streams; `path` when `None`.
    pub stream_path: Option<String>,
    /// What follows `?`, already encoded; empty for nothing.
    pub query: String,
}

impl Reach {
    /// The path for a model, with the query; `None` is the dialect's.
    #[must_use]
    pub fn path(&self, upstream: &str, stream: bool) -> Option<String> {
        let own = match stream {
            true => self.stream_path.as_ref().or(self.path.as_ref()),
            false => self.path.as_ref(),
        };
        let path = own?.replace("{model}", &encoded(upstream));
        Some(self.with_query(&path))
    }

    /// A path with the query behind it.
    #[must_use]
    pub fn with_query(&self, path: &str) -> String {
        match (self.query.as_str(), path.contains('?')) {
            ("", _) => path.to_owned(),
            (query, true) => format!("{path}&{query}"),
            (query, false) => format!("{path}?{query}"),
        }
    }
}

/// A text as one segment of a path or one value of a query: all but unreserved
/// characters (RFC 3986, 2.3) as `%XX`.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                for nibble in [other >> 4, other & 15] {
                    out.push(char::from(*DIGITS.get(usize::from(nibble)).unwrap_or(&b'0')));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_in_the_path_and_versions_in_the_query() {
        let azure = Reach {
            path: Some("/openai/deployments/{model}/chat/completions".to_owned()),
            query: "api-version=2024-10-21".to_owned(),
            ..Reach::default()
        };
        assert_eq!(
            azure.path("my gpt/4o", true).as_deref(),
            Some("/openai/deployments/my%20gpt%2F4o/chat/completions?api-version=2024-10-21")
        );
    }

    #[test]
    fn the_dialects_own_path_is_kept_where_none_is_set() {
        let query = Reach { query: "a=b".to_owned(), ..Reach::default() };
        assert_eq!(query.path("m", true), None);
        assert_eq!(query.with_query("/models/m:x?alt=sse"), "/models/m:x?alt=sse&a=b");
        assert_eq!(query.with_query("/messages"), "/messages?a=b");
    }

    #[test]
    fn streams_may_have_a_path_of_their_own() {
        let vertex = Reach {
            path: Some("/models/{model}:rawPredict".to_owned()),
            stream_path: Some("/models/{model}:streamRawPredict".to_owned()),
            ..Reach::default()
        };
        let path = |stream| vertex.path("claude-x@1", stream).unwrap();
        assert_eq!(path(false), "/models/claude-x%401:rawPredict");
        assert_eq!(path(true), "/models/claude-x%401:streamRawPredict");
    }
}
