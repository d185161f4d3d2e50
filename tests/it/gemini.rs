//! Callers speak chat, the upstream speaks generateContent, and nobody notices.

use merit::catalog::Dialect;
use merit::sim::{Entry, ProviderSpec, credential_digest};
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{Answer, Events};
use crate::support::market::Market;

const MODEL: &str = "gemini-3.1-pro-preview";

/// A provider of generateContent at 2 and 12 USD per million tokens.
fn provider() -> ProviderSpec {
    let spec = ProviderSpec::named("google").model(MODEL, 2.0, 12.0, 0.8);
    ProviderSpec { dialect: Dialect::Gemini, key: Some("sk-upstream".to_owned()), ..spec }
}

fn start() -> Fallible<(Market, Gateway)> {
    let market = Market::start(vec![provider()])?;
    let gateway = Gateway::start(&market.config())?;
    Ok((market, gateway))
}

/// What the upstream noted about the last request.
fn last(market: &Market) -> Fallible<Entry> {
    Ok(market.entries().pop().ok_or("nothing reached the upstream")?)
}

/// The cost of what the upstream says it generated, as the contract writes it.
fn cost(entry: &Entry) -> String {
    let nano = entry.consumed.prompt_tokens * 2_000 + entry.consumed.completion_tokens * 12_000;
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

/// A stream's chunks, without `[DONE]`, which must be there.
fn chunks(gateway: &Gateway, body: &Value) -> Fallible<Vec<Value>> {
    let events = Events::open(gateway.api, CHAT, &[], body.to_string())?;
    assert_eq!(events.answer.status, 200);
    let mut all = events.rest()?;
    assert_eq!(all.pop().as_deref(), Some("[DONE]"), "{all:?}");
    all.iter().map(|data| serde_json::from_str(data).map_err(Into::into)).collect()
}

fn texts(chunks: &[Value], pointer: &str) -> String {
    chunks.iter().filter_map(|chunk| chunk.pointer(pointer)?.as_str()).collect()
}

fn ok(answer: &Answer) -> Fallible<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn a_chat_is_answered_and_paid_to_the_nano_dollar() -> Fallible<()> {
    let (market, gateway) = start()?;
    let answer = gateway.chat(&with(chat(MODEL), "verbosity", json!("low")))?;
    let body = ok(&answer)?;
    let entry = last(&market)?;
    assert_eq!(entry.path, format!("/v1/models/{MODEL}:generateContent"));
    assert_eq!(entry.credential, Some(credential_digest("sk-upstream")));
    assert!(entry.headers.iter().all(|(name, _)| name != "authorization"));
    let sent: Value = serde_json::from_str(&entry.body)?;
    assert_eq!(sent, json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}));

    assert_eq!(body.get("object"), Some(&json!("chat.completion")));
    assert_eq!(body.pointer("/choices/0/finish_reason"), Some(&json!("stop")));
    let said = body.pointer("/choices/0/message/content").and_then(Value::as_str).ok_or("no text")?;
    assert_eq!(said.split_whitespace().count() as u64, entry.consumed.completion_tokens);
    let tokens = |name: &str| body.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    assert_eq!(tokens("prompt_tokens"), Some(entry.consumed.prompt_tokens));
    assert_eq!(tokens("completion_tokens"), Some(entry.consumed.completion_tokens));
    assert_eq!(answer.must("x-merit-cost-usd")?, cost(&entry));
    assert!(answer.must("x-merit-warnings")?.contains("verbosity has no effect here"));
    Ok(())
}

#[test]
fn a_stream_is_canonical_and_ends_with_usage_and_cost() -> Fallible<()> {
    let (market, gateway) = start()?;
    let asked = with(streamed(MODEL), "stream_options", json!({"include_usage": true}));
    for behaviour in ["normal", "byte-by-byte", "crlf", "burst-20", "reasoning", "malformed"] {
        market.provider("google")?.set(behaviour)?;
        let mut all = chunks(&gateway, &asked)?;
        let usage = all.pop().ok_or("no usage")?;
        let entry = last(&market)?;
        assert_eq!(entry.path, format!("/v1/models/{MODEL}:streamGenerateContent?alt=sse"));
        let roles = all.iter().filter(|chunk| chunk.pointer("/choices/0/delta/role").is_some()).count();
        let finishes = all.iter().filter_map(|chunk| chunk.pointer("/choices/0/finish_reason")?.as_str());
        assert_eq!((roles, finishes.collect::<Vec<_>>()), (1, vec!["stop"]), "{behaviour}");
        let said =
            ["content", "reasoning_content"].map(|member| texts(&all, &format!("/choices/0/delta/{member}")));
        let words: u64 = said.iter().map(|text| text.split_whitespace().count() as u64).sum();
        assert_eq!(words, entry.consumed.completion_tokens, "{behaviour}");
        assert_eq!(usage.get("choices"), Some(&json!([])));
        let stated = |name: &str| usage.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
        assert_eq!(stated("completion_tokens"), Some(entry.consumed.completion_tokens), "{behaviour}");
        let reasoning = stated("completion_tokens_details/reasoning_tokens");
        assert_eq!(reasoning, Some(entry.consumed.reasoning_tokens), "{behaviour}");
        let charged = usage.pointer("/merit/cost_usd").and_then(Value::as_str);
        assert_eq!(charged, Some(cost(&entry).as_str()), "{behaviour}");
    }
    Ok(())
}

