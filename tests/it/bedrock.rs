//! Callers speak chat, the upstream speaks Bedrock's Converse or, of Claude,
//! `InvokeModel`, and nobody notices.

use merit::catalog::Dialect;
use merit::sim::{Entry, ProviderSpec, credential_digest};
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::clients::Client;
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{Answer, Events};
use crate::support::market::Market;

const NOVA: &str = "amazon.nova-2-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// A provider of both at 3 and 15 USD per million tokens.
fn provider() -> ProviderSpec {
    let spec = ProviderSpec::named("aws").model(NOVA, 3.0, 15.0, 0.8).model(CLAUDE, 3.0, 15.0, 0.8);
    ProviderSpec { dialect: Dialect::Bedrock, key: Some("bedrock-api-key".to_owned()), ..spec }
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

fn sent(market: &Market) -> Fallible<Value> {
    Ok(serde_json::from_str(&last(market)?.body)?)
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
    for (model, path) in [
        (NOVA, "/v1/model/amazon.nova-2-lite-v1%3A0/converse"),
        (CLAUDE, "/v1/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"),
    ] {
        let answer = gateway.chat(&with(chat(model), "seed", json!(1)))?;
        let body = ok(&answer)?;
        let entry = last(&market)?;
        assert_eq!(entry.path, path);
        assert_eq!(entry.credential, Some(credential_digest("bedrock-api-key")));
        let accept = entry.headers.iter().find(|(name, _)| name == "accept").map(|(_, value)| value.as_str());
        assert_eq!(accept, Some("application/json"));
        assert_eq!(body.get("model"), Some(&json!(model)));
        assert!(body.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty()));
        assert_eq!(body.pointer("/choices/0/finish_reason"), Some(&json!("stop")));
        let said = body.pointer("/choices/0/message/content").and_then(Value::as_str).ok_or("no text")?;
        assert_eq!(said.split_whitespace().count() as u64, entry.consumed.completion_tokens);
        let tokens = |name: &str| body.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
        assert_eq!(tokens("prompt_tokens"), Some(entry.consumed.prompt_tokens));
        assert_eq!(tokens("completion_tokens"), Some(entry.consumed.completion_tokens));
        assert_eq!(answer.must("x-merit-cost-usd")?, cost(&entry));
        assert!(answer.must("x-merit-warnings")?.contains("seed has no effect here"));
    }
    Ok(())
}

#[test]
fn a_stream_is_canonical_and_ends_with_usage_and_cost() -> Fallible<()> {
    let (market, gateway) = start()?;
    for model in [NOVA, CLAUDE] {
        let asked = with(streamed(model), "stream_options", json!({"include_usage": true}));
        for behaviour in ["normal", "byte-by-byte", "burst-20", "done-twice", "malformed", "wrong-type"] {
            market.provider("aws")?.set(behaviour)?;
            let mut all = chunks(&gateway, &asked)?;
            let usage = all.pop().ok_or("no usage")?;
            let entry = last(&market)?;
            let finishes = all.iter().filter_map(|chunk| chunk.pointer("/choices/0/finish_reason")?.as_str());
            assert_eq!(finishes.collect::<Vec<_>>(), vec!["stop"], "{behaviour}");
            let said = texts(&all, "/choices/0/delta/content");
            assert_eq!(
                said.split_whitespace().count() as u64,
                entry.consumed.completion_tokens,
                "{behaviour}"
            );
            assert_eq!(usage.get("choices"), Some(&json!([])));
            let charged = usage.pointer("/merit/cost_usd").and_then(Value::as_str);
            assert_eq!(charged, Some(cost(&entry).as_str()), "{behaviour}");
        }
    }
    Ok(())
}

#[test]
fn tools_are_called_and_their_results_sent_back() -> Fallible<()> {
    let (market, gateway) = start()?;
    market.provider("aws")?.next(&["tools", "tools", "normal"])?;
    let function = json!({"name": "look_up", "parameters": {"type": "object", "properties": {}}});
    let asked = with(chat(NOVA), "tools", json!([{"type": "function", "function": function}]));
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
    let sent = sent(&market)?;
    let results = sent.pointer("/messages/2/content").and_then(Value::as_array).ok_or("no results")?;
    assert!(results.iter().all(|block| block.get("toolResult").is_some()), "{results:?}");
    assert_eq!(results.len(), 2);
    Ok(())
}

