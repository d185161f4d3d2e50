//! Builds and holds every part, swaps configuration generations, and drains.

pub mod control;
pub mod generation;
pub mod listen;
pub mod lookup;
pub mod outlets;
pub mod published;
pub mod reload;
pub mod statistics;
pub mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use generation::Generation;
use outlets::Outlets;
pub use reload::{ReloadError, Reloaded};

use crate::books::prices::PriceBook;
use crate::books::{Books, Carried, CircuitSettings, Warm};
use crate::catalog::Provider;
use crate::config::settings::{LogFormat, Settings};
use crate::config::{Environment, LoadError, Loaded, Sources};
use crate::dispatch::connect::Trust;
use crate::dispatch::record::Decisions;
use crate::dispatch::relay::RelaySettings;
use crate::dispatch::retry::{RetryBudget, RetrySettings};
use crate::dispatch::target::Outlet;
use crate::dispatch::{Shared, Signals, Ticket};
use crate::store::StoreError;
use crate::telemetry::log::{Format, Log};
use crate::telemetry::{Metrics, Redactor};

/// Where the configuration comes from, kept for reloads.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Files given on the command line.
    pub files: Vec<PathBuf>,
    /// Configuration that is in no file, by name. Where there is some, files are
    /// only read when they are given: the demo must not serve a configuration
    /// that happens to lie around.
    pub inline: Vec<(String, String)>,
    /// The process environment at start.
    pub environment: Environment,
    /// Values set by flags.
    pub flags: Vec<(String, String)>,
    /// Whether literal secrets are errors.
    pub strict: bool,
}

impl Origin {
    /// Loads the configuration as it is now.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, prices: &PriceBook) -> Result<Loaded, LoadError> {
        let mut sources = Sources {
            files: self.files.clone(),
            inline: self.inline.clone(),
            flags: self.flags.clone(),
            strict: self.strict,
            ..Sources::usual(&self.environment)
        };
        if !self.inline.is_empty() {
            sources.usual.clear();
        }
        crate::config::load(&sources, &lookup::FromBook::new(prices))
    }
}

/// The running gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// All parts of the gateway.
#[derive(Debug)]
pub struct Parts {
    /// What every request touches.
    pub shared: Arc<Shared>,
    /// Live state of endpoints and models.
    pub books: Books,
    /// Price lists.
    pub prices: PriceBook,
    /// How those who publish something do.
    pub sources: published::Sources,
    control: control::Control,
    /// Where the configuration comes from.
    pub origin: Origin,
    current: ArcSwap<Generation>,
    trust: Trust,
    outlets: Outlets,
    /// The settings at start, for what cannot change at run time.
    started_with: Settings,
    reloading: tokio::sync::Mutex<()>,
    last_rejected: Mutex<Option<String>>,
    draining: AtomicBool,
    /// Stops accepting connections.
    stop: CancellationToken,
    /// Ends every connection at once.
    kill: CancellationToken,
    connections: TaskTracker,
}

