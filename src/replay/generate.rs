//! A market that nobody recorded, with the moments of one that somebody did.
//!
//! The recorded history of real endpoints may be measured but not shipped. Its moments
//! are facts, and most of what a rule has to cope with is in them: how far endpoints of
//! one model lie apart, how they move from one day to the next, how long the tails of
//! their times are, how often they are unwell. A made-up market of that kind runs on
//! any checkout. It is no substitute: what the moments do not tell (which endpoints
//! move together, what happens before an outage) is drawn independently.

use super::curve::Curve;
use super::history::{History, Model, Row, Speed};
use super::random::Random;
use super::trace::Arrival;

/// Days, as in the record.
const DAYS: usize = 23;
/// Endpoints of each model: quantiles of the recorded 17 models' (4 to 32).
const ENDPOINTS: [usize; 12] = [4, 5, 5, 5, 7, 8, 9, 10, 13, 13, 18, 25];

/// A level in logarithms: its mean over models, the standard deviation of models, that
/// of the endpoints of one model, and what a model's endpoints have in common.
struct Spread {
    mean: f64,
    models: f64,
    endpoints: f64,
}

/// All of the following: endpoints of 17 models over 23 days (2026-07-31 to 08-22) in
/// OpenRouter's public statistics, computed 2026-11-25. Seconds to the first token …
const TTFT: Spread = Spread { mean: 0.31, models: 0.57, endpoints: 0.47 };
/// … tokens per second …
const THROUGHPUT: Spread = Spread { mean: 3.67, models: 0.31, endpoints: 0.44 };
/// … and USD per million output tokens.
const PRICE: Spread = Spread { mean: 0.58, models: 1.57, endpoints: 0.26 };
/// Correlation of an endpoint's first-token and throughput levels.
const SLOW_IN_BOTH: f64 = -0.39;
/// Logarithm of output price over input price: mean and deviation of models.
const OUTPUT_OVER_INPUT: (f64, f64) = (1.27, 0.47);
/// Deviation of one endpoint's logarithm from day to day, for first tokens and for
/// throughput: the median of endpoints.
const DAILY: [f64; 2] = [0.26, 0.32];
/// Spread of the logarithm of that deviation: calm endpoints and wild ones.
const DAILY_SPREAD: f64 = 0.6;
/// How much of a day's deviation is the day before's.
const LASTING: [f64; 2] = [0.3, 0.1];
/// Logarithms of the 75th, 90th, 95th and 99th percentile over the median, on average.
const TTFT_TAIL: [f64; 4] = [0.47, 0.98, 1.32, 2.08];
/// The same of throughput (the 99th is the fastest).
const THROUGHPUT_TAIL: [f64; 4] = [0.37, 0.62, 0.75, 0.95];
/// Spread of the logarithm of a tail's length: of endpoints, and from day to day.
const TAIL_SPREAD: (f64, f64) = (0.35, 0.2);
/// Share of endpoint-days with a status other than 0.
const STATUS: [(f64, i32); 3] = [(0.075, -2), (0.013, -3), (0.029, -5)];
/// Share of endpoint-days without any figures: nobody got an answer.
const SILENT: f64 = 0.036;
/// Probability that an endpoint's price changes on a day: a tenth of them within 23.
const REPRICED: f64 = 0.1 / 23.0;
/// Deviation of the logarithm of a price's change.
const REPRICED_BY: f64 = 0.3;
/// Requests in each window, enough to be believed.
const REQUESTS: f64 = 100.0;

/// A kind of requests: its share, and quantiles of the tokens of prompts and of
/// answers at 0, 10, 25, 50, 75, 90, 99 and 100 %, which are interpolated.
struct Kind {
    share: f64,
    input: [f64; 8],
    output: [f64; 8],
}

/// From Azure's public traces of conversations and of code of 2023 (`AzurePublicDataset`,
/// CC BY 4.0), 28,185 requests in 58 minutes.
const KINDS: [Kind; 2] = [
    Kind {
        share: 0.69,
        input: [3.0, 207.0, 396.0, 1020.0, 1189.0, 2734.0, 4142.0, 14_000.0],
        output: [7.0, 54.0, 85.0, 129.0, 395.0, 424.0, 601.0, 1000.0],
    },
    Kind {
        share: 0.31,
        input: [3.0, 147.0, 578.0, 1469.0, 2744.0, 5186.0, 7436.0, 7437.0],
        output: [1.0, 7.0, 9.0, 13.0, 24.0, 55.0, 249.0, 1899.0],
    },
];
/// Where the quantiles of [`Kind`] are.
const SHARES: [f64; 8] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0];
/// Requests of the trace, and the mean pause between two (ms).
const ARRIVALS: (usize, f64) = (20_000, 125.0);