#[test]
fn reasoning_comes_with_its_signature_and_goes_back_with_it() -> Fallible<()> {
    let (market, gateway) = start()?;
    market.provider("aws")?.set("reasoning")?;
    let asked = with(chat(NOVA), "reasoning_effort", json!("low"));
    let whole = ok(&gateway.chat(&asked)?)?;
    let effort = json!({"type": "enabled", "maxReasoningEffort": "low"});
    assert_eq!(sent(&market)?.pointer("/additionalModelRequestFields/reasoningConfig"), Some(&effort));
    let message = whole.pointer("/choices/0/message").ok_or("no message")?;
    let thought = message.get("reasoning_content").and_then(Value::as_str).ok_or("no reasoning")?;

    let all = chunks(&gateway, &with(asked.clone(), "stream", json!(true)))?;
    assert_eq!(texts(&all, "/choices/0/delta/reasoning_content"), thought);

    let user = |text: &str| json!({"role": "user", "content": text});
    let next = json!([user("Hello"), message, user("And?")]);
    ok(&gateway.chat(&with(asked, "messages", next))?)?;
    let sent = sent(&market)?;
    let said =
        sent.pointer("/messages/1/content/0/reasoningContent/reasoningText").ok_or("none went back")?;
    assert_eq!(said.get("text"), Some(&json!(thought)));
    let signature = message.pointer("/reasoning_details/0/signature");
    assert!(signature.is_some() && said.get("signature") == signature, "{said}");
    Ok(())
}

#[test]
fn images_and_schemas_reach_the_model() -> Fallible<()> {
    let (market, gateway) = start()?;
    let image =
        |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    ok(&gateway.chat(&with(chat(NOVA), "messages", image("data:image/png;base64,iVBORw0K")))?)?;
    let block = json!({"image": {"format": "png", "source": {"bytes": "iVBORw0K"}}});
    assert_eq!(sent(&market)?.pointer("/messages/0/content/0"), Some(&block));
    let before = market.entries().len();
    for model in [NOVA, CLAUDE] {
        let answer = gateway.chat(&with(chat(model), "messages", image("https://example.com/a.png")))?;
        assert_eq!(
            (answer.status, answer.error_code()?.as_str()),
            (400, "invalid_request"),
            "{}",
            answer.body
        );
        assert!(answer.body.contains("by link"), "{}", answer.body);
    }
    assert_eq!(market.entries().len(), before, "a link was sent on");

    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let asked = with(chat(NOVA), "response_format", format);
    let whole = ok(&gateway.chat(&asked)?)?;
    let said = whole.pointer("/choices/0/message/content").and_then(Value::as_str).ok_or("no text")?;
    assert!(serde_json::from_str::<Value>(said)?.is_object(), "{said}");
    assert_eq!(whole.pointer("/choices/0/finish_reason"), Some(&json!("stop")));
    let said = texts(&chunks(&gateway, &with(asked, "stream", json!(true)))?, "/choices/0/delta/content");
    assert!(serde_json::from_str::<Value>(&said)?.is_object(), "{said}");
    Ok(())
}

#[test]
fn another_provider_stands_in_for_every_fault() -> Fallible<()> {
    let spare = ProviderSpec::named("spare").model(NOVA, 30.0, 150.0, 0.8).model(CLAUDE, 30.0, 150.0, 0.8);
    let market = Market::start(vec![provider(), spare])?;
    let config = format!("[router]\nobjective = \"cheapest\"\n{}", market.config());
    for behaviour in [
        "rate-limit",
        "status-503",
        "status-401",
        "status-403",
        "status-404",
        "status-424",
        "error-200",
        "error-chunk",
        "cut-after-preamble",
        "html",
        "no-quota",
    ] {
        market.provider("aws")?.set(behaviour)?;
        let before = market.provider("aws")?.requests();
        // A new one each time, whose circuits are closed.
        let gateway = Gateway::start(&config)?;
        // An exception in a stream has no counterpart in a whole answer.
        let whole = Some(chat(NOVA)).filter(|_| behaviour != "error-chunk");
        for body in whole.into_iter().chain([streamed(NOVA), streamed(CLAUDE)]) {
            let answer = gateway.chat(&body)?;
            assert_eq!(answer.status, 200, "{behaviour}: {}", answer.body);
            assert_eq!(answer.must("x-merit-provider")?, "spare", "{behaviour}");
        }
        assert!(market.provider("aws")?.requests() > before, "{behaviour} was never met");
    }
    Ok(())
}

