//! The real program on free ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Process, free_port};
use super::{Fallible, http};

/// A debug build on a busy machine is up in well under this.
const START: Duration = Duration::from_secs(30);

/// A running `merit serve`, asked to end and then killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Port of the API listener.
    pub(crate) api: u16,
    /// Port of the admin listener.
    pub(crate) admin: u16,
    // Dropped in this order: the process goes before the folder it writes to.
    process: Process,
    folder: TempDir,
}

impl Gateway {
    /// Starts the gateway on `config`, to which `[server]` is added, and waits
    /// until `/readyz` says yes.
    ///
    /// # Errors
    /// When it does not come up; with its log.
    pub(crate) fn start(config: &str) -> Fallible<Gateway> {
        Self::start_with(config, &[])
    }

    /// The same with environment variables: it sees these and no others but
    /// `PATH`, so that the keys of whoever runs the tests stay out of them.
    pub(crate) fn start_with(config: &str, environment: &[(&str, &str)]) -> Fallible<Gateway> {
        let folder = tempfile::tempdir()?;
        let (api, admin) = (free_port()?, free_port()?);
        fs::write(config_file(folder.path()), with_listeners(config, api, admin))?;
        let mut command = program(folder.path(), environment);
        command.args(["serve", "--config", "gateway.toml"]);
        let mut process = Process::start("merit", command, folder.path().join("merit.log"))?;
        process.wait_until(START, || http::get(admin, "/readyz").is_ok_and(|answer| answer.status == 200))?;
        Ok(Gateway { api, admin, process, folder })
    }

    /// What clients are given.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.api)
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its working folder, for files that its configuration includes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces its configuration file in one step, as an editor or a mounted
    /// secret does; the gateway notices by itself.
    pub(crate) fn reconfigure(&self, config: &str) -> Fallible<()> {
        let unfinished = self.folder().join("gateway.toml.new");
        fs::write(&unfinished, with_listeners(config, self.api, self.admin))?;
        fs::rename(unfinished, config_file(self.folder()))?;
        Ok(())
    }

    /// Sends a signal, by name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) -> Fallible<()> {
        self.process.signal(signal)
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(mut self, within: Duration) -> Fallible<ExitStatus> {
        self.process.signal("TERM")?;
        self.process.ended(within)
    }
}

/// The program, started in `folder` with nothing but `environment` and `PATH`.
pub(crate) fn program(folder: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_merit"));
    command.current_dir(folder).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(environment.iter().copied());
    command
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("gateway.toml")
}

/// Written first; top-level keys such as `include` cannot follow it, so a story
/// that needs one gives it in a second file.
fn with_listeners(config: &str, api: u16, admin: u16) -> String {
    format!("[server]\nlisten = \"127.0.0.1:{api}\"\nadmin = \"127.0.0.1:{admin}\"\n\n{config}")
}
