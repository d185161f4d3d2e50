//! Asking a running gateway over its admin listener.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Source;
use crate::config::{Environment, Sources, settings_alone};

/// A running gateway.
#[derive(Debug, Clone, Args)]
pub struct Address {
    /// Address of its admin listener; without one, that of the configuration
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// The admin listener where nothing else is configured.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// How long a gateway on the same machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client without redirects and proxies.
///
/// # Errors
/// When the TLS library cannot be set up.
pub fn client(patience: Duration) -> Result<reqwest::Client, String> {
    // Fails only when a provider was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(patience)
        .connect_timeout(Duration::from_secs(3))
        .build()
        .map_err(|error| error.without_url().to_string())
}

impl Address {
    /// Where to ask: as given, else where a gateway with this configuration
    /// listens on this machine.
    #[must_use]
    pub fn base(&self, source: &Source, environment: &Environment) -> String {
        if let Some(url) = &self.url {
            return url.trim_end_matches('/').to_owned();
        }
        let flags = source.flags().unwrap_or_default();
        let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
        // A configuration that cannot be used is told by the gateway itself and
        // by merit check; here the usual address is as good a guess as any.
        let mut admin = settings_alone(&sources).map_or(USUAL, |settings| settings.server.admin);
        if admin.ip().is_unspecified() {
            admin.set_ip(if admin.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("http://{admin}")
    }

    /// Asks the gateway and gives its JSON answer, whatever its status.
    ///
    /// # Errors
    /// When there is no gateway at that address or it gives no JSON.
    pub async fn ask(
        &self,
        path: &str,
        body: Option<Vec<u8>>,
        source: &Source,
        environment: &Environment,
    ) -> Result<(u16, Value), String> {
        let base = self.base(source, environment);
        let url = format!("{base}{path}");
        let client = client(PATIENCE)?;
        let mut request = match body {
            Some(body) => client.post(&url).header("content-type", "application/json").body(body),
            None => client.get(&url),
        };
        if let Some(token) = environment.get("MERIT_ADMIN_TOKEN") {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| {
            let error = error.without_url();
            format!("no gateway answers at {base}: {error}")
        })?;
        let status = response.status().as_u16();
        let answer = response.bytes().await.map_err(|error| error.without_url().to_string())?;
        let value =
            serde_json::from_slice(&answer).map_err(|_| format!("{base} gave no JSON (status {status})"))?;
        Ok((status, value))
    }
}

/// The message of an error answer.
#[must_use]
pub fn message(answer: &Value) -> &str {
    answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("unknown error")
}
