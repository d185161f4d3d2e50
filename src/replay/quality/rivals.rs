//! Rules that learn online which model is good at what, by class.
//!
//! The reference is the strongest of them: means by class and model, shrunk to
//! the model's, drawn with half their uncertainty, with a detector of changes and
//! results known beforehand.

use super::super::grid::{Each, Grid};
use super::super::random::Random;

/// What all rules are told of a request.
#[derive(Debug)]
pub struct Scene<'s> {
    /// Its class.
    pub class: usize,
    /// What an answer of each model costs in this class (USD).
    pub costs: &'s Each<f64>,
    /// What a good answer is worth (USD).
    pub value: f64,
}

/// Judgements, from nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    n: f64,
    sum: f64,
}

/// How a rule chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// By chance.
    Random,
    /// LiteLLM's `adaptive_router` (1.109.1): 0.7 × a draw of Beta(5, 5) and at most
    /// 200 judgements, 0.3 × cheapness between the cheapest and the dearest.
    LiteLlm,
    /// By the mean, 5 % by chance.
    Greedy,
    /// By mean + √(2 ln n / own n).
    Ucb,
    /// A draw from each class's and model's own Beta.
    Flat,
    /// Means shrunk to the model's, drawn with half of their deviation.
    Shrunk,
}

/// A rule.
#[derive(Debug)]
pub struct Rival {
    /// The name it is reported under.
    pub name: &'static str,
    kind: Kind,
    detects: bool,
    /// Whether it is told results beforehand.
    pub prior: bool,
    counts: Grid<Count>,
    models: Each<Count>,
    drift: Each<(f64, f64)>,
    classes: usize,
}

