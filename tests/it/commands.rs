//! The other commands, as a user runs them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::command::{merit, run};
use crate::support::gateway::{Gateway, Setup, program};
use crate::support::http;
use crate::support::installed;
use crate::support::market::Market;
use crate::support::process::{Process, free_port};

fn started() -> Fallible<(Market, Gateway)> {
    let market = Market::start(vec![
        ProviderSpec::named("one").model("small", 1.0, 2.0, 0.8),
        ProviderSpec::named("two").model("small", 3.0, 6.0, 0.9),
    ])?;
    let gateway = Gateway::start(&market.config())?;
    Ok((market, gateway))
}

#[test]
fn explain_tells_every_term_of_every_candidate() -> Fallible<()> {
    let (market, gateway) = started()?;
    let url = format!("http://127.0.0.1:{}", gateway.admin);
    let request = with(chat("small"), "merit", json!({ "max_price": { "input": 2.0 } }));
    gateway.put("request.json", &request.to_string())?;
    let explain = |more: &[&str]| {
        let mut arguments = vec!["explain", "-f", "request.json", "--url", &url];
        arguments.extend(more);
        merit(gateway.folder(), &[], &arguments)
    };
    let told = explain(&["--objective", "fastest"])?;
    assert_eq!(told.code, 0, "{told:?}");
    for word in ["objective fastest", "one/small", "cost_usd", "two/small", "max_price", "/chat/completions"]
    {
        assert!(told.out.contains(word), "no {word}: {}", told.out);
    }
    let winner = told.out.lines().find(|line| line.starts_with(" 1 one/small")).ok_or("no candidate")?;
    let terms = winner.split_whitespace().skip(2).map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [total, terms @ ..] = terms.as_slice() else { return Err("no total".into()) };
    assert!((terms.iter().sum::<f64>() - total).abs() < 1e-8, "the terms do not add up: {winner}");
    assert!(!told.out.contains('\u{1b}'), "colours are for terminals: {}", told.out);

    let whole = explain(&["--json"])?;
    let whole: Value = serde_json::from_str(&whole.out)?;
    assert_eq!(whole.pointer("/decision/winner"), Some(&json!("one/small")), "{whole}");
    assert_eq!(market.entries().len(), 0, "explaining asks nobody");
    assert_eq!(explain(&["--objective", "nicest"])?.code, 64);
    let odd = explain(&["--objective", "as cheap & quick+as=can #be%"])?;
    assert!(odd.err.contains("as cheap & quick+as=can #be%"), "arrives as it was given: {odd:?}");
    let decision = whole.pointer("/decision").ok_or("no decision")?;
    let best = decision.pointer("/candidates/0").ok_or("no candidate")?;
    let terms = best.get("terms").and_then(Value::as_array).ok_or("no terms")?;
    assert_eq!(terms.len(), 5, "{best}");
    for term in terms {
        let usd = term.get("usd").and_then(Value::as_f64).ok_or("no value")?;
        if let Some([low, high]) = term.get("interval").and_then(Value::as_array).map(Vec::as_slice) {
            let (low, high) = (low.as_f64().ok_or("low")?, high.as_f64().ok_or("high")?);
            assert!(low <= usd && usd <= high, "{term}");
        }
    }
    let nobody =
        merit(gateway.folder(), &[], &["explain", "-f", "request.json", "--url", "http://127.0.0.1:1"])?;
    assert_eq!(nobody.code, 69, "{nobody:?}");
    assert!(nobody.err.contains("no gateway answers at http://127.0.0.1:1"), "{nobody:?}");
    Ok(())
}

#[test]
fn providers_are_listed_live_or_as_configured() -> Fallible<()> {
    let (_market, gateway) = started()?;
    let live = merit(
        gateway.folder(),
        &[],
        &["providers", "--url", &format!("http://127.0.0.1:{}", gateway.admin)],
    )?;
    assert_eq!(live.code, 0, "{live:?}");
    let heading = live.out.lines().next().unwrap_or_default();
    assert!(
        heading.starts_with("endpoint") && heading.contains(" quality ") && heading.contains(" circuit "),
        "{heading}"
    );
    assert!(live.out.lines().skip(1).all(|line| line.contains(" closed ")), "{}", live.out);
    let offline = merit(
        gateway.folder(),
        &[],
        &["providers", "--config", "gateway.toml", "--url", "http://127.0.0.1:1"],
    )?;
    assert_eq!(offline.code, 0, "{offline:?}");
    for ran in [live, offline] {
        for endpoint in ["one/small", "two/small"] {
            let told = ran.out.lines().find(|line| line.starts_with(endpoint));
            assert!(told.is_some_and(|line| line.contains("openai")), "no {endpoint}: {}", ran.out);
        }
    }
    Ok(())
}

