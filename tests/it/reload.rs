//! A new configuration takes the place of the old one while requests are served,
//! or it does not and says why.

use std::fs;

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed};
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::{self, Answer, Events};
use crate::support::keys;
use crate::support::market::{Market, configured, pace};
use crate::support::process::until;

const INCLUDE: &str = "include = [\"providers.d/*.toml\"]\n";

fn start(market: &Market) -> Fallible<Gateway> {
    Gateway::start_with(&Setup {
        config: &market.config(),
        files: &[("more.toml", INCLUDE), ("providers.d/README", "not a configuration")],
        arguments: &["--config", "more.toml"],
        ..Setup::default()
    })
}

fn reload(gateway: &Gateway, query: &str) -> Fallible<Answer> {
    http::send(gateway.admin, "POST", &format!("/admin/v1/reload{query}"), &[], "")
}

fn generation(gateway: &Gateway) -> Fallible<u64> {
    let state = gateway.state()?;
    Ok(state.pointer("/config/generation").and_then(Value::as_u64).ok_or("no generation")?)
}

fn has_model(gateway: &Gateway, name: &str) -> Fallible<bool> {
    let list = http::get(gateway.api, "/v1/models")?.json()?;
    let models = list.get("data").and_then(Value::as_array).ok_or("no models")?;
    Ok(models.iter().any(|model| model.get("id") == Some(&json!(name))))
}

#[test]
fn a_provider_dropped_into_a_folder_serves_without_a_restart() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let new = market.another(ProviderSpec::named("new").model("star", 1.0, 2.0, 0.9))?;
    assert!(!has_model(&gateway, "star")?);
    gateway.put("providers.d/new.toml", &configured(&new.providers()[0]))?;
    until("the new model is listed", || has_model(&gateway, "star"))?;
    assert_eq!(gateway.chat(&chat("star"))?.must("x-merit-provider")?, "new");
    fs::remove_file(gateway.folder().join("providers.d/new.toml"))?;
    until("the model is gone again", || Ok(!has_model(&gateway, "star")?))?;
    assert_eq!(gateway.chat(&chat("star"))?.error_code()?, "model_not_found");
    assert_eq!(gateway.chat(&chat("small"))?.status, 200);
    Ok(())
}

#[test]
fn a_hang_up_signal_reloads() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let before = gateway.count("merit_config_reload_total", &["result=\"ok\""])?;
    gateway.signal("HUP")?;
    until("the signal is obeyed", || {
        Ok(gateway.count("merit_config_reload_total", &["result=\"ok\""])? > before)
    })?;
    assert_eq!(generation(&gateway)?, 1, "nothing has changed");
    assert_eq!(gateway.count("merit_config_reload_total", &["result=\"rejected\""])?, 0);
    Ok(())
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    let with = |name: &str| {
        let more =
            format!("[[providers.sim.models]]\nname = \"{name}\"\nprice = {{ input = 1.0, output = 1.0 }}\n");
        format!("{}{more}", market.config())
    };
    // The gateway also looks at its files by itself, and may be first.
    let mut tries = 0;
    until("a dry run is the first to see a change", || {
        tries += 1;
        let (name, before) = (format!("try-{tries}"), generation(&gateway)?);
        gateway.reconfigure(&with(&name))?;
        let told = reload(&gateway, "?dry_run=1")?.json()?;
        if told.get("changed") == Some(&json!(false)) {
            return Ok(false);
        }
        assert_eq!(told.get("added"), Some(&json!([format!("sim/{name}")])), "{told}");
        assert_eq!(told.get("generation"), Some(&json!(before)), "{told}");
        Ok(true)
    })?;
    gateway.reconfigure(&with("extra"))?;
    let done = reload(&gateway, "")?;
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(has_model(&gateway, "extra")?);
    let again = reload(&gateway, "?dry_run=1")?.json()?;
    assert_eq!(again.get("changed"), Some(&json!(false)), "{again}");
    Ok(())
}

