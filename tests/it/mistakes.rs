//! What an operator is told who makes mistakes, and one who has made none.

use std::fs;
use std::time::Duration;

use merit::sim::ProviderSpec;

use crate::support::Fallible;
use crate::support::chat::chat;
use crate::support::command::merit;
use crate::support::gateway::{CHAT, program};
use crate::support::http;
use crate::support::market::Market;
use crate::support::process::{Process, free_port};

const FIVE: &str = r#"[server]
listn = "127.0.0.1:8080"

[log]
format = "jason"

[providers.openai]
vendor = "opnai"

[providers.local]
base_url = "http://127.0.0.1:9/v1"

[[providers.local.models]]
name = "small"
price = { input = 1.0, output = 2.0 }
quality = 1.5

[[routes]]
name = "auto"
models = ["small"]
objective = "chepest"
"#;

/// Line, key, and what to do instead.
const TOLD: [(u32, &str, &str); 5] = [
    (2, "server.listn", "did you mean listen?"),
    (5, "log.format", "did you mean json?"),
    (8, "providers.openai.vendor", "did you mean openai?"),
    (16, "providers.local.models[0].quality", "use a number from 0 to 1"),
    (21, "routes[0].objective", "did you mean cheapest?"),
];

#[test]
fn five_mistakes_are_told_at_once() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("bad.toml"), FIVE)?;
    for command in ["check", "serve"] {
        let ran = merit(folder.path(), &[], &[command, "--config", "bad.toml"])?;
        assert_eq!(ran.code, 78, "{command}: {ran:?}");
        for (line, key, advice) in TOLD {
            let told = ran.err.lines().find(|told| told.starts_with(&format!("bad.toml:{line}: {key}: ")));
            let told = told.ok_or_else(|| format!("{command} is silent about line {line}: {}", ran.err))?;
            assert!(told.ends_with(advice), "{told}");
        }
        assert_eq!(ran.err.lines().filter(|line| line.starts_with("bad.toml:")).count(), 5, "{}", ran.err);
    }
    Ok(())
}

#[test]
fn whoever_has_nothing_is_told_what_to_do() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    for arguments in [&[][..], &["serve"], &["check"]] {
        let ran = merit(folder.path(), &[], arguments)?;
        assert_eq!(ran.code, 78, "{ran:?}");
        for advice in ["merit demo", "OPENAI_API_KEY", "merit.toml"] {
            assert!(ran.err.contains(advice), "{ran:?}");
        }
    }
    Ok(())
}

#[test]
fn a_vendors_key_alone_is_enough_to_serve_it() -> Fallible<()> {
    let market =
        Market::start(vec![ProviderSpec { key: Some("sk-vendor".into()), ..ProviderSpec::named("v") }])?;
    let folder = tempfile::tempdir()?;
    let (api, admin) = (free_port()?, free_port()?);
    let (listen, admin_listen) = (format!("127.0.0.1:{api}"), format!("127.0.0.1:{admin}"));
    let base = market.provider("v")?.base_url();
    let environment = [
        ("OPENAI_API_KEY", "sk-vendor"),
        ("MERIT__PROVIDERS__OPENAI__BASE_URL", base.as_str()),
        ("MERIT__SERVER__LISTEN", listen.as_str()),
        ("MERIT__SERVER__ADMIN", admin_listen.as_str()),
        ("MERIT__SERVER__DRAIN_DELAY", "0s"),
    ];
    let command = program(folder.path(), &environment);
    let mut process = Process::start("merit", command, folder.path().join("log"))?;
    process.wait_until(Duration::from_secs(30), || {
        http::get(admin, "/readyz").is_ok_and(|answer| answer.status == 200)
    })?;
    let answer = http::send(api, "POST", CHAT, &[], chat("gpt-4o-mini").to_string())?;
    assert_eq!(answer.status, 200, "{}\n{}", answer.body, process.log());
    assert_eq!(answer.must("x-merit-provider")?, "openai");
    let entries = market.entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].credential, Some(merit::sim::credential_digest("sk-vendor")));
    assert_eq!(entries[0].model, "gpt-4o-mini");
    Ok(())
}
