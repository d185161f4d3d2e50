//! Where commands of the counter ask: a running gateway, or the store itself when
//! none runs. The store is asked through the same admin API, served to nobody
//! else, so that both follow the same rules.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use form_urlencoded::Serializer;
use http::Method;
use http::header::{CONTENT_TYPE, IF_MATCH};
use serde_json::Value;
use tower::ServiceExt as _;

use super::gateway::{Address, client, message};
use super::{CONFIG, Source, UNAVAILABLE, USAGE, complain, small_runtime};
use crate::accounts::Counter;
use crate::admin::counter::{Desk as Served, router};
use crate::app::store::{close_alone, open_alone};
use crate::config::{Environment, Sources, settings_alone};

/// How long an answer may take: verifying a large ledger takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Largest answer of the store that is read.
const MOST: usize = 64 << 20;
/// Where everything is.
const ROOT: &str = "/admin/v1/";

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The exit code.
    pub code: u8,
    /// What to say.
    pub message: String,
}

impl Failed {
    /// The command was given something that is not so.
    pub fn usage(message: impl Into<String>) -> Self {
        Failed { code: USAGE, message: message.into() }
    }

    fn unavailable(message: impl Into<String>) -> Self {
        Failed { code: UNAVAILABLE, message: message.into() }
    }
}

/// Who is asked.
#[derive(Debug)]
pub enum Desk {
    /// A running gateway.
    Gateway {
        /// The client.
        client: reqwest::Client,
        /// `http://HOST:PORT`.
        base: String,
        /// The admin token.
        token: Option<String>,
    },
    /// The store, which nobody else has open.
    Store {
        /// The same API.
        router: Router,
        /// What is closed at the end.
        counter: Arc<Counter>,
    },
}

/// Runs `command` at a desk.
pub fn run(
    address: &Address,
    source: &Source,
    environment: &Environment,
    command: impl AsyncFnOnce(&Desk) -> Result<(), Failed>,
) -> ExitCode {
    let ran = small_runtime().map_err(|error| Failed::unavailable(error.to_string())).and_then(|runtime| {
        runtime.block_on(async {
            let desk = Desk::open(address, source, environment).await?;
            let done = Box::pin(command(&desk)).await;
            desk.close().await.and(done)
        })
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            complain(&failed.message);
            ExitCode::from(failed.code)
        }
    }
}

impl Desk {
    async fn open(address: &Address, source: &Source, environment: &Environment) -> Result<Desk, Failed> {
        let base = address.base(source, environment);
        let client = client(PATIENCE).map_err(Failed::unavailable)?;
        match client.get(format!("{base}/livez")).timeout(Duration::from_secs(5)).send().await {
            Ok(_) => {
                let token = environment.get("MERIT_ADMIN_TOKEN").map(ToOwned::to_owned);
                Ok(Desk::Gateway { client, base, token })
            }
            Err(error) if address.url.is_some() || !error.is_connect() => {
                let error = error.without_url();
                Err(Failed::unavailable(format!("no gateway answers at {base}: {error}")))
            }
            Err(_) => Self::open_store(source, environment),
        }
    }

    fn open_store(source: &Source, environment: &Environment) -> Result<Desk, Failed> {
        let config = |message: String| Failed { code: CONFIG, message };
        let flags = source.flags().map_err(config)?;
        let sources = Sources { files: source.config.clone(), flags, ..Sources::usual(environment) };
        let settings = settings_alone(&sources).map_err(|error| config(error.to_string()))?;
        let counter = open_alone(&settings).map_err(|error| {
            let hint = "; no gateway answers at its admin address: --url says where it is";
            Failed::unavailable(format!("{error}{hint}"))
        })?;
        let desk = Served { counter: Some(Arc::clone(&counter)), actor: "command" };
        Ok(Desk::Store { router: router(desk), counter })
    }

    async fn close(self) -> Result<(), Failed> {
        match self {
            Desk::Gateway { .. } => Ok(()),
            Desk::Store { counter, .. } => {
                close_alone(&counter).await.map_err(|error| Failed::unavailable(error.to_string()))
            }
        }
    }

