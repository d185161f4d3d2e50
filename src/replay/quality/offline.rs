//! Learn from some prompts, route the others: accuracy against cost.

use serde::Serialize;

use super::super::grid::Each;
use super::super::random::Random;
use super::data::{Data, Outcome};
use super::hull::{Hull, Point};
use super::merit::{Known, Merit, Request, objective};
use super::text::Index;
use crate::market::Explore;
use crate::request::class::CLASSES;

/// How often the prompts are divided.
pub const SPLITS: u32 = 5;
/// Share of the prompts that is learnt from.
const LEARNT: f64 = 0.6;
/// What a good answer is worth to a rule (USD): from next to nothing …
const LEAST_VALUE: f64 = 1e-7;
/// … to everything, in steps of this factor (ten to a decade).
const STEP: f64 = 1.258_925_411_794_167_3;
const STEPS: u32 = 90;
/// Neighbours that are asked.
const NEIGHBOURS: usize = 40;
/// Judgements that a model's mean is worth against that of its class, as in the
/// production books.
const SHRINK: f64 = 8.0;

/// How a rule did, as the mean over all divisions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The rule.
    pub policy: &'static str,
    /// Good answers at its most accurate setting, in per cent.
    pub accuracy_pct: f64,
    /// USD for 1000 answers at that setting.
    pub usd_per_1k: f64,
    /// Mean accuracy over all budgets, in per cent; `None` for a rule that has
    /// only one setting.
    pub aiq: Option<f64>,
    /// How much cheaper than the best single model it reaches that one's
    /// accuracy, in per cent; 0 where it never does.
    pub saving_at_best_single_pct: Option<f64>,
}

/// What a rule expects of a model's answer.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    quality: f64,
    cost: f64,
}

/// Sums of outcomes by model.
#[derive(Debug, Clone)]
struct Sums {
    count: f64,
    of: Each<Expected>,
}

impl Sums {
    fn new(models: usize) -> Self {
        Sums { count: 0.0, of: Each::new(Expected::default(), models) }
    }

    fn add(&mut self, data: &Data, prompt: usize) {
        self.count += 1.0;
        for model in 0..models(data) {
            let Outcome { score, cost, .. } = data.outcomes[(prompt, model)];
            self.of[model].quality += score;
            self.of[model].cost += cost;
        }
    }

    /// Means, with `prior` worth `weight` prompts.
    fn means(&self, prior: &Each<Expected>, weight: f64) -> Each<Expected> {
        let count = (self.count + weight).max(1e-9);
        let mean = |(sum, prior): (&Expected, &Expected)| Expected {
            quality: (sum.quality + weight * prior.quality) / count,
            cost: (sum.cost + weight * prior.cost) / count,
        };
        self.of.iter().zip(prior).map(mean).collect()
    }
}

fn models(data: &Data) -> usize {
    data.models.iter().len()
}

/// One division of the prompts.
struct Split<'d> {
    data: &'d Data,
    learnt: Vec<usize>,
    tested: Vec<usize>,
    /// Each model's means over the prompts that are tested.
    singles: Each<Expected>,
    /// The most accurate model there.
    best: Expected,
    /// Costs of the cheapest and of the dearest model.
    range: (f64, f64),
}

impl<'d> Split<'d> {
    fn new(data: &'d Data, random: &mut Random) -> Self {
        let mut order: Vec<usize> = (0..data.prompts()).collect();
        random.shuffle(&mut order);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let learnt = (order.len() as f64 * LEARNT) as usize;
        let tested = order.split_off(learnt);
        let singles = sums(data, &tested).means(&Each::new(Expected::default(), models(data)), 0.0);
        let best = singles
            .iter()
            .copied()
            .max_by(|a, b| a.quality.total_cmp(&b.quality).then(b.cost.total_cmp(&a.cost)));
        let costs = || singles.iter().map(|single| single.cost);
        let range = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
        Split { data, learnt: order, tested, best: best.unwrap_or_default(), range, singles }
    }

