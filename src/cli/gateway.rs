//! Asking a running gateway over its admin listener.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Source;
use crate::config::Environment;

/// A running gateway.
#[derive(Debug, Clone, Args)]
pub struct Address {
    /// Address of its admin listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub url: String,
}

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
    /// Asks the gateway and gives its JSON answer, whatever its status.
    ///
    /// # Errors
    /// When there is no gateway at that address or it gives no JSON.
    pub async fn ask(
        &self,
        path: &str,
        body: Option<Vec<u8>>,
        _source: &Source,
        environment: &Environment,
    ) -> Result<(u16, Value), String> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
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
            format!("no gateway answers at {}: {error}", self.url)
        })?;
        let status = response.status().as_u16();
        let answer = response.bytes().await.map_err(|error| error.without_url().to_string())?;
        let value = serde_json::from_slice(&answer).map_err(|_| format!("{} gave no JSON (status {status})", self.url))?;
        Ok((status, value))
    }
}

/// The message of an error answer.
#[must_use]
pub fn message(answer: &Value) -> &str {
    answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("unknown error")
}