#[test]
fn commands_show_the_admin_token_they_are_given() -> Fallible<()> {
    let market = Market::of_one()?;
    let token = [("MERIT_ADMIN_TOKEN", "the-operators-token")];
    let mut gateway =
        Gateway::start_with(&Setup { config: &market.config(), environment: &token, ..Setup::default() })?;
    let url = format!("http://127.0.0.1:{}", gateway.admin);
    let providers =
        |environment: &[(&str, &str)]| merit(gateway.folder(), environment, &["providers", "--url", &url]);
    assert_eq!(providers(&token)?.code, 0);
    let stranger = providers(&[])?;
    assert_eq!(stranger.code, 69, "{stranger:?}");
    assert!(stranger.err.contains("admin token"), "{stranger:?}");
    let log = gateway.whole_log()?;
    assert!(log.contains("serving") && !log.contains("the-operators-token"), "{log}");
    Ok(())
}

#[test]
fn health_is_an_exit_code() -> Fallible<()> {
    let (_market, gateway) = started()?;
    let url = format!("http://127.0.0.1:{}", gateway.admin);
    for more in [&[][..], &["--ready"]] {
        let mut arguments = vec!["healthcheck", "--url", &url];
        arguments.extend(more);
        assert_eq!(merit(gateway.folder(), &[], &arguments)?.code, 0);
    }
    let nobody = merit(gateway.folder(), &[], &["healthcheck", "--url", "http://127.0.0.1:1"])?;
    assert_eq!(nobody.code, 69, "{nobody:?}");
    Ok(())
}

#[test]
fn the_configuration_shows_itself() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let schema = merit(folder.path(), &[], &["config", "schema"])?;
    let schema: Value = serde_json::from_str(&schema.out)?;
    for section in ["server", "auth", "providers", "routes", "objectives"] {
        assert!(schema.pointer(&format!("/properties/{section}")).is_some(), "{section}");
    }
    fs::write(
        folder.path().join("mine.toml"),
        "[providers.local]\nbase_url = \"http://127.0.0.1:9/v1\"\nkey = \"sk-literal\"\n\
         [[providers.local.models]]\nname = \"small\"\nprice = { input = 1.0, output = 2.0 }\n",
    )?;
    let environment = [("MERIT__ROUTER__ATTEMPTS", "3")];
    let arguments =
        ["config", "print", "--origin", "--config", "mine.toml", "--set", "server.listen=127.0.0.1:7"];
    let printed = merit(folder.path(), &environment, &arguments)?;
    assert_eq!(printed.code, 0, "{printed:?}");
    for (key, value, origin) in [
        ("router.attempts", "3", "MERIT__ROUTER__ATTEMPTS"),
        ("server.listen", "\"127.0.0.1:7\"", "flag"),
        ("server.admin", "\"127.0.0.1:9090\"", "default"),
        ("providers.local.models[0].name", "\"small\"", "mine.toml:5"),
    ] {
        let line = printed.out.lines().find(|line| line.starts_with(&format!("{key} = {value}")));
        assert!(line.is_some_and(|line| line.contains(origin)), "{key}, {origin}: {}", printed.out);
    }
    let shown = format!("{}{}", printed.out, printed.err);
    assert!(!shown.contains("sk-literal"), "{shown}");
    Ok(())
}

#[test]
fn check_tries_the_providers_when_asked() -> Fallible<()> {
    let spec = ProviderSpec { key: Some("sk-right".into()), ..ProviderSpec::named("sim") };
    let market = Market::start(vec![spec.model("small", 1.0, 2.0, 0.8)])?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("merit.toml"), market.config())?;
    let good = merit(folder.path(), &[], &["check", "--connect"])?;
    assert_eq!(good.code, 0, "{good:?}");
    assert!(
        good.out.contains("ok: 1 provider, 1 endpoint, 1 model, 0 routes")
            && good.out.contains("sim: reachable"),
        "{good:?}"
    );
    let gone = "[providers.gone]\nbase_url = \"http://127.0.0.1:1/v1\"\n\
                [[providers.gone.models]]\nname = \"small\"\nprice = { input = 1.0, output = 2.0 }\n";
    let gone = format!("{}{gone}", market.config());
    fs::write(folder.path().join("merit.toml"), gone)?;
    let bad = merit(folder.path(), &[], &["check", "--connect"])?;
    assert_eq!(bad.code, 69, "{bad:?}");
    assert!(bad.err.contains("gone: not reachable") && bad.out.contains("sim: reachable"), "{bad:?}");
    Ok(())
}

