//! Learn while routing: what the gateway goes through from its first day on.
//!
//! Prompts come one after the other. A rule chooses a model and may be told how
//! good the answer was. *Regret* is how much less than an oracle a rule gains
//! (the worth of good answers minus dollars), in points of what a good answer is
//! worth; the oracle knows how good each model is at each class, also after one
//! has become worse, but not at each prompt.

use serde::Serialize;

use super::super::grid::{Each, Grid};
use super::super::random::Random;
use super::data::{Data, Outcome};
use super::merit::{Merit, Request, objective};
use super::rivals::{ALL, Rival, Scene};
use crate::market::Explore;

/// What a good answer is worth (USD), as in the preset `balanced`.
pub const VALUE: f64 = 0.01;
/// Shares of the answers that are judged.
pub const FEEDBACK: [f64; 3] = [1.0, 0.1, 0.01];
/// How often everything is repeated, with another order and other luck.
pub const RUNS: u32 = 5;
/// The prompts come again and again until there were this many requests.
const REQUESTS: usize = 12_000;
/// Prompts whose outcomes are known beforehand to rules that can use them …
const KNOWN: usize = 300;
/// … but at most this share of all.
const KNOWN_SHARE: usize = 4;
/// The share of good answers that turn bad when a model becomes worse.
const WORSE: f64 = 0.5;
/// What our rule assumes of every model; the rivals do too.
const ASSUMED: f64 = 0.5;

/// How a rule did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The rule.
    pub policy: &'static str,
    /// Share of the answers that were judged.
    pub feedback: f64,
    /// Whether the most used model became worse at half time.
    pub drift: bool,
    /// Points of what a good answer is worth, for each request.
    pub regret_points: f64,
}

/// One request of a stream.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    prompt: usize,
    /// Whether its answer will be judged.
    judged: bool,
    /// Whether a model that has become worse fails here.
    fails: bool,
}

/// Everything that is the same for all rules in one run.
struct Stream<'d> {
    data: &'d Data,
    known: Vec<usize>,
    arrivals: Vec<Arrival>,
    /// By class and model, over the prompts that arrive.
    quality: Grid<f64>,
    costs: Vec<Each<f64>>,
    /// The model that becomes worse at half time, if any does.
    worse: Option<usize>,
}

impl<'d> Stream<'d> {
    fn new(data: &'d Data, (feedback, drift): (f64, bool), random: &mut Random) -> Self {
        let mut prompts: Vec<usize> = (0..data.prompts()).collect();
        random.shuffle(&mut prompts);
        let known = prompts.split_off(prompts.len() - KNOWN.min(prompts.len() / KNOWN_SHARE));
        let mut arrivals = Vec::new();
        while arrivals.len() < REQUESTS {
            random.shuffle(&mut prompts);
            for prompt in &prompts {
                let judged = random.uniform() < feedback;
                arrivals.push(Arrival { prompt: *prompt, judged, fails: random.uniform() < WORSE });
            }
        }
        arrivals.truncate(REQUESTS);
        let mut stream = Stream {
            data,
            known,
            arrivals,
            quality: Grid::new(0.0, data.classes(), models(data)),
            costs: vec![Each::new(0.0, models(data)); data.classes()],
            worse: None,
        };
        stream.sum_up(&prompts);
        if drift {
            stream.worse = stream.most_used();
        }
        stream
    }

    fn sum_up(&mut self, prompts: &[usize]) {
        let mut counts = Each::new(0.0_f64, self.data.classes());
        for prompt in prompts {
            let class = self.data.labelled(*prompt);
            counts[class] += 1.0;
            for model in 0..models(self.data) {
                let outcome = self.data.outcomes[(*prompt, model)];
                self.quality[(class, model)] += outcome.score;
                if let Some(costs) = self.costs.get_mut(class) {
                    costs[model] += outcome.cost;
                }
            }
        }
        for (class, costs) in self.costs.iter_mut().enumerate() {
            for model in 0..models(self.data) {
                self.quality[(class, model)] /= counts[class].max(1.0);
                costs[model] /= counts[class].max(1.0);
            }
        }
    }

    /// The model that the oracle asks most.
    fn most_used(&self) -> Option<usize> {
        let mut uses = Each::new(0_u32, models(self.data));
        self.arrivals.iter().for_each(|arrival| uses[self.oracle(arrival, false)] += 1);
        uses.iter().enumerate().max_by_key(|(_, uses)| **uses).map(|(model, _)| model)
    }

    fn costs(&self, class: usize) -> Option<&Each<f64>> {
        self.costs.get(class)
    }

