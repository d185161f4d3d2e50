//! `POST /admin/v1/explain`: what would be decided for a request, and what
//! would be sent, without sending it.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::api::error::Error;
use crate::api::{chat, wanted};
use crate::app::{App, Generation};
use crate::catalog::Dialect;
use crate::market::{self, Ask, Decision, Draw};
use crate::request::ChatRequest;

/// Most of the body that would be sent is shown up to this many bytes.
const SHOWN: usize = 16 * 1024;

/// A dry run of stages 2 to 5. The body is a chat request; `?objective=NAME`
/// replaces its objective.
#[utoipa::path(post, path = "/admin/v1/explain", tag = "market",
    params(("objective" = Option<String>, Query, description = "decide by this one")),
    request_body = Value, responses((status = 200, body = Value), (status = 400, description = "what is wrong with the request")))]
pub async fn explain(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match explained(&app, &query.unwrap_or_default(), &headers, body).await {
        Ok(explanation) => Json(explanation).into_response(),
        Err(error) => error.response(Dialect::OpenAi),
    }
}

async fn explained(app: &App, query: &str, headers: &HeaderMap, body: Body) -> Result<Value, Error> {
    let generation = app.generation();
    let mut request = chat::read(&generation, headers, body).await?;
    let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "objective");
    if let Some((_, objective)) = asked {
        request.control.objective = Some(objective.into_owned());
    }
    let caller = Arc::clone(&generation.anonymous);
    let named = wanted::find(&generation, &caller, &request)?;
    let ask = Ask::new(&request, None);
    let (now, warm) = (app.shared.now(), &app.shared.warm);
    let whereabouts = wanted::Whereabouts::of(&request, warm.tenant(&caller.name), warm, now);
    let offers = wanted::offers(now, &generation, &named, &ask, whereabouts);
    let gathered = market::gather(&ask, &named.objective, offers);
    let scored = market::score(&named.objective, gathered);
    let decision = market::decide(&ask, &named.objective, scored, Draw(fastrand::u64(..)));
    let explanation = market::explain(&decision, &generation.fleet.catalog);
    Ok(json!({
        "route": named.name,
        "objective": named.objective,
        "input_tokens": request.input_tokens,
        "decision": explanation.json(),
        "would_send": would_send(&generation, &request, &decision),
        "generation": generation.number,
    }))
}

/// The first candidate's request, as it would go out (without credentials).
fn would_send(generation: &Generation, request: &ChatRequest, decision: &Decision) -> Value {
    let Some(first) = decision.first() else { return Value::Null };
    let endpoint = generation.fleet.catalog.endpoint(first.id);
    let Some(target) = &generation.fleet.member(first.id).target else { return Value::Null };
    match target.codec.encode(request, endpoint) {
        Ok(encoded) => {
            let body = encoded.body.concat();
            let shown = body.get(..SHOWN).unwrap_or(&body);
            json!({
                "endpoint": endpoint.identity,
                "url": format!("{}{}", target.base(), encoded.path),
                "body": String::from_utf8_lossy(shown),
                "body_bytes": body.len(),
                "warnings": encoded.warnings,
            })
        }
        Err(failure) => json!({ "endpoint": endpoint.identity, "cannot": failure.label() }),
    }
}
