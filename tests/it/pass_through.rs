//! What the gateway does not need to understand goes through it untouched, in
//! both directions and to the byte.

use serde_json::json;

use crate::support::Fallible;
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{self, Events};
use crate::support::keys::configured;
use crate::support::market::Market;

/// Each key, and the model that it reads: the upstream's word or ours.
const SEEN: [(&str, &str); 2] = [("sk-full", "vendor/small-0815"), ("sk-model", "small")];

/// Members nobody knows, written as no serialiser would.
const STRANGE: &str = r#""x_new" : {"b":2.50,"a":[1e2,-0, 12345678901234567890123],"e":"\u00e9 é \/"}"#;

fn start(market: &Market) -> Fallible<Gateway> {
    let base = market.provider("sim")?.base_url();
    let keys = configured(&[("full", ""), ("model", "expose = \"model\"")]);
    Gateway::start(&format!(
        "{keys}[providers.sim]\nbase_url = \"{base}\"\n[[providers.sim.models]]\nname = \"small\"\n\
         upstream = \"vendor/small-0815\"\nprice = {{ input = 1.0, output = 2.0 }}\n"
    ))
}

/// A body that is sent as it stands, with a content type.
fn scripted(kind: &str, body: &str) -> String {
    let quoted = body.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let length = body.len();
    format!(
        "[send \"HTTP/1.1 200 OK\\r\\ncontent-type: {kind}\\r\\ncontent-length: {length}\\r\\n\\r\\n\", send \"{quoted}\"]"
    )
}

fn post(gateway: &Gateway, key: &str, body: &str) -> Fallible<http::Answer> {
    http::send(gateway.api, "POST", CHAT, &[("x-api-key", key)], body)
}

#[test]
fn requests_reach_the_upstream_as_they_were_written() -> Fallible<()> {
    let market = Market::of_one()?;
    market.provider("sim")?.set("normal")?;
    let gateway = start(&market)?;
    let messages = r#""messages":[ {"content":"Grüße \u0041 \ud83d\ude00","role":"user","x_mine":null} ]"#;
    let strange = STRANGE;
    for (sent, expected) in [
        (
            format!("{{ \"model\" : \"small\", {messages},\n\t{strange} }}"),
            format!("{{ \"model\" : \"vendor/small-0815\", {messages},\n\t{strange} }}"),
        ),
        (
            format!(r#"{{{strange},"merit":{{"objective":"cheapest"}},{messages},"model":"small"}}"#),
            format!(r#"{{{strange},{messages},"model":"vendor/small-0815"}}"#),
        ),
        (
            format!(r#"{{"provider":{{"only":["sim"]}},{messages},"model":"small:floor",{strange}}}"#),
            format!(r#"{{{messages},"model":"vendor/small-0815",{strange}}}"#),
        ),
        (
            format!(r#"{{{messages},"model":"small",{strange},"provider":{{"sort":"price"}},"merit":{{}}}}"#),
            format!(r#"{{{messages},"model":"vendor/small-0815",{strange}}}"#),
        ),
        (
            format!(
                r#"{{"stream":true,{messages},"stream_options":{{"x_too":1}},"model":"small",{strange}}}"#
            ),
            format!(
                r#"{{"stream":true,{messages},"stream_options":{{"include_usage":true,"x_too":1}},"model":"vendor/small-0815",{strange}}}"#
            ),
        ),
    ] {
        // The simulator would answer 404 to a model that it does not have.
        market
            .provider("sim")?
            .next(&["[send \"HTTP/1.1 400 Bad Request\\r\\ncontent-length: 2\\r\\n\\r\\n{}\"]"])?;
        assert_eq!(post(&gateway, "sk-full", &sent)?.status, 400);
        let entries = market.entries();
        let entry = entries.last().ok_or("nothing reached the upstream")?;
        assert_eq!(entry.body, expected);
        assert_eq!(entry.path, CHAT);
        let names: Vec<&str> = entry.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(!names.iter().any(|name| name.starts_with("x-merit")), "{names:?}");
    }
    Ok(())
}

#[test]
fn answers_reach_the_caller_as_they_were_written() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let strange = STRANGE;
    let answer = |model: &str| {
        format!(
            "{{ \"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\n  \"model\" : \"{model}\",{strange},\
             \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"H\\u00e9 😀\",\"refusal\":null,\"x_inner\":[ ]}},\
             \"logprobs\":null,\"finish_reason\":\"stop\",\"x_choice\":1.0}}],\
             \"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"x_usage\":0.10}},\"x_last\":{{}} }}"
        )
    };
    for (key, model) in SEEN {
        market.provider("sim")?.next(&[&scripted("application/json", &answer("vendor/small-0815"))])?;
        let got = post(&gateway, key, r#"{"model":"small","messages":[{"role":"user","content":"x"}]}"#)?;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.body, answer(model));
        assert_eq!(got.must("x-merit-cost-usd")?, "0.000007000");
    }
    Ok(())
}

#[test]
fn events_reach_the_caller_as_they_were_written() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let strange = STRANGE;
    let chunk = |model: &str, delta: &str, finish: &str| {
        format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"{model}",{strange},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish},"x_c":1.0}}]}}"#
        )
    };
    let events = |model: &str| {
        vec![
            chunk(model, r#"{"role":"assistant","content":""}"#, "null"),
            chunk(model, r#"{"content":"H\u00e9","x_d":null}"#, "null"),
            chunk(model, r#"{"content":" 😀"}"#, "null"),
            chunk(model, "{}", "\"stop\""),
        ]
    };
    let usage = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"vendor/small-0815","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let mut sent = events("vendor/small-0815");
    sent.extend([usage.to_owned(), "[DONE]".to_owned()]);
    let body = format!("data: {}\n\n", sent.join("\n\ndata: "));
    let ask = json!({ "model": "small", "stream": true, "messages": [{ "role": "user", "content": "x" }] });
    for (key, model) in SEEN {
        market.provider("sim")?.next(&[&scripted("text/event-stream", &body)])?;
        let got = Events::open(gateway.api, CHAT, &[("x-api-key", key)], ask.to_string())?.rest()?;
        let mut expected = events(model);
        expected.push("[DONE]".to_owned());
        assert_eq!(got, expected);
    }
    Ok(())
}
