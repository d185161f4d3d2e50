//! What it costs to read a request and to pass a stream on, without any network.
//!
//! `cargo bench --bench relay`

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use merit::catalog::{Auth, Capabilities, Dialect, Endpoint, EndpointId, ModelId, Provider, Timeouts};
use merit::dialect::{Codec, Progress, Style, codec, event_stream};
use merit::request::ChatRequest;
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

/// Events of one stream: a long answer.
const EVENTS: usize = 1_000;

fn speaks(dialect: Dialect) -> &'static dyn Codec {
    codec(dialect).unwrap_or_else(|| unreachable!("it is built in"))
}

fn openai() -> &'static dyn Codec {
    speaks(Dialect::OpenAi)
}

/// A stream as OpenAI sends it when usage is asked for.
fn stream(reasoning: &str) -> Bytes {
    let chunk = |delta: serde_json::Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        let chunk = json!({
            "id": "chatcmpl-BmaV0bbUGmCXfTYdPGmVJGKOZbCAC", "object": "chat.completion.chunk", "created": 1_763_800_000,
            "model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_34a54ae93c",
            "choices": [choice], "usage": null
        });
        format!("data: {chunk}\n\n")
    };
    let mut text = chunk(json!({"role": "assistant", "content": "", "refusal": null}), None);
    for index in 0..EVENTS {
        text.push_str(&chunk(json!({ reasoning: format!(" token{index}") }), None));
    }
    text.push_str(&chunk(json!({}), Some("stop")));
    text.push_str("data: [DONE]\n\n");
    Bytes::from(text)
}

/// As many tokens, as Anthropic sends them.
fn messages() -> Bytes {
    let event = |name: &str, mut data: serde_json::Value| {
        if let Some(members) = data.as_object_mut() {
            members.insert("type".to_owned(), name.into());
        }
        format!("event: {name}\ndata: {data}\n\n")
    };
    let message = json!({"id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "content": [],
        "model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 25, "output_tokens": 1}});
    let mut text = event("message_start", json!({ "message": message }));
    text.push_str(&event(
        "content_block_start",
        json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
    ));
    for index in 0..EVENTS {
        let delta = json!({"type": "text_delta", "text": format!(" token{index}")});
        text.push_str(&event("content_block_delta", json!({"index": 0, "delta": delta})));
    }
    text.push_str(&event("content_block_stop", json!({"index": 0})));
    let usage = json!({ "output_tokens": EVENTS });
    text.push_str(&event("message_delta", json!({"delta": {"stop_reason": "end_turn"}, "usage": usage})));
    text.push_str(&event("message_stop", json!({})));
    Bytes::from(text)
}

/// One event with so many bytes of text.
fn big_message(bytes: usize) -> Bytes {
    let delta = json!({"type": "text_delta", "text": "a line of text\n".repeat(bytes / 15)});
    let message = r#"data: {"type":"message_start","message":{"id":"msg_01","model":"m"}}"#;
    format!("{message}\n\ndata: {}\n\n", json!({"type": "content_block_delta", "index": 0, "delta": delta}))
        .into()
}

/// The same as Google streams them.
fn contents() -> Bytes {
    let event = |text: &str, rest: &str| {
        format!(
            "data: {{\"candidates\": [{{\"content\": {{\"parts\": [{{\"text\": \"{text}\"}}],\"role\": \"model\"}}{rest},\
             \"index\": 0}}],\"usageMetadata\": {{\"promptTokenCount\": 11,\"candidatesTokenCount\": 5,\
             \"totalTokenCount\": 16,\"promptTokensDetails\": [{{\"modality\": \"TEXT\",\"tokenCount\": 11}}]}},\
             \"modelVersion\": \"gemini-2.5-flash\",\"responseId\": \"TtBbaP2yJ4Wv1MkP\"}}\r\n\r\n"
        )
    };
    let mut text: String = (0..EVENTS).map(|index| event(&format!(" token{index}"), "")).collect();
    text.push_str(&event("", ",\"finishReason\": \"STOP\""));
    Bytes::from(text)
}

/// The same as Bedrock's Converse streams them, padding included.
fn converse() -> Bytes {
    let mut stream = Vec::new();
    let mut event = |name: &str, payload: serde_json::Value| {
        stream.extend_from_slice(&event_stream::event(name, payload.to_string().as_bytes()));
    };
    event("messageStart", json!({"p": "abcdefghijk", "role": "assistant"}));
    for index in 0..EVENTS {
        let padding = "abcdefghijklmnopqrstuvwxyzABCDEF".get(..index % 32);
        let delta = json!({"text": format!(" token{index}")});
        event("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": delta, "p": padding}));
    }
    event("contentBlockStop", json!({"contentBlockIndex": 0, "p": "ab"}));
    event("messageStop", json!({"p": "abcd", "stopReason": "end_turn"}));
    let usage = json!({"inputTokens": 25, "outputTokens": EVENTS, "totalTokens": EVENTS + 25});
    event("metadata", json!({"metrics": {"latencyMs": 900}, "p": "ab", "usage": usage}));
    Bytes::from(stream)
}

/// One message with so many bytes of text.
fn big_frame(bytes: usize) -> Bytes {
    let delta = json!({"contentBlockIndex": 0, "delta": {"text": "a line of text\n".repeat(bytes / 15)}});
    event_stream::event("contentBlockDelta", delta.to_string().as_bytes())
}

