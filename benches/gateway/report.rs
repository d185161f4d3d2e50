//! The figures as a table for people and as JSON for programs.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

use crate::measure::{FIGURES, Figure, Method, Results, STREAMS, Sample, quantile};

/// What everything is held against.
const MEASURE: &str = "nginx";

/// What latencies are added to.
const BASE: &str = "direct";

/// Median, least and greatest of some rounds.
#[derive(Debug, Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        // Of an even number of rounds the mean of the two in the middle.
        let mirrored = values.len() / 2;
        let upper = values.get(mirrored).copied().unwrap_or(least);
        let median =
            if values.len().is_multiple_of(2) { f64::midpoint(quantile(&values, 0.5), upper) } else { upper };
        Some(Spread { median, least, greatest })
    }

    fn cell(self) -> String {
        format!("{} ({}–{})", short(self.median), short(self.least), short(self.greatest))
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.greatest })
    }
}

/// A column: its heading, what it takes from a sample, and whether it is what the
/// target adds over no gateway.
struct Column {
    figure: &'static Figure,
    title: String,
    value: fn(&Sample) -> f64,
    added: bool,
}

fn columns(results: &Results) -> Vec<Column> {
    let taken = |figure: &&Figure| results.samples.keys().any(|(name, _)| *name == figure.name);
    FIGURES.iter().filter(taken).flat_map(columns_of).collect()
}

fn columns_of(figure: &'static Figure) -> Vec<Column> {
    let column = |prefix: &str, value: fn(&Sample) -> f64, added| Column {
        figure,
        title: if prefix.is_empty() { figure.title.into() } else { format!("{prefix}, {}", figure.name) },
        value,
        added,
    };
    match figure.method {
        Method::PerRequest => vec![column("", |sample| sample.cpu, false)],
        Method::PerEvent => {
            vec![
                column("", |sample| sample.cpu, false),
                column("events/chunk", |sample| sample.together, false),
            ]
        }
        Method::Latency { .. } => vec![
            column("added p50 µs", |sample| sample.p50, true),
            column("added p99 µs", |sample| sample.p99, true),
        ],
    }
}

impl Column {
    /// A target's value in each round; for the base of an addition its plain latency.
    fn values(&self, results: &Results, target: &str) -> Vec<f64> {
        let of = |name: &str| {
            let samples = results.samples.get(&(self.figure.name, name.to_owned()));
            samples.into_iter().flatten().map(self.value).collect::<Vec<_>>()
        };
        if self.added && target != BASE {
            of(target).into_iter().zip(of(BASE)).map(|(with, without)| with - without).collect()
        } else {
            of(target)
        }
    }

    fn cell(&self, results: &Results, target: &str) -> String {
        let spread = Spread::of(self.values(results, target));
        match spread {
            None => "–".into(),
            Some(spread) if self.added && target != BASE => format!("+{}", spread.cell()),
            Some(spread) if self.added => format!("[{}]", short(spread.median)),
            Some(spread) => spread.cell(),
        }
    }

    /// A target's value as a multiple of nginx's: processor time round by round,
    /// as both drift together; additions by their medians, as they are small
    /// differences and a round's may be near zero.
    fn ratio(&self, results: &Results, target: &str) -> Option<f64> {
        let (own, measure) = (self.values(results, target), self.values(results, MEASURE));
        if self.added {
            return Some(Spread::of(own)?.median / Spread::of(measure)?.median);
        }
        Some(Spread::of(own.into_iter().zip(measure).map(|(own, measure)| own / measure))?.median)
    }
}

/// Two Markdown tables: the figures with their spread, and the ratios to nginx.
pub(crate) fn table(results: &Results, targets: &[&str]) -> String {
    let columns = columns(results);
    let mut text = String::from("Medians (least–greatest) of the rounds; [direct]: the latency itself.\n\n");
    let mut heading: Vec<String> = columns.iter().map(|column| column.title.clone()).collect();
    heading.push(format!("MiB idle + KiB/stream of {STREAMS}"));
    row(&mut text, "", &heading);
    row(&mut text, "---", &vec!["---".to_owned(); heading.len()]);
    for target in targets {
        let mut cells: Vec<String> = columns.iter().map(|column| column.cell(results, target)).collect();
        cells.push(memory_cell(results, target));
        row(&mut text, target, &cells);
    }
    if !columns.is_empty() && targets.contains(&MEASURE) {
        text.push_str("\nAs multiples of nginx's:\n\n");
        heading.pop();
        row(&mut text, "", &heading);
        row(&mut text, "---", &vec!["---".to_owned(); heading.len()]);
        for target in targets.iter().filter(|target| ![BASE, MEASURE].contains(*target)) {
            let ratio = |column: &Column| column.ratio(results, target);
            let cells: Vec<String> = columns
                .iter()
                .map(|column| ratio(column).map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}×")))
                .collect();
            row(&mut text, target, &cells);
        }
    }
    text
}

fn memory_cell(results: &Results, target: &str) -> String {
    results.memory.get(target).map_or_else(
        || "–".into(),
        |memory| {
            let each = (memory.streams - memory.idle) / f64::from(STREAMS);
            format!("{} + {}", short(memory.idle / 1024.0), short(each))
        },
    )
}

fn row(text: &mut String, first: &str, cells: &[String]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
}

/// Three digits are what such measurements are worth.
fn short(value: f64) -> String {
    if value.abs() < 99.5 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Writes all figures as JSON.
pub(crate) fn write_json(
    results: &Results,
    targets: &[&str],
    conditions: &Value,
    path: &Path,
) -> io::Result<()> {
    let columns = columns(results);
    let of_target = |target: &&str| {
        let figures: serde_json::Map<String, Value> = columns
            .iter()
            .filter_map(|column| {
                let mut figure = Spread::of(column.values(results, target))?.json();
                if let (Some(ratio), Some(object)) = (column.ratio(results, target), figure.as_object_mut()) {
                    object.insert("ratio_to_nginx".into(), ratio.into());
                }
                Some((column.title.clone(), figure))
            })
            .collect();
        let memory = results.memory.get(*target).map(|memory| {
            json!({ "idle_kib": memory.idle, "with_streams_kib": memory.streams, "streams": STREAMS })
        });
        (
            (*target).to_owned(),
            json!({ "figures": figures, "throughput_per_second": throughput(results, target), "memory": memory }),
        )
    };
    let targets: serde_json::Map<String, Value> = targets.iter().map(of_target).collect();
    let document = json!({ "conditions": conditions, "targets": targets, "errors": results.errors });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, format!("{document:#}\n"))
}

/// Requests (or events) a second in the closed loops.
fn throughput(results: &Results, target: &str) -> Value {
    let closed = FIGURES.iter().filter(|figure| !matches!(figure.method, Method::Latency { .. }));
    let figures = closed.filter_map(|figure| {
        let samples = results.samples.get(&(figure.name, target.to_owned()))?;
        Some((figure.name.to_owned(), Spread::of(samples.iter().map(|sample| sample.rate))?.json()))
    });
    Value::Object(figures.collect())
}