/// What can go wrong at start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration.
    Config(LoadError),
    /// The pepper's file.
    Pepper(PathBuf, std::io::Error),
    /// The log's file.
    Log(&'static str, std::io::Error),
    /// The store, with its path.
    Store(PathBuf, StoreError),
    /// A listener's address.
    Listen(SocketAddr, std::io::Error),
    /// The TLS library.
    Tls(rustls::Error),
    /// The client of control traffic.
    Control(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Pepper(path, error) => {
                write!(f, "the pepper {}, by which callers' keys are known: {error}", path.display())
            }
            StartError::Log(what, error) => write!(f, "{what} cannot be written: {error}"),
            StartError::Store(path, error) => write!(
                f,
                "the store {}: {error}; store.url says where it is, and only one gateway can use it",
                path.display()
            ),
            StartError::Listen(address, error) => write!(
                f,
                "cannot listen on {address}: {error}; other addresses are set in the configuration, or with \
                 --set server.listen=127.0.0.1:18080 --set server.admin=127.0.0.1:19090"
            ),
            StartError::Tls(error) => write!(f, "TLS: {error}"),
            StartError::Control(error) => write!(f, "the client of control traffic: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl App {
    /// Builds everything from a checked configuration. Call inside a runtime.
    ///
    /// # Errors
    /// When a file or the log cannot be opened.
    pub fn build(loaded: Loaded, origin: Origin, prices: PriceBook) -> Result<App, StartError> {
        let settings = loaded.settings.clone();
        let redactor = Arc::new(Redactor::new());
        let metrics = Metrics::new();
        let log = open_log(&settings, &redactor, &metrics)?;
        let export = open_export(&settings, &redactor, &metrics)?;
        let shared = Arc::new(Shared {
            log,
            decisions: Decisions::new(settings.decisions.keep, export),
            warm: Warm::default(),
            carried: Carried::default(),
            retries: RetryBudget::new(&retry(&settings)),
            signals: Signals::start(&metrics),
            retry: retry(&settings),
            relay: RelaySettings { hold: settings.router.hold, keep_alive: settings.router.keep_alive },
            deadline: CancellationToken::new(),
            counter: store::open(&settings, &metrics)?,
            started: Instant::now(),
            redactor,
            metrics,
        });
        let books = Books::new(circuit(&settings));
        if let Some(file) = &settings.statistics {
            statistics::restore(&books, file, shared.now());
        }
        let trust = Trust::mozilla().map_err(StartError::Tls)?;
        let control = control::Control::new(&trust).map_err(StartError::Control)?;
        let outlets = Outlets::new()?;
        let first = Generation::build(1, loaded, &books, &shared, |provider| outlets.of(&trust, provider))
            .map_err(|(path, error)| StartError::Pepper(path, error))?;
        Ok(App(Arc::new(Parts {
            shared,
            books,
            prices,
            sources: published::Sources::default(),
            control,
            origin,
            current: ArcSwap::from_pointee(first),
            trust,
            outlets,
            started_with: settings,
            reloading: tokio::sync::Mutex::default(),
            last_rejected: Mutex::default(),
            draining: AtomicBool::new(false),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            connections: TaskTracker::new(),
        })))
    }

    /// The configuration generation in force.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// A request has arrived.
    #[must_use]
    pub fn arrive(&self, generation: &Generation, headers: &HeaderMap) -> Ticket {
        let client_id = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let client_id = client_id.filter(|id| is_harmless_id(id)).map(ToOwned::to_owned);
        Ticket::new(Arc::clone(&self.shared), Arc::clone(&generation.fleet), client_id)
    }

    /// Whether the process is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Why the last reload was refused, if it was.
    #[must_use]
    pub fn last_rejected(&self) -> Option<String> {
        self.last_rejected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Binds both listeners.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn bind(&self) -> Result<(TcpListener, TcpListener), StartError> {
        let server = &self.started_with.server;
        let bind = async |address| {
            TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
        };
        Ok((bind(server.listen).await?, bind(server.admin).await?))
    }

    /// Serves both listeners and the background tasks until [`App::drain`].
    pub async fn serve(&self, api: (TcpListener, impl listen::Answer), admin: (TcpListener, axum::Router)) {
        let server = &self.started_with.server;
        let limits = listen::Limits {
            connections: server.max_connections,
            headers: server.header_timeout,
            idle: Duration::from_secs(75),
            write_stall: server.write_timeout,
        };
        let own = TaskTracker::new();
        let admin_limits = listen::Limits { connections: 256, ..limits };
        // The admin listener outlives the drain: it tells how that is going.
        own.spawn(listen::serve(
            admin.0,
            admin.1,
            admin_limits,
            self.kill.clone(),
            self.kill.clone(),
            own.clone(),
        ));
        own.spawn(reload::watch(self.clone(), self.stop.clone()));
        own.spawn(reload::follow_prices(self.clone(), self.stop.clone()));
        own.spawn(published::follow(self.clone(), self.stop.clone()));
        own.spawn(statistics::keep(self.clone(), self.kill.clone()));
        own.spawn(store::forget(self.clone(), self.kill.clone()));
        own.spawn(publish(self.clone(), self.kill.clone()));
        let connections = self.connections.clone();
        listen::serve(api.0, api.1, limits, self.stop.clone(), self.kill.clone(), connections).await;
        self.kill.cancelled().await;
        own.close();
        // Whatever still runs has been told to stop; it is not waited for long.
        drop(tokio::time::timeout(Duration::from_secs(2), own.wait()).await);
    }

    /// Shuts down: not ready at once, refuses connections after the delay, lets
    /// requests finish until the deadline, then ends streams with an error.
    pub async fn drain(&self, hurry: CancellationToken) {
        self.draining.store(true, Relaxed);
        let server = &self.started_with.server;
        let (delay, limit) = (server.drain_delay, server.drain_timeout);
        tracing::info!(inflight = self.shared.metrics.inflight.get(), "draining");
        let patiently = async {
            // Load balancers need a moment to notice; nobody is refused while
            // requests may still be on their way.
            tokio::time::sleep(delay).await;
            self.stop.cancel();
            self.connections.close();
            tokio::time::timeout(limit, self.connections.wait()).await.is_ok()
        };
        let finished = tokio::select! {
            finished = patiently => finished,
            () = hurry.cancelled() => false,
        };
        if !finished {
            tracing::warn!(inflight = self.shared.metrics.inflight.get(), "the drain deadline has passed");
            self.stop.cancel();
            self.connections.close();
            self.shared.deadline.cancel();
            drop(tokio::time::timeout(Duration::from_secs(5), self.connections.wait()).await);
        }
        tracing::info!("drained");
        store::close(self.shared.counter.as_ref()).await;
        self.shared.log.flush(Duration::from_secs(2));
        self.shared.decisions.flush(Duration::from_secs(2));
        // The process may be gone a moment after this.
        self.kill.cancel();
    }

    /// Keeps what has been learnt of endpoints, where that is wanted.
    fn save_statistics(&self) -> std::io::Result<()> {
        match &self.started_with.statistics {
            Some(file) => statistics::save(&self.books, file, self.shared.now()),
            None => Ok(()),
        }
    }

    fn outlet(&self, provider: &Provider) -> Outlet {
        self.outlets.of(&self.trust, provider)
    }
}

/// Gauges that nobody sets when something happens are set once a second.
async fn publish(app: App, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = tick.tick() => app.generation().fleet.publish(&app.shared.metrics, app.shared.now()),
            () = stop.cancelled() => return,
        }
    }
}

/// Ids of callers are repeated to them and logged: only when they are harmless.
fn is_harmless_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn open_log(settings: &Settings, redactor: &Arc<Redactor>, metrics: &Metrics) -> Result<Log, StartError> {
    let format = match settings.log.format {
        LogFormat::Auto => Format::Auto,
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
    };
    let file = settings.log.file.as_deref();
    let log = Log::start(format, file, Arc::clone(redactor), metrics.log_dropped.clone())
        .map_err(|error| StartError::Log("the log", error))?;
    log.0.install(&settings.log.level);
    Ok(log.0)
}

fn open_export(
    settings: &Settings,
    redactor: &Arc<Redactor>,
    metrics: &Metrics,
) -> Result<Option<Log>, StartError> {
    let Some(file) = settings.decisions.export.as_deref() else { return Ok(None) };
    let started = Log::start(Format::Json, Some(file), Arc::clone(redactor), metrics.log_dropped.clone());
    Ok(Some(started.map_err(|error| StartError::Log("decisions.export", error))?.0))
}

fn retry(settings: &Settings) -> RetrySettings {
    let router = &settings.router;
    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    let budget = router.retry_budget as f32;
    RetrySettings { attempts: router.attempts, budget, min_per_second: router.retry_min_per_second }
}

fn circuit(settings: &Settings) -> CircuitSettings {
    let breaker = settings.router.breaker;
    CircuitSettings {
        consecutive_failures: breaker.consecutive_failures,
        failure_ratio: breaker.failure_ratio,
        min_requests: breaker.min_requests,
        window: breaker.window,
        open: breaker.open,
        open_max: breaker.open_max,
        ..CircuitSettings::default()
    }
}