/// A rule: name, how it chooses, whether it looks for changes, whether it is told
/// results beforehand.
pub type Rule = (&'static str, Kind, bool, bool);

/// All rules.
pub const ALL: [Rule; 9] = [
    ("random", Kind::Random, false, false),
    ("LiteLLM adaptive", Kind::LiteLlm, false, false),
    ("epsilon-greedy 5 %", Kind::Greedy, false, false),
    ("UCB1", Kind::Ucb, false, false),
    ("flat Thompson", Kind::Flat, false, false),
    ("hierarchical Thompson", Kind::Shrunk, false, false),
    ("hierarchical Thompson + CUSUM", Kind::Shrunk, true, false),
    ("hierarchical Thompson + prior", Kind::Shrunk, false, true),
    (REFERENCE, Kind::Shrunk, true, true),
];

/// The rule to be measured by.
pub const REFERENCE: &str = "hierarchical Thompson + CUSUM + prior";

/// Constants of the reference.
const ASSUMED: f64 = 0.5;
const ASSUMED_WEIGHT: f64 = 4.0;
const MODEL_WEIGHT: f64 = 8.0;
const TEMPER: f64 = 0.5;
const SLACK: f64 = 0.35;
const ALARM: f64 = 12.0;
const KEPT: f64 = 0.1;
/// LiteLLM's.
const CAP: f64 = 200.0;

impl Rival {
    /// One of [`ALL`], which knows nothing yet.
    #[must_use]
    pub fn new(of: (&'static str, Kind, bool, bool), classes: usize, models: usize) -> Self {
        let (name, kind, detects, prior) = of;
        Rival {
            name,
            kind,
            detects,
            prior,
            counts: Grid::new(Count::default(), classes, models),
            models: Each::new(Count::default(), models),
            drift: Each::new((0.0, 0.0), models),
            classes,
        }
    }

    /// The model that is asked.
    pub fn choose(&mut self, scene: &Scene<'_>, random: &mut Random) -> usize {
        let models = scene.costs.iter().len();
        if self.kind == Kind::Random || (self.kind == Kind::Greedy && random.uniform() < 0.05) {
            return random.below(models);
        }
        let all: f64 = (0..models).map(|model| self.counts[(scene.class, model)].n).sum();
        let least = scene.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let range = (scene.costs.iter().copied().fold(0.0, f64::max) - least).max(1e-12);
        let worth = |model: usize, random: &mut Random| {
            let count = self.counts[(scene.class, model)];
            let quality = match self.kind {
                Kind::Random => 0.0,
                Kind::LiteLlm => {
                    let drawn = beta(count.sum + 5.0, count.n - count.sum + 5.0, random);
                    return 0.7 * drawn + 0.3 * (1.0 - (scene.costs[model] - least) / range);
                }
                Kind::Greedy => (count.sum + 0.5) / (count.n + 1.0),
                Kind::Ucb if count.n < 1.0 => f64::INFINITY,
                Kind::Ucb => count.sum / count.n + (2.0 * all.max(1.0).ln() / count.n).sqrt(),
                Kind::Flat => beta(count.sum + 1.0, count.n - count.sum + 1.0, random),
                Kind::Shrunk => {
                    let (mean, deviation) = self.shrunk(scene.class, model);
                    mean + TEMPER * deviation * random.normal()
                }
            };
            scene.value * quality - scene.costs[model]
        };
        let drawn: Vec<f64> = (0..models).map(|model| worth(model, random)).collect();
        let best = drawn.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0, |(model, _)| model)
    }

    /// An answer of `model` was judged.
    pub fn judge(&mut self, class: usize, model: usize, score: f64) {
        let (expected, _) = self.shrunk(class, model);
        self.learn(class, model, score);
        if self.detects {
            let residual = (score - expected) / (expected * (1.0 - expected)).max(0.01).sqrt();
            let (better, worse) = self.drift[model];
            let drift = ((better + residual - SLACK).max(0.0), (worse - residual - SLACK).max(0.0));
            self.drift[model] = drift;
            if drift.0.max(drift.1) > ALARM {
                self.forget(model);
            }
        }
    }

    /// Learns a result.
    pub fn learn(&mut self, class: usize, model: usize, score: f64) {
        let full = self.kind == Kind::LiteLlm && self.counts[(class, model)].n >= CAP;
        if !full {
            for count in [&mut self.counts[(class, model)], &mut self.models[model]] {
                count.n += 1.0;
                count.sum += score;
            }
        }
    }

    fn forget(&mut self, model: usize) {
        self.drift[model] = (0.0, 0.0);
        let keep = |count: &mut Count| {
            count.n *= KEPT;
            count.sum *= KEPT;
        };
        keep(&mut self.models[model]);
        (0..self.classes).for_each(|class| keep(&mut self.counts[(class, model)]));
    }

    /// Mean and standard deviation.
    fn shrunk(&self, class: usize, model: usize) -> (f64, f64) {
        let (own, all) = (self.counts[(class, model)], self.models[model]);
        let general = (all.sum + ASSUMED_WEIGHT * ASSUMED) / (all.n + ASSUMED_WEIGHT);
        let a = own.sum + MODEL_WEIGHT * general;
        let b = own.n - own.sum + MODEL_WEIGHT * (1.0 - general);
        let n = a + b;
        (a / n, (a * b / (n * n * (n + 1.0))).max(0.0).sqrt())
    }
}

/// A draw from Beta(`a`, `b`).
fn beta(a: f64, b: f64, random: &mut Random) -> f64 {
    let (x, y) = (gamma(a, random), gamma(b, random));
    x / (x + y).max(1e-12)
}

/// A draw from Gamma(`shape`, 1), for shapes of at least 1 (Marsaglia and Tsang,
/// 2000).
fn gamma(shape: f64, random: &mut Random) -> f64 {
    let depth = shape.max(1.0) - 1.0 / 3.0;
    let spread = (9.0 * depth).sqrt().recip();
    loop {
        let normal = random.normal();
        let cube = (1.0 + spread * normal).powi(3);
        let uniform = 1.0 - random.uniform();
        let accepted = || uniform.ln() < 0.5 * normal * normal + depth * (1.0 - cube + cube.ln());
        if cube > 0.0 && accepted() {
            return depth * cube;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_beta_have_its_mean() {
        let mut random = Random::new(1);
        let mean = (0..20_000).map(|_| beta(3.0, 1.0, &mut random)).sum::<f64>() / 20_000.0;
        assert!((mean - 0.75).abs() < 0.01, "{mean}");
    }

    #[test]
    fn all_but_chance_find_the_better_model() {
        let costs = Each::new(0.0, 3);
        for of in ALL.into_iter().filter(|of| of.1 != Kind::Random) {
            let (mut rival, mut random) = (Rival::new(of, 1, 3), Random::new(5));
            let scene = Scene { class: 0, costs: &costs, value: 1.0 };
            let mut right = 0;
            for step in 0..3000 {
                let model = rival.choose(&scene, &mut random);
                let good = random.uniform() < if model == 2 { 0.9 } else { 0.3 };
                rival.judge(0, model, f64::from(u8::from(good)));
                right += u32::from(step >= 2000 && model == 2);
            }
            assert!(right > 800, "{}: {right}", rival.name);
        }
    }
}