#[test]
fn tools_are_called_and_their_results_sent_back_with_the_signature() -> Fallible<()> {
    let (market, gateway) = start()?;
    market.provider("google")?.next(&["tools", "tools", "normal"])?;
    let function = json!({"name": "look_up", "parameters": {"type": "object", "properties": {}}});
    let asked = with(chat(MODEL), "tools", json!([{"type": "function", "function": function}]));
    let whole = ok(&gateway.chat(&asked)?)?;
    let message = whole.pointer("/choices/0/message").ok_or("no message")?;
    let calls = message.get("tool_calls").and_then(Value::as_array).ok_or("no calls")?;
    assert_eq!(calls.len(), 2);
    assert_eq!(whole.pointer("/choices/0/finish_reason"), Some(&json!("tool_calls")));

    let all = chunks(&gateway, &with(asked.clone(), "stream", json!(true)))?;
    for (index, call) in calls.iter().enumerate() {
        let deltas = all.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0"));
        let own: Vec<&Value> = deltas.filter(|delta| delta.get("index") == Some(&json!(index))).collect();
        let arguments: String =
            own.iter().filter_map(|delta| delta.pointer("/function/arguments")?.as_str()).collect();
        let whole = call.pointer("/function/arguments").and_then(Value::as_str).ok_or("no arguments")?;
        assert_eq!(arguments, whole);
        assert_eq!(own.iter().filter(|delta| delta.get("id").is_some()).count(), 1);
    }

    let mut messages = vec![json!({"role": "user", "content": "Hello"}), message.clone()];
    for call in calls.iter().rev() {
        messages.push(json!({"role": "tool", "tool_call_id": call.get("id"), "content": "found"}));
    }
    let answer = gateway.chat(&with(asked, "messages", json!(messages)))?;
    ok(&answer)?;
    assert_eq!(answer.header("x-merit-warnings"), None);
    let sent: Value = serde_json::from_str(&last(&market)?.body)?;
    let signature = calls.first().and_then(|call| call.pointer("/extra_content/google/thought_signature"));
    assert!(signature.is_some_and(Value::is_string));
    assert_eq!(sent.pointer("/contents/1/parts/0/thoughtSignature"), signature);
    let results = sent.pointer("/contents/2/parts").and_then(Value::as_array).ok_or("no results")?;
    let ids: Vec<_> = results.iter().map(|part| part.pointer("/functionResponse/id")).collect();
    assert_eq!(ids, calls.iter().map(|call| call.get("id")).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_lost_signature_does_not_cost_the_answer() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([{"role": "user", "content": "Hello"}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "found"}]);
    let answer = gateway.chat(&with(chat(MODEL), "messages", messages))?;
    ok(&answer)?;
    assert!(answer.must("x-merit-warnings")?.contains("signature"));
    Ok(())
}

#[test]
fn dialects_stand_in_for_each_other() -> Fallible<()> {
    let spare = ProviderSpec::named("spare").model(MODEL, 30.0, 150.0, 0.8);
    let market = Market::start(vec![provider(), spare])?;
    let gateway = Gateway::start(&format!("[router]\nobjective = \"cheapest\"\n{}", market.config()))?;
    for behaviour in
        ["status-503", "status-401", "error-200", "error-after-preamble", "html", "nan", "no-quota"]
    {
        market.provider("google")?.set(behaviour)?;
        for body in [chat(MODEL), streamed(MODEL)] {
            let answer = gateway.chat(&body)?;
            assert_eq!(answer.status, 200, "{behaviour}: {}", answer.body);
        }
    }
    assert!(market.provider("google")?.requests() > 0 && market.provider("spare")?.requests() > 0);
    Ok(())
}

#[test]
fn what_goes_wrong_is_said_in_the_callers_words() -> Fallible<()> {
    let (market, gateway) = start()?;
    let link = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}}]}]);
    let answer = gateway.chat(&with(chat(MODEL), "messages", link))?;
    assert!(answer.status >= 400 && answer.body.contains("a link that is not https"), "{}", answer.body);
    assert!(market.entries().is_empty());

    market.provider("google")?.next(&["context-length"])?;
    let answer = gateway.chat(&chat(MODEL))?;
    assert_eq!((answer.status, answer.error_code()?.as_str()), (400, "context_length_exceeded"));

    market.provider("google")?.next(&["refusal"])?;
    let refused = ok(&gateway.chat(&chat(MODEL))?)?;
    assert_eq!(refused.pointer("/choices/0/finish_reason"), Some(&json!("content_filter")));

    market.provider("google")?.set("no-finish")?;
    let events = Events::open(gateway.api, CHAT, &[], streamed(MODEL).to_string())?.rest()?;
    let last = events.last().ok_or("nothing came")?;
    assert!(last.contains("\"error\"") && !events.iter().any(|data| data == "[DONE]"), "{last}");
    Ok(())
}
