//! A request whose output limit is lowered.

use bytes::{Bytes, BytesMut};

use super::{ChatRequest, Name};

impl ChatRequest {
    /// The same request with an output limit of `most` tokens, under the name that
    /// it uses, or under the newer one where it sets none. `None` where that cannot
    /// be read any more, which does not happen.
    #[must_use]
    pub fn with_output_limit(&self, most: u32) -> Option<ChatRequest> {
        let limit = most.to_string();
        let newer = self.spans.find(Name::MaxCompletionTokens);
        let mut body = BytesMut::with_capacity(self.body.len() + 48);
        if let Some(member) = newer.or_else(|| self.spans.find(Name::MaxTokens)) {
            body.extend_from_slice(self.body.get(..member.value.start)?);
            body.extend_from_slice(limit.as_bytes());
            body.extend_from_slice(self.body.get(member.value.end..)?);
        } else {
            body.extend_from_slice(self.body.get(..self.spans.open)?);
            body.extend_from_slice(format!("\"max_completion_tokens\":{limit},").as_bytes());
            body.extend_from_slice(self.body.get(self.spans.open..)?);
        }
        let read = ChatRequest::read(Bytes::from(body)).ok()?;
        // Headers have had their say in these.
        Some(ChatRequest { control: self.control.clone(), warnings: self.warnings.clone(), ..read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_replaced_where_it_stands_or_added() {
        for (before, after) in [
            (
                r#"{"model":"m","max_tokens": 900 ,"messages":[{"role":"user","content":"x"}]}"#,
                r#"{"model":"m","max_tokens": 20 ,"messages":[{"role":"user","content":"x"}]}"#,
            ),
            (
                r#"{"model":"m","max_tokens":5000,"max_completion_tokens":900,"messages":[{"role":"user","content":"x"}]}"#,
                r#"{"model":"m","max_tokens":5000,"max_completion_tokens":20,"messages":[{"role":"user","content":"x"}]}"#,
            ),
            (
                r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
                r#"{"max_completion_tokens":20,"model":"m","messages":[{"role":"user","content":"x"}]}"#,
            ),
        ] {
            let lowered = ChatRequest::read(Bytes::from(before)).unwrap().with_output_limit(20).unwrap();
            assert_eq!(lowered.body, after);
            assert_eq!(lowered.max_output_tokens, Some(20));
        }
    }
}
