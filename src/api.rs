//! What callers see: every path of the API listener, on one screen.

pub mod body;
pub mod browser;
pub mod chat;
pub mod decisions;
pub mod error;
pub mod feedback;
pub mod judge;
pub mod me;
pub mod models;
pub mod pay;
pub mod respond;
pub mod wanted;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use http::header::{ALLOW, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tower::Layer;

use crate::app::App;
use crate::app::listen::{Answer, Answering};
use crate::catalog::Dialect;
use crate::dispatch::ticket::{request_id, unix_ms};
use error::Error;

/// No browser may take an answer for something else than it says it is.
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Paths of the contract that answer 501 until they are built.
const LATER: &[&str] = &[
    "/responses",
    "/messages",
    "/messages/count_tokens",
    "/embeddings",
    "/completions",
    "/audio/{*rest}",
    "/images/{*rest}",
    "/moderations",
    "/rerank",
];

/// What nearly all requests ask for, in every way it may be written.
const CHAT: [&str; 4] =
    ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/", "/chat/completions/"];

/// Answers what comes to the API listener.
#[derive(Debug, Clone)]
pub struct Front {
    app: App,
    router: Router,
}

impl Front {
    /// All paths.
    #[must_use]
    pub fn new(app: App) -> Self {
        Front { router: router(app.clone()), app }
    }
}

impl Answer for Front {
    /// Chat requests do not take the way through the router and its layers,
    /// which costs several boxed futures and a map of extensions: more than
    /// deciding between three endpoints does.
    fn answer(&self, request: Request<Incoming>, closing: &Arc<Notify>) -> Answering {
        if request.method() == Method::POST && CHAT.contains(&request.uri().path()) {
            Box::pin(chat::chat(self.app.clone(), request, Arc::clone(closing)))
        } else {
            self.router.answer(request, closing)
        }
    }
}

/// All routes but [`CHAT`]. Each exists with and without `/v1`, and with a
/// trailing slash (see [`normalise`]).
fn router(app: App) -> Router {
    let mut router = Router::new()
        .route("/", only(get(|| async { "Merit\n" })))
        .route("/livez", only(get(|| async { "ok\n" })))
        .route("/readyz", only(get(ready)));
    for prefix in ["", "/v1"] {
        let both = |path: &str| format!("{prefix}{path}");
        router = router
            .route(&both("/chat/completions"), any(not_a_post))
            .route(&both("/models"), only(get(models::list)))
            .route(&both("/models/{*id}"), only(get(models::one)))
            .route(&both("/me"), only(get(me::me)))
            .route(&both("/decisions/{id}"), only(get(decisions::one)))
            .route(&both("/feedback"), only(post(feedback::give)));
        for path in LATER {
            router = router.route(&both(path), any(later));
        }
    }
    let router = router.fallback(unknown).with_state(app);
    // Around the router, not in it: a layer of its own sees a request only
    // after the route has been chosen.
    Router::new().fallback_service(axum::middleware::from_fn(normalise).layer(router))
}

/// A route whose other methods get a proper 405.
fn only(route: MethodRouter<App>) -> MethodRouter<App> {
    route.fallback(wrong_method)
}

async fn ready(State(app): State<App>) -> (http::StatusCode, &'static str) {
    if app.is_draining() {
        (http::StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (http::StatusCode::OK, "ok\n")
    }
}

/// In the contract, but not built yet. The credential is checked all the same.
async fn later(State(app): State<App>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let dialect = dialect_of(&path);
    let error = match chat::authenticate(&app.generation(), request.headers()) {
        Ok(_) => Error::not_implemented(&path),
        Err(error) => error,
    };
    plain(&app, &request, &error, dialect)
}

async fn unknown(State(app): State<App>, request: Request<Body>) -> Response {
    let error = Error::unknown_path(request.uri().path());
    plain(&app, &request, &error, dialect_of(request.uri().path()))
}

async fn wrong_method(State(app): State<App>, request: Request<Body>) -> Response {
    let error = Error::method_not_allowed(request.method().as_str(), request.uri().path());
    plain(&app, &request, &error, dialect_of(request.uri().path()))
}

/// A chat request by another method: the right one does not come this way (see
/// [`Front`]), so that the router cannot know it.
async fn not_a_post(state: State<App>, request: Request<Body>) -> Response {
    let mut response = wrong_method(state, request).await;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// An error of a path that has no ticket of its own: it gets one here, so that
/// it too has an id, is counted and is logged.
fn plain(app: &App, request: &Request<Body>, error: &Error, dialect: Dialect) -> Response {
    respond::error(app.arrive(&app.generation(), request.headers()), error, dialect)
}

/// The dialect a path's callers speak.
fn dialect_of(path: &str) -> Dialect {
    if path.trim_start_matches("/v1").starts_with("/messages") { Dialect::Anthropic } else { Dialect::OpenAi }
}

/// `/v1/models/` is `/v1/models`. A path that is written differently (`//v1`,
/// `/v1/../x`, encoded slashes) is not normalised: it is unknown.
async fn normalise(mut request: Request<Body>, next: axum::middleware::Next) -> Response {
    let path = request.uri().path();
    if path.len() > 1
        && path.ends_with('/')
        && let Some(uri) = without_slash(request.uri())
    {
        *request.uri_mut() = uri;
    }
    let head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    if head {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(NOSNIFF);
    if !headers.contains_key("x-request-id")
        && let Ok(id) = HeaderValue::from_str(&request_id(unix_ms()).hyphenated().to_string())
    {
        headers.insert("x-request-id", id);
    }
    response
}

fn without_slash(uri: &http::Uri) -> Option<http::Uri> {
    let path = uri.path().strip_suffix('/')?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    http::Uri::from_parts(parts).ok()
}
