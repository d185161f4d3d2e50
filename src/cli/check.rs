//! `merit check`: everything that is wrong with the configuration, at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::Method;

use super::{CONFIG, Source, UNAVAILABLE, USAGE, complain, gateway, say};
use crate::app::lookup::FromBook;
use crate::books::prices::PriceBook;
use crate::catalog::{Auth, Provider};
use crate::config::{Environment, LoadError, Loaded, Sources};
use crate::credential::{Control, Outgoing, Signer};

/// `merit check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Also asks each provider for its models, with its key
    #[arg(long)]
    connect: bool,
}

/// How long a provider may take to list its models.
const PATIENCE: Duration = Duration::from_secs(15);

impl Check {
    /// Runs the command.
    pub fn run(&self, source: &Source, environment: &Environment) -> ExitCode {
        let flags = match source.flags() {
            Ok(flags) => flags,
            Err(problem) => {
                complain(&problem);
                return ExitCode::from(USAGE);
            }
        };
        let strict = source.strict;
        let sources = Sources { files: source.config.clone(), flags, strict, ..Sources::usual(environment) };
        match crate::config::load(&sources, &FromBook::new(&PriceBook::embedded())) {
            Ok(loaded) => {
                report(&loaded);
                if self.connect { connect(&loaded) } else { ExitCode::SUCCESS }
            }
            Err(error) => {
                complain(&error.to_string());
                if let LoadError::Problems(problems) = &error {
                    complain(&counted(problems.len(), "problem"));
                }
                ExitCode::from(CONFIG)
            }
        }
    }
}

fn report(loaded: &Loaded) {
    for warning in &loaded.warnings {
        complain(&warning.to_string());
    }
    let catalog = &loaded.catalog;
    let unpriced: Vec<&str> = catalog
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.rates.is_none())
        .map(|endpoint| endpoint.identity.as_ref())
        .collect();
    say(&format!(
        "ok: {}, {}, {}, {}",
        counted(catalog.providers.len(), "provider"),
        counted(catalog.endpoints.len(), "endpoint"),
        counted(catalog.models.len(), "model"),
        counted(catalog.routes.len(), "route")
    ));
    if !unpriced.is_empty() {
        say(&format!("without a known price, and so never chosen: {}", unpriced.join(", ")));
    }
}

/// `1 problem`, `2 problems`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Asks every account for its models.
fn connect(loaded: &Loaded) -> ExitCode {
    let asked = super::small_runtime().map_err(|error| error.to_string()).and_then(|runtime| {
        let (client, control) = (gateway::client(PATIENCE)?, Control::new(PATIENCE)?);
        Ok(runtime.block_on(async {
            let mut failed = 0_u32;
            for provider in &loaded.catalog.providers {
                let name = provider.label();
                match models(&client, &control, provider).await {
                    Ok(()) if provider.auth == Auth::None => say(&format!("{name}: reachable")),
                    Ok(()) => say(&format!("{name}: reachable, and lists its models to this key")),
                    Err(problem) => {
                        failed += 1;
                        complain(&format!("{name}: {problem}"));
                    }
                }
            }
            failed
        }))
    });
    match asked {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(UNAVAILABLE),
        Err(problem) => {
            complain(&problem);
            ExitCode::from(UNAVAILABLE)
        }
    }
}

async fn models(client: &reqwest::Client, control: &Control, provider: &Provider) -> Result<(), String> {
    let url = format!("{}/models", provider.base_url.to_string().trim_end_matches('/'));
    let mut request = client.get(&url).headers(provider.headers.clone());
    let signer = Arc::new(Signer::new(provider, control));
    let uri = url.parse().map_err(|_| "its address with /models is none".to_owned())?;
    let outgoing = Outgoing { method: &Method::GET, uri: &uri, body: &[] };
    let proof =
        signer.sign(outgoing).await.map_err(|failure| format!("no token was given: {}", failure.label()))?;
    for (name, value) in
        signer.fixed().map(|(name, value)| (name.clone(), value.clone())).into_iter().chain(proof.headers)
    {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|error| {
        // The error's own text names the address, which may carry a key.
        let error = error.without_url();
        if error.is_timeout() { "no answer in time".to_owned() } else { format!("not reachable: {error}") }
    })?;
    match response.status().as_u16() {
        200..=299 => Ok(()),
        401 | 403 => Err("the key was refused".to_owned()),
        404 | 405 => {
            say(&format!("{}: reachable, but lists no models; the key was not tried", provider.label()));
            Ok(())
        }
        status => Err(format!("answered with status {status}")),
    }
}