/// The market that `seed` makes.
#[must_use]
pub fn history(seed: u64) -> History {
    let mut random = Random::new(seed ^ 0x004D_4152_4B45_5400);
    let models = ENDPOINTS.iter().enumerate().map(|(number, count)| model(number + 1, *count, &mut random));
    History { models: models.collect() }
}

/// Requests of the same kind as the recorded ones, in the same mix.
#[must_use]
pub fn trace(seed: u64) -> Vec<Arrival> {
    let mut random = Random::new(seed ^ 0x0054_5241_4345_0000);
    let mut at_ms = 0.0;
    let arrivals = (0..ARRIVALS.0).map(|_| {
        at_ms += -ARRIVALS.1 * (1.0 - random.uniform()).ln();
        let class = u8::from(random.uniform() >= KINDS[0].share);
        let [conversation, code] = &KINDS;
        let kind = if class == 0 { conversation } else { code };
        let (input, output) = (random.uniform(), random.uniform());
        let (input_tokens, output_tokens) = (quantile(&kind.input, input), quantile(&kind.output, output));
        Arrival {
            at_ms,
            input_tokens: input_tokens.round(),
            output_tokens: output_tokens.round().max(1.0),
            class,
        }
    });
    arrivals.collect()
}

/// Between known quantiles the logarithm is interpolated.
fn quantile(known: &[f64; 8], share: f64) -> f64 {
    let corners = || SHARES.iter().zip(known);
    let found = corners().zip(corners().skip(1)).find(|(_, (next, _))| share <= **next);
    found.map_or(1.0, |((from, low), (to, high))| {
        let part = (share - from) / (to - from);
        (low.ln() + part * (high.ln() - low.ln())).exp()
    })
}

impl Spread {
    /// The level of a model.
    fn model(&self, random: &mut Random) -> f64 {
        self.mean + self.models * random.normal()
    }
}

/// What the endpoints of a model have in common, in logarithms.
struct Common {
    ttft: f64,
    throughput: f64,
    price: f64,
    output_over_input: f64,
}

fn model(number: usize, count: usize, random: &mut Random) -> Model {
    let common = Common {
        ttft: TTFT.model(random),
        throughput: THROUGHPUT.model(random),
        price: PRICE.model(random),
        output_over_input: OUTPUT_OVER_INPUT.0 + OUTPUT_OVER_INPUT.1 * random.normal(),
    };
    let mut days = vec![Vec::new(); DAYS];
    for _ in 0..count {
        let mut endpoint = Endpoint::of(&common, random);
        for day in &mut days {
            day.push(Some(endpoint.next(random)));
        }
    }
    let endpoints = (1..=count).map(|endpoint| format!("e{endpoint:02}")).collect();
    Model { name: format!("generated-{number:02}"), endpoints, days }
}

/// One endpoint, day by day; all in logarithms.
struct Endpoint {
    level: [f64; 2],
    daily: [f64; 2],
    today: [f64; 2],
    tail: f64,
    price: f64,
    output_over_input: f64,
}

impl Endpoint {
    fn of(common: &Common, random: &mut Random) -> Self {
        let (one, other) = (random.normal(), random.normal());
        let mixed = SLOW_IN_BOTH * one + (1.0 - SLOW_IN_BOTH * SLOW_IN_BOTH).sqrt() * other;
        Endpoint {
            level: [common.ttft + TTFT.endpoints * one, common.throughput + THROUGHPUT.endpoints * mixed],
            daily: DAILY.map(|median| median * (DAILY_SPREAD * random.normal()).exp()),
            today: [0.0; 2],
            tail: TAIL_SPREAD.0 * random.normal(),
            price: common.price + PRICE.endpoints * random.normal(),
            output_over_input: common.output_over_input,
        }
    }

