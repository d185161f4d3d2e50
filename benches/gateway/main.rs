//! What Merit costs: processor time, latency and memory, beside nginx as a plain
//! reverse proxy and beside no gateway at all.
//!
//! A gateway has a core to itself; the load generator and the provider share
//! another. All targets run from the beginning and are measured in turn, round
//! after round, because machines drift, and a ratio within a round does not.
//! Everything stays on loopback, and everything that was started is ended.
//! `docs/benchmarks.md` tells how to run it and how to read it.

#![forbid(unsafe_code)]

mod arguments;
mod measure;
mod process;
mod report;
mod target;
mod traffic;
mod upstream;
mod wire;
mod load;

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use arguments::Arguments;
use target::{Place, Target};

/// The share of a core that other work may take before it is told.
const MOST_BUSY: f64 = 0.05;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this program is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok((table, errors)) => {
            println!("{table}");
            for error in &errors {
                eprintln!("error: {error}");
            }
            if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<(String, Vec<String>)> {
    process::prepare_self(arguments.load_core)?;
    let conditions = conditions(arguments);
    let folder = tempfile::tempdir()?;
    let upstream = upstream::start(arguments.upstream_port)?;
    let place = Place {
        upstream,
        core: arguments.gateway_core,
        folder: folder.path(),
        merit: std::path::absolute(merit_binary(arguments))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut targets = start(arguments, &place)?;
        for target in &mut targets {
            target.ready().await?;
        }
        let results = measure::run(arguments, &targets, folder.path()).await?;
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        report::write_json(&results, &names, &conditions, &arguments.json)?;
        Ok((report::table(&results, &names), results.errors))
    })
}

/// Starts what is to be measured, in the order of the command line.
fn start(arguments: &Arguments, place: &Place<'_>) -> io::Result<Vec<Target>> {
    let own = arguments.targets.iter().map(|name| match name.as_str() {
        "direct" => Ok(Target::direct(place)),
        "nginx" => Target::nginx(place).map_err(|error| explain("nginx", &error)),
        "merit" => Target::merit(place, name, true).map_err(|error| explain("merit", &error)),
        "merit-bare" => Target::merit(place, name, false).map_err(|error| explain("merit", &error)),
        _ => Err(io::Error::other(format!("there is no target {name}"))),
    });
    own.chain(arguments.other.iter().map(|other| Ok(Target::other(other)))).collect()
}

fn explain(name: &str, error: &io::Error) -> io::Error {
    let hint = match name {
        "nginx" => "is the Debian package nginx-light installed?",
        _ => "--targets direct,nginx measures without it",
    };
    io::Error::other(format!("{name} cannot be started: {error} ({hint})"))
}

/// The binary to measure: named, or the one that cargo has built with this bench.
fn merit_binary(arguments: &Arguments) -> PathBuf {
    let named = arguments.merit.clone().or_else(|| std::env::var_os("MERIT_BIN").map(PathBuf::from));
    named.unwrap_or_else(|| option_env!("CARGO_BIN_EXE_merit").unwrap_or("target/release/merit").into())
}

/// Under what conditions the figures were taken.
fn conditions(arguments: &Arguments) -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    json!({
        "processor": cpu,
        "cores": printed("nproc", &["--all"]),
        "kernel": printed("uname", &["-sr"]),
        "nginx": printed("nginx", &["-v"]),
        "commit": printed("git", &["describe", "--always", "--dirty"]),
        "busy_beforehand": [busy(arguments.load_core), busy(arguments.gateway_core)],
        "rounds": arguments.rounds(),
        "seconds": arguments.measured().as_secs_f64(),
    })
}

/// How busy a core is before the bench begins; more than a little is told.
fn busy(core: usize) -> Option<f64> {
    let busy = process::busy(core, Duration::from_millis(500))?;
    if busy > MOST_BUSY {
        let percent = (busy * 100.0).round();
        measure::say(&format!("warning: core {core} is busy for {percent} % with other work: expect noise"));
    }
    Some(busy)
}

/// What a program prints, or null when it is not there.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let bytes = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}
