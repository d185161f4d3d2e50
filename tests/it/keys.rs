//! Callers and their keys: who may call, what each may use, and what each may
//! see.

use serde_json::json;

use merit::sim::{ProviderSpec, Scenario, credential_digest};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::command::merit;
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::{Answer, Events, get_as};
use crate::support::keys::configured;
use crate::support::market::Market;

/// What callers without a full view must never read.
const HIDDEN: [&str; 2] = ["secretive", "hush-hush"];

/// The model's own name, which is not always to be seen either.
const MODEL: &str = "inner-7b";

#[test]
fn a_key_that_was_made_opens_the_gateway() -> Fallible<()> {
    let market = Market::of_one()?;
    let folder = tempfile::tempdir()?;
    let made = merit(folder.path(), &[], &["keys", "create", "--name", "app"])?;
    assert_eq!(made.code, 0, "{made:?}");
    let key = made.out.lines().next().and_then(|line| line.rsplit(' ').next()).ok_or("no key")?;
    assert!(key.starts_with("sk-merit-"), "{}", made.out);
    let (_, lines) = made.out.split_once("for the configuration:").ok_or("no lines")?;
    assert!(!lines.contains(key), "the key itself is not for the configuration: {lines}");
    let pepper = folder.path().join("data/pepper");
    let config = format!(
        "[auth]\nmode = \"keys\"\npepper = {{ file = \"{}\" }}\n{lines}\n{}",
        pepper.display(),
        market.config()
    );
    let mut gateway = Gateway::start(&config)?;

    let bearer = format!("Bearer {key}");
    for header in [("authorization", bearer.as_str()), ("x-api-key", key), ("api-key", key)] {
        let answer = gateway.chat_as(&[header], &chat("small"))?;
        assert_eq!(answer.status, 200, "{}: {}", header.0, answer.body);
    }
    let same_twice = [("authorization", bearer.as_str()), ("x-api-key", key)];
    assert_eq!(gateway.chat_as(&same_twice, &chat("small"))?.status, 200);
    let served = market.entries().len();

    let two = gateway.chat_as(&[("authorization", &bearer), ("api-key", "other")], &chat("small"))?;
    assert_eq!((two.status, two.error_code()?.as_str()), (400, "invalid_request"), "{}", two.body);
    let mistyped = format!("Bearer {key}x");
    for headers in [&[][..], &[("authorization", mistyped.as_str())], &[("authorization", "Basic YTpi")]] {
        let refused = gateway.chat_as(headers, &chat("small"))?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (401, "invalid_api_key"), "{headers:?}");
        assert_eq!(refused.must("www-authenticate")?, "Bearer");
    }
    assert_eq!(market.entries().len(), served, "nobody was asked for those who were refused");
    let log = gateway.whole_log()?;
    assert!(log.contains("invalid_api_key") && !log.contains(key), "{log}");
    Ok(())
}

#[test]
fn a_key_opens_only_the_models_it_is_for() -> Fallible<()> {
    let spec = ProviderSpec::named("sim").model("small", 1.0, 2.0, 0.8).model("large", 1.0, 2.0, 0.8);
    let market = Market::start(vec![spec])?;
    let gateway = Gateway::start(&format!(
        "{}{}",
        configured(&[("app", "models = [\"small\"]"), ("all", "")]),
        market.config()
    ))?;
    let app = [("authorization", "Bearer sk-app")];
    assert_eq!(gateway.chat_as(&app, &chat("small"))?.status, 200);
    for name in ["large", "large:floor"] {
        let refused = gateway.chat_as(&app, &chat(name))?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "model_not_allowed"), "{name}");
    }
    let unknown = gateway.chat_as(&app, &chat("larg"))?;
    assert_eq!((unknown.status, unknown.error_code()?.as_str()), (404, "model_not_found"));
    assert!(!unknown.body.contains("large"), "a name it may not use is offered: {}", unknown.body);
    let list = get_as(gateway.api, "/v1/models", &app)?;
    assert!(list.body.contains("small") && !list.body.contains("large"), "{}", list.body);
    assert_eq!(get_as(gateway.api, "/v1/models/large", &app)?.status, 403);
    let accepted = with(chat("small"), "models", json!(["large"]));
    assert_eq!(gateway.chat_as(&app, &accepted)?.error_code()?, "model_not_allowed");
    assert_eq!(gateway.chat_as(&[("x-api-key", "sk-all")], &chat("large"))?.status, 200);
    Ok(())
}

