//! What others publish: a price changes while the gateway runs and traffic moves,
//! a list that has gone mad changes nothing, and published statistics tell where
//! the first request goes.

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::{self, Events};
use crate::support::market::Market;
use crate::support::process::until;
use crate::support::shelf::Shelf;

/// What genai-prices says of a model of openai, in USD per million tokens.
fn genai_prices(input: f64, output: f64) -> Value {
    json!([{"id": "openai", "models": [{
        "id": "gpt-4o-mini", "match": {"equals": "gpt-4o-mini"},
        "prices": {"input_mtok": input, "output_mtok": output},
    }]}])
}

/// The same by LiteLLM, in USD per token.
fn litellm(input: f64, output: f64) -> Value {
    json!({"gpt-4o-mini": {
        "litellm_provider": "openai", "mode": "chat",
        "input_cost_per_token": input / 1e6, "output_cost_per_token": output / 1e6,
    }})
}

/// Two providers of one model: one whose price is looked up (0.15 and 0.60 in the
/// lists that are compiled in), and a rival at twice that.
fn market() -> Fallible<Market> {
    let listed = ProviderSpec::named("openai").model("gpt-4o-mini", 0.15, 0.6, 0.8);
    Market::start(vec![listed, ProviderSpec::named("rival").model("gpt-4o-mini", 0.3, 1.2, 0.8)])
}

/// The market's configuration, in which the price of `openai` is not given.
fn configuration(market: &Market, shelf: &Shelf) -> String {
    let config = market.config().replace("price = { input = 0.15, output = 0.6 }\n", "");
    let source = |kind: &str, path: &str| {
        format!("[[prices.sources]]\nkind = \"{kind}\"\nurl = \"{}\"\nevery = \"1s\"\n", shelf.url(path))
    };
    format!("{config}{}{}", source("genai-prices", "/genai.json"), source("litellm", "/litellm.json"))
}

fn polls(gateway: &Gateway, list: &str, result: &str) -> Fallible<u64> {
    let labels = [format!("list=\"{list}\""), format!("result=\"{result}\"")];
    gateway.count("merit_published_polls_total", &labels.each_ref().map(String::as_str))
}

fn alarms(gateway: &Gateway) -> Fallible<u64> {
    gateway.count("merit_price_alarms", &[])
}

/// The input price of `openai`, in USD per million tokens.
fn price(gateway: &Gateway) -> Fallible<f64> {
    gateway.metric("merit_price_usd_per_mtok", &["kind=\"input\"", "provider=\"openai\""])
}

fn cheapest() -> Value {
    with(chat("gpt-4o-mini"), "merit", json!({ "objective": "cheapest" }))
}

/// Who wins most of ten requests: now and then somebody else is asked, to learn.
fn winner(gateway: &Gateway) -> Fallible<&'static str> {
    let mut listed = 0;
    for _ in 0..10 {
        listed += u32::from(gateway.chat(&cheapest())?.must("x-merit-provider")? == "openai");
    }
    Ok(if listed > 5 { "openai" } else { "rival" })
}

/// What is told of the price of `openai`.
fn source(gateway: &Gateway) -> Fallible<Value> {
    let prices = http::get(gateway.admin, "/admin/v1/prices")?.json()?;
    let endpoints = prices.get("data").and_then(Value::as_array).ok_or("no prices")?;
    let listed = endpoints.iter().find(|one| one.get("endpoint") == Some(&json!("openai/gpt-4o-mini")));
    Ok(listed.and_then(|one| one.pointer("/source/book")).cloned().ok_or("not from a list")?)
}

