//! A child process that ends with the story.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::Fallible;

/// How often a process is looked at. Another process has no clock that a test
/// could pause, so this is the one place that sleeps.
const LOOK: Duration = Duration::from_millis(20);
/// How long an asked process may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// What takes longer than this to happen does not happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running child; asked to end, then killed, when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both its outputs appended to the file `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: PathBuf) -> Fallible<Process> {
        let output = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| format!("{name} could not be started: {error}"))?;
        Ok(Process { child, name: name.to_owned(), log })
    }

    /// Everything it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its id, to send it signals.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` holds.
    ///
    /// # Errors
    /// When it ends before that, or `within` has passed; with its log.
    pub(crate) fn wait_until(&mut self, within: Duration, mut ready: impl FnMut() -> bool) -> Fallible<()> {
        let deadline = Instant::now() + within;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(
                    format!("{} ended before it was ready, {status}:\n{}", self.name, self.log()).into()
                );
            }
            if Instant::now() >= deadline {
                return Err(format!("{} was not ready within {within:?}:\n{}", self.name, self.log()).into());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Sends it a signal, by name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) -> Fallible<()> {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(format!("SIG{signal} could not be sent to {}", self.name).into())
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When `within` passes first.
    pub(crate) fn ended(&mut self, within: Duration) -> Fallible<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(format!("{} did not end within {within:?}:\n{}", self.name, self.log()).into());
            }
            thread::sleep(LOOK);
        }
    }

    /// Kills it without a warning, as a crash would.
    pub(crate) fn kill(&mut self) -> Fallible<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended && (self.signal("TERM").is_err() || self.ended(GRACE).is_err()) {
            // Nothing more can be done for a process that cannot be killed.
            drop(self.kill());
        }
    }
}

/// Looks at something outside this process until it holds.
///
/// # Errors
/// When that takes longer than anything here may; names `what`.
pub(crate) fn until(what: &str, holds: impl FnMut() -> Fallible<bool>) -> Fallible<()> {
    until_within(PATIENCE, what, holds)
}

/// The same with another limit than usual.
pub(crate) fn until_within(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> Fallible<bool>,
) -> Fallible<()> {
    let deadline = Instant::now() + limit;
    while !holds()? {
        if Instant::now() >= deadline {
            return Err(format!("not within {limit:?}: {what}").into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// A port of loopback that nobody listens on, and that is given out only once
/// in this run. It lies below those that the system gives to outgoing
/// connections (from 32768 on Linux): one of these could take it before it is used.
pub(crate) fn free_port() -> Fallible<u16> {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Runs beside each other begin at different places.
    let begin = std::process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let next = begin.wrapping_add(GIVEN.fetch_add(1, Relaxed));
        let port = u16::try_from(FIRST + next % COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("there is no free port".into())
}
