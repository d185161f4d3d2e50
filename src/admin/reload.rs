//! `POST /admin/v1/reload`: reads the configuration again.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::error::Error;
use crate::app::App;
use crate::catalog::Dialect;

/// Puts the configuration as it is now in force; with `?dry_run=1` only says
/// what that would change. A bad configuration changes nothing and is a 400
/// that lists every problem.
#[utoipa::path(post, path = "/admin/v1/reload", tag = "admin",
    params(("dry_run" = Option<String>, Query, description = "`1`: only says what would change")),
    responses((status = 200, body = serde_json::Value), (status = 400, description = "every problem of the configuration")))]
pub async fn reload(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let dry_run = query.split('&').any(|part| matches!(part, "dry_run" | "dry_run=1" | "dry_run=true"));
    match app.reload(dry_run).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            let plural = if error.problems.len() == 1 { "" } else { "s" };
            let message =
                format!("the configuration has {} problem{plural} and was not loaded", error.problems.len());
            let mut told = Error::invalid_request(message, None);
            let problems: Vec<_> = error
                .problems
                .iter()
                .map(|problem| app.shared.redactor.clean(problem).into_owned())
                .collect();
            told.details = Some(Box::new(json!({ "problems": problems })));
            told.response(Dialect::OpenAi)
        }
    }
}