    /// What it does on the next day.
    fn next(&mut self, random: &mut Random) -> Row {
        for ((today, deviation), lasting) in self.today.iter_mut().zip(self.daily).zip(LASTING) {
            let fresh = (1.0_f64 - lasting * lasting).sqrt() * deviation * laplace(random);
            *today = lasting * *today + fresh;
        }
        if random.uniform() < REPRICED {
            self.price += REPRICED_BY * random.normal();
        }
        let tail = (self.tail + TAIL_SPREAD.1 * random.normal()).exp();
        let [ttft, throughput] = [self.level[0] + self.today[0], self.level[1] + self.today[1]];
        let curve = |median: f64, tails: [f64; 4]| {
            let [p75, p90, p95, p99] = tails.map(|log| (median + tail * log).exp());
            Curve::through([median.exp(), p75, p90, p95, p99])
        };
        let speed = Speed {
            ttft_ms: curve(ttft + 1000.0_f64.ln(), TTFT_TAIL),
            throughput: curve(throughput.max(0.0), THROUGHPUT_TAIL),
        };
        let silent = random.uniform() < SILENT;
        let output = self.price.exp() * 1e-6;
        Row {
            input: output * (-self.output_over_input).exp(),
            output,
            status: status(random.uniform()),
            speed: (!silent).then_some(speed),
            requests: REQUESTS,
        }
    }
}

fn status(share: f64) -> i32 {
    let mut below = 0.0;
    for (part, status) in STATUS {
        below += part;
        if share < below {
            return status;
        }
    }
    0
}

/// Laplace's distribution with variance 1: most days are like the others, some are not.
fn laplace(random: &mut Random) -> f64 {
    let uniform = random.uniform() - 0.5;
    -uniform.signum() * (1.0 - 2.0 * uniform.abs()).max(1e-12).ln() / 2.0_f64.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorted, for quantiles.
    fn sorted(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    fn at(values: &[f64], share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (share * (values.len() - 1) as f64) as usize;
        values[index]
    }

    /// All endpoints of several worlds, day by day.
    fn endpoints() -> Vec<Vec<Row>> {
        let models = (0..6).flat_map(|seed| history(seed).models);
        models
            .flat_map(|model| {
                let rows = |endpoint: usize| model.days.iter().map(|day| day[endpoint].unwrap()).collect();
                (0..model.endpoints.len()).map(rows).collect::<Vec<Vec<Row>>>()
            })
            .collect()
    }

    fn moves(endpoints: &[Vec<Row>], of: fn(&Speed) -> f64) -> Vec<f64> {
        let logs =
            endpoints.iter().map(|rows| rows.iter().filter_map(|row| row.speed.as_ref().map(of)).collect());
        sorted(
            logs.flat_map(|logs: Vec<f64>| {
                logs.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect::<Vec<_>>()
            })
            .collect(),
        )
    }

    /// The recorded moments of the 17 models.
    #[test]
    fn the_made_up_market_moves_like_the_recorded_one() {
        let endpoints = endpoints();
        let ttft = moves(&endpoints, |speed| speed.ttft_ms.log_at(0.5));
        let throughput = moves(&endpoints, |speed| speed.throughput.log_at(0.5));
        for (name, found, recorded) in [
            ("ttft moves, median", at(&ttft, 0.5), 0.16),
            ("ttft moves, p90", at(&ttft, 0.9), 0.63),
            ("throughput moves, median", at(&throughput, 0.5), 0.18),
            ("throughput moves, p90", at(&throughput, 0.9), 0.78),
        ] {
            assert!((found / recorded).ln().abs() < 0.35, "{name}: {found:.3}, recorded {recorded}");
        }
        let days = || endpoints.iter().flatten();
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let share = |is: fn(&&Row) -> bool| days().filter(is).count() as f64 / days().count() as f64;
        assert!((share(|row| row.status != 0) - 0.117).abs() < 0.02);
        assert!((share(|row| row.speed.is_none()) - 0.036).abs() < 0.01);
        let tails = days()
            .filter_map(|row| row.speed.map(|speed| speed.ttft_ms.log_at(0.99) - speed.ttft_ms.log_at(0.5)));
        let median = at(&sorted(tails.collect()), 0.5);
        assert!((median - 2.03).abs() < 0.2, "p99 over p50: {:.1}", median.exp());
    }

    #[test]
    fn requests_are_as_long_as_the_recorded_ones() {
        let trace = trace(1);
        let of = |class: u8, of: fn(&Arrival) -> f64| {
            at(&sorted(trace.iter().filter(|one| one.class == class).map(of).collect()), 0.5)
        };
        assert!((of(0, |one| one.input_tokens) / 1020.0 - 1.0).abs() < 0.1);
        assert!((of(0, |one| one.output_tokens) / 129.0 - 1.0).abs() < 0.1);
        assert!((of(1, |one| one.output_tokens) / 13.0 - 1.0).abs() < 0.1);
        assert!(trace.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
    }

    #[test]
    fn the_same_seed_makes_the_same_market() {
        let first = |seed| history(seed).models[0].days[0][0].unwrap().output;
        assert_eq!(first(1).to_bits(), first(1).to_bits());
        assert_ne!(first(1).to_bits(), first(2).to_bits());
    }
}