#[test]
fn what_only_a_restart_can_change_is_named() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    gateway.reconfigure(&format!("{}[log]\nlevel = \"debug\"\n", market.config()))?;
    let report = reload(&gateway, "")?;
    assert_eq!(report.status, 200, "{}", report.body);
    assert_eq!(report.json()?.get("needs_restart"), Some(&json!(["log"])), "{}", report.body);
    Ok(())
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_everywhere() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    gateway.put("providers.d/bad.toml", "[providers.bad]\nbase_urll = \"http://127.0.0.1:9/v1\"\n")?;
    until("the bad file is noticed", || Ok(gateway.state()?.pointer("/config/stale") == Some(&json!(true))))?;
    let state = gateway.state()?;
    let told = state.pointer("/config/rejected").and_then(Value::as_str).unwrap_or_default();
    assert!(told.contains("providers.d/bad.toml:2: providers.bad.base_urll"), "{state}");
    assert!(told.contains("did you mean base_url?"), "{state}");
    assert_eq!(state.get("status"), Some(&json!("ok")), "{state}");
    assert_eq!(generation(&gateway)?, 1);
    assert!(gateway.count("merit_config_reload_total", &["result=\"rejected\""])? >= 1);
    until("it is logged", || Ok(gateway.log().contains("providers.d/bad.toml:2")))?;
    for query in ["", "?dry_run=1"] {
        let refused = reload(&gateway, query)?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (400, "invalid_request"));
        assert!(refused.body.contains("providers.d/bad.toml:2"), "{}", refused.body);
    }
    assert_eq!(gateway.chat(&chat("small"))?.status, 200);

    fs::remove_file(gateway.folder().join("providers.d/bad.toml"))?;
    until("the mended configuration is accepted", || {
        Ok(gateway.state()?.pointer("/config/stale") == Some(&json!(false)))
    })?;
    Ok(())
}

#[test]
fn a_stream_under_way_keeps_the_configuration_it_began_with() -> Fallible<()> {
    let mut spec = ProviderSpec::named("sim").model("small", 1.0, 2.0, 0.8);
    spec.timing = pace(1.0, 40.0);
    let market = Market::start(vec![spec])?;
    let gateway = start(&market)?;
    let mut stream = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
    assert_eq!(stream.answer.status, 200, "{}", stream.answer.head);
    let first = stream.next()?;
    let other = market.another(ProviderSpec::named("other").model("else", 1.0, 2.0, 0.9))?;
    gateway.reconfigure(&configured(&other.providers()[0]))?;
    until("the old provider is gone", || Ok(!has_model(&gateway, "small")?))?;
    assert!(first.is_some());
    let rest = stream.rest()?;
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "{rest:?}");
    assert_eq!(market.entries()[0].ending, merit::sim::Ending::Complete);
    Ok(())
}

#[test]
fn a_key_in_a_file_is_rotated_by_writing_the_file() -> Fallible<()> {
    let spec = ProviderSpec { key: Some("sk-new".into()), ..ProviderSpec::named("sim") };
    let market = Market::start(vec![spec])?;
    let base = market.provider("sim")?.base_url();
    let config = format!(
        "[providers.sim]\nbase_url = \"{base}\"\nkey = {{ file = \"secrets/sim\" }}\n\
         [[providers.sim.models]]\nname = \"small\"\nprice = {{ input = 1.0, output = 2.0 }}\n"
    );
    let gateway = Gateway::start_with(&Setup {
        config: &config,
        files: &[("secrets/sim", "sk-old\n")],
        ..Setup::default()
    })?;
    let refused = gateway.chat(&chat("small"))?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (502, "upstream_error"), "{}", refused.body);
    gateway.put("secrets/sim", "sk-new\n")?;
    until("the new key is used", || Ok(gateway.chat(&chat("small"))?.status == 200))?;
    let used: Vec<_> = market.entries().into_iter().filter_map(|entry| entry.credential).collect();
    assert_eq!(used.first(), Some(&merit::sim::credential_digest("sk-old")));
    assert_eq!(used.last(), Some(&merit::sim::credential_digest("sk-new")));
    Ok(())
}

#[test]
fn keys_come_and_go_without_a_restart() -> Fallible<()> {
    let market = Market::of_one()?;
    let config = |keys: &[(&str, &str)]| format!("{}{}", keys::configured(keys), market.config());
    let gateway = Gateway::start(&config(&[("old", "")]))?;
    assert_eq!((status(&gateway, "sk-old")?, status(&gateway, "sk-new")?), (200, 401));
    gateway.reconfigure(&config(&[("new", "")]))?;
    until("the new key opens", || Ok(status(&gateway, "sk-new")? == 200))?;
    assert_eq!(status(&gateway, "sk-old")?, 401);
    // Without any key everybody would be let in; that is refused, not done.
    gateway.reconfigure(&config(&[]))?;
    until("it is noticed that there is no key", || {
        Ok(gateway.state()?.pointer("/config/stale") == Some(&json!(true)))
    })?;
    assert_eq!((status(&gateway, "sk-new")?, status(&gateway, "sk-old")?), (200, 401));
    Ok(())
}

fn status(gateway: &Gateway, key: &str) -> Fallible<u16> {
    Ok(gateway.chat_as(&[("x-api-key", key)], &chat("small"))?.status)
}
