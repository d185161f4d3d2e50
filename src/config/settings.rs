//! Checked settings, as the parts of the gateway use them. A value of these
//! types is right by construction: addresses are parsed, secrets are at hand,
//! objectives exist.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::check::Check;
use super::judging;
use super::objectives::Objectives;
use super::raw::{AuthMode, Raw};
use super::secrets::Reference;
use super::tree::Path;
use crate::accounts::keys;
use crate::catalog::{Objective, Secret};

mod exposure;
mod published;

pub use super::judging::Judge;
pub use super::raw::{AuthMode as Mode, LogFormat};
pub use crate::accounts::Expose;
pub(super) use exposure::exposure;
pub use published::{PriceSource, Published, StatisticsSource};

/// All settings but the offers, which are in the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The listeners and their limits.
    pub server: Server,
    /// Who may call.
    pub auth: Auth,
    /// The admin listener's protection.
    pub admin: Admin,
    /// Where accounts live.
    pub store: Store,
    /// The log.
    pub log: Log,
    /// What is kept of decisions.
    pub decisions: Decisions,
    /// Where what has been learnt of endpoints is kept; nowhere when `None`.
    pub statistics: Option<PathBuf>,
    /// A model that judges some of the answers, where there is one.
    pub judge: Option<Judge>,
    /// What others publish, and where it is looked for.
    pub published: Published,
    /// How providers are chosen, retried and rested.
    pub router: Router,
}

/// The listeners and their limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The API.
    pub listen: SocketAddr,
    /// Health, metrics, admin API and console.
    pub admin: SocketAddr,
    /// Largest request body in bytes, after decompression.
    pub request_body: usize,
    /// For the headers of a request.
    pub header_timeout: Duration,
    /// A caller may leave an answer unread this long.
    pub write_timeout: Duration,
    /// Connections at once; at least 1.
    pub max_connections: usize,
    /// How long a stopping gateway still accepts connections.
    pub drain_delay: Duration,
    /// How long it then waits for requests under way.
    pub drain_timeout: Duration,
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// As it was asked for.
    pub mode: AuthMode,
    /// Known keys.
    pub keys: Vec<StaticKey>,
    /// Whether callers need one: what `mode` comes to on this address.
    pub keys_required: bool,
    /// The key of the digests.
    pub pepper: Pepper,
}

/// A key, known by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticKey {
    /// What it is called.
    pub name: String,
    /// Its digest under the pepper.
    pub digest: [u8; 32],
    /// What its holder may see.
    pub expose: Expose,
    /// The models and routes it may use; `None` is all.
    pub models: Option<Vec<String>>,
}

/// The key of the keys' digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pepper {
    /// In a file, which is made when it is missing.
    File(PathBuf),
    /// Given.
    Value(Secret),
}

/// The admin listener's protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The bearer token; there is one whenever the listener is off loopback.
    pub token: Option<Secret>,
    /// Whether `/metrics` needs it too.
    pub protect_metrics: bool,
}

/// Where accounts live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// How long records are kept; `None` is for ever.
    pub keep_records: Option<Duration>,
    /// `redis://…`; `None` where nothing is shared.
    pub shared: Option<String>,
}

impl Store {
    /// The file of an embedded store.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        store_file(&self.url)
    }

    /// Whether it is where it usually is: then an installation without accounts
    /// may do without it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.url == super::raw::Store::default().url
    }
}

fn store_file(url: &str) -> Option<&std::path::Path> {
    url.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(std::path::Path::new)
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A valid `EnvFilter` directive.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// A file to append to; standard output when `None`.
    pub file: Option<PathBuf>,
}

/// What is kept of decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    /// How many in memory.
    pub keep: usize,
    /// A file to append them to.
    pub export: Option<PathBuf>,
}

/// How providers are chosen, retried and rested.
#[derive(Debug, Clone, PartialEq)]
pub struct Router {
    /// What is valued when neither request nor route says.
    pub objective: Arc<Objective>,
    /// Attempts per request in all, 1..=16.
    pub attempts: u32,
    /// Extra attempts as a share of all requests, 0..=1.
    pub retry_budget: f64,
    /// Extra attempts that are always allowed, per second.
    pub retry_min_per_second: u32,
    /// How long a stream's headers wait for its first content.
    pub hold: Duration,
    /// Pause between keep-alive comments.
    pub keep_alive: Duration,
    /// When an endpoint is no longer asked.
    pub breaker: Breaker,
}

