//! What Converse refuses, as far as the form of a request goes.

use serde_json::Value;

/// Members that a request may have (the service model of AWS's SDKs, botocore
/// 1.44.8).
const MEMBERS: [&str; 14] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "promptVariables",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
    "modelId",
    "streamProcessingMode",
];

/// # Errors
/// What is wrong, in words like the API's own.
pub(super) fn check(body: &Value) -> Result<(), String> {
    let members = body.as_object().ok_or("the body must be an object")?;
    if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!("extraneous key [{name}] is not permitted"));
    }
    let messages = body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages = messages.ok_or("A conversation must start with a user message.")?;
    let mut calls: Vec<&str> = Vec::new();
    let mut tools = false;
    for (position, message) in messages.iter().enumerate() {
        let wanted = if position % 2 == 0 { "user" } else { "assistant" };
        if message.get("role").and_then(Value::as_str) != Some(wanted) {
            return Err(format!("messages.{position}: roles must alternate, beginning with the user"));
        }
        let blocks = message.get("content").and_then(Value::as_array).filter(|blocks| !blocks.is_empty());
        let blocks = blocks.ok_or_else(|| format!("messages.{position}: content must not be empty"))?;
        texts(position, blocks)?;
        let results = ids(blocks, "/toolResult/toolUseId");
        let same = |a: &[&str], b: &[&str]| a.iter().all(|id| b.contains(id));
        if !same(&calls, &results) || !same(&results, &calls) {
            return Err(format!(
                "messages.{position}: toolResult blocks must match the toolUse blocks before"
            ));
        }
        calls = ids(blocks, "/toolUse/toolUseId");
        tools |= !calls.is_empty() || !results.is_empty();
    }
    if tools && body.pointer("/toolConfig/tools/0").is_none() {
        return Err(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.".into()
        );
    }
    match calls.is_empty() {
        true => Ok(()),
        false => Err("Expected toolResult blocks for the last toolUse blocks".into()),
    }
}

fn ids<'v>(blocks: &'v [Value], pointer: &str) -> Vec<&'v str> {
    blocks.iter().filter_map(|block| block.pointer(pointer)?.as_str()).collect()
}

/// No text is blank, every image has bytes, and a document has text beside it.
fn texts(position: usize, blocks: &[Value]) -> Result<(), String> {
    let text = |block: &Value| block.get("text").and_then(Value::as_str).map(|text| text.trim().is_empty());
    for (at, block) in blocks.iter().enumerate() {
        let path = format!("messages.{position}.content.{at}");
        if text(block) == Some(true) {
            return Err(format!("{path}: The text field in the ContentBlock object is blank."));
        }
        if block.as_object().is_none_or(|members| members.len() != 1) {
            return Err(format!("{path}: exactly one member must be set"));
        }
        let source = |kind: &str| block.get(kind).map(|media| media.pointer("/source/bytes").is_some());
        if source("image") == Some(false) || source("document") == Some(false) {
            return Err(format!("{path}: source must be set"));
        }
    }
    let documents = blocks.iter().any(|block| block.get("document").is_some());
    if documents && !blocks.iter().any(|block| text(block) == Some(false)) {
        return Err(format!("messages.{position}: a document needs a text block beside it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::dialect::bedrock;
    use crate::request::ChatRequest;

    #[test]
    fn what_the_api_refuses_is_refused() {
        for (body, why) in [
            (json!([]), "an object"),
            (json!({"messages": []}), "user message"),
            (json!({"messages": [], "stream": true}), "extraneous key [stream]"),
            (json!({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}), "alternate"),
            (json!({"messages": [{"role": "user", "content": [{"text": " "}]}]}), "blank"),
            (
                json!({"messages": [{"role": "user", "content": [{"document": {"source": {"bytes": ""}}}]}]}),
                "beside",
            ),
        ] {
            assert!(check(&body).unwrap_err().contains(why), "{body}");
        }
        assert_eq!(check(&json!({"messages": [{"role": "user", "content": [{"text": "x"}]}]})), Ok(()));
    }

    /// Messages as agents get them wrong: results late, missing, twice or of
    /// calls that are gone, empty texts, turns in any order, with and without tools.
    fn messages() -> impl Strategy<Value = Vec<Value>> {
        let id = || prop::sample::select(vec!["a", "b", "c.1", ""]);
        let text = || prop::sample::select(vec!["", " ", "x", "é\n"]);
        let calls = prop::collection::btree_set(id(), 1..3).prop_map(|ids| {
            let call = |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1"}});
            json!({"role": "assistant", "content": null, "tool_calls": ids.into_iter().map(call).collect::<Vec<Value>>()})
        });
        let role = prop::sample::select(vec!["user", "assistant", "system", "developer"]);
        let file = json!({"type": "file", "file": {"filename": "a_b.pdf", "file_data": "data:application/pdf;base64,AAAA"}});
        let message = prop_oneof![
            (role, text()).prop_map(|(role, text)| json!({"role": role, "content": text})),
            (id(), text())
                .prop_map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text})),
            calls,
            Just(json!({"role": "user", "content": [file]})),
        ];
        prop::collection::vec(message, 1..9)
    }

    proptest! {
        #[test]
        fn what_the_translator_says_is_never_refused(messages in messages(), tools in any::<bool>(), none in any::<bool>()) {
            let said = |message: &Value| !message["content"].as_str().is_some_and(|text| text.trim().is_empty());
            prop_assume!(messages.iter().any(|message| message["role"] != "tool" && said(message)));
            let mut body = json!({"model": "m", "messages": messages});
            if tools {
                body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
                body["tool_choice"] = json!(if none { "none" } else { "auto" });
            }
            let request = ChatRequest::read(body.to_string().into()).unwrap();
            let encoded = bedrock::encode_for(&request, "amazon.nova-pro-v1:0", None).unwrap();
            let sent: Value = serde_json::from_slice(&encoded.body.concat()).unwrap();
            prop_assert_eq!(check(&sent), Ok(()), "{}", sent);
        }
    }
}