#[test]
fn a_decision_belongs_to_the_key_that_asked() -> Fallible<()> {
    let market = Market::of_one()?;
    let keys = configured(&[("one", ""), ("two", "")]);
    let gateway = Gateway::start(&format!("{keys}{}", market.config()))?;
    let answer = gateway.chat_as(&[("x-api-key", "sk-one")], &chat("small"))?;
    let path = format!("/v1/decisions/{}", answer.must("x-request-id")?);
    let own = get_as(gateway.api, &path, &[("x-api-key", "sk-one")])?;
    assert_eq!(own.status, 200, "{}", own.body);
    assert_eq!(own.json()?.pointer("/decision/winner"), Some(&json!("sim/small")), "{}", own.body);
    let others = get_as(gateway.api, &path, &[("x-api-key", "sk-two")])?;
    assert_eq!((others.status, others.error_code()?.as_str()), (404, "not_found"), "{}", others.body);
    assert_eq!(get_as(gateway.api, &path, &[])?.status, 401);
    Ok(())
}

/// What callers say of themselves is for the gateway alone.
#[test]
fn a_callers_credentials_are_not_passed_on() -> Fallible<()> {
    let guarded = ProviderSpec { key: Some("sk-provider".into()), ..ProviderSpec::named("guarded") };
    let market = Market::start(vec![
        ProviderSpec::named("open").model("small", 1.0, 2.0, 0.8),
        guarded.model("large", 1.0, 2.0, 0.8),
    ])?;
    let gateway = Gateway::start(&format!("{}{}", configured(&[("app", "")]), market.config()))?;
    for name in ["authorization", "x-api-key", "api-key"] {
        let key = if name == "authorization" { "Bearer sk-app" } else { "sk-app" };
        let headers = [
            (name, key),
            ("cookie", "session=mine"),
            ("x-forwarded-for", "192.0.2.1"),
            ("openai-organization", "org-mine"),
            ("x-merit-objective", "cheapest"),
        ];
        for model in ["small", "large"] {
            assert_eq!(gateway.chat_as(&headers, &chat(model))?.status, 200, "{name}, {model}");
        }
    }
    let entries = market.entries();
    assert_eq!(entries.len(), 6);
    for entry in entries {
        let own = (entry.provider == "guarded").then(|| credential_digest("sk-provider"));
        assert_eq!(entry.credential, own, "{entry:?}");
        for name in ["cookie", "x-forwarded-for", "openai-organization", "x-merit-objective"] {
            assert!(entry.headers.iter().all(|(header, _)| header != name), "{entry:?}");
        }
    }
    Ok(())
}

/// A provider and an upstream model whose names are easily found again.
fn hidden(market: &Market) -> Fallible<String> {
    let [provider, upstream] = HIDDEN;
    let base = market.provider(provider)?.base_url();
    Ok(format!(
        "[providers.{provider}]\nbase_url = \"{base}\"\n[[providers.{provider}.models]]\nname = \"{MODEL}\"\n\
         upstream = \"{upstream}\"\nprice = {{ input = 1.0, output = 2.0 }}\ncontext = 1000\n\
         [[routes]]\nname = \"auto\"\nmodels = [\"{MODEL}\"]\n"
    ))
}

/// Everything that a caller can get to read.
fn all_that_is_said(gateway: &Gateway, market: &Market, key: &str) -> Fallible<Vec<Answer>> {
    let [provider, upstream] = HIDDEN;
    let key = [("x-api-key", key)];
    let answer = gateway.chat_as(&key, &chat("auto"))?;
    let id = answer.must("x-request-id")?.to_owned();
    let mut said = vec![answer];
    for path in
        ["/v1/models", "/v1/models/auto", &format!("/v1/models/{MODEL}"), &format!("/v1/decisions/{id}")]
    {
        said.push(get_as(gateway.api, path, &key)?);
    }
    let priced = with(chat("auto"), "merit", json!({ "max_price": { "input": 0.1 } }));
    said.push(gateway.chat_as(&key, &priced)?);
    // Some upstreams' own headers are passed on, and tell who that is.
    let answer = json!({ "id": "x", "object": "chat.completion", "created": 1, "model": upstream,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Hi", "refusal": null },
            "logprobs": null, "finish_reason": "stop" }] });
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\nopenai-version: {provider}\\r\\n\
         content-length: {}\\r\\n\\r\\n",
        answer.len()
    );
    let quoted = answer.replace('"', "\\\"");
    market.provider(provider)?.next(&[&format!("[send \"{head}\", send \"{quoted}\"]")])?;
    said.push(gateway.chat_as(&key, &chat("auto"))?);
    let asked = with(streamed("auto"), "stream_options", json!({ "include_usage": true }));
    for behaviour in ["error-after-2", "cut-after-2", "normal"] {
        market.provider(provider)?.set(behaviour)?;
        let stream = Events::open(gateway.api, CHAT, &key, asked.to_string())?;
        let mut answer = Answer { head: stream.answer.head.clone(), ..Answer::default() };
        answer.status = stream.answer.status;
        answer.body = stream.rest()?.join("\n");
        said.push(answer);
    }
    let body = format!(
        "{{\\\"error\\\":{{\\\"message\\\":\\\"no {upstream}\\\",\\\"code\\\":\\\"{provider}_error\\\"}}}}"
    );
    market.provider(provider)?.next(&[&format!(
        "[send \"HTTP/1.1 400 Bad Request\\r\\nconnection: close\\r\\n\\r\\n{body}\", fin]"
    )])?;
    said.push(gateway.chat_as(&key, &chat("auto"))?);
    // Last, for some of these make it rest.
    for fault in ["context-length", "status-400", "status-500", "html-502", "rate-limit", "status-401"] {
        market.provider(provider)?.set(fault)?;
        said.push(gateway.chat_as(&key, &chat("auto"))?);
    }
    market.provider(provider)?.set("normal")?;
    Ok(said)
}

