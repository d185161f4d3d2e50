//! Callers speak chat, the upstream speaks Messages, and nobody notices.

use merit::catalog::Dialect;
use merit::sim::{Entry, ProviderSpec, credential_digest};
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::clients::{Client, Seen};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{Answer, Events};
use crate::support::market::Market;
use crate::support::upstream::{ANSWER, Llama, TOOL};

const MODEL: &str = "claude-sonnet-4-5";

/// A provider of Messages at 3 and 15 USD per million tokens.
fn provider() -> ProviderSpec {
    let spec = ProviderSpec::named("claude").model(MODEL, 3.0, 15.0, 0.8);
    ProviderSpec { dialect: Dialect::Anthropic, key: Some("sk-upstream".to_owned()), ..spec }
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
    let nano = entry.consumed.prompt_tokens * 3_000 + entry.consumed.completion_tokens * 15_000;
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
    let answer = gateway.chat(&with(chat(MODEL), "seed", json!(1)))?;
    let body = ok(&answer)?;
    let entry = last(&market)?;
    assert_eq!(entry.path, "/v1/messages");
    assert_eq!(entry.credential, Some(credential_digest("sk-upstream")));
    let header =
        |name: &str| entry.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((header("anthropic-version"), header("authorization")), (Some("2023-06-01"), None));
    let sent: Value = serde_json::from_str(&entry.body)?;
    assert_eq!(sent.pointer("/messages/0/content/0/text"), Some(&json!("Hello")));
    assert_eq!(sent.get("max_tokens"), Some(&json!(64_000)));

    assert_eq!(body.get("object"), Some(&json!("chat.completion")));
    // Messages have no date: the gateway's own stands in, here of this century.
    assert!(
        body.get("created").and_then(Value::as_u64).is_some_and(|seconds| seconds > 1_700_000_000),
        "{body}"
    );
    assert_eq!(body.pointer("/choices/0/finish_reason"), Some(&json!("stop")));
    let said = body.pointer("/choices/0/message/content").and_then(Value::as_str).ok_or("no text")?;
    assert_eq!(said.split_whitespace().count() as u64, entry.consumed.completion_tokens);
    let tokens = |name: &str| body.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    assert_eq!(tokens("prompt_tokens"), Some(entry.consumed.prompt_tokens));
    assert_eq!(tokens("completion_tokens"), Some(entry.consumed.completion_tokens));
    assert_eq!(answer.must("x-merit-cost-usd")?, cost(&entry));
    assert!(answer.must("x-merit-warnings")?.contains("seed has no effect here"));
    Ok(())
}

#[test]
fn a_stream_is_canonical_and_ends_with_usage_and_cost() -> Fallible<()> {
    let (market, gateway) = start()?;
    let asked = with(streamed(MODEL), "stream_options", json!({"include_usage": true}));
    for behaviour in ["normal", "byte-by-byte", "crlf", "burst-20", "like-azure", "done-twice", "malformed"] {
        market.provider("claude")?.set(behaviour)?;
        let mut all = chunks(&gateway, &asked)?;
        let usage = all.pop().ok_or("no usage")?;
        let entry = last(&market)?;
        let roles = all.iter().filter(|chunk| chunk.pointer("/choices/0/delta/role").is_some()).count();
        let finishes = all.iter().filter_map(|chunk| chunk.pointer("/choices/0/finish_reason")?.as_str());
        assert_eq!((roles, finishes.collect::<Vec<_>>()), (1, vec!["stop"]), "{behaviour}");
        let said = texts(&all, "/choices/0/delta/content");
        assert_eq!(said.split_whitespace().count() as u64, entry.consumed.completion_tokens, "{behaviour}");
        assert_eq!(usage.get("choices"), Some(&json!([])));
        let stated = usage.pointer("/usage/completion_tokens").and_then(Value::as_u64);
        assert_eq!(stated, Some(entry.consumed.completion_tokens), "{behaviour}");
        let charged = usage.pointer("/merit/cost_usd").and_then(Value::as_str);
        assert_eq!(charged, Some(cost(&entry).as_str()), "{behaviour}");
    }
    Ok(())
}

