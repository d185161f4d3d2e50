//! Credentials: tokens that are asked for once, renewed before they end and sent
//! to nobody else; keys of which one may fail; and the addresses of vendors whose
//! models live in the path.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use merit::catalog::Dialect;
use merit::sim::{ProviderSpec, credential_digest};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::Fallible;
use crate::support::chat::{chat, streamed};
use crate::support::fake::{Asked, Fake, Said};
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::Events;
use crate::support::market::Market;

const KEY: &str = include_str!("../golden/credential/test-key.pem");
const PRICE: &str = "price = { input = 1, output = 2 }";

/// A token that lives so many seconds.
fn token(number: usize, seconds: u64) -> Said {
    let body = json!({ "token_type": "Bearer", "access_token": format!("token-{number}-abcdef"), "expires_in": seconds });
    (200, String::new(), body.to_string())
}

/// A provider `entra` at `base_url` that logs in at `tokens`.
fn entra(base_url: &str, tokens: &Fake) -> String {
    let authority = tokens.url();
    format!(
        "[providers.entra]\nbase_url = \"{base_url}\"\nauth = \"azure\"\nmodels = [{{ name = \"small\", {PRICE} }}]\n\
         [providers.entra.azure]\nauthority = \"{authority}\"\ntenant = \"my-tenant\"\nclient_id = \"me\"\n\
         client_secret = {{ env = \"SECRET\" }}\n"
    )
}

fn start(config: &str) -> Fallible<Gateway> {
    let environment = [("SECRET", "s3cret&value"), ("K1", "wrong-key-1"), ("K2", "right-key-2")];
    Gateway::start_with(&Setup { config, environment: &environment, ..Setup::default() })
}

/// One that takes the tokens of a story, and nothing else.
fn upstream(key: &str) -> Fallible<Market> {
    Market::start(vec![ProviderSpec { key: Some(key.to_owned()), ..ProviderSpec::named("sim") }])
}

#[test]
fn a_hundred_callers_need_one_token() -> Fallible<()> {
    let tokens = Fake::start(|_, number| {
        thread::sleep(Duration::from_millis(300));
        token(number, 3600)
    })?;
    let market = upstream("token-1-abcdef")?;
    let mut gateway = start(&entra(&market.provider("sim")?.base_url(), &tokens))?;
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || gateway.chat(&chat("small")).map_or(0, |answer| answer.status);
        let callers: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap_or_default()).collect()
    });
    assert_eq!(statuses, [200; 100]);
    let asked = tokens.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "POST /my-tenant/oauth2/v2.0/token HTTP/1.1\r\n");
    assert!(asked[0].body.contains("client_secret=s3cret%26value"), "{}", asked[0].body);
    let sent = credential_digest("token-1-abcdef");
    assert!(market.entries().iter().all(|entry| entry.credential.as_ref() == Some(&sent)));
    let log = gateway.whole_log()?;
    assert!(!log.contains("s3cret") && !log.contains("token-1-abcdef"), "{log}");
    Ok(())
}

#[test]
fn callers_do_not_notice_that_tokens_end() -> Fallible<()> {
    let tokens = Fake::start(|_, number| token(number, 2))?;
    let market = Market::start(vec![ProviderSpec::named("sim")])?;
    let gateway = start(&entra(&market.provider("sim")?.base_url(), &tokens))?;
    let begun = Instant::now();
    let mut requests = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        assert_eq!(gateway.chat(&chat("small"))?.status, 200);
        requests += 1;
    }
    let exchanges = tokens.asked().len();
    // Each token is sent for a second.
    assert!((3..=6).contains(&exchanges), "{exchanges} exchanges for {requests} requests");
    let mut sent: Vec<_> = market.entries().into_iter().filter_map(|entry| entry.credential).collect();
    sent.dedup();
    assert_eq!(sent.len(), exchanges, "each token is used, and none again");
    Ok(())
}

