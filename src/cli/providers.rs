//! `merit providers`: what a running gateway offers and how it does.

use std::process::ExitCode;

use serde_json::Value;

use super::{Source, UNAVAILABLE, complain, gateway, say};
use crate::app::lookup::FromBook;
use crate::books::prices::PriceBook;
use crate::catalog::Capabilities;
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

/// A table, one line an endpoint. Figures that nobody has measured yet, because
/// the endpoint has not been asked, have a `~` before them; the quality of one that
/// does worse than its siblings has a `!`.
fn live(answer: &Value) {
    say(&row([
        "endpoint",
        "dialect",
        "price",
        "first token",
        "p95 · p99",
        "tokens/s",
        "failing",
        "quality",
        "circuit",
        "credential",
        "can",
    ]));
    for endpoint in answer.get("data").and_then(Value::as_array).into_iter().flatten() {
        say(&line(endpoint));
    }
}

fn line(endpoint: &Value) -> String {
    let text = |pointer: &str| endpoint.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    let number = |pointer: &str| endpoint.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let assumed = |timing: &str| match number(&format!("/live/{timing}/samples")) {
        samples if samples > 0.0 => "",
        _ => "~",
    };
    let price = if endpoint.get("priced") == Some(&Value::Bool(true)) { "known" } else { "UNKNOWN" };
    // One that does worse than its siblings is marked.
    let mark = if endpoint.get("drifting") == Some(&Value::Bool(true)) { "!" } else { "" };
    let quality = format!("{mark}{:.2}", number("/quality"));
    // Whoever rests is not asked, whatever its circuit says.
    let state = endpoint.pointer("/live/resting/why").and_then(Value::as_str);
    row([
        text("/endpoint"),
        text("/dialect"),
        price,
        &format!("{}{:.2} s", assumed("ttft"), number("/live/ttft/p50")),
        &percentiles(endpoint),
        &format!("{}{:.0}", assumed("itl"), 1.0 / number("/live/itl/p50")),
        &format!("{:.1} %", 100.0 * number("/live/risk/share")),
        &quality,
        state.unwrap_or_else(|| text("/live/circuit/state")),
        &credential(endpoint),
        &capabilities(endpoint),
    ])
}

/// What was measured of the first token in the last minutes, in seconds.
fn percentiles(endpoint: &Value) -> String {
    let at = |name: &str| endpoint.pointer(&format!("/measured/ttft/{name}")).and_then(Value::as_f64);
    at("p95").zip(at("p99")).map_or_else(|| "-".to_owned(), |(p95, p99)| format!("{p95:.2} · {p99:.2} s"))
}

/// How its credential stands, in a word or two.
fn credential(endpoint: &Value) -> String {
    let member = |name: &str| endpoint.get("credential").and_then(|credential| credential.get(name));
    match member("state").and_then(Value::as_str) {
        Some("token") => format!("token {}s", member("seconds").and_then(Value::as_u64).unwrap_or_default()),
        Some("unasked") => "no token yet".to_owned(),
        Some("refused") => format!("NONE: {}", member("why").and_then(Value::as_str).unwrap_or("refused")),
        Some(state) => state.to_owned(),
        None => "-".to_owned(),
    }
}

/// What it can do.
fn capabilities(endpoint: &Value) -> String {
    let named = endpoint.get("capabilities").and_then(Value::as_array);
    let words: Vec<&str> = named.into_iter().flatten().filter_map(Value::as_str).collect();
    match words.len() {
        0 => "text".to_owned(),
        all if all == Capabilities::NAMES.len() => "everything, as far as is known".to_owned(),
        _ => words.join(","),
    }
}

fn row(cells: [&str; 11]) -> String {
    let [endpoint, dialect, price, first_token, late, speed, failing, quality, circuit, credential, can] =
        cells;
    format!(
        "{endpoint:<40} {dialect:<10} {price:<8} {first_token:>11} {late:>13} {speed:>9} {failing:>8} {quality:>8}  {circuit:<10} {credential:<14} {can}"
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_endpoint_is_one_line() {
        let endpoint = json!({ "endpoint": "a/m", "dialect": "openai", "priced": true, "quality": 0.7, "drifting": true, "live": {
            "ttft": { "p50": 0.25, "samples": 3.0 }, "itl": { "p50": 0.02, "samples": 0.0 },
            "risk": { "share": 0.015 }, "circuit": { "state": "open" }, "resting": null },
            "credential": { "state": "token", "seconds": 59 }, "capabilities": ["tools", "vision"] });
        let words = line(&endpoint).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words, "a/m openai known 0.25 s - ~50 1.5 % !0.70 open token 59s tools,vision");
        assert_eq!(line(&json!({})).split_whitespace().nth(2), Some("UNKNOWN"));
        let refused = json!({ "credential": { "state": "refused", "why": "key_refused" } });
        assert_eq!(credential(&refused), "NONE: key_refused");
    }
}
