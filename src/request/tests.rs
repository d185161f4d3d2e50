use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::units::PicoUsd;

fn read(body: &str) -> Result<ChatRequest, BadRequest> {
    ChatRequest::read(Bytes::from(body.to_owned()))
}

fn with(members: &str) -> Result<ChatRequest, BadRequest> {
    read(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{members}}}"#))
}

fn refusal(result: Result<ChatRequest, BadRequest>) -> (String, Option<String>) {
    let bad = result.unwrap_err();
    (bad.message, bad.param)
}

#[test]
fn a_session_may_be_named_in_three_ways() {
    let read = |more: &str, header: Option<&str>| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
        let mut request = ChatRequest::read(body.into()).unwrap();
        let mut headers = http::HeaderMap::new();
        header.map(|name| headers.insert("x-session-id", name.parse().unwrap()));
        request.control.apply_headers(&headers).unwrap();
        request.control.session
    };
    assert_eq!(read("", None), None);
    assert_eq!(read("", Some("h")).as_deref(), Some("h"));
    assert_eq!(read(r#","prompt_cache_key":"k""#, Some("h")).as_deref(), Some("k"));
    assert_eq!(read(r#","prompt_cache_key":"k","merit":{"session":"s"}"#, None).as_deref(), Some("s"));
    assert_eq!(read(r#","prompt_cache_key":null"#, None), None);
}

#[test]
fn a_conversation_that_goes_on_is_known_by_its_beginning() {
    let read = |messages: &str| {
        ChatRequest::read(format!(r#"{{"messages":[{messages}],"model":"m"}}"#).into()).unwrap()
    };
    let first = format!(r#"{{"role":"user","content":"{}"}}"#, "so ".repeat(1000));
    let before = read(&first);
    let after =
        read(&format!(r#"{first},{{"role":"assistant","content":"yes"}},{{"role":"user","content":"and"}}"#));
    assert!((before.continues, after.continues) == (false, true));
    let marks = before.prefix.marks().len();
    assert!(marks > 8 && after.prefix.marks().starts_with(&before.prefix.marks()[..marks - 1]));
}

#[test]
fn reads_what_routing_needs() {
    let request = with(
        r#","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"max_completion_tokens":5,"n":2"#,
    )
    .unwrap();
    assert_eq!(request.model, "m");
    assert!(request.stream && request.include_usage);
    assert_eq!((request.max_output_tokens, request.n), (Some(5), 2));
    assert_eq!(request.needs, Capabilities::N);
    let plain = with(r#","stream":null,"n":null,"max_tokens":null,"tools":null,"merit":null"#).unwrap();
    assert!(!plain.stream && !plain.include_usage);
    assert_eq!((plain.max_output_tokens, plain.n, plain.needs), (None, 1, Capabilities::default()));
}

#[test]
fn knows_what_an_endpoint_must_be_able_to_do() {
    let needs = |members: &str| with(members).unwrap().needs;
    assert_eq!(needs(r#","tools":[{"type":"function"}]"#), Capabilities::TOOLS);
    assert_eq!(needs(r#","functions":[{"name":"f"}]"#), Capabilities::TOOLS);
    assert_eq!(needs(r#","tools":[]"#), Capabilities::default());
    assert_eq!(needs(r#","response_format":{"type":"json_schema"}"#), Capabilities::JSON_SCHEMA);
    assert_eq!(needs(r#","response_format":{"type":"json_object"}"#), Capabilities::default());
    assert_eq!(needs(r#","modalities":["text","audio"]"#), Capabilities::AUDIO);
    assert_eq!(needs(r#","reasoning_effort":"low""#), Capabilities::REASONING);
    assert_eq!(needs(r#","reasoning_effort":"none""#), Capabilities::default());
    assert_eq!(needs(r#","logprobs":true"#), Capabilities::LOGPROBS);
    assert_eq!(needs(r#","logprobs":false,"top_logprobs":0"#), Capabilities::default());
    let part = |part: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
        read(&body).unwrap().needs
    };
    assert_eq!(part(r#"{"type":"image_url","image_url":{"url":"data:x"}}"#), Capabilities::VISION);
    assert_eq!(part(r#"{"type":"input_audio","input_audio":{"data":"x"}}"#), Capabilities::AUDIO);
    assert_eq!(part(r#"{"type":"file","file":{"file_id":"x"}}"#), Capabilities::FILES);
    assert_eq!(part(r#"{"type":"text","text":"image_url"}"#), Capabilities::default());
}

#[test]
fn estimates_input_from_text_and_not_from_base64() {
    let tokens = |content: &str| {
        read(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#))
            .unwrap()
            .input_tokens
    };
    let text = tokens(&format!("{:?}", "word ".repeat(800)));
    assert!((950..1_100).contains(&text), "{text}");
    let image = |detail: &str, size: usize| {
        let url = "A".repeat(size);
        tokens(&format!(r#"[{{"type":"image_url","image_url":{{"url":"{url}"{detail}}}}}]"#))
    };
    assert_eq!(image("", 10), image("", 1_000_000));
    assert!(image(r#","detail":"low""#, 10) < image("", 10));
    let tools = with(&format!(r#","tools":[{{"d":"{}"}}]"#, "x".repeat(4_000))).unwrap().input_tokens;
    assert!(tools > 1_000);
}

#[test]
fn says_what_is_wrong_and_where() {
    let (message, param) = refusal(ChatRequest::read(Bytes::from_static(b"{\"a\":\"\xff\"}")));
    assert!(message.contains("not UTF-8 at byte 6") && param.is_none(), "{message}");
    for (body, wanted) in [
        ("", "empty"),
        ("  ", "empty"),
        ("[]", "must be a JSON object, not an array"),
        ("{\"model\":", "the text ends inside a value"),
        ("{\"model\":\"m\"} x", "trailing"),
        ("nonsense", "not valid JSON"),
    ] {
        let (message, param) = refusal(read(body));
        assert!(message.contains(wanted) && param.is_none(), "{body}: {message}");
    }
    let deep = format!(r#"{{"model":"m","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(refusal(read(&deep)).0.contains("levels deep"));
}

#[test]
fn names_the_field_at_fault() {
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    for (body, field) in [
        (format!("{{{messages}}}"), "model"),
        (format!(r#"{{"model":"",{messages}}}"#), "model"),
        (format!(r#"{{"model":null,{messages}}}"#), "model"),
        (format!(r#"{{"model":7,{messages}}}"#), "model"),
        (r#"{"model":"m"}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[]}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":"hi"}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[{},1]}"#.to_owned(), "messages[1]"),
        (r#"{"model":"m","messages":[{"content":1}]}"#.to_owned(), "messages[0].content"),
    ] {
        assert_eq!(refusal(read(&body)).1.as_deref(), Some(field), "{body}");
    }
    for (members, field) in [
        (r#","stream":"yes""#, "stream"),
        (r#","stream_options":1"#, "stream_options"),
        (r#","stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
        (r#","max_tokens":0"#, "max_tokens"),
        (r#","max_tokens":-1"#, "max_tokens"),
        (r#","max_tokens":1.5"#, "max_tokens"),
        (r#","max_tokens":"5""#, "max_tokens"),
        (r#","max_completion_tokens":4294967296"#, "max_completion_tokens"),
        (r#","n":0"#, "n"),
        (r#","n":129"#, "n"),
        (r#","tools":{}"#, "tools"),
        (r#","reasoning_effort":1"#, "reasoning_effort"),
        (r#","merit":1"#, "merit"),
        (r#","merit":{"sorrt":"price"}"#, "merit.sorrt"),
        (r#","merit":{"sort":"luck"}"#, "merit.sort"),
        (r#","merit":{"order":[1]}"#, "merit.order[0]"),
        (r#","merit":{"deadline_ms":0}"#, "merit.deadline_ms"),
        (r#","merit":{"min_quality":1.5}"#, "merit.min_quality"),
        (r#","merit":{"ttft":{"probability":0.9}}"#, "merit.ttft"),
        (r#","merit":{"ttft":{"ms":800,"p":0.9}}"#, "merit.ttft.p"),
        (r#","merit":{"zdr":1}"#, "merit.zdr"),
        (r#","provider":{"data_collection":"never"}"#, "provider.data_collection"),
        (r#","provider":{"preferred_max_latency":{"p51":1}}"#, "provider.preferred_max_latency.p51"),
        (r#","merit":{"max_price":{"input":-1}}"#, "merit.max_price.input"),
        (r#","merit":{"max_cost_usd":1e999}"#, "merit.max_cost_usd"),
        (r#","provider":{"allow_fallbacks":"no"}"#, "provider.allow_fallbacks"),
        (r#","models":[""]"#, "models[0]"),
    ] {
        assert_eq!(refusal(with(members)).1.as_deref(), Some(field), "{members}");
    }
    assert!(refusal(read(r#"{"model":"m","input":"hi"}"#)).0.contains("/v1/responses"));
}

#[test]
fn what_is_read_may_be_given_once() {
    for (members, field) in [
        (r#","model":"other""#, "model"),
        (r#","mod\u0065l":"other""#, "model"),
        (r#","messages":[]"#, "messages"),
        (r#","stream":true,"stream":false"#, "stream"),
        (r#","max_tokens":1,"max_tokens":2"#, "max_tokens"),
        (r#","merit":{},"merit":{}"#, "merit"),
        (r#","merit":{"only":["a"],"only":["b"]}"#, "merit.only"),
        (r#","stream_options":{"include_usage":true,"include_usage":false}"#, "stream_options.include_usage"),
    ] {
        let (message, param) = refusal(with(members));
        assert_eq!(param.as_deref(), Some(field), "{members}");
        assert!(message.contains("more than once"), "{message}");
    }
    assert!(with(r#","unknown":1,"unknown":2"#).is_ok());
}

#[test]
fn reads_both_ways_to_steer() {
    let request = with(
        r#","provider":{"order":["a"],"only":["a","b"],"ignore":["c"],"allow_fallbacks":false,"sort":{"by":"latency"},
            "max_price":{"prompt":"1.5","completion":2},"quantizations":["fp8"],"data_collection":"deny"},
           "merit":{"sort":"quality","objective":"best","session":"s","max_cost_usd":0.25},"models":["x","y"]"#,
    )
    .unwrap();
    let expected = Control {
        order: vec!["a".to_owned()],
        only: vec!["a".to_owned(), "b".to_owned()],
        ignore: vec!["c".to_owned()],
        allow_fallbacks: Some(false),
        sort: Some(Sort::Quality),
        max_price: (Some(PicoUsd::new(1_500_000)), Some(PicoUsd::new(2_000_000))),
        max_cost_usd: Some(0.25),
        objective: Some("best".to_owned()),
        session: Some("s".to_owned()),
        models: vec!["x".to_owned(), "y".to_owned()],
        bounds: Bounds { no_retention: true, no_training: true, ..Bounds::default() },
    };
    assert_eq!(request.control, expected);
    assert_eq!(request.warnings, ["provider.quantizations has no effect here"]);
}

#[test]
fn reads_limits_and_preferences() {
    let bounds = |members: &str| with(members).unwrap().control.bounds;
    let read = bounds(
        r#","provider":{"zdr":true,"require_parameters":true,"preferred_max_latency":{"p50":1,"p99":5},
            "preferred_min_throughput":40},
           "merit":{"deadline_ms":2500,"min_quality":0.4,"ttft":{"ms":800,"probability":0.9},"regions":["eu","us"]}"#,
    );
    let expected = Bounds {
        deadline: Some(std::time::Duration::from_millis(2500)),
        min_quality: Some(0.4),
        ttft: Some(crate::catalog::TtftTarget { ms: 800.0, probability: 0.9 }),
        regions: vec!["eu".to_owned(), "us".to_owned()],
        no_retention: true,
        no_training: false,
        require_parameters: true,
        preferred: Preferences {
            max_latency: [Some(1.0), None, None, Some(5.0)],
            min_throughput: [Some(40.0), None, None, None],
        },
    };
    assert_eq!(read, expected);
    assert!((bounds(r#","merit":{"ttft":700}"#).ttft.unwrap().probability - 0.95).abs() < 1e-12);
    assert_eq!(bounds(r#","provider":{"data_collection":"allow"}"#), Bounds::default());
}

#[test]
fn headers_win_over_the_body() {
    let mut control = with(r#","merit":{"objective":"best"}"#).unwrap().control;
    let mut headers = HeaderMap::new();
    headers.insert("x-merit-objective", HeaderValue::from_static("cheapest"));
    headers.insert("x-merit-max-cost-usd", HeaderValue::from_static("0.5"));
    control.apply_headers(&headers).unwrap();
    assert_eq!((control.objective.as_deref(), control.max_cost_usd), (Some("cheapest"), Some(0.5)));
    for bad in ["-1", "NaN", "inf", "much"] {
        headers.insert("x-merit-max-cost-usd", HeaderValue::from_static(bad));
        let param = control.apply_headers(&headers).unwrap_err().param;
        assert_eq!(param.as_deref(), Some("x-merit-max-cost-usd"), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_a_clear_refusal(text in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(bad) = ChatRequest::read(Bytes::from(text)) {
            prop_assert!(!bad.message.is_empty());
        }
    }

    #[test]
    fn every_truncation_is_refused(text in "[a-zü\"\\\\\n]{0,40}", at in any::<prop::sample::Index>()) {
        let body = json!({"model": text.clone() + "m", "messages": [{"role": "user", "content": text}], "n": 1}).to_string();
        let cut = at.index(body.len());
        prop_assert!(ChatRequest::read(Bytes::from(body.clone())).is_ok());
        prop_assert!(ChatRequest::read(Bytes::copy_from_slice(&body.as_bytes()[..cut])).is_err());
    }

    #[test]
    fn the_estimate_follows_the_text(words in 1..2_000_usize) {
        let body = |words: usize| json!({"model": "m", "messages": [{"role": "user", "content": "word ".repeat(words)}]});
        let tokens = |words| ChatRequest::read(Bytes::from(body(words).to_string())).unwrap().input_tokens;
        prop_assert!(tokens(words) < tokens(words * 2));
    }
}

#[test]
fn whom_a_request_is_for_and_its_tags_are_read_where_they_are_that() {
    let of = |members: &str| {
        let request = with(members).unwrap();
        (request.end_user, request.tags)
    };
    let owned = |text: &str| Some(text.to_owned());
    assert_eq!(of(""), (None, None));
    assert_eq!(of(r#","user":"ann""#), (owned("ann"), None));
    assert_eq!(of(r#","safety_identifier":"s","user":"ann""#), (owned("s"), None));
    assert_eq!(of(r#","user":7,"safety_identifier":null"#), (None, None), "upstreams judge what else it is");
    assert_eq!(of(r#","metadata":{"team":"a", "x":"y"}"#), (None, owned(r#"{"team":"a", "x":"y"}"#)));
    for other in
        [r#"{"n":1}"#, r#"["a"]"#, "null", r#""text""#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(1024))]
    {
        assert_eq!(of(&format!(r#","metadata":{other}"#)), (None, None), "{other}");
    }
}
