//! Messages as Vertex AI takes them: the model is in the path alone, and the
//! version, which elsewhere is a header, in the body
//! (docs.cloud.google.com, "Claude on Vertex AI", seen 2026-11-22).

use bytes::Bytes;

/// The one version there is.
const VERSION: &str = "{\"anthropic_version\":\"vertex-2023-10-16\"";

/// A body, which begins with the model, with the version in its place.
pub(super) fn body(mut pieces: Vec<Bytes>, upstream: &str) -> Vec<Bytes> {
    let model = format!("{{\"model\":{}", serde_json::Value::from(upstream));
    if let Some(first) = pieces.first_mut()
        && first.starts_with(model.as_bytes())
    {
        let rest = first.split_off(model.len());
        *first = Bytes::from_static(VERSION.as_bytes());
        pieces.insert(1, rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::anthropic::encode_for;
    use crate::request::ChatRequest;

    #[test]
    fn the_version_stands_where_the_model_stood() {
        let asked = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}"#;
        let request = ChatRequest::read(Bytes::from_static(asked.as_bytes())).unwrap();
        let upstream = "claude-\"x\"@20251001";
        let encoded = encode_for(&request, upstream, None).unwrap();
        let sent = body(encoded.body, upstream).concat();
        let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["anthropic_version"], "vertex-2023-10-16");
        assert_eq!((sent.get("model"), &sent["max_tokens"]), (None, &serde_json::json!(9)));
    }
}
