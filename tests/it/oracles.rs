//! What others say of what we send and get: the vendors' own clients.

use merit::catalog::Dialect;
use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::clients::{Client, Seen, signed_by_aws};
use crate::support::fake::Fake;
use crate::support::gateway::{Gateway, Setup};
use crate::support::market::Market;

/// Every dialect, with a model that can think.
const DIALECTS: [(Dialect, &str); 5] = [
    (Dialect::OpenAi, "gpt-5-mini"),
    (Dialect::Anthropic, "claude-sonnet-4-5"),
    (Dialect::Gemini, "gemini-3.1-pro-preview"),
    (Dialect::Bedrock, "amazon.nova-2-lite-v1:0"),
    (Dialect::Bedrock, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
];

/// What the openai client's own helper accumulates of a provider's streams.
fn accumulated(dialect: Dialect, model: &str) -> Fallible<Seen> {
    // The same name, so that each draws the same texts.
    let spec = ProviderSpec { dialect, ..ProviderSpec::named("sim").model(model, 1.0, 2.0, 1.0) };
    let market = Market::start(vec![spec])?;
    let gateway = Gateway::start(&market.config())?;
    market.provider("sim")?.next(&["normal", "tools", "reasoning", "normal"])?;
    let seen = Client::Accumulating.tell(&gateway.base_url(), "any", model)?;
    assert_eq!(seen.failed(), Vec::<String>::new(), "{dialect:?} {model}");
    Ok(seen)
}

#[test]
fn the_same_message_accumulates_whichever_dialect_served_it() -> Fallible<()> {
    let [(first, model), others @ ..] = DIALECTS;
    let wanted = accumulated(first, model)?;
    assert_eq!(wanted.step("text")?["finish"], "stop");
    assert_eq!(wanted.step("tools")?["calls"].as_array().map(Vec::len), Some(2));
    assert_eq!(wanted.step("tools")?["calls"][1]["arguments"], json!({ "city": "Zürich", "days": 3 }));
    assert!(wanted.step("reasoning")?["reasoning"].as_str().is_some_and(|thought| thought.contains(' ')));
    assert_eq!(wanted.step("length")?["finish"], "length");
    for (dialect, model) in others {
        let seen = accumulated(dialect, model)?;
        for step in ["text", "tools", "reasoning", "length"] {
            assert_eq!(seen.step(step)?, wanted.step(step)?, "{dialect:?} {model}: {step}");
        }
    }
    Ok(())
}

/// What Google's own client cannot read is not what Google sends: so the simulated
/// provider is held to it, without a gateway between; and what the gateway sends
/// has the form of what that client sends.
#[test]
fn googles_own_client_reads_the_simulated_provider_and_asks_as_we_do() -> Fallible<()> {
    const MODEL: &str = "gemini-2.5-flash";
    let spec = ProviderSpec::named("google").model(MODEL, 1.0, 2.0, 1.0);
    let market = Market::start(vec![ProviderSpec { dialect: Dialect::Gemini, ..spec }])?;
    let gateway = Gateway::start(&market.config())?;
    let provider = market.provider("google")?;
    let url = provider.base_url();
    for (behaviour, kinds, finish) in [
        ("normal", vec!["text"], "STOP"),
        ("reasoning", vec!["thought", "text"], "STOP"),
        ("tools", vec!["call"], "STOP"),
        ("normal?quirks=burst", vec!["text"], "STOP"),
    ] {
        provider.set(behaviour)?;
        let before = market.entries().len();
        let seen = Client::Contents.tell(url.trim_end_matches("/v1"), "any", MODEL)?;
        assert_eq!(seen.failed(), Vec::<String>::new(), "{behaviour}");
        let entries = market.entries().split_off(before);
        for (step, entry) in ["whole", "stream"].iter().zip(&entries) {
            let step = seen.step(step)?;
            assert_eq!(step["kinds"], json!(kinds), "{behaviour}");
            assert_eq!(step["finish"], finish, "{behaviour}");
            let consumed = json!([entry.consumed.prompt_tokens, entry.consumed.completion_tokens]);
            assert_eq!(step["tokens"], consumed, "{behaviour}");
        }
        assert_eq!(seen.step("refused")?["status"], 400, "{behaviour}");
    }

    provider.set("normal")?;
    let theirs = market.entries().into_iter().next().ok_or("the client asked nothing")?;
    let messages =
        json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Say hello." }]);
    let function = json!({ "name": "look_up", "parameters":
        { "type": "object", "properties": { "word": { "type": "string" } } } });
    let mut asked = with(chat(MODEL), "messages", messages);
    for (name, value) in [
        ("max_tokens", json!(200)),
        ("temperature", json!(0.5)),
        ("tools", json!([{ "type": "function", "function": function }])),
    ] {
        asked = with(asked, name, value);
    }
    assert_eq!(gateway.chat(&asked)?.status, 200);
    let ours = market.entries().pop().ok_or("the gateway asked nothing")?;
    assert_eq!(
        ours.path.rsplit_once('/'),
        theirs.path.rsplit_once('/').map(|(_, call)| ("/v1/models", call))
    );
    let (ours, theirs) = (plain(&ours.body)?, plain(&theirs.body)?);
    assert_eq!(ours, theirs);
    Ok(())
}

/// A body without what has no meaning: the role of system instructions, at which the
/// API does not look, and which of a member's two spellings is used.
fn plain(body: &str) -> Fallible<Value> {
    let mut body: Value =
        serde_json::from_str(&body.replace("parameters_json_schema", "parametersJsonSchema"))?;
    if let Some(system) = body.get_mut("systemInstruction").and_then(Value::as_object_mut) {
        system.remove("role");
    }
    Ok(body)
}

/// The access key of the environment is enough, and AWS would accept what is signed
/// with it: its own client computes the same signature.
#[test]
fn bedrock_is_signed_as_aws_does_with_the_usual_variables_alone() -> Fallible<()> {
    const MODEL: &str = "amazon.nova-2-lite-v1:0";
    let answer = json!({ "output": { "message": { "role": "assistant", "content": [{ "text": "Hello." }] } },
        "stopReason": "end_turn", "usage": { "inputTokens": 3, "outputTokens": 2, "totalTokens": 5 } });
    let aws = Fake::start(move |_, _| (200, String::new(), answer.to_string()))?;
    let config = format!(
        "[providers.bedrock]\nvendor = \"bedrock\"\nbase_url = \"{}\"\nmodels = [{{ name = \"nova\", \
         upstream = \"{MODEL}\", price = {{ input = 1, output = 2 }} }}]\n",
        aws.url()
    );
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "aws-s3cret"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let setup = Setup { config: &config, environment: &environment, ..Setup::default() };
    let mut gateway = Gateway::start_with(&setup)?;
    let said = gateway.chat(&with(chat("nova"), "user", json!("Zoë & co")))?;
    assert_eq!(said.json()?["choices"][0]["message"]["content"], "Hello.");
    let asked = aws.asked().pop().ok_or("nothing was sent")?;
    let header = |name: &str| {
        let lines = asked.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let ours = header("authorization").ok_or("it was not signed")?;
    let names =
        ours.split("SignedHeaders=").nth(1).and_then(|rest| rest.split(',').next()).ok_or("no names")?;
    let signed: serde_json::Map<String, Value> =
        names.split(';').filter_map(|name| Some((name.to_owned(), header(name)?.into()))).collect();
    let path = asked.line.split(' ').nth(1).ok_or("no path")?;
    assert_eq!(path, "/model/amazon.nova-2-lite-v1%3A0/converse");
    let url = format!("{}{path}", aws.url());
    let theirs = signed_by_aws(&url, "aws-s3cret", "eu-west-1", &signed.clone().into(), &asked.body)?;
    assert_eq!(ours, theirs);
    let other = signed_by_aws(&url, "another secret", "eu-west-1", &signed.into(), &asked.body)?;
    assert_ne!(ours, other);
    assert!(!gateway.whole_log()?.contains("aws-s3cret"));
    Ok(())
}