/// When an endpoint is no longer asked, and when again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Failures in a row that open the circuit; at least 1.
    pub consecutive_failures: u32,
    /// Share of failures in the window that opens it when exceeded, 0..=1.
    pub failure_ratio: f64,
    /// Requests in the window below which the share says nothing.
    pub min_requests: u32,
    /// The window.
    pub window: Duration,
    /// Open this long at first; doubles with each failed probe.
    pub open: Duration,
    /// Open this long at most; at least `open`.
    pub open_max: Duration,
}

/// Checks everything but providers, routes and objectives.
pub(super) fn check(raw: &Raw, objectives: &Objectives, check: &mut Check<'_>) -> Settings {
    positive(raw, check);
    let store = store(raw, check);
    Settings {
        server: server(raw, check),
        auth: auth(raw, check),
        admin: admin(raw, check),
        store,
        log: Log { level: raw.log.level.clone(), format: raw.log.format, file: raw.log.file.clone() },
        statistics: Some(raw.statistics.file.clone()).filter(|file| !file.as_os_str().is_empty()),
        decisions: Decisions {
            keep: usize::try_from(raw.decisions.keep).unwrap_or(usize::MAX),
            export: raw.decisions.export.clone(),
        },
        judge: judging::judge(raw, check),
        published: published::check(raw, check),
        router: router(raw, objectives, check),
    }
}

fn server(raw: &Raw, check: &mut Check<'_>) -> Server {
    let server = &raw.server;
    if server.listen == server.admin && server.listen.port() != 0 {
        let path = Path::default().key("server").key("admin");
        check.error(&path, "the same address as server.listen", "give the two listeners different ports");
    }
    Server {
        listen: server.listen,
        admin: server.admin,
        request_body: usize::try_from(server.request_body.0).unwrap_or(usize::MAX),
        header_timeout: server.header_timeout.0,
        write_timeout: server.write_timeout.0,
        max_connections: usize::try_from(server.max_connections).unwrap_or(usize::MAX),
        drain_delay: server.drain_delay.0,
        drain_timeout: server.drain_timeout.0,
    }
}

/// Durations and sizes with which nothing could ever be served.
fn positive(raw: &Raw, check: &mut Check<'_>) {
    let (server, router, breaker) = (&raw.server, &raw.router, &raw.router.breaker);
    let spans = [
        ("server", "header_timeout", server.header_timeout),
        ("server", "write_timeout", server.write_timeout),
        ("router", "keep_alive", router.keep_alive),
    ];
    for (section, key, span) in spans {
        if span.0.is_zero() {
            check.error(
                &Path::default().key(section).key(key),
                "must be longer than 0s",
                "for example \"10s\"",
            );
        }
    }
    if server.request_body.0 == 0 {
        let path = Path::default().key("server").key("request_body");
        check.error(&path, "must be more than 0B", "for example \"32MiB\"");
    }
    let path = Path::default().key("router").key("breaker");
    for (key, span) in [("window", breaker.window), ("open", breaker.open)] {
        if span.0.is_zero() {
            check.error(&path.key(key), "must be longer than 0s", "for example \"30s\"");
        }
    }
    if breaker.open_max.0 < breaker.open.0 {
        check.error(&path.key("open_max"), "shorter than router.breaker.open", "make it at least as long");
    }
}

/// What `mode` comes to on this address.
fn keys_required(raw: &Raw) -> bool {
    match raw.auth.mode {
        AuthMode::Auto => !raw.server.listen.ip().is_loopback(),
        AuthMode::None => false,
        AuthMode::Keys => true,
    }
}

fn auth(raw: &Raw, check: &mut Check<'_>) -> Auth {
    let path = Path::default().key("auth");
    let keys = static_keys(raw, &path.key("keys"), check);
    let pepper = match &raw.auth.pepper {
        Reference::File { file } => {
            // Without keys it is not even made.
            check.files.extend((!keys.is_empty()).then(|| file.clone()));
            Pepper::File(file.clone())
        }
        given => given
            .resolve(&path.key("pepper"), check)
            .map_or_else(|| Pepper::File(PathBuf::new()), Pepper::Value),
    };
    Auth { mode: raw.auth.mode, keys, keys_required: keys_required(raw), pepper }
}

