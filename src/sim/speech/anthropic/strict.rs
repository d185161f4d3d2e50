//! What the API refuses in messages, as far as their form goes.

use serde_json::Value;
use serde_json::value::RawValue;

/// # Errors
/// What is wrong, in words like the API's own.
pub(super) fn check(messages: &RawValue) -> Result<(), String> {
    let messages: Vec<Value> = serde_json::from_str(messages.get()).map_err(|error| error.to_string())?;
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    let mut calls: Vec<String> = Vec::new();
    for (position, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str);
        if position == 0 && role != Some("user") {
            return Err("messages: first message must use the user role".to_owned());
        }
        let results = match role {
            Some("assistant") => Vec::new(),
            Some("user") => ids(message, "tool_result", "tool_use_id"),
            _ => return Err(format!("messages.{position}.role: must be user or assistant")),
        };
        blocks(position, message)?;
        let lost: Vec<&String> = calls.iter().filter(|id| !results.contains(id)).collect();
        if !lost.is_empty() {
            return Err(format!(
                "messages.{position}: `tool_use` ids were found without `tool_result`: {lost:?}"
            ));
        }
        if let Some(id) = results.iter().find(|id| !calls.contains(id)) {
            return Err(format!("messages.{position}: unexpected `tool_use_id` in `tool_result`: {id}"));
        }
        calls = ids(message, "tool_use", "id");
    }
    match calls.as_slice() {
        [] => Ok(()),
        lost => Err(format!("messages: `tool_use` ids were found without `tool_result`: {lost:?}")),
    }
}

fn ids(message: &Value, kind: &str, name: &str) -> Vec<String> {
    let blocks = message.get("content").and_then(Value::as_array).into_iter().flatten();
    let wanted = blocks.filter(|block| block.get("type").is_some_and(|found| found == kind));
    wanted.filter_map(|block| block.get(name)?.as_str()).map(str::to_owned).collect()
}

/// Texts must not be empty, results come first, thinking has a signature.
fn blocks(position: usize, message: &Value) -> Result<(), String> {
    let blocks = match message.get("content") {
        Some(Value::String(text)) if !text.is_empty() => return Ok(()),
        Some(Value::Array(blocks)) if !blocks.is_empty() => blocks,
        _ => return Err(format!("messages.{position}: content must be non-empty")),
    };
    let mut others = false;
    for (at, block) in blocks.iter().enumerate() {
        let path = format!("messages.{position}.content.{at}");
        let filled =
            |name: &str| block.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        match block.get("type").and_then(Value::as_str) {
            Some("text") if !filled("text") => {
                return Err(format!("{path}: text content blocks must be non-empty"));
            }
            Some("thinking") if !filled("signature") => {
                return Err(format!("{path}.signature: field required"));
            }
            Some("tool_use") if !block.get("input").is_some_and(Value::is_object) => {
                return Err(format!("{path}.input: input should be a valid dictionary"));
            }
            Some("tool_result") if others => return Err(format!("{path}: tool results must come first")),
            Some("tool_result") => {}
            Some(_) => others = true,
            None => return Err(format!("{path}.type: field required")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::dialect::anthropic;
    use crate::request::ChatRequest;

    fn judged(messages: &str) -> Result<(), String> {
        check(serde_json::from_str(messages).unwrap())
    }

    #[test]
    fn what_the_api_refuses_is_refused() {
        for (messages, why) in [
            ("[]", "at least one"),
            (r#"[{"role":"assistant","content":"x"}]"#, "first message"),
            (r#"[{"role":"user","content":""}]"#, "non-empty"),
            (r#"[{"role":"user","content":[{"type":"text","text":""}]}]"#, "text content blocks"),
            (r#"[{"role":"system","content":"x"}]"#, "first message"),
            (
                r#"[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}]"#,
                "without `tool_result`",
            ),
            (r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]"#, "unexpected"),
            (
                r#"[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"x"}]}]"#,
                "signature",
            ),
        ] {
            assert!(judged(messages).unwrap_err().contains(why), "{messages}");
        }
        assert_eq!(judged(r#"[{"role":"user","content":"x"}]"#), Ok(()));
    }

    /// Messages as agents get them wrong: results late, missing, twice or of
    /// calls that are gone, empty texts, turns in any order.
    fn messages() -> impl Strategy<Value = Vec<Value>> {
        let id = || prop::sample::select(vec!["a", "b", "c.1", ""]);
        let text = || prop::sample::select(vec!["", "x", "é\n"]);
        let calls = prop::collection::btree_set(id(), 1..3).prop_map(|ids| {
            let call = |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1"}});
            json!({"role": "assistant", "content": null, "tool_calls": ids.into_iter().map(call).collect::<Vec<Value>>()})
        });
        let role = prop::sample::select(vec!["user", "assistant", "system", "developer"]);
        let message = prop_oneof![
            (role, text()).prop_map(|(role, text)| json!({"role": role, "content": text})),
            (id(), text()).prop_map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text})),
            calls,
            text().prop_map(|text| json!({"role": "user", "content": [{"type": "text", "text": text}, {"type": "text", "text": "y"}]})),
        ];
        prop::collection::vec(message, 1..9)
    }

    proptest! {
        #[test]
        fn what_the_translator_says_is_never_refused(messages in messages()) {
            let said = |message: &Value| message["content"].as_str() != Some("");
            prop_assume!(messages.iter().any(|message| message["role"] != "tool" && said(message)));
            let body = json!({"model": "m", "messages": messages}).to_string();
            let request = ChatRequest::read(body.into()).unwrap();
            let encoded = anthropic::encode_for(&request, "m", None).unwrap();
            let sent: Value = serde_json::from_slice(&encoded.body.concat()).unwrap();
            let verdict = judged(&sent["messages"].to_string());
            prop_assert_eq!(verdict, Ok(()), "{}", sent);
        }
    }
}
