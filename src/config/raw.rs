//! The settings as they are written, one to one with the file. Their doc
//! comments are the descriptions in the JSON Schema, and their `Default` the
//! defaults in the documentation (a test compares them). Whether values make
//! sense together is checked later; nothing outside `config` sees these types.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::human::{Bytes, Span};
use super::secrets::Reference;
use crate::accounts::Expose;

pub mod credential;
pub mod judge;
pub mod prices;
pub mod provider;

pub use judge::Judge;
pub use prices::{Prices, Statistics};
pub use provider::{Model, Price, Provider};

/// The configuration of Merit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Merit")]
pub struct Raw {
    /// More files of this layer, relative to the file that names them; `*`
    /// stands for any characters of a file's name.
    pub include: Vec<String>,
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
    /// What has been learnt of endpoints.
    pub statistics: Statistics,
    /// A model that judges some of the answers.
    pub judge: Judge,
    /// Published price lists.
    pub prices: Prices,
    /// How providers are chosen, retried and rested.
    pub router: Router,
    /// Accounts at vendors, by name.
    pub providers: BTreeMap<String, Provider>,
    /// Names that stand for several models.
    pub routes: Vec<Route>,
    /// What is valued, by name; a preset's name changes that preset.
    pub objectives: BTreeMap<String, Objective>,
}

/// The listeners and their limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port of the API.
    #[schemars(with = "String", extend("x-kind" = "address"))]
    pub listen: SocketAddr,
    /// Address and port of health, metrics, admin API and console.
    #[schemars(with = "String", extend("x-kind" = "address"))]
    pub admin: SocketAddr,
    /// Largest request body, after decompression.
    pub request_body: Bytes,
    /// How long the headers of a request may take.
    pub header_timeout: Span,
    /// How long a caller may leave an answer unread.
    pub write_timeout: Span,
    /// Connections at once; more wait in the kernel's queue.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// How long a stopping gateway still accepts connections, so that load
    /// balancers can notice.
    pub drain_delay: Span,
    /// How long a stopping gateway waits for requests under way.
    pub drain_timeout: Span,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9090)),
            request_body: Bytes(32 << 20),
            header_timeout: Span::seconds(10),
            write_timeout: Span::seconds(60),
            max_connections: 10_000,
            drain_delay: Span::seconds(5),
            drain_timeout: Span::seconds(600),
        }
    }
}

/// Whether callers need keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AuthMode {
    /// None on loopback, keys elsewhere.
    #[default]
    Auto,
    /// Anyone may call.
    None,
    /// Everyone needs a key.
    Keys,
}

/// Who may call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether callers need keys.
    pub mode: AuthMode,
    /// Allows `mode = "none"` on an address that others can reach.
    pub allow_open: bool,
    /// The key of the keys' digests. A file that is missing is made at first
    /// start.
    pub pepper: Reference,
    /// Keys, by their digests.
    pub keys: Vec<StaticKey>,
}

impl Default for Auth {
    fn default() -> Self {
        Auth {
            mode: AuthMode::Auto,
            allow_open: false,
            pepper: Reference::File { file: PathBuf::from("data/pepper") },
            keys: Vec::new(),
        }
    }
}

/// A key, by its digest.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "digest"]))]
pub struct StaticKey {
    /// What the key is called in logs and decisions.
    pub name: String,
    /// 64 hexadecimal digits, as `merit keys create` prints them.
    #[schemars(extend("x-kind" = "digest"))]
    pub digest: String,
    /// What the caller may see: full (provider, upstream and costs), model (the
    /// model that answered) or none (only the name that was asked for).
    #[schemars(with = "String", extend("enum" = ["full", "model", "none"]))]
    pub expose: Expose,
    /// The models and routes it may use; all when absent.
    pub models: Option<Vec<String>>,
}

/// The admin listener's protection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The bearer token of the admin API, needed off loopback; by default that
    /// in the variable `MERIT_ADMIN_TOKEN`, if it is set.
    pub token: Option<Reference>,
    /// Whether `/metrics` needs the token too.
    pub protect_metrics: bool,
}

/// Where accounts live.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The database of keys, customers and the ledger.
    pub url: String,
    /// How long records of the ledger are kept, an hour to 365 days; for ever when
    /// absent. Sums are never deleted.
    pub keep_records: Option<Span>,
    /// Leases, limits and statistics shared by replicas; none when empty.
    pub shared: String,
}