#[test]
fn tools_are_called_and_their_results_sent_back() -> Fallible<()> {
    let (market, gateway) = start()?;
    market.provider("claude")?.next(&["tools", "tools", "normal"])?;
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
        assert_eq!(serde_json::from_str::<Value>(&arguments)?, serde_json::from_str::<Value>(whole)?);
        assert_eq!(own.iter().filter(|delta| delta.get("id").is_some()).count(), 1);
    }

    let mut messages = vec![json!({"role": "user", "content": "Hello"}), message.clone()];
    for call in calls.iter().rev() {
        messages.push(json!({"role": "tool", "tool_call_id": call.get("id"), "content": "found"}));
    }
    ok(&gateway.chat(&with(asked, "messages", json!(messages)))?)?;
    let sent: Value = serde_json::from_str(&last(&market)?.body)?;
    let results = sent.pointer("/messages/2/content").and_then(Value::as_array).ok_or("no results")?;
    assert!(results.iter().all(|block| block.get("type") == Some(&json!("tool_result"))));
    assert_eq!(results.len(), 2);
    Ok(())
}

#[test]
fn reasoning_comes_with_its_signature_and_goes_back_with_it() -> Fallible<()> {
    let (market, gateway) = start()?;
    market.provider("claude")?.set("reasoning")?;
    let asked = with(chat(MODEL), "reasoning_effort", json!("low"));
    let whole = ok(&gateway.chat(&asked)?)?;
    let sent: Value = serde_json::from_str(&last(&market)?.body)?;
    assert_eq!(sent.get("thinking"), Some(&json!({"type": "enabled", "budget_tokens": 6_400})));
    let message = whole.pointer("/choices/0/message").ok_or("no message")?;
    let thought = message.get("reasoning_content").and_then(Value::as_str).ok_or("no reasoning")?;

    let all = chunks(&gateway, &with(asked.clone(), "stream", json!(true)))?;
    assert_eq!(texts(&all, "/choices/0/delta/reasoning_content"), thought);
    let details = all.iter().find_map(|chunk| chunk.pointer("/choices/0/delta/reasoning_details/0"));
    let details = details.ok_or("no signature")?;
    assert_eq!(details.get("text"), Some(&json!(thought)));

    let next = [
        json!({"role": "user", "content": "Hello"}),
        message.clone(),
        json!({"role": "user", "content": "And?"}),
    ];
    ok(&gateway.chat(&with(asked, "messages", json!(next)))?)?;
    let sent: Value = serde_json::from_str(&last(&market)?.body)?;
    let block = sent.pointer("/messages/1/content/0").ok_or("no thinking was sent back")?;
    assert_eq!(block.get("thinking"), Some(&json!(thought)));
    let signature = message.pointer("/reasoning_details/0/signature");
    assert!(signature.is_some() && block.get("signature") == signature, "{block}");
    Ok(())
}

#[test]
fn a_schema_is_asked_for_as_a_tool_where_there_is_no_other_way() -> Fallible<()> {
    let old = "claude-sonnet-4-20250514";
    let spec = ProviderSpec::named("claude").model(old, 3.0, 15.0, 0.8);
    let market = Market::start(vec![ProviderSpec { dialect: Dialect::Anthropic, ..spec }])?;
    let gateway = Gateway::start(&market.config())?;
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let asked = with(chat(old), "response_format", format);
    let whole = ok(&gateway.chat(&asked)?)?;
    let said = whole.pointer("/choices/0/message/content").and_then(Value::as_str).ok_or("no text")?;
    assert!(serde_json::from_str::<Value>(said)?.is_object(), "{said}");
    assert_eq!(whole.pointer("/choices/0/finish_reason"), Some(&json!("stop")));
    assert_eq!(whole.pointer("/choices/0/message/tool_calls"), None);
    let all = chunks(&gateway, &with(asked, "stream", json!(true)))?;
    let said = texts(&all, "/choices/0/delta/content");
    assert!(serde_json::from_str::<Value>(&said)?.is_object(), "{said}");
    Ok(())
}

#[test]
fn dialects_stand_in_for_each_other() -> Fallible<()> {
    let spare = ProviderSpec::named("spare").model(MODEL, 30.0, 150.0, 0.8);
    let market = Market::start(vec![provider(), spare])?;
    let config = format!("[router]\nobjective = \"cheapest\"\n{}", market.config());
    for behaviour in
        ["status-529", "status-401", "error-200", "cut-after-preamble", "html", "nan", "no-quota"]
    {
        market.provider("claude")?.set(behaviour)?;
        let before = market.provider("claude")?.requests();
        // A new one each time, whose circuits are closed.
        let gateway = Gateway::start(&config)?;
        for body in [chat(MODEL), streamed(MODEL)] {
            let answer = gateway.chat(&body)?;
            assert_eq!(answer.status, 200, "{behaviour}: {}", answer.body);
            assert_eq!(answer.must("x-merit-provider")?, "spare", "{behaviour}");
        }
        assert!(market.provider("claude")?.requests() > before, "{behaviour} was never met");
    }
    Ok(())
}