#[test]
fn a_token_that_is_taken_back_is_replaced_within_the_request() -> Fallible<()> {
    let tokens = Fake::start(|_, number| token(number, 10))?;
    // A second and a half after it was first used, however long starting took.
    let first_used = std::sync::OnceLock::new();
    let is_taken_back = move || first_used.get_or_init(Instant::now).elapsed() > Duration::from_millis(1500);
    let upstream = Fake::start(move |asked, _| match asked.head.contains("token-1-abcdef") {
        true if is_taken_back() => (401, String::new(), r#"{"error":{"message":"no"}}"#.to_owned()),
        _ => (200, String::new(), answer()),
    })?;
    let gateway = start(&entra(&upstream.url(), &tokens))?;
    let taken_back = Instant::now() + Duration::from_millis(1600);
    while Instant::now() < taken_back + Duration::from_millis(500) {
        let answer = gateway.chat(&chat("small"))?;
        assert_eq!((answer.status, answer.must("x-merit-attempts")?), (200, "1"), "{}", answer.body);
    }
    assert_eq!(tokens.asked().len(), 2);
    let refused = upstream.asked().iter().filter(|asked| asked.head.contains("token-2-abcdef")).count();
    assert!(refused > 0, "the second token is used");
    Ok(())
}

#[test]
fn aws_gets_a_signature_of_every_request_and_never_the_key() -> Fallible<()> {
    let upstream = Fake::start(|_, _| (200, String::new(), answer()))?;
    let config = format!(
        "[providers.aws]\nbase_url = \"{}/openai/v1\"\nauth = \"sigv4\"\nregions = [\"eu-west-1\"]\n\
         models = [{{ name = \"small\", {PRICE} }}]\n",
        upstream.url()
    );
    let environment = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "aws-s3cret")];
    let mut gateway =
        Gateway::start_with(&Setup { config: &config, environment: &environment, ..Setup::default() })?;
    for _ in 0..2 {
        assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    }
    for asked in upstream.asked() {
        let head = asked.head.to_lowercase();
        assert!(head.contains("authorization: aws4-hmac-sha256 credential=akidexample/"), "{head}");
        assert!(head.contains("/eu-west-1/bedrock/aws4_request"), "{head}");
        let digest = ring::digest::digest(&ring::digest::SHA256, asked.body.as_bytes());
        let digest = merit::accounts::keys::hex(digest.as_ref().try_into()?);
        assert!(head.contains(&format!("x-amz-content-sha256: {digest}")), "{head}");
        assert!(!head.contains("s3cret"), "{head}");
    }
    assert!(!gateway.whole_log()?.contains("aws-s3cret"));
    Ok(())
}

/// A whole answer as OpenAI has it.
fn answer() -> String {
    json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{ "index": 0,
        "finish_reason": "stop", "logprobs": null, "message": { "role": "assistant", "content": "Hi", "refusal": null } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 } })
    .to_string()
}

#[test]
fn a_key_without_requests_left_is_spared() -> Fallible<()> {
    let upstream = Fake::start(|_, _| {
        let limits = "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 30s\r\n";
        (200, limits.to_owned(), answer())
    })?;
    let config = |keys: &str| {
        format!(
            "[providers.pool]\nbase_url = \"{}\"\n{keys}models = [{{ name = \"small\", {PRICE} }}]\n",
            upstream.url()
        )
    };
    let gateway = start(&config("keys = [{ env = \"K1\" }, { env = \"K2\" }]\n"))?;
    for _ in 0..2 {
        assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    }
    let used = |key: &str| upstream.asked().iter().filter(|asked| asked.head.contains(key)).count();
    assert_eq!((used("wrong-key-1"), used("right-key-2")), (1, 1));
    // Nobody has refused anything: where no other is left, it is asked all the same.
    let gateway = start(&config("key = { env = \"K1\" }\n"))?;
    for _ in 0..3 {
        assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    }
    Ok(())
}