fn relay(source: &Bytes, size: usize, style: &Style) -> usize {
    pass(openai(), source, size, style)
}

fn pass(codec: &dyn Codec, source: &Bytes, size: usize, style: &Style) -> usize {
    let mut decoder = codec.stream(style);
    let mut out = Vec::new();
    let mut bytes = 0;
    let mut at = 0;
    while at < source.len() {
        let end = (at + size).min(source.len());
        match decoder.feed(source.slice(at..end), &mut out) {
            Ok(Progress::More) => {}
            Ok(Progress::Ended) => break,
            Err(failure) => unreachable!("{failure:?}"),
        }
        bytes += out.drain(..).map(|piece| piece.len()).sum::<usize>();
        at = end;
    }
    bytes
}

fn streams(criterion: &mut Criterion) {
    let asked = Style { model: None, include_usage: true, ..Style::default() };
    let renamed = Style { model: Some("our-model".into()), include_usage: false, ..Style::default() };
    for (name, style, member) in [
        ("untouched", &asked, "content"),
        ("spliced", &renamed, "content"),
        ("reasoning", &asked, "reasoning"),
    ] {
        let source = stream(member);
        let mut group = criterion.benchmark_group(format!("relay/{name}"));
        group.throughput(Throughput::BytesDecimal(source.len() as u64));
        for size in [64, 256, 1_024, 4_096, 16_384] {
            group.bench_with_input(BenchmarkId::new("bytes", size), &size, |bencher, size| {
                bencher.iter(|| relay(black_box(&source), *size, style));
            });
        }
        group.throughput(Throughput::Elements(EVENTS as u64));
        group.bench_function("events/1024", |bencher| {
            bencher.iter(|| relay(black_box(&source), 1_024, style));
        });
        group.finish();
    }
}

/// What another dialect costs: the same tokens, translated.
fn translations(criterion: &mut Criterion) {
    let asked = Style { model: None, include_usage: true, ..Style::default() };
    for (name, dialect, source) in [
        ("relay/anthropic", Dialect::Anthropic, messages()),
        ("relay/gemini", Dialect::Gemini, contents()),
        ("relay/bedrock", Dialect::Bedrock, converse()),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(EVENTS as u64));
        for size in [256, 1_024, 16_384] {
            group.bench_with_input(BenchmarkId::new("events", size), &size, |bencher, size| {
                bencher.iter(|| pass(speaks(dialect), black_box(&source), *size, &asked));
            });
        }
        group.finish();
    }
    for (name, dialect, big) in [
        ("relay/anthropic", Dialect::Anthropic, big_message as fn(usize) -> Bytes),
        ("relay/bedrock", Dialect::Bedrock, big_frame),
    ] {
        let mut group = criterion.benchmark_group(name);
        for bytes in [1 << 20, 4 << 20] {
            let source = big(bytes);
            group.throughput(Throughput::BytesDecimal(source.len() as u64));
            group.bench_with_input(BenchmarkId::new("one event", bytes), &source, |bencher, source| {
                bencher.iter(|| pass(speaks(dialect), black_box(source), 1_400, &asked));
            });
        }
        group.finish();
    }
}

fn endpoint() -> Endpoint {
    let provider = Provider {
        name: "p".to_owned(),
        dialect: Dialect::OpenAi,
        base_url: http::Uri::from_static("http://127.0.0.1/v1"),
        auth: Auth::None,
        reach: merit::catalog::Reach::default(),
        key: None,
        headers: http::HeaderMap::new(),
        quirks: Vec::new(),
        timeouts: Timeouts::default(),
    };
    Endpoint {
        id: EndpointId(0),
        identity: "p/m".into(),
        provider: Arc::new(provider),
        model: ModelId(0),
        upstream: "upstream-model".to_owned(),
        rates: None,
        price_source: None,
        capabilities: Capabilities::ALL,
        context: None,
        max_output: None,
        quality: 0.5,
        region: None,
        terms: merit::catalog::Terms::default(),
    }
}

/// A conversation of prose and code, with an escape every few words.
fn request(bytes: usize) -> Bytes {
    let line = "fn main() {\n    println!(\"hello, world\");\n}\nand then some prose that explains it.\n";
    let message = json!({"role": "user", "content": line.repeat(20)});
    let each = message.to_string().len();
    let mut messages = vec![message; bytes / each];
    messages.push(
        json!({"role": "user", "content": "x".repeat(bytes.saturating_sub(bytes / each * each + 120))}),
    );
    json!({"model": "our-model", "temperature": 0.7, "stream": true, "messages": messages, "max_tokens": 500})
        .to_string()
        .into()
}

fn requests(criterion: &mut Criterion) {
    let endpoint = endpoint();
    let mut group = criterion.benchmark_group("request");
    for size in [300, 8_600, 200_000] {
        let body = request(size);
        group.throughput(Throughput::BytesDecimal(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("read", size), &body, |bencher, body| {
            bencher.iter(|| ChatRequest::read(black_box(body.clone())));
        });
        for (name, dialect) in
            [("read and encode", Dialect::OpenAi), ("read and translate", Dialect::Anthropic)]
        {
            group.bench_with_input(BenchmarkId::new(name, size), &body, |bencher, body| {
                bencher.iter(|| {
                    let request = ChatRequest::read(black_box(body.clone())).ok()?;
                    speaks(dialect).encode(&request, &endpoint).ok()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, streams, translations, requests);
criterion_main!(benches);
