//! `merit serve`: the gateway, from configuration to drained.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CONFIG, Source, UNAVAILABLE, USAGE, complain};
use crate::app::{App, Origin, StartError};
use crate::books::prices::PriceBook;
use crate::config::{Environment, LoadError};
use crate::{admin, api, telemetry};

/// Runs the gateway until it is told to stop.
pub fn run(source: &Source, environment: Environment) -> ExitCode {
    match origin(source, environment) {
        Ok(origin) => block_on(gateway(origin, |_| {})),
        Err(code) => code,
    }
}

/// Where the configuration comes from, by the command line.
///
/// # Errors
/// The exit code when the command line is wrong; that has been said.
pub fn origin(source: &Source, environment: Environment) -> Result<Origin, ExitCode> {
    let flags = source.flags().map_err(|problem| {
        complain(&problem);
        ExitCode::from(USAGE)
    })?;
    Ok(Origin { files: source.config.clone(), inline: Vec::new(), environment, flags, strict: source.strict })
}

/// Runs a future on as many threads as there are cores. On one core, as beside
/// an application, there is nobody to share work with, and a runtime that need
/// not be ready to does less for each request.
pub fn block_on(future: impl Future<Output = ExitCode>) -> ExitCode {
    let mut runtime = match std::thread::available_parallelism() {
        Ok(cores) if cores.get() == 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    match runtime.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(future);
            // Blocking work (a name that is being looked up) is not waited for.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain(&format!("merit: the runtime could not be started: {error}"));
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// Waits for `SIGTERM` or `SIGINT`.
///
/// # Errors
/// When signals cannot be received.
pub async fn until_told() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Loads, binds and serves. `ready` is called when both listeners accept.
pub async fn gateway(origin: Origin, ready: impl FnOnce(&App)) -> ExitCode {
    let prices = PriceBook::embedded();
    let loaded = match origin.load(&prices) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&StartError::Config(error)),
    };
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let app = match App::build(loaded, origin, prices) {
        Ok(app) => app,
        Err(error) => return refuse(&error),
    };
    telemetry::panics::count(&app.shared.metrics);
    let (api, admin) = match app.bind().await {
        Ok(listeners) => listeners,
        Err(error) => return refuse(&error),
    };
    for warning in warnings {
        tracing::warn!(warning, "configuration");
    }
    announce(&app, &api, &admin);
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("merit: signals cannot be received: {error}"));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    ready(&app);
    let watching = tokio::spawn(signals.obey(app.clone()));
    let judging = tokio::spawn(api::judge::run_judge(app.clone()));
    app.serve((api, api::Front::new(app.clone())), (admin, admin::router(app.clone()))).await;
    watching.abort();
    judging.abort();
    ExitCode::SUCCESS
}

fn announce(app: &App, api: &tokio::net::TcpListener, admin: &tokio::net::TcpListener) {
    let generation = app.generation();
    let catalog = &generation.fleet.catalog;
    let address = |listener: &tokio::net::TcpListener| {
        listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = address(api),
        admin = address(admin),
        endpoints = catalog.endpoints.len(),
        names = catalog.names.len(),
        keys_required = generation.keys_required,
        "serving"
    );
}

/// Says why the gateway does not start.
fn refuse(error: &StartError) -> ExitCode {
    complain(&error.to_string());
    match error {
        StartError::Config(LoadError::NothingConfigured | LoadError::Problems(_))
        | StartError::Pepper(..) => ExitCode::from(CONFIG),
        StartError::Log(..)
        | StartError::Store(..)
        | StartError::Listen(..)
        | StartError::Tls(_)
        | StartError::Control(_) => ExitCode::from(UNAVAILABLE),
    }
}

/// The signals that are obeyed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// A file that may not grow any more is an error of the one who writes it, not
    /// the end of the process: a signal that is listened to does not kill.
    _file_size: Signal,
}

/// `SIGXFSZ`, which has the same number on Linux and macOS.
const FILE_SIZE: i32 = 25;

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE))?,
        })
    }

    /// `SIGHUP` reloads; the first of the others drains, the second hurries.
    async fn obey(mut self, app: App) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                // What went wrong is logged, counted and shown by /readyz?verbose.
                _ = self.hang_up.recv() => drop(app.reload(false).await),
            }
        }
        let hurry = CancellationToken::new();
        let draining = app.drain(hurry.clone());
        let again = async {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            hurry.cancel();
        };
        let mut draining = std::pin::pin!(draining);
        tokio::select! {
            () = draining.as_mut() => return,
            () = again => {}
        }
        draining.await;
    }
}