    /// What a rule is worth that reaches `points`.
    fn figures(&self, policy: &'static str, points: Vec<Point>) -> Figures {
        let hull = Hull::over(points);
        let best = hull.best().unwrap_or(Point { cost: 0.0, accuracy: 0.0 });
        // At equal accuracy rounding must not decide.
        let cost = hull.cost(self.best.quality - 1e-9);
        let saving = cost.filter(|_| self.best.cost > 0.0).map_or(0.0, |cost| 1.0 - cost / self.best.cost);
        Figures {
            policy,
            accuracy_pct: 100.0 * best.accuracy,
            usd_per_1k: 1000.0 * best.cost,
            aiq: Some(100.0 * hull.aiq(self.range)),
            saving_at_best_single_pct: Some(100.0 * saving),
        }
    }

    fn fixed(policy: &'static str, point: Expected) -> Figures {
        Figures {
            policy,
            accuracy_pct: 100.0 * point.quality,
            usd_per_1k: 1000.0 * point.cost,
            aiq: None,
            saving_at_best_single_pct: None,
        }
    }

    /// The points of a rule that chooses by `value` × quality − cost, where
    /// `expected` is what it expects of a prompt.
    fn swept<'e>(&self, expected: impl Fn(usize, usize) -> &'e Each<Expected>) -> Vec<Point> {
        self.points(|value, at, prompt| {
            let worth = |expected: &Expected| value * expected.quality - expected.cost;
            let all = expected(at, prompt).iter().map(worth).enumerate();
            all.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(model, _)| model)
        })
    }

    /// The points of a rule, whose `choice` is given what a good answer is worth,
    /// the place of a prompt among those tested, and its number.
    fn points(&self, mut choice: impl FnMut(f64, usize, usize) -> usize) -> Vec<Point> {
        let mut value = LEAST_VALUE;
        let mut points = Vec::new();
        for _ in 0..STEPS {
            let mut point = Point { cost: 0.0, accuracy: 0.0 };
            for (at, prompt) in self.tested.iter().enumerate() {
                let outcome = self.data.outcomes[(*prompt, choice(value, at, *prompt))];
                point.cost += outcome.cost;
                point.accuracy += outcome.score;
            }
            let count = count(self.tested.len());
            points.push(Point { cost: point.cost / count, accuracy: point.accuracy / count });
            value *= STEP;
        }
        points
    }

    /// Means by class, learnt from `prompts`.
    fn by_class(&self, prompts: &[usize]) -> Vec<Each<Expected>> {
        let mut classes = vec![Sums::new(models(self.data)); self.data.classes()];
        for prompt in prompts {
            if let Some(sums) = classes.get_mut(self.data.labelled(*prompt)) {
                sums.add(self.data, *prompt);
            }
        }
        let all = sums(self.data, prompts).means(&Each::new(Expected::default(), models(self.data)), 0.0);
        classes.iter().map(|class| class.means(&all, SHRINK)).collect()
    }

    fn classes(&self, policy: &'static str, prompts: &[usize]) -> Figures {
        let classes = self.by_class(prompts);
        let points = self.swept(|_, prompt| classes.get(self.data.labelled(prompt)).unwrap_or(&self.singles));
        self.figures(policy, points)
    }

    fn neighbours(&self) -> Figures {
        let index = Index::new(self.learnt.iter().map(|prompt| &self.data.texts[*prompt]));
        let none = Each::new(Expected::default(), models(self.data));
        let expected: Vec<Each<Expected>> = self
            .tested
            .iter()
            .map(|prompt| {
                let near = index.nearest(&self.data.texts[*prompt], NEIGHBOURS);
                let near: Vec<usize> =
                    near.into_iter().filter_map(|at| self.learnt.get(at).copied()).collect();
                sums(self.data, &near).means(&none, 0.0)
            })
            .collect();
        self.figures("kNN TF-IDF", self.swept(|at, _| expected.get(at).unwrap_or(&none)))
    }

    fn prompt_oracle(&self) -> Figures {
        let of = |prompt: &usize| {
            let outcome = |model| self.data.outcomes[(*prompt, model)];
            (0..models(self.data))
                .map(outcome)
                .map(|outcome| Expected { quality: outcome.score, cost: outcome.cost })
                .collect()
        };
        let expected: Vec<Each<Expected>> = self.tested.iter().map(of).collect();
        self.figures("prompt oracle", self.swept(|at, _| expected.get(at).unwrap_or(&self.singles)))
    }

    /// Our rule. It is never shown a label.
    fn merit(&self, random: &mut Random) -> Figures {
        let mut merit = Merit::new(self.data, self.best_guess(), random.fork());
        for prompt in &self.learnt {
            let outcomes: Vec<Outcome> =
                (0..models(self.data)).map(|m| self.data.outcomes[(*prompt, m)]).collect();
            merit.evaluated(self.data.told[*prompt], outcomes.iter());
        }
        let known: Vec<Known> = (0_u8..).take(CLASSES).map(|class| merit.known(class)).collect();
        let mut set = (0.0_f64, objective(0.0));
        let points = self.points(|value, _, prompt| {
            if set.0.to_bits() != value.to_bits() {
                set = (value, objective(value));
            }
            let class = self.data.told[prompt];
            let input_tokens = self.data.outcomes[(prompt, 0)].input_tokens;
            let request = Request { class, input_tokens };
            known
                .get(usize::from(class))
                .map_or(0, |known| merit.choose(&set.1, request, known, Explore::NEVER))
        });
        self.figures("merit", points)
    }

    /// The mean quality of everything that is learnt from: what is assumed of a
    /// model before its own results have been seen.
    fn best_guess(&self) -> f64 {
        let all = sums(self.data, &self.learnt);
        all.of.iter().map(|sum| sum.quality).sum::<f64>() / (all.count * count(models(self.data))).max(1.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(of: usize) -> f64 {
    of as f64
}

fn sums(data: &Data, prompts: &[usize]) -> Sums {
    let mut sums = Sums::new(models(data));
    for prompt in prompts {
        sums.add(data, *prompt);
    }
    sums
}

fn split(data: &Data, random: &mut Random) -> Vec<Figures> {
    let split = Split::new(data, random);
    let none = Each::new(Expected::default(), models(data));
    let learnt = sums(data, &split.learnt).means(&none, 0.0);
    let mean = |of: fn(&Expected) -> f64| split.singles.iter().map(of).sum::<f64>() / count(models(data));
    let cheapest = learnt.iter().zip(&split.singles).min_by(|a, b| a.0.cost.total_cmp(&b.0.cost));
    let chosen = learnt.iter().zip(&split.singles).max_by(|a, b| a.0.quality.total_cmp(&b.0.quality));
    let own = |pair: Option<(&Expected, &Expected)>| pair.map(|(_, tested)| *tested).unwrap_or_default();
    let mut all = vec![
        Split::fixed("random", Expected { quality: mean(|e| e.quality), cost: mean(|e| e.cost) }),
        Split::fixed("cheapest", own(cheapest)),
        Figures { saving_at_best_single_pct: Some(0.0), ..Split::fixed("best single", own(chosen)) },
        split.figures("static hull", split.swept(|_, _| &learnt)),
        split.neighbours(),
    ];
    if data.labels.is_some() {
        all.push(split.classes("class labels", &split.learnt));
        all.push(split.classes("class oracle", &split.tested));
    }
    all.push(split.prompt_oracle());
    all.push(split.merit(random));
    all
}

/// One of the figures.
type Figure = fn(&Figures) -> Option<f64>;

/// All rules, as means over [`SPLITS`] divisions of the prompts. `progress` is
/// called before each.
pub fn replay(data: &Data, seed: u64, mut progress: impl FnMut(u32)) -> Vec<Figures> {
    let runs: Vec<Vec<Figures>> = (0..SPLITS)
        .map(|number| {
            progress(number);
            split(data, &mut Random::new(seed.wrapping_add(u64::from(number))))
        })
        .collect();
    let Some(first) = runs.first() else { return Vec::new() };
    let mean = |at: usize, of: Figure| {
        let sum: Option<f64> = runs.iter().map(|run| run.get(at).and_then(of)).sum();
        sum.map(|sum| sum / f64::from(SPLITS))
    };
    first
        .iter()
        .enumerate()
        .map(|(at, figures)| Figures {
            policy: figures.policy,
            accuracy_pct: mean(at, |figures| Some(figures.accuracy_pct)).unwrap_or_default(),
            usd_per_1k: mean(at, |figures| Some(figures.usd_per_1k)).unwrap_or_default(),
            aiq: mean(at, |figures| figures.aiq),
            saving_at_best_single_pct: mean(at, |figures| figures.saving_at_best_single_pct),
        })
        .collect()
}
