//! The command line: one file per command.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Environment;

pub mod budgets;
pub mod check;
pub mod config;
pub mod customers;
pub mod demo;
pub mod desk;
pub mod explain;
pub mod gateway;
pub mod healthcheck;
pub mod keys;
pub mod ledger;
pub mod plans;
pub mod providers;
pub mod replay;
pub mod serve;
pub mod sim;
pub mod terms;
pub mod usage;

/// Exit code of wrong usage (`sysexits.h`).
pub const USAGE: u8 = 64;
/// Exit code when something that is needed is not there (`sysexits.h`).
pub const UNAVAILABLE: u8 = 69;
/// Exit code of a configuration that cannot be used (`sysexits.h`).
pub const CONFIG: u8 = 78;

#[derive(Debug, Parser)]
#[command(
    name = "merit",
    version,
    about = "An OpenAI-compatible LLM gateway: providers compete for every request on live price, latency and quality",
    after_help = "Without a command: merit serve.\nExample: OPENAI_API_KEY=… merit serve"
)]
struct Cli {
    #[command(flatten)]
    source: Source,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct Source {
    /// A configuration file; may be given several times, later ones win
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Vec<PathBuf>,
    /// Secrets written literally in the configuration are errors
    #[arg(long, global = true)]
    pub strict: bool,
    /// Sets one value, e.g. --set server.listen=127.0.0.1:8081
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The gateway (the default command)
    #[command(after_help = "Example: merit serve --config merit.toml")]
    Serve,
    /// A gateway with simulated providers: no keys and no services needed
    #[command(after_help = "Example: merit demo")]
    Demo(demo::Demo),
    /// Validates the configuration and prints all problems
    #[command(after_help = "Example: merit check --config merit.toml --connect")]
    Check(check::Check),
    /// The configuration's schema and effective values
    #[command(subcommand, after_help = "Example: merit config print --origin")]
    Config(config::Config),
    /// What a running gateway would decide for a request, without sending it
    #[command(after_help = "Example: merit explain -f request.json --objective fastest")]
    Explain(explain::Explain),
    /// Callers' keys
    #[command(subcommand, after_help = "Example: merit keys create --name app")]
    Keys(keys::Keys),
    /// What is configured, priced, and how it does
    #[command(after_help = "Example: merit providers")]
    Providers(gateway::Address),
    /// Simulated providers alone
    #[command(after_help = "Example: merit sim --scenario config/sim/market.toml")]
    Sim(sim::Sim),
    /// Whether the gateway on this machine lives; for containers without a shell
    #[command(after_help = "Example: merit healthcheck --url http://127.0.0.1:9090")]
    Healthcheck(healthcheck::Healthcheck),
    /// Runs the decision rule over recorded markets
    #[command(subcommand, after_help = "Example: merit replay market --help")]
    Replay(replay::Replay),
    /// Who is billed
    #[command(subcommand, after_help = "Example: merit customers create acme --plan retail")]
    Customers(customers::Customers),
    /// What customers pay
    #[command(subcommand, after_help = "Example: merit plans create retail --margin 20")]
    Plans(plans::Plans),
    /// What customers and keys may spend, and how that stands
    #[command(subcommand, after_help = "Example: merit budgets list --customer acme")]
    Budgets(budgets::Budgets),
    /// Usage, cost, revenue and margin by customer, key, model, provider or day
    #[command(after_help = "Example: merit usage --by model --csv")]
    Usage(usage::Usage),
    /// Proofs over the ledger, and its export
    #[command(subcommand, after_help = "Example: merit ledger verify")]
    Ledger(ledger::Ledger),
    /// A live view in the terminal (not built yet)
    #[command(after_help = "Example: merit top")]
    Top(Later),
}

/// Arguments of a command that is not built yet.
#[derive(Debug, Args)]
pub struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

impl Later {
    fn run(&self, command: &str) -> ExitCode {
        complain(&format!("merit {command} {}: not built yet", self.rest.join(" ")));
        ExitCode::from(UNAVAILABLE)
    }
}

/// Reads the command line and runs what it says.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, all else is wrong usage.
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let environment = Environment::process();
    let source = &cli.source;
    match &cli.command {
        None | Some(Command::Serve) => serve::run(source, environment),
        Some(Command::Demo(command)) => command.run(source, environment),
        Some(Command::Check(command)) => command.run(source, &environment),
        Some(Command::Config(command)) => command.run(source, &environment),
        Some(Command::Explain(command)) => command.run(source, &environment),
        Some(Command::Keys(command)) => command.run(source, &environment),
        Some(Command::Providers(address)) => providers::run(address, source, &environment),
        Some(Command::Sim(command)) => command.run(),
        Some(Command::Healthcheck(command)) => command.run(source, &environment),
        Some(Command::Replay(command)) => command.run(source, &environment),
        Some(Command::Customers(command)) => command.run(source, &environment),
        Some(Command::Plans(command)) => command.run(source, &environment),
        Some(Command::Budgets(command)) => command.run(source, &environment),
        Some(Command::Usage(command)) => command.run(source, &environment),
        Some(Command::Ledger(command)) => command.run(source, &environment),
        Some(Command::Top(later)) => later.run("top"),
    }
}

/// Keys with their values.
pub type Pairs = Vec<(String, String)>;

impl Source {
    /// `--set` as pairs.
    ///
    /// # Errors
    /// The first that is not `KEY=VALUE`.
    pub fn flags(&self) -> Result<Pairs, String> {
        let pair = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| format!("--set {text}: not KEY=VALUE"))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        self.set.iter().map(pair).collect()
    }
}

/// Says something on standard output; a closed pipe is no reason to fail.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says something on standard error.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A runtime for commands that only ask something.
///
/// # Errors
/// When the system gives none.
pub fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