fn static_keys(raw: &Raw, path: &Path, check: &mut Check<'_>) -> Vec<StaticKey> {
    let mut known: Vec<StaticKey> = Vec::new();
    for (index, key) in raw.auth.keys.iter().enumerate() {
        let path = path.index(index);
        check.require(&path, "name", !key.name.is_empty());
        let Some(digest) = keys::from_hex(&key.digest) else {
            check.require(&path, "digest", false);
            continue;
        };
        if known.iter().any(|other| other.name == key.name) {
            check.error(&path.key("name"), format!("there are two keys {:?}", key.name), "rename one");
        }
        if known.iter().any(|other| other.digest == digest) {
            check.error(&path.key("digest"), "another key has the same digest", "make a key of its own");
        }
        known.push(StaticKey {
            name: key.name.clone(),
            digest,
            expose: key.expose,
            models: key.models.clone(),
        });
    }
    known
}

/// The variable of the admin token, where the configuration names no other place.
const ADMIN_TOKEN: &str = "MERIT_ADMIN_TOKEN";

fn admin_token(raw: &Raw, check: &Check<'_>) -> Option<Reference> {
    let usual = check.environment.get(ADMIN_TOKEN).map(|_| Reference::Env { env: ADMIN_TOKEN.to_owned() });
    raw.admin.token.clone().or(usual)
}

fn admin(raw: &Raw, check: &mut Check<'_>) -> Admin {
    let path = Path::default().key("admin");
    let reference = admin_token(raw, check);
    let token = reference.as_ref().and_then(|reference| reference.resolve(&path.key("token"), check));
    if reference.is_none() && raw.admin.protect_metrics {
        let advice = format!("set {ADMIN_TOKEN} or admin.token");
        check.error(&path.key("protect_metrics"), "there is no token to protect them with", advice);
    }
    Admin { token, protect_metrics: raw.admin.protect_metrics }
}

fn store(raw: &Raw, check: &mut Check<'_>) -> Store {
    let path = Path::default().key("store");
    if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| raw.store.url.starts_with(scheme)) {
        let message = "neither sqlite: nor postgres://";
        check.error(&path.key("url"), message, "for example \"sqlite:data/merit.db\"");
    }
    if !raw.store.shared.is_empty() && !raw.store.shared.starts_with("redis") {
        check.error(&path.key("shared"), "not a redis:// address", "for example \"redis://127.0.0.1:6379\"");
    }
    for (key, value) in [("url", &raw.store.url), ("shared", &raw.store.shared)] {
        if !value.is_empty() && !value.starts_with("sqlite:") {
            check.warn(&path.key(key), "servers are not supported yet; this is ignored", "leave it out");
        }
    }
    let shared = Some(raw.store.shared.clone()).filter(|shared| !shared.is_empty());
    let keep_records = raw.store.keep_records.map(|span| span.0);
    if keep_records.is_some_and(|kept| kept < Duration::from_secs(3600)) {
        check.error(&path.key("keep_records"), "less than an hour", "for example \"90d\"");
    }
    Store { url: raw.store.url.clone(), keep_records, shared }
}

fn router(raw: &Raw, objectives: &Objectives, check: &mut Check<'_>) -> Router {
    let router = &raw.router;
    let path = Path::default().key("router").key("objective");
    let breaker = router.breaker;
    Router {
        objective: objectives.named(&router.objective, &path, check),
        attempts: router.attempts,
        retry_budget: router.retry_budget,
        retry_min_per_second: router.retry_min_per_second,
        hold: router.hold.0,
        keep_alive: router.keep_alive.0,
        breaker: Breaker {
            consecutive_failures: breaker.consecutive_failures,
            failure_ratio: breaker.failure_ratio,
            min_requests: breaker.min_requests,
            window: breaker.window.0,
            open: breaker.open.0,
            open_max: breaker.open_max.0,
        },
    }
}
