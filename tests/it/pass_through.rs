//! What the gateway does not need to understand goes through it untouched, in
//! both directions and to the byte.

use serde_json::json;

use crate::support::Fallible;
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{self, Events};
use crate::support::keys::configured;
use crate::support::market::Market;

/// What stands for the upstream's id where that is not shown.
const HIDDEN_ID: &str = "chatcmpl-75baec48cedd68f8d7f6b678";

/// What a chunk says beside what the model says.
struct Envelope<'t> {
    id: &'t str,
    model: &'t str,
    top: &'t str,
    choice: &'t str,
}

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
    let answer = |id: &str, model: &str, [top, choice, usage, last]: [&str; 4]| {
        format!(
            "{{ \"id\":\"{id}\",\"object\":\"chat.completion\",\"created\":1,\n  \"model\" : \"{model}\"{top},\
             \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"H\\u00e9 😀\",\"refusal\":null,\"x_inner\":[ ]}},\
             \"logprobs\":null,\"finish_reason\":\"stop\"{choice}}}],\
             \"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5{usage}}}{last} }}"
        )
    };
    let top = format!(",{strange}");
    let said = [top.as_str(), ",\"x_choice\":1.0", ",\"x_usage\":0.10", ",\"x_last\":{}"];
    let source = answer("chatcmpl-1", "vendor/small-0815", said);
    // Who may not see the upstream gets what OpenAI documents and what the model said.
    let hidden = answer(HIDDEN_ID, "small", [""; 4]);
    for (key, expected) in [("sk-full", &source), ("sk-model", &hidden)] {
        market.provider("sim")?.next(&[&scripted("application/json", &source)])?;
        let got = post(&gateway, key, r#"{"model":"small","messages":[{"role":"user","content":"x"}]}"#)?;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(&got.body, expected);
        assert_eq!(got.must("x-merit-cost-usd")?, "0.000007000");
    }
    Ok(())
}

#[test]
fn events_reach_the_caller_as_they_were_written() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let strange = STRANGE;
    let chunk = |who: &Envelope<'_>, delta: &str, finish: &str| {
        let Envelope { id, model, top, choice } = who;
        format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":1,"model":"{model}"{top},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}{choice}}}]}}"#
        )
    };
    let events = |who: &Envelope<'_>| {
        vec![
            chunk(who, r#"{"role":"assistant","content":""}"#, "null"),
            chunk(who, r#"{"content":"H\u00e9","x_d":null}"#, "null"),
            chunk(who, r#"{"content":" 😀"}"#, "null"),
            chunk(who, "{}", "\"stop\""),
        ]
    };
    let top = format!(",{strange}");
    let upstream =
        Envelope { id: "chatcmpl-1", model: "vendor/small-0815", top: &top, choice: ",\"x_c\":1.0" };
    let hidden = Envelope { id: HIDDEN_ID, model: "small", top: "", choice: "" };
    let usage = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"vendor/small-0815","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let mut sent = events(&upstream);
    sent.extend([usage.to_owned(), "[DONE]".to_owned()]);
    let body = format!("data: {}\n\n", sent.join("\n\ndata: "));
    let ask = json!({ "model": "small", "stream": true, "messages": [{ "role": "user", "content": "x" }] });
    for (key, who) in [("sk-full", &upstream), ("sk-model", &hidden)] {
        market.provider("sim")?.next(&[&scripted("text/event-stream", &body)])?;
        let got = Events::open(gateway.api, CHAT, &[("x-api-key", key)], ask.to_string())?.rest()?;
        let mut expected = events(who);
        expected.push("[DONE]".to_owned());
        assert_eq!(got, expected);
    }
    Ok(())
}

#[test]
fn answers_are_understood_whatever_they_are_labelled() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let json = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,"finish_reason":"stop"}]}"#;
    let events = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for (label, body) in [
        ("text/event-stream", json),
        ("Text/HTML", json),
        ("application/json", events),
        ("TEXT/EVENT-STREAM", events),
    ] {
        for stream in [false, true] {
            market.provider("sim")?.next(&[&scripted(label, body)])?;
            let ask = json!({ "model": "small", "stream": stream, "messages": [{ "role": "user", "content": "x" }] });
            let got = post(&gateway, "sk-full", &ask.to_string())?;
            assert_eq!(got.status, 200, "{label}: {}", got.body);
            assert!(got.body.contains("\"Hello\""), "{label}: {}", got.body);
            assert_eq!(got.body.contains("data: [DONE]"), stream, "{label}");
        }
    }
    Ok(())
}

#[test]
fn what_a_model_refuses_is_left_out_and_named() -> Fallible<()> {
    let market = Market::start(vec![merit::sim::ProviderSpec::named("sim")])?;
    let base = market.provider("sim")?.base_url();
    let gateway = Gateway::start(&format!(
        "[providers.sim]\nbase_url = \"{base}\"\n[[providers.sim.models]]\nname = \"gpt-5-mini\"\n\
         upstream = \"deployment-7\"\nprice = {{ input = 1.0, output = 2.0 }}\n"
    ))?;
    let body = json!({ "model": "gpt-5-mini", "temperature": 0.1, "max_tokens": 40,
        "messages": [{ "role": "user", "content": "Hello" }] });
    let answer = gateway.chat(&body)?;
    let warnings = answer.must("x-merit-warnings")?;
    assert!(warnings.contains("temperature has no effect here"), "{warnings}");
    assert!(warnings.contains("max_tokens was sent as max_completion_tokens"), "{warnings}");
    let sent: serde_json::Value = serde_json::from_str(&market.entries()[0].body)?;
    let expected =
        json!({ "model": "deployment-7", "max_completion_tokens": 40, "messages": body["messages"] });
    assert_eq!(sent, expected);
    let refused =
        gateway.chat(&json!({ "model": "gpt-5-mini", "logprobs": true, "messages": body["messages"] }))?;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("logprobs"), "{}", refused.body);
    Ok(())
}
