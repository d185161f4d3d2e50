//! The real program on free ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::http::Answer;
use super::process::{Process, free_port};
use super::{Fallible, http};

/// Where chats are.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A debug build on a busy machine is up in well under this.
const START: Duration = Duration::from_secs(30);
/// So is the end of one that has nothing to do.
const END: Duration = Duration::from_secs(9);

/// What a gateway is started with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setup<'s> {
    /// Its configuration file, to which `[server]` is added.
    pub(crate) config: &'s str,
    /// More files in its folder: name and text.
    pub(crate) files: &'s [(&'s str, &'s str)],
    /// More arguments.
    pub(crate) arguments: &'s [&'s str],
    /// Its environment variables: it sees these and no others but `PATH`, so
    /// that the keys of whoever runs the tests stay out of them.
    pub(crate) environment: &'s [(&'s str, &'s str)],
}

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
        Self::start_with(&Setup { config, ..Setup::default() })
    }

    /// The same with all that a [`Setup`] can say.
    pub(crate) fn start_with(setup: &Setup<'_>) -> Fallible<Gateway> {
        let folder = tempfile::tempdir()?;
        let (api, admin) = (free_port()?, free_port()?);
        fs::write(config_file(folder.path()), with_listeners(setup.config, api, admin))?;
        for (name, text) in setup.files {
            put(&folder.path().join(name), text)?;
        }
        let mut command = program(folder.path(), setup.environment);
        command.args(["serve", "--config", "gateway.toml"]).args(setup.arguments);
        let mut process = Process::start("merit", command, folder.path().join("merit.log"))?;
        process.wait_until(START, || http::get(admin, "/readyz").is_ok_and(|answer| answer.status == 200))?;
        Ok(Gateway { api, admin, process, folder })
    }

    /// What clients are given.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.api)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has logged so far; the last lines may still be on their way.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Its working folder, for files that its configuration includes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces its configuration file in one step, as an editor or a mounted
    /// secret does; the gateway notices by itself.
    pub(crate) fn reconfigure(&self, config: &str) -> Fallible<()> {
        self.put("gateway.toml", &with_listeners(config, self.api, self.admin))
    }

    /// Writes a file into its folder in one step.
    pub(crate) fn put(&self, name: &str, text: &str) -> Fallible<()> {
        put(&self.folder().join(name), text)
    }

    /// A chat request without a key.
    pub(crate) fn chat(&self, body: &Value) -> Fallible<Answer> {
        self.chat_as(&[], body)
    }

    /// A chat request with these headers.
    pub(crate) fn chat_as(&self, headers: &[(&str, &str)], body: &Value) -> Fallible<Answer> {
        http::send(self.api, "POST", CHAT, headers, body.to_string())
    }

    /// The whole decision about the request that got `answer`, as the operator
    /// sees it.
    pub(crate) fn decision(&self, answer: &Answer) -> Fallible<Value> {
        let id = answer.header("x-request-id").ok_or("the answer has no request id")?;
        http::get(self.admin, &format!("/admin/v1/decisions/{id}"))?.json()
    }

    /// `/readyz?verbose`.
    pub(crate) fn state(&self) -> Fallible<Value> {
        http::get(self.admin, "/readyz?verbose")?.json()
    }

    /// The sum of a metric's samples that have all these `label="value"` pairs.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Fallible<f64> {
        Ok(self.samples(name, labels)?.iter().filter_map(|value| value.parse::<f64>().ok()).sum())
    }

    /// The same for what is counted in whole numbers.
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> Fallible<u64> {
        Ok(self.samples(name, labels)?.iter().filter_map(|value| value.parse::<u64>().ok()).sum())
    }

    fn samples(&self, name: &str, labels: &[&str]) -> Fallible<Vec<String>> {
        let text = http::get(self.admin, "/metrics")?.body;
        let samples = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        Ok(samples.filter_map(|line| line.rsplit(' ').next().map(ToOwned::to_owned)).collect())
    }

    /// Ends it and gives all that it has logged.
    pub(crate) fn whole_log(&mut self) -> Fallible<String> {
        self.signal("TERM")?;
        self.ended(END)?;
        Ok(self.log())
    }

    /// Waits for its end without asking for it.
    pub(crate) fn ended(&mut self, within: Duration) -> Fallible<ExitStatus> {
        self.process.ended(within)
    }

    /// Sends a signal, by name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) -> Fallible<()> {
        self.process.signal(signal)
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

/// Writes a file in one step, with the folders it needs.
fn put(path: &Path, text: &str) -> Fallible<()> {
    let folder = path.parent().ok_or("a file is in a folder")?;
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, text)?;
    fs::rename(unfinished, path)?;
    Ok(())
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("gateway.toml")
}

/// Written first; top-level keys such as `include` cannot follow it, so a story
/// that needs one gives it in a second file. Nobody waits for load balancers.
fn with_listeners(config: &str, api: u16, admin: u16) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:{api}\"\nadmin = \"127.0.0.1:{admin}\"\ndrain_delay = \"0s\"\n\n{config}"
    )
}