#[test]
fn a_caller_sees_what_its_key_exposes() -> Fallible<()> {
    let market = Market::start(Scenario::of(&[HIDDEN[0]]).providers)?;
    let keys = configured(&[("f", ""), ("m", "expose = \"model\""), ("n", "expose = \"none\"")]);
    let breaker = "[router.breaker]\nconsecutive_failures = 1000\nfailure_ratio = 1.0\n";
    let config = format!("{keys}{breaker}{}", hidden(&market)?);
    // A fleet of its own for each: what one has seen fail must not matter here.
    let answers = |key: &str| -> Fallible<Vec<Answer>> {
        all_that_is_said(&Gateway::start_with(&Setup { config: &config, ..Setup::default() })?, &market, key)
    };

    let full = answers("sk-f")?;
    assert_eq!(full[0].must("x-merit-provider")?, HIDDEN[0]);
    assert_eq!(full[0].must("x-merit-model")?, MODEL);
    let read: Vec<&str> = full.iter().flat_map(|answer| [answer.head.as_str(), &answer.body]).collect();
    let read = read.concat();
    for word in [
        "openai-version: secretive",
        "\"endpoint\":\"secretive/inner-7b\"",
        "no hush-hush",
        "secretive_error",
    ] {
        assert!(read.contains(word), "a key with a full view does not see {word}");
    }

    for (key, model) in [("sk-m", Some(MODEL)), ("sk-n", None)] {
        let said = answers(key)?;
        for (answer, fully) in said.iter().zip(&full) {
            assert_eq!(answer.status, fully.status, "{}", answer.body);
            for word in HIDDEN {
                let seen = format!("{}{}", answer.head, answer.body).to_lowercase();
                assert!(!seen.contains(word), "{key} reads {word}: {}{}", answer.head, answer.body);
            }
        }
        assert_eq!(said[0].header("x-merit-model"), model, "{}", said[0].head);
        let named = model.unwrap_or("auto");
        assert_eq!(said[0].json()?.get("model"), Some(&json!(named)), "{}", said[0].body);
        let stream = said.iter().find(|answer| answer.body.contains("[DONE]")).ok_or("no whole stream")?;
        assert!(stream.body.contains(&format!("\"model\":\"{named}\"")), "{}", stream.body);
        if model.is_none() {
            let told = [&said[0], &said[4], stream].map(|answer| format!("{}{}", answer.head, answer.body));
            assert!(told.iter().all(|text| !text.contains(MODEL)), "{told:?}");
        }
    }
    Ok(())
}

#[test]
fn nobody_is_served_off_loopback_without_keys() -> Fallible<()> {
    let market = Market::of_one()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("merit.toml"), market.config())?;
    for (more, told) in [
        (&[][..], "callers of 0.0.0.0:0 need keys"),
        (&["--set", "auth.mode=none"], "anyone who reaches 0.0.0.0:0 spends your money"),
        (&["--set", "server.admin=0.0.0.0:0", "--set", "server.listen=127.0.0.1:0"], "MERIT_ADMIN_TOKEN"),
    ] {
        let mut arguments = vec!["serve", "--set", "server.listen=0.0.0.0:0"];
        arguments.extend(more);
        let ran = merit(folder.path(), &[], &arguments)?;
        assert_eq!(ran.code, 78, "{ran:?}");
        assert!(ran.err.contains(told), "{ran:?}");
    }
    Ok(())
}