    /// Asks for `path` below `/admin/v1/`, based on a version where one is given.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        version: Option<i64>,
    ) -> Result<Value, Failed> {
        let mut request = http::Request::builder().method(method).header(CONTENT_TYPE, "application/json");
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let broken = |error: &dyn std::fmt::Display| Failed::unavailable(format!("no answer: {error}"));
        let (status, bytes) = match self {
            Desk::Gateway { client, base, token } => {
                let request = request.uri(format!("{base}{ROOT}{path}")).body(body);
                let request = request.map_err(|error| broken(&error))?;
                let request = reqwest::Request::try_from(request).map_err(|error| broken(&error))?;
                let mut request = reqwest::RequestBuilder::from_parts(client.clone(), request);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let response = request.send().await.map_err(|error| broken(&error.without_url()))?;
                let status = response.status();
                (status, response.bytes().await.map_err(|error| broken(&error.without_url()))?)
            }
            Desk::Store { router, .. } => {
                let request = request.uri(format!("{ROOT}{path}")).body(Body::from(body));
                let request = request.map_err(|error| broken(&error))?;
                let Ok(response) = router.clone().oneshot(request).await;
                let status = response.status();
                (status, to_bytes(response.into_body(), MOST).await.map_err(|error| broken(&error))?)
            }
        };
        let answer: Value = serde_json::from_slice(&bytes).map_err(|error| broken(&error))?;
        match status {
            status if status.is_success() => Ok(answer),
            status if status.is_client_error() => Err(Failed::usage(message(&answer))),
            _ => Err(Failed::unavailable(message(&answer))),
        }
    }

    /// All rows of a list, page by page; `query` without cursor and limit.
    ///
    /// # Errors
    /// As [`Desk::ask`].
    pub async fn all(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, Failed> {
        let (mut rows, mut next) = (Vec::new(), Some(String::new()));
        while let Some(cursor) = next {
            let (page, after) = self.page(path, query, &cursor).await?;
            rows.extend(page);
            next = after;
        }
        Ok(rows)
    }

    /// One page after `cursor`, which is empty for the first.
    ///
    /// # Errors
    /// As [`Desk::ask`].
    pub async fn page(
        &self,
        path: &str,
        query: &[(&str, &str)],
        cursor: &str,
    ) -> Result<(Vec<Value>, Option<String>), Failed> {
        let mut asked = Serializer::new(String::new());
        asked.append_pair("limit", "1000").extend_pairs(query);
        if !cursor.is_empty() {
            asked.append_pair("cursor", cursor);
        }
        let page = self.ask(Method::GET, &format!("{path}?{}", asked.finish()), None, None).await?;
        let next = page.get("next").and_then(Value::as_str).map(ToOwned::to_owned);
        let rows = page.get("data").and_then(Value::as_array).cloned();
        Ok((rows.unwrap_or_default(), next))
    }

    /// The one row of a list that `named` means: by number, or by name.
    ///
    /// # Errors
    /// When there is none, or several.
    pub async fn find(&self, path: &str, named: &str) -> Result<Value, Failed> {
        if named.parse::<i64>().is_ok() {
            return self.ask(Method::GET, &format!("{path}/{named}"), None, None).await;
        }
        let rows = match path {
            // Plans are few and not filtered.
            "plans" => {
                let all = self.ask(Method::GET, path, None, None).await?;
                let all = all.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
                all.into_iter().filter(|row| row.get("name").and_then(Value::as_str) == Some(named)).collect()
            }
            _ => self.all(path, &[("name", named)]).await?,
        };
        let singular = path.trim_end_matches('s');
        match rows.as_slice() {
            [row] => Ok(row.clone()),
            [] => Err(Failed::usage(format!("there is no {singular} {named:?}"))),
            several => {
                let ids: Vec<String> = several.iter().map(|row| number(row, "id").to_string()).collect();
                let ids = ids.join(", ");
                Err(Failed::usage(format!("there are several {path} {named:?}: say which by number ({ids})")))
            }
        }
    }

    /// Its number.
    ///
    /// # Errors
    /// As [`Desk::find`].
    pub async fn id(&self, path: &str, named: Option<&str>) -> Result<Option<i64>, Failed> {
        match named {
            Some(named) => Ok(Some(number(&self.find(path, named).await?, "id"))),
            None => Ok(None),
        }
    }
}

/// A whole number of a row; 0 where there is none.
#[must_use]
pub fn number(row: &Value, name: &str) -> i64 {
    row.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// A member of a row as a cell of a table; `-` where there is none.
#[must_use]
pub fn cell(row: &Value, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned))
                .collect();
            items.join(",")
        }
        Some(other) => other.to_string(),
    }
}

/// Rows under headings, each column as wide as it needs.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let lines = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(headings.to_vec())).chain(lines).collect::<Vec<_>>().join("\n")
}
