//! The walk-through of `docs/selling.md`, command by command as it stands there.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value, json};

use merit::sim::ProviderSpec;
use merit::store::sqlite::Reader;

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::command::merit;
use crate::support::gateway::{Gateway, Setup};
use crate::support::http::{Answer, get_as};
use crate::support::installed::root;
use crate::support::market::Market;
use crate::support::process::until;

/// Everything in shell blocks that begins with `merit`, but the demo.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("merit "));
    lines.filter(|line| *line != "demo").map(str::to_owned).collect()
}

fn ask(gateway: &Gateway, key: &str) -> Fallible<Answer> {
    let body = with(chat("auto"), "max_tokens", json!(4));
    gateway.chat_as(&[("authorization", &format!("Bearer {key}"))], &body)
}

fn key(out: &str) -> Fallible<String> {
    let key = out.trim().strip_prefix("key (shown once): ").ok_or_else(|| format!("no key in {out:?}"))?;
    Ok(key.to_owned())
}

#[test]
fn the_walk_through_works_as_it_is_written() -> Fallible<()> {
    // Only output costs anything: 4 tokens at 2 USD per million are 8,000 nano-USD.
    let market = Market::start(vec![ProviderSpec::named("sim").model("auto", 0.0, 2.0, 0.8)])?;
    let gateway = Gateway::start_with(&Setup { config: &market.config(), ..Setup::default() })?;
    // The commands find the gateway by the configuration that lies in the folder.
    gateway.put("merit.toml", &format!("[server]\nadmin = \"127.0.0.1:{}\"\n", gateway.admin))?;
    let commands = commands(&fs::read_to_string(root().join("docs/selling.md"))?);
    assert!(commands.len() >= 12, "{commands:?}");
    let mut said: HashMap<&str, String> = HashMap::new();
    let mut app = String::new();
    for command in &commands {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let ran = merit(gateway.folder(), &[], &arguments)?;
        assert_eq!(ran.code, 0, "merit {command}: {ran:?}");
        if command.contains("--name app") {
            app = key(&ran.out)?;
            for _ in 0..3 {
                let answer = ask(&gateway, &app)?;
                assert_eq!((answer.status, answer.must("x-merit-cost-usd")?), (200, "0.000009600"));
            }
            let reader = Reader::open(&gateway.folder().join("data/merit.db"))?;
            until("the ledger has them", || Ok(reader.page(0, 10)?.len() == 3))?;
        }
        if command.contains("--name tiny") {
            let refused = ask(&gateway, &key(&ran.out)?)?;
            assert_eq!((refused.status, refused.error_code()?.as_str()), (402, "budget_exceeded"));
            assert!(refused.body.contains("0.000001000"), "{}", refused.body);
        }
        if command.starts_with("keys rotate") {
            for text in [&app, &key(&ran.out)?] {
                assert_eq!(ask(&gateway, text)?.status, 200, "both texts work for an hour");
            }
        }
        said.insert(command.as_str(), ran.out);
    }
    assert_eq!(market.entries().len(), 5, "the one that was refused was not sent");
    let table = &said["usage --by customer"];
    let row = table.lines().find(|line| line.starts_with("acme")).ok_or_else(|| table.clone())?;
    let cells: Vec<&str> = row.split_whitespace().collect();
    // Name, requests, attempts, three kinds of tokens, then cost, revenue, margin.
    assert_eq!(cells.get(1), Some(&"3"), "{table}");
    assert_eq!(cells.get(6..), Some(&["0.000024000", "0.000028800", "0.000004800"][..]), "{table}");
    let csv = &said["usage --by key --csv"];
    assert!(csv.starts_with("name,requests,") && csv.contains("\napp,3,3,"), "{csv}");
    assert!(said["ledger verify"].contains(" records agree"), "{}", said["ledger verify"]);
    let export = &said["ledger export --format csv"];
    assert!(export.lines().count() >= 4 && export.starts_with("id,request_id,attempt,"), "{export}");
    assert!(!said["keys list --customer acme"].contains(&app), "a key is shown again");

    let me = get_as(gateway.api, "/v1/me", &[("authorization", &format!("Bearer {app}"))])?.json()?;
    assert_eq!((&me["key"], &me["customer"]), (&json!("app"), &json!("acme")), "{me}");
    let own = &me["budgets"][0];
    assert_eq!((&own["of"], &own["limit_usd"]), (&json!("key"), &json!("5.000000000")), "{me}");
    assert_eq!(own["spent_usd"], json!("0.000048000"), "five answers at 9,600: {me}");
    assert_eq!(own["remaining_usd"], json!("4.999952000"), "{me}");
    assert!(own["resets_unix_ms"].as_u64() > Some(0), "{me}");
    until("the latest requests are shown", || {
        let me = get_as(gateway.api, "/v1/me", &[("x-api-key", &app)])?.json()?;
        Ok(me["recent"].as_array().is_some_and(|recent| recent.len() == 5))
    })?;
    Ok(())
}

/// The same commands on the store itself, and a gateway that starts on it then.
#[test]
fn without_a_gateway_commands_open_the_store() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let nobody = crate::support::process::free_port()?;
    fs::write(folder.path().join("merit.toml"), format!("[server]\nadmin = \"127.0.0.1:{nobody}\"\n"))?;
    let run = |arguments: &[&str]| merit(folder.path(), &[], arguments);
    let made = run(&["customers", "create", "acme"])?;
    assert_eq!(made.code, 0, "{made:?}");
    let made = run(&["keys", "create", "--customer", "acme", "--name", "app", "--budget", "1"])?;
    assert_eq!(made.code, 0, "{made:?}");
    assert!(key(&made.out)?.starts_with("sk-merit-"));
    let listed = run(&["keys", "list", "--customer", "acme", "--json"])?;
    let row: Value = serde_json::from_str(listed.out.trim())?;
    assert_eq!((&row["name"], &row["version"]), (&json!("app"), &json!(1)), "{row}");
    for (arguments, code, told) in [
        (&["customers", "create", "acme"][..], 64, "already"),
        (&["keys", "revoke", "other"], 64, "there is no key"),
        (&["keys", "create", "--customer", "nobody"], 64, "there is no customer"),
        (&["keys", "create", "--budget", "5"], 64, "--customer"),
        (&["keys", "create", "--customer", "acme", "--name", "bad", "--budget", "1e308"], 64, "no amount"),
        (&["usage", "--by", "planet"], 64, "planet"),
        (&["usage", "--url", &format!("http://127.0.0.1:{nobody}")], 69, "no gateway answers"),
    ] {
        let ran = run(arguments)?;
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(told), "{arguments:?}: {ran:?}");
    }
    let listed = run(&["keys", "list", "--customer", "acme", "--json"])?;
    assert_eq!(
        listed.out.lines().count(),
        1,
        "a key whose budget could not be made is revoked: {}",
        listed.out
    );
    assert_eq!(run(&["ledger", "verify"])?.code, 0);
    Ok(())
}
