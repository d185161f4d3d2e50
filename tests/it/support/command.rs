//! The program's other commands, run as a user does.

use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Fallible;
use super::gateway::program;
use super::process::until;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it said.
    pub(crate) out: String,
    /// What it complained of.
    pub(crate) err: String,
}

/// Runs `merit` with `arguments` in `folder` to its end; it sees no variables
/// but `environment` and `PATH`.
///
/// # Errors
/// When it does not end by itself; it is killed then.
pub(crate) fn merit(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Fallible<Ran> {
    let mut command = program(folder, environment);
    command.args(arguments);
    run(command)
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Fallible<Ran> {
    // Files, not pipes: nobody has to read them while it runs.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = command.spawn()?;
    let mut ended = None;
    let waited = until("the command ends", || {
        ended = child.try_wait()?;
        Ok(ended.is_some())
    });
    if waited.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let ran = Ran {
        code: ended.and_then(|status| status.code()).unwrap_or(-1),
        out: text(&mut out)?,
        err: text(&mut err)?,
    };
    waited.map_err(|error| format!("{error}: {ran:?}"))?;
    Ok(ran)
}

fn text(file: &mut std::fs::File) -> Fallible<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}