#[test]
fn a_refused_login_is_not_the_callers_and_others_serve() -> Fallible<()> {
    let tokens = Fake::start(|_, _| (401, String::new(), r#"{"error":"invalid_client"}"#.to_owned()))?;
    let market = Market::start(vec![ProviderSpec::named("sim")])?;
    let config = entra(&market.provider("sim")?.base_url(), &tokens);
    let mut gateway = start(&config)?;
    for _ in 0..10 {
        let answer = gateway.chat(&chat("small"))?;
        assert!(answer.status >= 500, "{}", answer.body);
        assert!(!answer.body.contains("s3cret"), "{}", answer.body);
    }
    assert!(tokens.asked().len() <= 2, "{} exchanges for ten requests", tokens.asked().len());
    assert_eq!(market.entries().len(), 0, "nothing is sent without a token");
    let listed = crate::support::http::get(gateway.admin, "/admin/v1/providers")?.json()?;
    let state = json!({ "state": "refused", "why": "key_refused" });
    assert_eq!(listed["data"][0]["credential"], state);
    let log = gateway.whole_log()?;
    assert!(log.contains("invalid_client") && !log.contains("s3cret"), "{log}");

    let more = "[providers.open]\nbase_url = \"URL\"\nmodels = [{ name = \"small\", price = { input = 50, output = 50 } }]\n";
    let more = more.replace("URL", &market.provider("sim")?.base_url());
    let gateway = start(&format!("{config}{more}"))?;
    for _ in 0..5 {
        assert_eq!(gateway.chat(&chat("small"))?.must("x-merit-provider")?, "open");
    }
    Ok(())
}

#[test]
fn a_login_goes_nowhere_but_where_it_was_configured_for() -> Fallible<()> {
    let elsewhere = Fake::start(|_, number| token(number, 3600))?;
    let to = elsewhere.url();
    let tokens = Fake::start(move |_, _| (307, format!("location: {to}/\r\n"), String::new()))?;
    let market = Market::start(vec![ProviderSpec::named("sim")])?;
    let gateway = start(&entra(&market.provider("sim")?.base_url(), &tokens))?;
    let answer = gateway.chat(&chat("small"))?;
    assert!(answer.status >= 500, "{}", answer.body);
    assert_eq!(elsewhere.asked().len(), 0, "a redirect was followed");
    assert_eq!(market.entries().len(), 0);

    // Nor does the token follow a redirect of the upstream's.
    let tokens = Fake::start(|_, number| token(number, 3600))?;
    let to = elsewhere.url();
    let rude = Fake::start(move |_, _| (307, format!("location: {to}/\r\n"), String::new()))?;
    let gateway = start(&entra(&rude.url(), &tokens))?;
    assert!(gateway.chat(&chat("small"))?.status >= 500);
    assert!(!rude.asked().is_empty());
    assert_eq!(elsewhere.asked().len(), 0, "a redirect was followed");
    Ok(())
}

#[test]
fn an_upstream_that_repeats_the_token_gives_it_to_nobody() -> Fallible<()> {
    let tokens = Fake::start(|_, number| token(number, 3600))?;
    let market = Market::start(vec![ProviderSpec::named("sim")])?;
    let provider = market.provider("sim")?;
    let mut gateway = start(&entra(&provider.base_url(), &tokens))?;
    for behaviour in ["echo-key-error", "normal?quirks=echo-key-body"] {
        for stream in [false, true] {
            provider.next(&[behaviour, behaviour, behaviour, behaviour])?;
            let body = if stream { streamed("small") } else { chat("small") };
            let answer = gateway.chat(&body)?;
            assert!(!answer.body.contains("token-1-abcdef"), "{behaviour}: {}", answer.body);
        }
    }
    assert!(!gateway.whole_log()?.contains("token-1-abcdef"));
    Ok(())
}

#[test]
fn of_several_keys_one_may_be_refused() -> Fallible<()> {
    let market = upstream("right-key-2")?;
    let url = market.provider("sim")?.base_url();
    let config = format!(
        "[providers.pool]\nbase_url = \"{url}\"\nkeys = [{{ env = \"K1\" }}, {{ env = \"K2\" }}]\n\
         models = [{{ name = \"small\", {PRICE} }}, {{ name = \"other\", {PRICE} }}]\n"
    );
    let gateway = start(&config)?;
    for model in ["small", "other"].repeat(10) {
        assert_eq!(gateway.chat(&chat(model))?.status, 200);
    }
    let wrong = credential_digest("wrong-key-1");
    let entries = market.entries();
    let tried = entries.iter().filter(|entry| entry.credential.as_ref() == Some(&wrong)).count();
    assert!(tried <= 1, "a refused key was tried {tried} times, for two models");
    let listed = crate::support::http::get(gateway.admin, "/admin/v1/providers")?.json()?;
    let names: Vec<&str> =
        listed["data"].as_array().into_iter().flatten().filter_map(|one| one["endpoint"].as_str()).collect();
    assert_eq!(names, ["pool/small#1", "pool/other#1", "pool/small#2", "pool/other#2"]);
    Ok(())
}

#[test]
fn an_empty_account_rests_as_a_whole_and_another_serves() -> Fallible<()> {
    let empty = ProviderSpec::named("sim");
    let market = Market::start(vec![empty])?;
    let provider = market.provider("sim")?;
    let config = format!(
        "[providers.pool]\nbase_url = \"{}\"\nkeys = [{{ env = \"K1\" }}, {{ env = \"K2\" }}]\n\
         models = [{{ name = \"small\", {PRICE} }}, {{ name = \"other\", {PRICE} }}]\n",
        provider.base_url()
    );
    let gateway = start(&config)?;
    provider.next(&["no-quota"])?;
    for model in ["small", "other"].repeat(10) {
        assert_eq!(gateway.chat(&chat(model))?.status, 200);
    }
    let entries = market.entries();
    let first = entries.first().and_then(|entry| entry.credential.clone());
    let again = entries.iter().skip(1).filter(|entry| entry.credential == first).count();
    assert_eq!(again, 0, "the key without credit was used again");
    Ok(())
}

#[test]
fn azures_deployments_are_asked_by_path_and_version() -> Fallible<()> {
    let market = upstream("right-key-2")?;
    let url = market.provider("sim")?.base_url();
    let config = format!(
        "[providers.az]\nvendor = \"azure-deployments\"\nvariables = {{ endpoint = \"{url}\" }}\nkey = {{ env = \"K2\" }}\n\
         models = [{{ name = \"small\", upstream = \"my dep/1\", {PRICE} }}]\n"
    );
    let gateway = start(&config)?;
    assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    let stream = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
    assert_eq!(stream.rest()?.last().map(String::as_str), Some("[DONE]"));
    for entry in market.entries() {
        let path = "/openai/deployments/my%20dep%2F1/chat/completions?api-version=2024-10-21";
        assert!(entry.path.ends_with(path), "{}", entry.path);
        assert_eq!(entry.credential, Some(credential_digest("right-key-2")));
        assert!(!entry.headers.iter().any(|(name, _)| name == "authorization"));
    }
    Ok(())
}

/// What a service account's assertion claims, if its signature is good.
fn claims(asked: &Asked) -> Fallible<Value> {
    let (_, jwt) = asked.body.split_once("assertion=").ok_or("no assertion")?;
    let (message, signature) = jwt.rsplit_once('.').ok_or("no signature")?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes())?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| "a bad test key")?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
        .verify(message.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature)?)
        .map_err(|_| "the signature is wrong")?;
    let claims = message.split_once('.').ok_or("no claims")?.1;
    Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?)
}