#[test]
fn what_goes_wrong_is_said_in_the_callers_words() -> Fallible<()> {
    let (market, gateway) = start()?;
    let audio = json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]);
    let answer = gateway.chat(&with(chat(MODEL), "messages", audio))?;
    assert_eq!((answer.status, answer.error_code()?.as_str()), (400, "invalid_request"), "{}", answer.body);
    assert!(answer.body.contains("audio"), "{}", answer.body);
    assert!(market.entries().is_empty());

    market.provider("claude")?.next(&["context-length"])?;
    let answer = gateway.chat(&chat(MODEL))?;
    assert_eq!((answer.status, answer.error_code()?.as_str()), (400, "context_length_exceeded"));

    market.provider("claude")?.set("no-done")?;
    let mut events = Events::open(gateway.api, CHAT, &[], streamed(MODEL).to_string())?;
    let mut all = Vec::new();
    // The connection may break behind the error: whatever came counts.
    while let Ok(Some(event)) = events.next() {
        all.push(event);
    }
    assert!(all.pop().is_some_and(|last| last.contains("\"error\"")), "{all:?}");
    assert!(!all.is_empty() && all.iter().all(|data| data.contains("\"finish_reason\":null")), "{all:?}");
    Ok(())
}

/// What Anthropic's own client cannot read is not what Anthropic sends: so the
/// simulated provider is held to it, without a gateway between.
#[test]
fn the_simulated_provider_is_one_that_anthropics_client_understands() -> Fallible<()> {
    let (market, _gateway) = start()?;
    let url = format!("http://{}", market.provider("claude")?.address());
    for (behaviour, kinds, stop) in [
        ("normal", vec!["text"], "end_turn"),
        ("reasoning", vec!["thinking", "text"], "end_turn"),
        ("tools", vec!["tool_use", "tool_use"], "tool_use"),
        ("refusal", vec![], "refusal"),
    ] {
        market.provider("claude")?.set(behaviour)?;
        let seen = Client::Messages.tell(&url, "sk-upstream", MODEL)?;
        assert_eq!(seen.failed(), Vec::<String>::new(), "{behaviour}");
        let (whole, stream) = (seen.step("whole")?, seen.step("stream")?);
        for step in [whole, stream] {
            let blocks = step.get("blocks").and_then(Value::as_array).ok_or("no blocks")?;
            let found: Vec<&str> = blocks.iter().filter_map(|block| block.get("type")?.as_str()).collect();
            assert_eq!(found, kinds, "{behaviour}");
            assert_eq!(step.get("stop_reason"), Some(&json!(stop)), "{behaviour}");
            let entries = market.entries();
            let of = |entry: &Entry| json!([entry.consumed.prompt_tokens, entry.consumed.completion_tokens]);
            assert!(
                entries.iter().any(|entry| step.get("tokens") == Some(&of(entry))),
                "{behaviour}: {step}"
            );
        }
        assert_eq!(seen.step("models")?.get("ids"), Some(&json!([MODEL])));
        assert_eq!(seen.step("refused")?.get("type"), Some(&json!("invalid_request_error")));
    }
    Ok(())
}

/// llama.cpp's own Messages, behind the gateway, for the official clients.
#[test]
fn clients_do_not_notice_another_dialect() -> Fallible<()> {
    let llama = Llama::start()?;
    let config = format!(
        "[providers.real]\ndialect = \"anthropic\"\nbase_url = \"{}\"\n[[providers.real.models]]\nname = \"tiny\"\n\
         context = 2048\nquality = 0.5\nprice = {{ input = 1.0, output = 1.0 }}\n",
        llama.base_url()
    );
    let gateway = Gateway::start(&config)?;
    for client in [Client::Python, Client::Node] {
        understood(&client.tell(&gateway.base_url(), "any", "tiny")?)?;
    }
    Ok(())
}

fn understood(seen: &Seen) -> Fallible<()> {
    for step in ["complete", "headers", "stream", "stream_with_usage", "stream_helper"] {
        assert_eq!(seen.content(step)?, ANSWER, "{step}");
    }
    for step in ["tools", "tools_streamed"] {
        let step = seen.step(step)?;
        assert_eq!(step.pointer("/calls/0/name"), Some(&json!(TOOL)));
        assert_eq!(step.pointer("/finish_reason"), Some(&json!("tool_calls")));
    }
    Ok(())
}
