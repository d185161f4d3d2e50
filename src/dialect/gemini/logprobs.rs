//! Log probabilities in the middle form.

use serde_json::{Value, json};

use crate::json::Raw;

/// The choice's `logprobs` for a `logprobsResult`, as JSON; `None` when it
/// states none. Google does not say of which bytes a token consists.
pub(super) fn read(result: &Raw<'_>) -> Option<String> {
    let result: Value = serde_json::from_slice(result.text).ok()?;
    let chosen = result.get("chosenCandidates")?.as_array().filter(|chosen| !chosen.is_empty())?;
    let top = result.get("topCandidates").and_then(Value::as_array);
    let content: Option<Vec<Value>> = chosen
        .iter()
        .enumerate()
        .map(|(at, token)| {
            let others = top.and_then(|top| top.get(at)?.get("candidates")?.as_array());
            let others: Vec<Value> = others.into_iter().flatten().filter_map(one).collect();
            let mut one = one(token)?;
            one.as_object_mut()?.insert("top_logprobs".to_owned(), others.into());
            Some(one)
        })
        .collect();
    Some(json!({"content": content?, "refusal": null}).to_string())
}

fn one(token: &Value) -> Option<Value> {
    let text = token.get("token")?.as_str()?;
    // Protocol buffers leave out what is zero.
    let logprob = token.get("logProbability").and_then(Value::as_f64).unwrap_or(0.0);
    Some(json!({"token": text, "logprob": logprob, "bytes": null}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_their_alternatives() {
        let text = br#"{"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.5},{"token":"b"}]}],
            "chosenCandidates":[{"token":"a","tokenId":7,"logProbability":-0.5}]}"#;
        let read: Value =
            serde_json::from_str(&read(&crate::json::document(text).unwrap()).unwrap()).unwrap();
        let top = json!([{"token": "a", "logprob": -0.5, "bytes": null}, {"token": "b", "logprob": 0.0, "bytes": null}]);
        let expected = json!([{"token": "a", "logprob": -0.5, "bytes": null, "top_logprobs": top}]);
        assert_eq!(read, json!({"content": expected, "refusal": null}));
    }

    #[test]
    fn nothing_is_made_up() {
        for text in ["{}", r#"{"chosenCandidates":[]}"#, r#"{"chosenCandidates":[{}]}"#] {
            assert_eq!(read(&crate::json::document(text.as_bytes()).unwrap()), None, "{text}");
        }
    }
}
