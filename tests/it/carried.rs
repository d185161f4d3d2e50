//! What models sign goes back to them, although the client drops what it does not
//! know; and only to whom it was given.

use merit::catalog::Dialect;
use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::fake::Fake;
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::Events;
use crate::support::keys::configured;
use crate::support::market::Market;

fn tools() -> Value {
    json!([{ "type": "function", "function": { "name": "look_up", "parameters": { "type": "object", "properties": {} } } }])
}

/// The next turn of a client that keeps of calls what OpenAI has, and no more.
fn next_turn(model: &str, id: &Value) -> Value {
    let call = json!({ "id": id, "type": "function", "function": { "name": "look_up", "arguments": "{}" } });
    let messages = json!([{ "role": "user", "content": "Hello" }, { "role": "assistant", "tool_calls": [call] },
        { "role": "tool", "tool_call_id": id, "content": "found" }]);
    with(with(chat(model), "tools", tools()), "messages", messages)
}

#[test]
fn a_signature_survives_a_client_that_drops_it_for_its_own_caller_alone() -> Fallible<()> {
    const MODEL: &str = "gemini-3.1-pro-preview";
    let spec = ProviderSpec::named("google").model(MODEL, 2.0, 12.0, 0.8);
    let market = Market::start(vec![ProviderSpec { dialect: Dialect::Gemini, ..spec }])?;
    let keys = configured(&[("own", "expose = \"full\""), ("other", "expose = \"full\"")]);
    let gateway = Gateway::start(&format!("{keys}{}", market.config()))?;
    let (own, other) = (("x-api-key", "sk-own"), ("x-api-key", "sk-other"));
    let provider = market.provider("google")?;
    let sent = || -> Fallible<Value> {
        Ok(serde_json::from_str(&market.entries().pop().ok_or("nothing was sent")?.body)?)
    };
    for stream in [false, true] {
        provider.next(&["tools"])?;
        let asked = with(with(chat(MODEL), "tools", tools()), "stream", json!(stream));
        let id = if stream {
            let events = Events::open(gateway.api, CHAT, &[own], asked.to_string())?.rest()?;
            let calls = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
            let mut ids =
                calls.filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0/id").cloned());
            ids.next().ok_or("no call in the stream")?
        } else {
            let answer = gateway.chat_as(&[own], &asked)?.json()?;
            answer["choices"][0]["message"]["tool_calls"][0]["id"].clone()
        };
        let answer = gateway.chat_as(&[own], &next_turn(MODEL, &id))?;
        assert_eq!((answer.status, answer.header("x-merit-warnings")), (200, None), "{}", answer.body);
        let signature = sent()?.pointer("/contents/1/parts/0/thoughtSignature").cloned();
        assert_eq!(signature, Some(json!("c2lnbmVkIGJ5IHRoZSBzaW11bGF0b3I=")), "stream: {stream}");

        let answer = gateway.chat_as(&[other], &next_turn(MODEL, &id))?;
        assert!(answer.must("x-merit-warnings")?.contains("signature"), "a stranger got it");
        let signature = sent()?.pointer("/contents/1/parts/0/thoughtSignature").cloned();
        assert_ne!(signature, Some(json!("c2lnbmVkIGJ5IHRoZSBzaW11bGF0b3I=")));
    }
    Ok(())
}

#[test]
fn thoughts_before_a_call_go_back_with_it() -> Fallible<()> {
    let thinking = json!({ "type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk" });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [thinking, { "type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {} }],
        "stop_reason": "tool_use", "usage": { "input_tokens": 3, "output_tokens": 2 } });
    let claude = Fake::start(move |_, _| (200, String::new(), message.to_string()))?;
    let gateway = Gateway::start(&format!(
        "[providers.claude]\ndialect = \"anthropic\"\nbase_url = \"{}\"\nmodels = [{{ name = \"claude-sonnet-4-5\", \
         price = {{ input = 1, output = 2 }} }}]\n",
        claude.url()
    ))?;
    let model = "claude-sonnet-4-5";
    let asked = with(with(chat(model), "tools", tools()), "reasoning_effort", json!("low"));
    assert_eq!(gateway.chat(&asked)?.status, 200);
    let next = with(next_turn(model, &json!("toolu_1")), "reasoning_effort", json!("low"));
    assert_eq!(gateway.chat(&next)?.status, 200);
    let sent: Value = serde_json::from_str(&claude.asked().pop().ok_or("nothing was sent")?.body)?;
    let first = json!({ "type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk" });
    assert_eq!(sent.pointer("/messages/1/content/0"), Some(&first), "{sent}");
    assert_eq!(sent.pointer("/messages/1/content/1/type"), Some(&json!("tool_use")), "{sent}");
    Ok(())
}
