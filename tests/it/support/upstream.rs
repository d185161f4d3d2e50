//! A real upstream: llama.cpp with a generated model (`tests/upstream`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::{Process, free_port};
use super::{Fallible, http, installed};

/// What the model answers to a plain chat.
pub(crate) const ANSWER: &str = "Hello there 你好 🌍 done.";
/// What it answers when tools are offered: this function, with `{"ok":true,"c":"x"}`.
pub(crate) const TOOL: &str = "get_time";
/// Loading takes half a second alone and longer beside a build.
const START: Duration = Duration::from_secs(60);

/// A llama.cpp server on loopback.
#[derive(Debug)]
pub(crate) struct Llama {
    pub(crate) port: u16,
    process: Process,
    log: PathBuf,
}

impl Llama {
    /// Starts one on a free port.
    pub(crate) fn start() -> Fallible<Llama> {
        let port = free_port()?;
        let log = scratch().join(format!("llama-{port}.log"));
        Ok(Llama { port, process: launch(port, &log)?, log })
    }

    /// What a provider's `base_url` is.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Kills it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) -> Fallible<()> {
        self.process.kill()
    }

    /// Starts it again, on the same port, after [`Llama::kill`].
    pub(crate) fn restart(&mut self) -> Fallible<()> {
        self.process = launch(self.port, &self.log)?;
        Ok(())
    }
}

fn launch(port: u16, log: &Path) -> Fallible<Process> {
    let mut command = Command::new(installed::python()?);
    command.arg(installed::root().join("tests/upstream/serve.py")).arg(model()?).arg(port.to_string());
    let mut process = Process::start("llama.cpp", command, log.to_owned())?;
    process.wait_until(START, || http::get(port, "/health").is_ok_and(|answer| answer.status == 200))?;
    Ok(process)
}

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The model's file, written once in a run: in half a second, so that it is
/// never that of an older generator.
fn model() -> Fallible<&'static Path> {
    static MODEL: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let written = MODEL.get_or_init(|| write_model().map_err(|error| error.to_string()));
    written.as_deref().map_err(|error| error.clone().into())
}

fn write_model() -> Fallible<PathBuf> {
    let unfinished = scratch().join(format!("tiny-{}.gguf", std::process::id()));
    let script = installed::root().join("tests/upstream/make_gguf.py");
    let output = Command::new(installed::python()?).arg(script).arg(&unfinished).output()?;
    if !output.status.success() {
        return Err(format!("no model: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    // Renamed when whole: another run may be reading the one that is there.
    let model = scratch().join("tiny.gguf");
    fs::rename(unfinished, &model)?;
    Ok(model)
}
