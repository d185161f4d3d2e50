//! What operators see: health, metrics and the admin API, on a listener of its
//! own.
//!
//! Off loopback everything but `/livez`, `/readyz` and `/metrics` needs the
//! admin token; on loopback it does when a token is configured. A request that
//! a web page makes from another origin is refused either way: a browser on the
//! same machine must not be a way in.

pub mod counter;
pub mod decisions;
pub mod explain;
pub mod health;
pub mod providers;
pub mod reload;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::api::browser;
use crate::api::error::Error;
use crate::app::App;
use crate::catalog::Dialect;
use counter::Desk;

/// All routes of the admin listener.
pub fn router(app: App) -> Router {
    let desk = Desk { counter: app.shared.counter.clone(), actor: "admin" };
    let closed = closed(desk).split_for_parts().0;
    let closed = closed.fallback(unknown).layer(from_fn_with_state(app.clone(), guard));
    open().split_for_parts().0.merge(closed).with_state(app)
}

/// Routes for operators. A route is described where it is made: there is none
/// that the document does not have.
fn closed(desk: Desk) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(only(routes!(front)))
        .routes(only(routes!(document)))
        .routes(only(routes!(reload::reload)))
        .routes(only(routes!(explain::explain)))
        .routes(only(routes!(providers::list)))
        .routes(only(routes!(providers::prices)))
        .routes(only(routes!(decisions::newest)))
        .routes(only(routes!(decisions::one)))
        .merge(counter::routes().with_state(desk))
}

/// Routes for anybody.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(only(routes!(health::live)))
        .routes(only(routes!(health::ready)))
        .routes(only(routes!(health::metrics)))
}

/// Routes of one path, whose other methods get a proper 405.
fn only<S: Clone + Send + Sync + 'static>(routes: UtoipaMethodRouter<S>) -> UtoipaMethodRouter<S> {
    let (schemas, paths, methods) = routes;
    (schemas, paths, methods.fallback(wrong_method))
}

/// This document: every route of the admin listener, in `OpenAPI` 3.1.
#[utoipa::path(get, path = "/admin/v1/openapi.json", tag = "admin", responses((status = 200, body = serde_json::Value)))]
async fn document() -> Json<OpenApi> {
    let mut document = open().merge(closed(Desk::default())).into_openapi();
    let info = &mut document.info;
    "Merit, admin API".clone_into(&mut info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut info.version);
    info.license = None;
    info.description = Some(
        "Off loopback, and wherever an admin token is configured: Authorization: Bearer TOKEN. Amounts \
         are USD as decimal text."
            .to_owned(),
    );
    Json(document)
}

/// Until there is a console: where things are.
#[utoipa::path(get, path = "/", tag = "admin", responses((status = 200, body = String)))]
async fn front() -> ([(http::HeaderName, &'static str); 2], &'static str) {
    let headers =
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CONTENT_SECURITY_POLICY, "default-src 'none'")];
    let text = "Merit, admin listener\n\n\
        GET  /livez                    the process runs\n\
        GET  /readyz?verbose           ready for requests, and what is degraded\n\
        GET  /metrics                  for Prometheus\n\
        GET  /admin/v1/providers       endpoints: health, prices, live statistics\n\
        GET  /admin/v1/prices          prices in force and where they come from\n\
        GET  /admin/v1/decisions       the newest decisions\n\
        GET  /admin/v1/decisions/{id}  one decision, term by term\n\
        GET  /admin/v1/openapi.json    every path, for programs and their makers\n\
        …    /admin/v1/customers       who is billed; likewise organisations, keys, plans, budgets\n\
        GET  /admin/v1/usage           usage, cost, revenue and margin (?by=customer, key, model, provider, day)\n\
        GET  /admin/v1/ledger          one record for each attempt; /ledger/verify computes all again\n\
        GET  /admin/v1/audit           who changed what\n\
        POST /admin/v1/explain         what would be decided for a request\n\
        POST /admin/v1/reload          read the configuration again (?dry_run=1: only say what would change)\n";
    (headers, text)
}

/// Lets only operators pass.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match permitted(&app, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.response(Dialect::OpenAi),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a request may use the admin API.
///
/// # Errors
/// 403 for another site's page, 401 without the token where one is needed.
pub fn permitted(app: &App, headers: &HeaderMap) -> Result<(), Error> {
    if browser::is_foreign(headers) {
        return Err(Error::forbidden("requests from other sites' pages are refused"));
    }
    let generation = app.generation();
    let Some(token) = &generation.settings.admin.token else {
        // Without a token the listener is on loopback, and whoever reaches it
        // under another name comes by a browser that was led here.
        return match browser::is_addressed_here(headers) {
            true => Ok(()),
            false => Err(Error::forbidden(
                "without an admin token, address this listener as 127.0.0.1 or localhost",
            )),
        };
    };
    let presented = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = presented.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match bool::from(presented.as_bytes().ct_eq(token.expose().as_bytes())) {
        true => Ok(()),
        false => Err(Error::invalid_api_key(
            "the admin token is missing or wrong; send it as Authorization: Bearer TOKEN",
        )),
    }
}

async fn unknown(request: Request) -> Response {
    Error::unknown_admin_path(request.uri().path()).response(Dialect::OpenAi)
}

async fn wrong_method(request: Request) -> Response {
    Error::method_not_allowed(request.method().as_str(), request.uri().path()).response(Dialect::OpenAi)
}