impl Default for Store {
    fn default() -> Self {
        Store { url: "sqlite:data/merit.db".to_owned(), keep_records: None, shared: String::new() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Least level: error, warn, info, debug or trace; also by module, as in
    /// `info,merit::dispatch=debug`.
    #[schemars(extend("x-kind" = "log-filter"))]
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// A file to append to; standard output when absent.
    pub file: Option<PathBuf>,
}

impl Default for Log {
    fn default() -> Self {
        Log { level: "info".to_owned(), format: LogFormat::Auto, file: None }
    }
}

/// What is kept of decisions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decisions {
    /// How many of the last decisions are kept in memory.
    #[schemars(range(max = 10_000_000))]
    pub keep: u32,
    /// A file to which decisions are appended as JSON lines, for `merit replay`.
    pub export: Option<PathBuf>,
}

impl Default for Decisions {
    fn default() -> Self {
        Decisions { keep: 100_000, export: None }
    }
}

/// How providers are chosen, retried and rested.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Router {
    /// What is valued when neither request nor route says: a preset (cheapest,
    /// balanced, fastest, best) or a name under `[objectives]`.
    pub objective: String,
    /// Attempts per request in all.
    #[schemars(range(min = 1, max = 16))]
    pub attempts: u32,
    /// Extra attempts as a share of all requests, 0..1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub retry_budget: f64,
    /// Extra attempts that are always allowed, per second.
    #[schemars(range(max = 10_000))]
    pub retry_min_per_second: u32,
    /// How long status and headers of a stream are held back for its first
    /// content.
    pub hold: Span,
    /// Pause between the comments that keep a silent stream open.
    pub keep_alive: Span,
    /// When an endpoint is no longer asked.
    pub breaker: Breaker,
}

impl Default for Router {
    fn default() -> Self {
        Router {
            objective: "balanced".to_owned(),
            attempts: 4,
            retry_budget: 0.2,
            retry_min_per_second: 3,
            hold: Span::seconds(10),
            keep_alive: Span::seconds(15),
            breaker: Breaker::default(),
        }
    }
}

/// When an endpoint is no longer asked, and when again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row that open the circuit.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: u32,
    /// Share of failures within the window that opens it when exceeded, 0..1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub failure_ratio: f64,
    /// Requests within the window below which the share says nothing.
    #[schemars(range(min = 1, max = 100_000))]
    pub min_requests: u32,
    /// The window.
    pub window: Span,
    /// How long the circuit stays open at first; doubles with each failed probe.
    pub open: Span,
    /// How long it stays open at most.
    pub open_max: Span,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_requests: 20,
            window: Span::seconds(30),
            open: Span::seconds(5),
            open_max: Span::seconds(300),
        }
    }
}

/// A name that stands for several models.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "models"]))]
pub struct Route {
    /// What callers ask for.
    pub name: String,
    /// The models that compete.
    pub models: Vec<String>,
    /// What is valued; `router.objective` when absent.
    pub objective: Option<String>,
}

/// What is valued.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// What a second of the caller's waiting is worth (USD).
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub usd_per_second: Option<f64>,
    /// What quality 1.0 instead of 0.0 is worth for one answer (USD).
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub usd_per_good_answer: Option<f64>,
    /// Dearest list price accepted.
    pub max_price: Option<MaxPrice>,
    /// Most that one request may be expected to cost (USD).
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub max_cost_usd: Option<f64>,
    /// Least quality accepted, 0..1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_quality: Option<f64>,
    /// How soon the first token must come.
    pub ttft: Option<Ttft>,
}

/// Dearest list price accepted.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaxPrice {
    /// USD per million input tokens.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub input: Option<f64>,
    /// USD per million output tokens.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub output: Option<f64>,
}

/// How soon the first token must come, and how surely.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["ms"]))]
pub struct Ttft {
    /// Milliseconds.
    #[schemars(range(min = 1.0, max = 3_600_000.0))]
    pub ms: f64,
    /// With at least this probability, 0..1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

impl Default for Ttft {
    fn default() -> Self {
        Ttft { ms: 0.0, probability: 0.95 }
    }
}