#[test]
fn vertex_is_asked_with_a_token_for_a_signed_assertion() -> Fallible<()> {
    let tokens = Fake::start(|asked, number| match claims(asked) {
        Ok(claims) if claims["iss"] == "me@p.example" => token(number, 3600),
        _ => (400, String::new(), r#"{"error":"invalid_grant"}"#.to_owned()),
    })?;
    let spec = ProviderSpec {
        dialect: Dialect::Gemini,
        key: Some("token-1-abcdef".to_owned()),
        ..ProviderSpec::named("sim")
    };
    let market = Market::start(vec![spec])?;
    let url = market.provider("sim")?.base_url();
    let file = json!({ "type": "service_account", "client_email": "me@p.example", "private_key_id": "k",
        "private_key": KEY, "token_uri": format!("{}/token", tokens.url()) });
    let config = format!(
        "[providers.v]\nvendor = \"vertex\"\nbase_url = \"{url}/projects/{{project}}/locations/{{location}}/publishers/google\"\n\
         variables = {{ project = \"my-project\" }}\nmodels = [{{ name = \"small\", {PRICE} }}]\n\
         [providers.v.google]\ncredentials = \"key.json\"\n"
    );
    let setup = Setup { config: &config, files: &[("key.json", &file.to_string())], ..Setup::default() };
    let gateway = Gateway::start_with(&setup)?;
    assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    let stream = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
    assert_eq!(stream.rest()?.last().map(String::as_str), Some("[DONE]"));
    assert_eq!(tokens.asked().len(), 1);
    let paths: Vec<String> = market.entries().into_iter().map(|entry| entry.path).collect();
    let stem = "/projects/my-project/locations/global/publishers/google/models/small";
    assert!(paths[0].ends_with(&format!("{stem}:generateContent")), "{paths:?}");
    assert!(paths[1].ends_with(&format!("{stem}:streamGenerateContent?alt=sse")), "{paths:?}");
    Ok(())
}

#[test]
fn claude_on_vertex_has_its_model_in_the_path_alone() -> Fallible<()> {
    let answer = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [{ "type": "text", "text": "Hello." }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 3, "output_tokens": 2 } });
    let google = Fake::start(move |asked, number| match asked.line.starts_with("GET ") {
        true => token(number, 3600),
        false => (200, String::new(), answer.to_string()),
    })?;
    let url = google.url();
    let config = format!(
        "[providers.v]\nvendor = \"vertex-anthropic\"\nbase_url = \"{url}/publishers/anthropic\"\nvariables = {{ project = \"p\" }}\n\
         google = {{ token_url = \"{url}/metadata\" }}\nmodels = [{{ name = \"claude\", upstream = \"claude-x@1\", {PRICE} }}]\n"
    );
    let gateway = start(&config)?;
    let said = gateway.chat(&chat("claude"))?.json()?;
    assert_eq!(said["choices"][0]["message"]["content"], "Hello.");
    let asked = google.asked();
    assert!(asked[0].head.to_lowercase().contains("metadata-flavor: google"), "{}", asked[0].head);
    assert_eq!(asked[1].line, "POST /publishers/anthropic/models/claude-x%401:rawPredict HTTP/1.1\r\n");
    assert!(asked[1].head.contains("Bearer token-1-abcdef"), "{}", asked[1].head);
    let body: Value = serde_json::from_str(&asked[1].body)?;
    assert_eq!((body.get("model"), &body["anthropic_version"]), (None, &json!("vertex-2023-10-16")));
    Ok(())
}