#[test]
fn a_list_that_has_gone_mad_changes_nothing_and_is_told() -> Fallible<()> {
    let (market, shelf) = (market()?, Shelf::start()?);
    shelf.put("/genai.json", &genai_prices(0.15, 0.6).to_string());
    let gateway = Gateway::start(&configuration(&market, &shelf))?;
    until("the list is found unchanged", || Ok(polls(&gateway, "genai-prices", "unchanged")? >= 1))?;
    assert!(shelf.asked().iter().any(|asked| asked.path == "/genai.json" && asked.unchanged));
    assert!(polls(&gateway, "litellm", "status")? >= 1, "there is no other list yet");
    for (body, result) in [
        ("<html>maintenance</html>".to_owned(), "garbage"),
        ("[]".to_owned(), "empty"),
        (String::new(), "garbage"),
        ("[{\"id\": \"openai\", \"models\": [{\"id\": \"gpt-4o-mi".to_owned(), "garbage"),
    ] {
        let before = polls(&gateway, "genai-prices", result)?;
        shelf.put("/genai.json", &body);
        until("it is noticed", || Ok(polls(&gateway, "genai-prices", result)? > before))?;
        assert!((price(&gateway)? - 0.15).abs() < 1e-9);
    }
    let state = gateway.state()?;
    assert_eq!(state.pointer("/prices/sources_failing"), Some(&json!(2)), "{state}");
    assert_eq!(state.get("status"), Some(&json!("ok")), "{state}");

    shelf.put("/genai.json", &genai_prices(1.5, 6.0).to_string());
    until("the jump is noticed", || Ok(alarms(&gateway)? == 1))?;
    assert!((price(&gateway)? - 0.15).abs() < 1e-9);
    let held = source(&gateway)?;
    assert_eq!(held.pointer("/held/reason"), Some(&json!("jump")), "{held}");
    assert_eq!(held.pointer("/held/input_pico_usd"), Some(&json!(1_500_000)), "{held}");
    assert_eq!(held.get("low_confidence"), Some(&json!(true)), "{held}");
    assert_eq!(gateway.state()?.pointer("/prices/alarms"), Some(&json!(1)));
    until("it is logged", || Ok(gateway.log().contains("a listed price is not believed")))?;
    assert_eq!(winner(&gateway)?, "openai");
    Ok(())
}

#[test]
fn a_confirmed_change_takes_effect_and_moves_traffic() -> Fallible<()> {
    let (market, shelf) = (market()?, Shelf::start()?);
    shelf.put("/genai.json", &genai_prices(0.15, 0.6).to_string());
    let gateway = Gateway::start(&configuration(&market, &shelf))?;
    until("the list is fetched", || Ok(polls(&gateway, "genai-prices", "changed")? >= 1))?;
    assert_eq!(winner(&gateway)?, "openai");
    shelf.put("/genai.json", &genai_prices(1.5, 6.0).to_string());
    until("the jump is noticed", || Ok(alarms(&gateway)? == 1))?;
    assert_eq!(winner(&gateway)?, "openai", "one list is not enough");
    let before = gateway.chat(&cheapest())?;

    shelf.put("/litellm.json", &litellm(1.51, 6.0).to_string());
    until("the second list is believed", || Ok((price(&gateway)? - 1.5).abs() < 1e-9))?;
    assert_eq!(alarms(&gateway)?, 0);
    assert_eq!(winner(&gateway)?, "rival");
    let only = with(cheapest(), "provider", json!({ "only": ["openai"] }));
    let after = gateway.chat(&only)?;
    let generation =
        |header: &str| header.rsplit("prices=").next().and_then(|number| number.parse::<u64>().ok());
    assert!(generation(after.must("x-merit-decision")?) > generation(before.must("x-merit-decision")?));
    let decision = gateway.decision(&after)?;
    let told = decision.pointer("/decision/candidates/0/price_source/book").ok_or("no price source")?;
    assert_eq!(told.get("list"), Some(&json!("genai-prices")), "{told}");
    assert_eq!(told.get("low_confidence"), Some(&json!(false)), "{told}");

    // A change within reach needs nobody else.
    shelf.put("/genai.json", &genai_prices(0.6, 2.4).to_string());
    until("the list is believed", || Ok((price(&gateway)? - 0.6).abs() < 1e-9))?;
    assert_eq!(source(&gateway)?.get("low_confidence"), Some(&json!(true)));
    Ok(())
}

#[test]
fn nobody_is_asked_unless_the_configuration_says_so() -> Fallible<()> {
    let (market, shelf) = (market()?, Shelf::start()?);
    let with_sources = configuration(&market, &shelf);
    let (without, _) = with_sources.split_once("[[prices.sources]]").ok_or("no sources")?;
    let gateway = Gateway::start(without)?;
    assert!((price(&gateway)? - 0.15).abs() < 1e-9);
    assert_eq!(shelf.asked(), []);
    // Sources come and go with the configuration.
    shelf.put("/genai.json", &genai_prices(0.2, 0.8).to_string());
    gateway.reconfigure(&with_sources)?;
    until("the list is believed", || Ok((price(&gateway)? - 0.2).abs() < 1e-9))?;
    gateway.reconfigure(without)?;
    until("the compiled-in price is back", || Ok((price(&gateway)? - 0.15).abs() < 1e-9))?;
    Ok(())
}

