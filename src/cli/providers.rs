//! `merit providers`: what a running gateway offers and how it does.

use std::process::ExitCode;

use serde_json::Value;

use super::{Source, UNAVAILABLE, complain, gateway, say};
use crate::app::lookup::FromBook;
use crate::books::prices::PriceBook;
use crate::config::{Environment, Loaded, Sources};

/// Asks the running gateway; where none runs, shows what is configured.
pub fn run(address: &gateway::Address, source: &Source, environment: &Environment) -> ExitCode {
    let asked = super::small_runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(address.ask("/admin/v1/providers", None, source, environment)));
    match asked {
        Ok((200, answer)) => {
            live(&answer);
            ExitCode::SUCCESS
        }
        Ok((_, answer)) => {
            complain(gateway::message(&answer));
            ExitCode::from(UNAVAILABLE)
        }
        Err(problem) => {
            complain(&format!("{problem}; showing the configuration instead"));
            configured(source, environment)
        }
    }
}

fn live(answer: &Value) {
    for endpoint in answer.get("data").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| {
            endpoint
                .get(name)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
        };
        let flag = |name: &str, word: &str| {
            if endpoint.get(name) == Some(&Value::Bool(true)) {
                word.to_owned()
            } else {
                format!("NOT {word}")
            }
        };
        say(&format!(
            "{:<48} {:<10} {:<12} {}",
            text("endpoint").unwrap_or_default(),
            text("dialect").unwrap_or_default(),
            flag("priced", "priced"),
            endpoint.get("live").map(ToString::to_string).unwrap_or_default()
        ));
    }
}

fn configured(source: &Source, environment: &Environment) -> ExitCode {
    let loaded = source.flags().and_then(|flags| {
        let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
        crate::config::load(&sources, &FromBook::new(&PriceBook::embedded()))
            .map_err(|error| error.to_string())
    });
    match loaded {
        Ok(Loaded { catalog, .. }) => {
            for endpoint in &catalog.endpoints {
                let price = endpoint.rates.as_ref().map_or_else(
                    || "no price: never chosen".to_owned(),
                    |rates| {
                        format!(
                            "${}/{} per million tokens",
                            rates.input.usd_per_mtok(),
                            rates.output.usd_per_mtok()
                        )
                    },
                );
                say(&format!("{:<48} {:<10} {price}", endpoint.identity, endpoint.provider.dialect.name()));
            }
            ExitCode::SUCCESS
        }
        Err(problem) => {
            complain(&problem);
            ExitCode::from(super::CONFIG)
        }
    }
}
