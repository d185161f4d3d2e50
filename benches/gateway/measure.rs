//! The rounds: each figure of each target in turn, so that whatever the machine
//! does meanwhile hits all of them alike.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::load::{self, Call, Tally};
use crate::process;
use crate::target::Target;
use crate::traffic::{Pace, Shape};

/// Connections kept busy in a closed loop.
const CONNECTIONS: usize = 64;

/// Requests a second at a constant rate: far from any target's limit, so that
/// what is measured is the way and not the queue.
const RATE: u32 = 200;

/// Streams held open to see what one costs in memory.
pub(crate) const STREAMS: u16 = 1000;

/// What is done to find a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Processor time under full load, per request.
    PerRequest,
    /// Processor time under full load, per content event of a stream.
    PerEvent,
    /// Latency at a constant rate; with both cores kept awake or not.
    Latency {
        /// Whether idle-priority work keeps the cores from halting.
        awake: bool,
    },
}

/// A figure that is taken in each round.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in the table.
    pub title: &'static str,
    /// How it is found.
    pub method: Method,
    shape: Shape,
}

/// Every figure that is taken in rounds.
pub(crate) const FIGURES: [Figure; 7] = [
    per_request("small", "CPU µs/request, 300 B", 300),
    per_request("medium", "CPU µs/request, 8.6 kB", 8_600),
    per_request("large", "CPU µs/request, 200 kB", 200_000),
    per_event("stream", "CPU µs/event, burst", Pace::Burst),
    per_event("paced", "CPU µs/event, 5 ms apart", Pace::Paced),
    latency("rate", "latency at 200/s", false),
    latency("awake", "latency at 200/s, cores awake", true),
];

const fn per_request(name: &'static str, title: &'static str, body: usize) -> Figure {
    Figure { name, title, method: Method::PerRequest, shape: Shape::plain(body) }
}

const fn per_event(name: &'static str, title: &'static str, pace: Pace) -> Figure {
    Figure { name, title, method: Method::PerEvent, shape: Shape::stream(pace) }
}

const fn latency(name: &'static str, title: &'static str, awake: bool) -> Figure {
    Figure { name, title, method: Method::Latency { awake }, shape: Shape::plain(300) }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Processor time per request or event, in microseconds; 0 for latencies.
    pub cpu: f64,
    /// Requests or events a second.
    pub rate: f64,
    /// Content events a chunk, 1 if each is passed on as it comes; 0 without streams.
    pub together: f64,
    /// Median latency in microseconds; 0 for closed loops.
    pub p50: f64,
    /// 99th percentile of latency in microseconds; 0 for closed loops.
    pub p99: f64,
}

/// A gateway's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// After its first answer, in KiB.
    pub idle: f64,
    /// With all streams open, in KiB.
    pub streams: f64,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By figure and target, a sample a round.
    pub samples: BTreeMap<(&'static str, String), Vec<Sample>>,
    /// By target.
    pub memory: BTreeMap<String, Memory>,
    /// Everything that went wrong.
    pub errors: Vec<String>,
}

/// Measures everything that is wanted.
pub(crate) async fn run(arguments: &Arguments, targets: &[Target], folder: &Path) -> io::Result<Results> {
    let mut results = Results::default();
    if arguments.wants("memory") {
        for target in targets.iter().filter(|target| target.is_gateway()) {
            say(&format!("memory: {}", target.name));
            memory(target, &mut results).await;
        }
    }
    for round in 0..arguments.rounds() {
        for figure in FIGURES.iter().filter(|figure| arguments.wants(figure.name)) {
            say(&format!("round {} of {}: {}", round + 1, arguments.rounds(), figure.title));
            let awake = match figure.method {
                Method::Latency { awake: true } => Some(keep_awake(arguments, folder)?),
                _ => None,
            };
            for n in 0..targets.len() {
                // There and back again: a drift within a round cancels out over two.
                let n = if round % 2 == 0 { n } else { targets.len() - 1 - n };
                if let Some(target) = targets.get(n) {
                    let sample = measure(figure, target, arguments, &mut results.errors).await;
                    results.samples.entry((figure.name, target.name.clone())).or_default().push(sample);
                }
            }
            drop(awake);
        }
    }
    Ok(results)
}

fn keep_awake(arguments: &Arguments, folder: &Path) -> io::Result<[process::Running; 2]> {
    let load = process::keep_awake(arguments.load_core, folder)?;
    Ok([load, process::keep_awake(arguments.gateway_core, folder)?])
}

async fn measure(
    figure: &Figure,
    target: &Target,
    arguments: &Arguments,
    errors: &mut Vec<String>,
) -> Sample {
    let tally = Rc::new(Tally::default());
    let call = target.call(figure.shape);
    let sample = match figure.method {
        Method::Latency { .. } => at_rate(&call, arguments, &tally).await,
        Method::PerRequest => under_load(&call, target, arguments, &tally, false).await,
        Method::PerEvent => under_load(&call, target, arguments, &tally, true).await,
    };
    report_errors(&tally, figure.name, target, errors);
    sample
}

async fn under_load(
    call: &Call,
    target: &Target,
    arguments: &Arguments,
    tally: &Rc<Tally>,
    events: bool,
) -> Sample {
    let processes = target.processes();
    let mut marks = Vec::with_capacity(2);
    let mark = || {
        let count = if events { tally.events.get() } else { tally.requests.get() };
        marks.push((process::cpu(&processes), count, tokio::time::Instant::now()));
    };
    load::closed_loop(call, CONNECTIONS, arguments.warm_up(), arguments.measured(), tally, mark).await;
    let [(cpu_before, before, begin), (cpu_after, after, end)] = marks.as_slice() else {
        return Sample::default();
    };
    let done = ratio((after - before).max(1), 1);
    let took = end.duration_since(*begin).as_secs_f64();
    let together = ratio(tally.events.get(), tally.chunks.get());
    Sample { cpu: (cpu_after - cpu_before) * 1e6 / done, rate: done / took, together, ..Sample::default() }
}

async fn at_rate(call: &Call, arguments: &Arguments, tally: &Rc<Tally>) -> Sample {
    let mut took = load::constant_rate(call, RATE, arguments.measured(), tally).await;
    took.sort_unstable_by(f64::total_cmp);
    Sample {
        rate: f64::from(RATE),
        p50: quantile(&took, 0.50),
        p99: quantile(&took, 0.99),
        ..Sample::default()
    }
}

async fn memory(target: &Target, results: &mut Results) {
    let tally = Rc::new(Tally::default());
    let call = target.call(Shape::stream(Pace::Slow));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let idle = process::memory(&target.processes());
    let mut streams = 0.0;
    load::hold_streams(&call, usize::from(STREAMS), &tally, || {
        streams = process::memory(&target.processes());
    })
    .await;
    report_errors(&tally, "memory", target, &mut results.errors);
    results.memory.insert(target.name.clone(), Memory { idle, streams });
}

fn report_errors(tally: &Tally, figure: &str, target: &Target, errors: &mut Vec<String>) {
    if let Some(first) = tally.first_error.borrow().as_deref() {
        errors.push(format!("{}, {figure}: {} errors, the first: {first}", target.name, tally.errors.get()));
    }
}

/// The ratio of two counts; 0 when the second is.
fn ratio(count: u64, other: u64) -> f64 {
    if other == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let ratio = count as f64 / other as f64;
    ratio
}

/// Tells how far the bench is.
#[expect(clippy::print_stderr, reason = "progress belongs on the terminal")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// A quantile of sorted values: the smallest that is not below this share of them; 0 of none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "counts are small and shares lie in 0..=1"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