#[test]
fn what_a_provider_says_it_costs_is_compared() -> Fallible<()> {
    let market = Market::start(vec![ProviderSpec::named("told").model("small", 1.0, 2.0, 0.8)])?;
    market.provider("told")?.set("normal?quirks=cost-in-usage")?;
    let gateway = Gateway::start(&market.config())?;
    let long = json!({"model": "small", "messages": [{"role": "user", "content": "word ".repeat(400)}]});
    let same = gateway.decision(&gateway.chat(&long)?)?;
    assert_eq!(same.get("stated_cost_usd"), same.get("cost_usd"), "{same}");
    assert_eq!(gateway.count("merit_price_drift_total", &[])?, 0);
    // We believe a price that is not what it charges.
    gateway.reconfigure(&market.config().replace("input = 1.0", "input = 1.1"))?;
    let ours = ["kind=\"input\"", "provider=\"told\""];
    until("the price is in force", || {
        Ok((gateway.metric("merit_price_usd_per_mtok", &ours)? - 1.1).abs() < 1e-9)
    })?;
    let other = gateway.decision(&gateway.chat(&long)?)?;
    assert_ne!(other.get("stated_cost_usd"), other.get("cost_usd"), "{other}");
    assert_eq!(gateway.count("merit_price_drift_total", &["provider=\"told\""])?, 1);
    let streaming = with(long, "stream", json!(true));
    let stream = Events::open(gateway.api, CHAT, &[], streaming.to_string())?;
    stream.rest()?;
    until("the stream is settled", || {
        Ok(gateway.count("merit_price_drift_total", &["provider=\"told\""])? == 2)
    })
}

/// Two providers that cost the same and of which nothing is known.
fn twins() -> Fallible<Market> {
    let named = |name: &str| ProviderSpec::named(name).model("small", 1.0, 2.0, 0.8);
    Market::start(vec![named("alpha"), named("beta-inc")])
}

/// What is believed of a provider's time to the first token, in seconds.
fn first_token(gateway: &Gateway, provider: &str) -> Fallible<f64> {
    let all = http::get(gateway.admin, "/admin/v1/providers")?.json()?;
    let endpoints = all.get("data").and_then(Value::as_array).ok_or("no endpoints")?;
    let one =
        endpoints.iter().find(|one| one.get("provider") == Some(&json!(provider))).ok_or("no provider")?;
    Ok(one.pointer("/live/ttft/p50").and_then(Value::as_f64).ok_or("no time")?)
}

fn goes_to_beta(gateway: &Gateway) -> Fallible<()> {
    until("the statistics are known", || {
        Ok(first_token(gateway, "alpha")? > first_token(gateway, "beta-inc")? * 3.0)
    })?;
    let body = with(streamed("small"), "merit", json!({ "objective": "fastest" }));
    let stream = Events::open(gateway.api, CHAT, &[], body.to_string())?;
    assert_eq!(stream.answer.must("x-merit-provider")?, "beta-inc");
    stream.rest()?;
    Ok(())
}

#[test]
fn a_listing_tells_where_the_first_request_goes() -> Fallible<()> {
    let (market, shelf) = (twins()?, Shelf::start()?);
    let endpoint = |name: &str, ms: u32, speed: u32| json!({"provider_name": name, "latency_last_30m": {"p50": ms}, "throughput_last_30m": {"p50": speed}, "uptime_last_30m": 99.0});
    let both = [endpoint("Alpha", 9000, 10), endpoint("Beta Inc.", 200, 100)];
    shelf.put("/endpoints", &json!({"data": {"endpoints": both}}).to_string());
    let source = format!(
        "[[statistics.sources]]\nmodel = \"small\"\nurl = \"{}\"\nevery = \"1s\"\nkey = {{ env = \"PUBLISHER_KEY\" }}\n",
        shelf.url("/endpoints")
    );
    let config = format!("{}{source}", market.config());
    let environment = [("PUBLISHER_KEY", "sk-published-0123456789")];
    let gateway =
        Gateway::start_with(&Setup { config: &config, environment: &environment, ..Setup::default() })?;
    goes_to_beta(&gateway)?;
    assert_eq!(shelf.asked()[0].authorization.as_deref(), Some("Bearer sk-published-0123456789"));
    shelf.put("/endpoints", "<html>");
    until("garbage is noticed", || Ok(polls(&gateway, "statistics", "garbage")? >= 1))?;
    assert!(!gateway.log().contains("sk-published"));
    Ok(())
}

#[test]
fn a_file_tells_where_the_first_request_goes() -> Fallible<()> {
    let market = twins()?;
    let today = "provider,model,as_of,ttft_p50_ms,tokens_per_second_p50\nalpha,small,2099-01-01,9000,10\nbeta-inc,small,2099-01-01,200,100\n";
    let config = format!("{}[statistics]\npublished = \"published.csv\"\n", market.config());
    let files = [("published.csv", today)];
    let gateway = Gateway::start_with(&Setup { config: &config, files: &files, ..Setup::default() })?;
    goes_to_beta(&gateway)
}
