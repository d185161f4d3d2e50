//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

/// Measures Merit beside nginx and beside no gateway at all, on loopback.
#[derive(Debug, Parser)]
#[command(
    name = "gateway",
    after_help = "Example: cargo bench --bench gateway -- --rounds 5 --only small,stream"
)]
pub(crate) struct Arguments {
    /// How often everything is measured; medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each figure is measured in each round
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Two short rounds, within a minute
    #[arg(long)]
    quick: bool,
    /// Only these figures: small, medium, large, stream, paced, rate, awake, memory
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// What is measured; direct and nginx are needed for comparisons
    #[arg(long, value_delimiter = ',', default_value = "direct,nginx,merit,merit-bare")]
    pub targets: Vec<String>,
    /// Another gateway on loopback, already running: NAME=HOST:PORT@PROCESS[#KEY]
    #[arg(long)]
    pub other: Vec<Other>,
    /// A fixed port for the loopback provider, for other gateways' configurations
    #[arg(long, default_value_t = 0)]
    pub upstream_port: u16,
    /// Merit's binary [default: that of the variable `MERIT_BIN`, else the one built with this bench]
    #[arg(long)]
    pub merit: Option<PathBuf>,
    /// The core of the load generator and the provider
    #[arg(long, default_value_t = 0)]
    pub load_core: usize,
    /// The core of the gateway
    #[arg(long, default_value_t = 1)]
    pub gateway_core: usize,
    /// Where the figures go as JSON
    #[arg(long, default_value = "target/bench-gateway.json")]
    pub json: PathBuf,
    /// Cargo says this to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// How often everything is measured.
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 2 } else { self.rounds }
    }

    /// How long each figure is measured in each round.
    pub(crate) fn measured(&self) -> Duration {
        if self.quick { Duration::from_millis(600) } else { Duration::from_secs_f64(self.seconds) }
    }

    /// How long load runs before it is measured.
    pub(crate) fn warm_up(&self) -> Duration {
        self.measured() / 5
    }

    /// Whether this figure is wanted.
    pub(crate) fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == figure)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("not a number between 0.1 and 60".into()),
    }
}

/// A gateway that the bench has not started.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    /// What it is called in the table.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The process whose time and memory count, with its children.
    pub process: u32,
    /// The key it wants.
    pub key: Option<String>,
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, key) = match text.split_once('#') {
            Some((text, key)) => (text, Some(key.to_owned())),
            None => (text, None),
        };
        let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once('@')?)));
        let (name, (address, process)) = parts.ok_or("not NAME=HOST:PORT@PROCESS[#KEY]")?;
        let address: SocketAddr = address.parse().map_err(|_| "the address is not IP:PORT")?;
        if !address.ip().is_loopback() {
            return Err("only gateways on loopback are measured".into());
        }
        let process = process.parse().map_err(|_| "the process is not a number")?;
        Ok(Other { name: name.to_owned(), address, process, key })
    }
}
