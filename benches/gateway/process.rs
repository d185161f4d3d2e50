//! Processes: where they run, what they cost, and their end.
//!
//! Pinning, limits and priorities are set with util-linux's programs (`taskset`,
//! `prlimit`, `setpriv`, `chrt`), which every Debian has, rather than with
//! `unsafe` system calls of our own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A clock tick of `/proc/PID/stat`: Linux's interface to programs has 100 a
/// second, see `proc(5)`.
const MILLISECONDS_PER_TICK: u64 = 10;

/// How long a process has to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A child process that ends with the bench.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts a program on one core; what it prints goes to a file.
    ///
    /// Should the bench die, the kernel ends the child too.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        core: usize,
        output: &Path,
    ) -> io::Result<Self> {
        let file = File::create(output)?;
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), "setpriv", "--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            // Whatever it leaves behind goes with the bench's folder.
            .current_dir(output.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Running { child, output: output.to_owned() })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last line it has printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        text.trim().lines().next_back().unwrap_or("it printed nothing").to_owned()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let children = family(self.id());
        // Failing here means that it has already ended.
        let _ = Command::new("kill").args(["-TERM", &self.id().to_string()]).stderr(Stdio::null()).status();
        let deadline = tokio::time::Instant::now() + GRACE;
        while !self.has_ended() && tokio::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !self.has_ended() {
            for id in children.into_iter().filter(|&id| id != self.id()) {
                let _ = Command::new("kill").args(["-KILL", &id.to_string()]).stderr(Stdio::null()).status();
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Moves this process to one core and lets it, and what it starts, have as many
/// open files as thousands of streams need.
pub(crate) fn prepare_self(core: usize) -> io::Result<()> {
    let id = std::process::id().to_string();
    run("taskset", &["-a", "-p", "-c", &core.to_string(), &id])?;
    run("prlimit", &[&format!("--nofile={}:", most_files()?), "--pid", &id])
}

/// As many open files as we may have.
fn most_files() -> io::Result<String> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1));
    hard.map(str::to_owned).ok_or_else(|| io::Error::other("/proc/self/limits cannot be read"))
}

/// Keeps a core awake with work of idle priority, which gives way to anything.
pub(crate) fn keep_awake(core: usize, folder: &Path) -> io::Result<Running> {
    let arguments = ["--idle", "0", "sh", "-c", "while :; do :; done"].map(str::to_owned);
    Running::start(Path::new("chrt"), &arguments, core, &folder.join(format!("awake-{core}.log")))
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// A process and its children.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = ids.filter(|&other| stat(other, 1) == Some(u64::from(id)));
    std::iter::once(id).chain(children).collect()
}

/// Processor time these processes have used so far, in seconds.
pub(crate) fn cpu(ids: &[u32]) -> f64 {
    let used = |&id: &u32| Some(stat(id, 11)? + stat(id, 12)?);
    let ticks: u64 = ids.iter().filter_map(used).sum();
    Duration::from_millis(ticks * MILLISECONDS_PER_TICK).as_secs_f64()
}

/// Memory of these processes, in KiB: their proportional share of shared pages
/// and all of their own.
pub(crate) fn memory(ids: &[u32]) -> f64 {
    let used = |id: &u32| {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    ids.iter().filter_map(used).sum()
}

/// How much of this core has been in use over this time, in 0..=1.
pub(crate) fn busy(core: usize, over: Duration) -> Option<f64> {
    let before = core_ticks(core)?;
    std::thread::sleep(over);
    let after = core_ticks(core)?;
    let [used, all] = [after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)].map(u32::try_from);
    Some(f64::from(used.ok()?) / f64::from(all.ok()?.max(1)))
}

/// Ticks in use and all ticks of a core since the machine's start, see `proc_stat(5)`.
fn core_ticks(core: usize) -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    // The fourth is idle, the fifth idle and waiting for a disk.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Some((all - idle, all))
}

/// A field of `/proc/PID/stat`, counted from the state, which follows the name in parentheses.
fn stat(id: u32, field: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    fields.split_whitespace().nth(field)?.parse().ok()
}