#[test]
fn the_simulator_runs_alone() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let scenario = format!(
        "[[providers]]\nname = \"mine\"\nlisten = \"127.0.0.1:{port}\"\nmodels = [{{ name = \"m\" }}]\n"
    );
    fs::write(folder.path().join("scenario.toml"), scenario)?;
    let mut command = program(folder.path(), &[]);
    command.args(["sim", "--scenario", "scenario.toml"]);
    let mut process = Process::start("sim", command, folder.path().join("log"))?;
    process.wait_until(Duration::from_secs(20), || http::get(port, "/__journal").is_ok())?;
    let answer = http::send(port, "POST", "/v1/chat/completions", &[], chat("m").to_string())?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let log = process.log();
    assert!(log.contains("mine") && log.contains(&format!("http://127.0.0.1:{port}/v1")), "{log}");
    process.signal("INT")?;
    assert!(process.ended(Duration::from_secs(9))?.success(), "{}", process.log());

    fs::write(folder.path().join("bad.toml"), "[[providers]]\nname = \"a\"\nspeed = 1\n")?;
    let bad = merit(folder.path(), &[], &["sim", "--scenario", "bad.toml"])?;
    assert_eq!(bad.code, 78, "{bad:?}");
    assert!(bad.err.contains("unknown field"), "{bad:?}");
    Ok(())
}

#[test]
fn the_demo_does_what_it_prints() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let (api, admin) = (free_port()?, free_port()?);
    let (listen, admin_listen) =
        (format!("server.listen=127.0.0.1:{api}"), format!("server.admin=127.0.0.1:{admin}"));
    let mut command = program(folder.path(), &[]);
    command.args([
        "demo",
        "--quiet",
        "--set",
        &listen,
        "--set",
        &admin_listen,
        "--set",
        "server.drain_delay=0s",
    ]);
    let mut process = Process::start("demo", command, folder.path().join("log"))?;
    process.wait_until(Duration::from_secs(30), || {
        http::get(admin, "/readyz").is_ok_and(|answer| answer.status == 200)
    })?;
    let log = process.log();
    assert!(log.contains("SIMULATED"), "{log}");

    let from = log.find("curl ").ok_or("no curl is printed")?;
    let (curl, _) = log.get(from..).and_then(|text| text.split_once("\n\n")).ok_or("the curl has no end")?;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{} --silent --show-error", curl.trim_end())]);
    let answer = run(command)?;
    let answer: Value = serde_json::from_str(&answer.out).map_err(|error| format!("{error}: {answer:?}"))?;
    assert!(answer.pointer("/choices/0/message/content").is_some_and(Value::is_string), "{answer}");

    let from = log.find("from openai import").ok_or("no Python is printed")?;
    let (python, _) =
        log.get(from..).and_then(|text| text.split_once("\n\n")).ok_or("the Python has no end")?;
    let mut command = Command::new(installed::python()?);
    command.args(["-c", python]);
    let answer = run(command)?;
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.trim().contains(' '), "{answer:?}");

    for path in ["/metrics", "/admin/v1/providers", "/admin/v1/decisions"] {
        assert!(log.contains(&format!("http://127.0.0.1:{admin}{path}")), "{path}: {log}");
        assert_eq!(http::get(admin, path)?.status, 200);
    }
    process.signal("INT")?;
    assert!(process.ended(Duration::from_secs(9))?.success(), "{}", process.log());
    Ok(())
}

#[test]
fn the_demo_keeps_a_trickle_of_traffic_going() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let (api, admin) = (free_port()?, free_port()?);
    let listen = [format!("server.listen=127.0.0.1:{api}"), format!("server.admin=127.0.0.1:{admin}")];
    let mut command = program(folder.path(), &[]);
    command.args(["demo", "--set", &listen[0], "--set", &listen[1], "--set", "server.drain_delay=0s"]);
    let mut process = Process::start("demo", command, folder.path().join("log"))?;
    process.wait_until(Duration::from_secs(30), || {
        let decisions = http::get(admin, "/admin/v1/decisions").and_then(|answer| answer.json());
        decisions.is_ok_and(|decisions| {
            decisions.pointer("/data/0/outcome").and_then(Value::as_str).is_some_and(|word| word == "ok")
        })
    })
}

#[test]
fn wrong_usage_and_what_is_not_built_have_their_codes() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["serve", "--help"], 0),
        (&["nonsense"], 64),
        (&["serve", "--nonsense"], 64),
        (&["check", "--set", "nonsense"], 64),
        (&["replay", "market"], 64),
        (&["replay", "cache"], 64),
        (&["replay", "cache", "--trace", "none.jsonl"], 64),
        (&["replay", "quality", "--prompts", "a.csv"], 64),
        (&["usage", "--by", "planet"], 64),
        (&["ledger", "verify", "--url", "http://127.0.0.1:1"], 69),
        (&["top"], 69),
        (&["check", "--config", "missing.toml"], 78),
    ] {
        let ran = merit(folder.path(), &[], arguments)?;
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(!format!("{}{}", ran.out, ran.err).trim().is_empty(), "{arguments:?} says nothing");
    }
    let (market, gateway) = started()?;
    let listen = format!("server.listen=127.0.0.1:{}", gateway.api);
    let taken = Gateway::start_with(&Setup {
        config: &market.config(),
        arguments: &["--set", &listen],
        ..Setup::default()
    });
    let told = taken.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("cannot listen on") && told.contains("69"), "{told}");
    Ok(())
}
