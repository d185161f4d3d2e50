use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn said(body: &str, upstream: &str, quirks: &[Quirk]) -> (String, Vec<String>) {
    let request = ChatRequest::read(Bytes::from(body.to_owned())).unwrap();
    let encoded = encode(&request, upstream, quirks).unwrap();
    (String::from_utf8(encoded.body.concat()).unwrap(), encoded.warnings)
}

const ASKED: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

#[test]
fn an_unchanged_request_is_the_callers_own_bytes() {
    let body = Bytes::from(format!(r#"{{"model":"m", {ASKED} ,"temperature":1.0}}"#));
    let request = ChatRequest::read(body.clone()).unwrap();
    let encoded = encode(&request, "m", &[]).unwrap();
    assert_eq!(encoded.body.len(), 1);
    assert_eq!(encoded.body[0].as_ptr(), body.as_ptr());
    assert_eq!(encoded.path, "/chat/completions");
}

#[test]
fn only_the_models_name_changes() {
    let (text, _) = said(&format!(r#"{{ "a":1.50,"model" : "m",{ASKED}}}"#), "other/\"m\"", &[]);
    assert_eq!(text, format!(r#"{{ "a":1.50,"model" : "other/\"m\"",{ASKED}}}"#));
}

#[test]
fn what_is_meant_for_us_stays_here() {
    let ours = r#""merit":{"sort":"price"}"#;
    let theirs = r#""provider":{"order":["a"]}"#;
    let models = r#""models":["x","y"]"#;
    let model = r#""model":"m""#;
    let expected: Value = serde_json::from_str(&format!("{{{model},{ASKED}}}")).unwrap();
    for order in [
        [ours, theirs, models, model, ASKED],
        [model, ours, ASKED, theirs, models],
        [ours, model, theirs, models, ASKED],
        [model, ASKED, ours, theirs, models],
        [ours, model, theirs, ASKED, models],
    ] {
        let (text, _) = said(&format!("{{{}}}", order.join(" , ")), "m", &[]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_a_reasoning_model_refuses_is_left_out_and_named() {
    let asked = format!(
        r#"{{"temperature":0.2,"top_p":1,"model":"gpt-5-mini",{ASKED},"presence_penalty":0.0,"logprobs":false,"logit_bias":{{"1":2}},"max_tokens":9}}"#
    );
    let (text, warnings) = said(&asked, "gpt-5-mini", &[]);
    let sent: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&String> = sent.as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "messages", "max_completion_tokens"]);
    let expected = [
        "temperature has no effect here",
        "logit_bias has no effect here",
        "max_tokens was sent as max_completion_tokens",
    ];
    assert_eq!(warnings, expected);
    // Others take it, and get the very bytes.
    assert_eq!(said(&asked, "gpt-4o", &[]).0, asked.replace("gpt-5-mini", "gpt-4o"));
}

#[test]
fn newer_models_refuse_it_only_while_they_reason() {
    let sent = |effort: &str| {
        let body = format!(r#"{{"model":"gpt-5.2",{ASKED},{effort}"temperature":0.2}}"#);
        serde_json::from_str::<Value>(&said(&body, "gpt-5.2", &[]).0).unwrap().get("temperature").is_some()
    };
    assert_eq!(
        [sent(""), sent(r#""reasoning_effort":"none","#), sent(r#""reasoning_effort":null,"#)],
        [true; 3]
    );
    assert!(!sent(r#""reasoning_effort":"low","#));
}

#[test]
fn what_would_be_missed_goes_elsewhere() {
    for asked in [r#""logprobs":true"#, r#""top_logprobs":3"#] {
        let body = Bytes::from(format!(r#"{{"model":"o3",{ASKED},{asked}}}"#));
        let request = ChatRequest::read(body).unwrap();
        assert!(matches!(encode(&request, "o3", &[]), Err(Failure::Unsupported { .. })), "{asked}");
    }
}

#[test]
fn usage_is_always_asked_for_in_streams() {
    let asks = |options: &str, quirks: &[Quirk]| {
        let body = format!(r#"{{"model":"m",{options}"stream":true,{ASKED}}}"#);
        let value: Value = serde_json::from_str(&said(&body, "m", quirks).0).unwrap();
        value.get("stream_options").cloned()
    };
    let yes = Some(json!({"include_usage": true}));
    assert_eq!(asks("", &[]), yes);
    assert_eq!(asks(r#""stream_options":null,"#, &[]), yes);
    assert_eq!(asks(r#""stream_options":{ },"#, &[]), yes);
    assert_eq!(asks(r#""stream_options":{"include_usage":false},"#, &[]), yes);
    assert_eq!(asks(r#""stream_options":{"include_usage":null},"#, &[]), yes);
    let more = asks(r#""stream_options":{"include_obfuscation":false},"#, &[]);
    assert_eq!(more, Some(json!({"include_usage": true, "include_obfuscation": false})));
    assert_eq!(asks("", &[Quirk::NoStreamOptions]), None);
    assert_eq!(asks(r#""stream_options":{"include_usage":true},"#, &[Quirk::NoStreamOptions]), None);
}

#[test]
fn limits_are_renamed_with_a_warning() {
    let limit = |member: &str, quirk| {
        let (text, warnings) = said(&format!(r#"{{"model":"m",{ASKED},{member}}}"#), "m", &[quirk]);
        (text.split(']').next_back().unwrap().to_owned(), warnings.len())
    };
    let new = (r#","max_completion_tokens":5}"#.to_owned(), 1);
    assert_eq!(limit(r#""max_tokens":5"#, Quirk::MaxCompletionTokens), new);
    assert_eq!(limit(r#""max_completion_tokens":5"#, Quirk::MaxCompletionTokens), (new.0.clone(), 0));
    let old = (r#","max_tokens":5}"#.to_owned(), 1);
    assert_eq!(limit(r#""max_completion_tokens":5"#, Quirk::MaxTokens), old);
    assert_eq!(limit(r#""max_tokens":9,"max_completion_tokens":5"#, Quirk::MaxCompletionTokens), new);
    assert_eq!(limit(r#""max_completion_tokens":9,"max_tokens":5"#, Quirk::MaxTokens), old);
}

proptest! {
    #[test]
    fn encoding_changes_nothing_else(
        order in Just(vec![0_usize, 1, 2, 3, 4, 5, 6, 7]).prop_shuffle(),
        take in 0..=8_usize,
        pretty in any::<bool>(),
        upstream in "[a-z\"/\\\\]{1,8}",
        stream in any::<bool>(),
    ) {
        let extras = [
            ("merit", json!({"session": "s"})), ("provider", json!({"only": ["a"]})), ("models", json!(["x"])),
            ("max_tokens", json!(5)), ("unknown", json!({"merit": [1.5, "x"]})), ("temperature", json!(0.5)),
            ("stream_options", json!({"include_obfuscation": true})), ("user", json!("ü\n")),
        ];
        let mut members = vec![("model", json!("m")), ("messages", json!([{"role": "user", "content": "x"}]))];
        for index in order.into_iter().take(take) {
            members.insert(index % (members.len() + 1), extras[index].clone());
        }
        members.push(("stream", json!(stream)));
        let source: serde_json::Map<String, Value> = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let text = if pretty { serde_json::to_string_pretty(&source) } else { serde_json::to_string(&source) }.unwrap();
        let sent: serde_json::Map<String, Value> = serde_json::from_str(&said(&text, &upstream, &[]).0).unwrap();
        let mut expected = source;
        for ours in ["merit", "provider", "models"] {
            expected.remove(ours);
        }
        expected.insert("model".to_owned(), upstream.into());
        if stream {
            let options = expected.entry("stream_options").or_insert_with(|| json!({}));
            options["include_usage"] = true.into();
        }
        prop_assert_eq!(sent, expected);
    }
}
