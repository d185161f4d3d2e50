//! What operators see: health, metrics and the admin API, on a listener of its
//! own.
//!
//! Off loopback everything but `/livez`, `/readyz` and `/metrics` needs the
//! admin token; on loopback it does when a token is configured. A request that
//! a web page makes from another origin is refused either way: a browser on the
//! same machine must not be a way in.

pub mod decisions;
pub mod explain;
pub mod health;
pub mod providers;
pub mod reload;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq;

use crate::api::browser;
use crate::api::error::Error;
use crate::app::App;
use crate::catalog::Dialect;

/// Paths of the contract that answer 501 until they are built.
const LATER: &[&str] = &[
    "/admin/v1/openapi.json",
    "/admin/v1/keys",
    "/admin/v1/keys/{*rest}",
    "/admin/v1/customers",
    "/admin/v1/customers/{*rest}",
    "/admin/v1/plans",
    "/admin/v1/plans/{*rest}",
    "/admin/v1/budgets",
    "/admin/v1/budgets/{*rest}",
];

/// All routes of the admin listener.
pub fn router(app: App) -> Router {
    let mut closed = Router::new()
        .route("/", get(front).fallback(wrong_method))
        .route("/admin/v1/reload", post(reload::reload).fallback(wrong_method))
        .route("/admin/v1/explain", post(explain::explain).fallback(wrong_method))
        .route("/admin/v1/providers", get(providers::list).fallback(wrong_method))
        .route("/admin/v1/prices", get(providers::prices).fallback(wrong_method))
        .route("/admin/v1/decisions", get(decisions::newest).fallback(wrong_method))
        .route("/admin/v1/decisions/{id}", get(decisions::one).fallback(wrong_method));
    for path in LATER {
        closed = closed.route(path, any(later));
    }
    let closed = closed.fallback(unknown).layer(from_fn_with_state(app.clone(), guard));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }).fallback(wrong_method))
        .route("/readyz", get(health::ready).fallback(wrong_method))
        .route("/metrics", get(health::metrics).fallback(wrong_method))
        .merge(closed)
        .with_state(app)
}

/// Until there is a console: where things are.
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

async fn later(request: Request) -> Response {
    Error::not_implemented(request.uri().path()).response(Dialect::OpenAi)
}

async fn unknown(request: Request) -> Response {
    Error::unknown_admin_path(request.uri().path()).response(Dialect::OpenAi)
}

async fn wrong_method(request: Request) -> Response {
    Error::method_not_allowed(request.method().as_str(), request.uri().path()).response(Dialect::OpenAi)
}