    fn oracle(&self, arrival: &Arrival, late: bool) -> usize {
        let class = self.data.labelled(arrival.prompt);
        let worth = |model: usize| {
            let kept = if late && self.worse == Some(model) { 1.0 - WORSE } else { 1.0 };
            let cost = self.costs(class).map_or(0.0, |costs| costs[model]);
            VALUE * kept * self.quality[(class, model)] - cost
        };
        let all = (0..models(self.data)).map(|model| (model, worth(model)));
        all.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(model, _)| model)
    }

    /// What comes of asking `model`.
    fn outcome(&self, arrival: &Arrival, model: usize, late: bool) -> Outcome {
        let outcome = self.data.outcomes[(arrival.prompt, model)];
        let bad = late && arrival.fails && self.worse == Some(model);
        Outcome { score: if bad { 0.0 } else { outcome.score }, ..outcome }
    }

    /// The regret of a rule in points.
    fn regret(&self, rule: &mut dyn Rule, random: &mut Random) -> f64 {
        let gain = |outcome: &Outcome| VALUE * outcome.score - outcome.cost;
        let mut regret = 0.0;
        for (number, arrival) in self.arrivals.iter().enumerate() {
            let late = 2 * number >= self.arrivals.len();
            let model = rule.choose(self, arrival.prompt, random);
            let outcome = self.outcome(arrival, model, late);
            rule.answered(self, arrival, model, &outcome);
            regret += gain(&self.outcome(arrival, self.oracle(arrival, late), late)) - gain(&outcome);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let count = self.arrivals.len().max(1) as f64;
        100.0 * regret / VALUE / count
    }
}

fn models(data: &Data) -> usize {
    data.models.iter().len()
}

/// A rule of either kind.
trait Rule {
    fn choose(&mut self, stream: &Stream<'_>, prompt: usize, random: &mut Random) -> usize;
    fn answered(&mut self, stream: &Stream<'_>, arrival: &Arrival, model: usize, outcome: &Outcome);
}

impl Rule for Rival {
    fn choose(&mut self, stream: &Stream<'_>, prompt: usize, random: &mut Random) -> usize {
        let class = stream.data.labelled(prompt);
        let Some(costs) = stream.costs(class) else { return 0 };
        Rival::choose(self, &Scene { class, costs, value: VALUE }, random)
    }

    fn answered(&mut self, stream: &Stream<'_>, arrival: &Arrival, model: usize, outcome: &Outcome) {
        if arrival.judged {
            self.judge(stream.data.labelled(arrival.prompt), model, outcome.score);
        }
    }
}

impl Rule for Merit {
    fn choose(&mut self, stream: &Stream<'_>, prompt: usize, _: &mut Random) -> usize {
        let class = stream.data.told[prompt];
        let input_tokens = stream.data.outcomes[(prompt, 0)].input_tokens;
        let known = self.known(class);
        Merit::choose(self, &objective(VALUE), Request { class, input_tokens }, &known, Explore::default())
    }

    fn answered(&mut self, stream: &Stream<'_>, arrival: &Arrival, model: usize, outcome: &Outcome) {
        let class = stream.data.told[arrival.prompt];
        Merit::answered(self, model, class, outcome);
        if arrival.judged {
            Merit::judge(self, model, class, outcome.score);
        }
    }
}

/// The regrets of all rules in one run.
fn run(stream: &Stream<'_>, random: &mut Random) -> Vec<(&'static str, f64)> {
    let data = stream.data;
    let mut regrets = Vec::new();
    for of in ALL {
        let mut rival = Rival::new(of, data.classes(), models(data));
        let prior = rival.prior;
        for prompt in stream.known.iter().filter(|_| prior) {
            for model in 0..models(data) {
                rival.learn(data.labelled(*prompt), model, data.outcomes[(*prompt, model)].score);
            }
        }
        let name = rival.name;
        regrets.push((name, stream.regret(&mut rival, random)));
    }
    for (name, prior) in [("merit without prior", false), ("merit", true)] {
        let mut merit = Merit::new(data, ASSUMED, random.fork());
        for prompt in stream.known.iter().filter(|_| prior) {
            let outcomes: Vec<Outcome> =
                (0..models(data)).map(|model| data.outcomes[(*prompt, model)]).collect();
            merit.evaluated(data.told[*prompt], outcomes.iter());
        }
        regrets.push((name, stream.regret(&mut merit, random)));
    }
    regrets
}

/// All rules at all shares of feedback, with and without a model that becomes
/// worse; means over [`RUNS`]. `progress` is called before each case with its
/// number and their number.
pub fn replay(data: &Data, seed: u64, mut progress: impl FnMut(usize, usize)) -> Vec<Figures> {
    let cases = FEEDBACK.into_iter().flat_map(|feedback| [(feedback, false), (feedback, true)]);
    let mut all = Vec::new();
    for (number, case) in cases.enumerate() {
        progress(number, 2 * FEEDBACK.len());
        let mut sums: Vec<(&'static str, f64)> = Vec::new();
        for run_number in 0..RUNS {
            let mut random = Random::new(seed.wrapping_add(1000 + u64::from(run_number)));
            let regrets = run(&Stream::new(data, case, &mut random), &mut random);
            match sums.is_empty() {
                true => sums = regrets,
                false => sums.iter_mut().zip(&regrets).for_each(|(sum, regret)| sum.1 += regret.1),
            }
        }
        let (feedback, drift) = case;
        let figures = |(policy, sum): (&'static str, f64)| Figures {
            policy,
            feedback,
            drift,
            regret_points: sum / f64::from(RUNS),
        };
        all.extend(sums.into_iter().map(figures));
    }
    all
}