#[test]
fn a_stream_that_breaks_ends_with_an_error() -> Fallible<()> {
    let (market, gateway) = start()?;
    for model in [NOVA, CLAUDE] {
        for behaviour in ["bad-checksum", "cut-after-3", "error-after-3", "no-done"] {
            market.provider("aws")?.next(&[behaviour])?;
            let mut events = Events::open(gateway.api, CHAT, &[], streamed(model).to_string())?;
            let mut all = Vec::new();
            // The connection may break behind the error: whatever came counts.
            while let Ok(Some(event)) = events.next() {
                all.push(event);
            }
            assert!(all.pop().is_some_and(|last| last.contains("\"error\"")), "{model} {behaviour}: {all:?}");
            assert!(all.iter().any(|data| data.contains("\"content\":\"")), "{model} {behaviour}: {all:?}");
        }
    }
    Ok(())
}

#[test]
fn what_goes_wrong_is_said_in_the_callers_words() -> Fallible<()> {
    let (market, gateway) = start()?;
    market.provider("aws")?.next(&["context-length", "status-400", "status-403"])?;
    let answer = gateway.chat(&chat(NOVA))?;
    assert_eq!((answer.status, answer.error_code()?.as_str()), (400, "context_length_exceeded"));
    assert_eq!(gateway.chat(&chat(NOVA))?.status, 400);
    let answer = gateway.chat(&chat(NOVA))?;
    assert!(answer.status >= 500, "an upstream's refusal of our key became {}", answer.status);
    Ok(())
}

/// What AWS's own client cannot read is not what Bedrock sends: so the simulated
/// provider is held to it, without a gateway between; and what the gateway sends
/// has the form of what that client sends.
#[test]
fn awss_own_client_reads_the_simulated_provider_and_asks_as_we_do() -> Fallible<()> {
    let market = Market::start(vec![ProviderSpec { key: None, ..provider() }])?;
    let gateway = Gateway::start(&market.config())?;
    let url = market.provider("aws")?.base_url();
    for (behaviour, kinds, stop) in [
        ("normal", vec!["text"], "end_turn"),
        ("reasoning", vec!["reasoningContent", "text"], "end_turn"),
        ("tools", vec!["toolUse", "toolUse"], "tool_use"),
        ("refusal", vec!["text"], "content_filtered"),
    ] {
        market.provider("aws")?.set(behaviour)?;
        let before = market.entries().len();
        let seen = Client::Bedrock.tell(&url, "any", NOVA)?;
        assert_eq!(seen.failed(), Vec::<String>::new(), "{behaviour}");
        let entries = market.entries().split_off(before);
        for step in [seen.step("whole")?, seen.step("stream")?] {
            assert_eq!(step.get("kinds"), Some(&json!(kinds)), "{behaviour}");
            assert_eq!(step.get("stop"), Some(&json!(stop)), "{behaviour}");
            let of = |entry: &Entry| json!([entry.consumed.prompt_tokens, entry.consumed.completion_tokens]);
            assert!(
                entries.iter().any(|entry| step.get("tokens") == Some(&of(entry))),
                "{behaviour}: {step}"
            );
        }
        let events = seen.step("claude")?.get("events").and_then(Value::as_array).ok_or("no events")?;
        assert_eq!(events.last(), Some(&json!("message_stop")), "{behaviour}");
        assert_eq!(seen.step("refused")?.get("status"), Some(&json!(400)));
    }

    market.provider("aws")?.set("normal")?;
    let theirs = market.entries().into_iter().find(|entry| entry.path.ends_with("/converse"));
    let theirs = theirs.ok_or("the client asked nothing")?;
    let messages =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]);
    let function = json!({"name": "look_up", "parameters": {"type": "object", "properties": {}}});
    let mut asked = with(chat(NOVA), "messages", messages);
    for (name, value) in [
        ("max_tokens", json!(200)),
        ("temperature", json!(0.5)),
        ("tools", json!([{"type": "function", "function": function}])),
    ] {
        asked = with(asked, name, value);
    }
    ok(&gateway.chat(&asked)?)?;
    let ours = last(&market)?;
    assert_eq!(ours.path, theirs.path);
    assert_eq!(serde_json::from_str::<Value>(&ours.body)?, serde_json::from_str::<Value>(&theirs.body)?);
    Ok(())
}