#[test]
fn salesforce_answers_whole_and_callers_get_streams() -> Fallible<()> {
    let answer = json!({ "id": "g-1", "generationDetails": {
        "generations": [{ "id": "c", "role": "assistant", "content": "Hello.", "parameters": { "finish_reason": "stop" } }],
        "parameters": { "model": "gpt", "created": 1, "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 } } } });
    let org = Fake::start(move |asked, number| match asked.line.contains("/services/oauth2/token") {
        true => token(number, 3600),
        false => (200, String::new(), answer.to_string()),
    })?;
    let url = org.url();
    let config = format!(
        "[providers.s]\nvendor = \"salesforce\"\nbase_url = \"{url}/v1\"\n\
         models = [{{ name = \"gpt\", upstream = \"sfdc_ai__Default\", capabilities = [], {PRICE} }}]\n\
         [providers.s.salesforce]\ndomain = \"{url}\"\nclient_id = {{ env = \"K1\" }}\nclient_secret = {{ env = \"K2\" }}\n"
    );
    let gateway = start(&config)?;
    let whole = gateway.chat(&chat("gpt"))?;
    assert_eq!(whole.json()?["choices"][0]["message"]["content"], "Hello.");
    assert_eq!(whole.must("x-merit-cost-usd")?, "0.000009000");
    let events = Events::open(gateway.api, CHAT, &[], streamed("gpt").to_string())?.rest()?;
    assert!(events.iter().any(|event| event.contains("Hello.")), "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let asked = org.asked();
    assert_eq!(asked[1].line, "POST /v1/models/sfdc_ai__Default/chat-generations HTTP/1.1\r\n");
    let head = asked[1].head.to_lowercase();
    assert!(
        head.contains("x-sfdc-app-context: einsteingpt") && head.contains("x-client-feature-id:"),
        "{head}"
    );
    // What it cannot do is never asked of it.
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let refused = gateway.chat(&crate::support::chat::with(chat("gpt"), "tools", tools))?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (422, "no_candidate"));
    assert_eq!(org.asked().len(), 3);
    Ok(())
}

#[test]
fn check_connect_says_which_login_fails() -> Fallible<()> {
    let good = Fake::start(|_, number| token(number, 3600))?;
    let bad = Fake::start(|_, _| (401, String::new(), r#"{"error":"invalid_client"}"#.to_owned()))?;
    let market = upstream("token-1-abcdef")?;
    let url = market.provider("sim")?.base_url();
    for (tokens, said, code) in [(&good, "entra: reachable", 0), (&bad, "entra: no token was given", 69)] {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("merit.toml"), entra(&url, tokens))?;
        let output = crate::support::gateway::program(folder.path(), &[("SECRET", "s3cret")])
            .args(["check", "--connect"])
            .output()?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains(said) && !text.contains("s3cret"), "{text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
    Ok(())
}
