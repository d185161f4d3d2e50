//! What may be valued: the presets, changed and joined by the configured
//! objectives.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::check::Check;
use super::raw;
use super::tree::Path;
use crate::catalog::{MaxPrice, Objective, TtftTarget};
use crate::units::PicoUsd;

/// All objectives by name.
#[derive(Debug)]
pub(super) struct Objectives(HashMap<String, Arc<Objective>>);

impl Objectives {
    /// The presets and the configured ones.
    pub(super) fn build(configured: &BTreeMap<String, raw::Objective>, check: &mut Check<'_>) -> Self {
        let presets = Objective::PRESETS.iter().filter_map(|(name, _, _)| Objective::preset(name));
        let mut all: HashMap<String, Arc<Objective>> =
            presets.map(|preset| (preset.name.to_string(), Arc::new(preset))).collect();
        for (name, objective) in configured {
            let path = Path::default().key("objectives").key(name);
            let preset = Objective::preset(name);
            check.require(&path, "usd_per_second", objective.usd_per_second.is_some() || preset.is_some());
            check.require(
                &path,
                "usd_per_good_answer",
                objective.usd_per_good_answer.is_some() || preset.is_some(),
            );
            all.insert(name.clone(), Arc::new(one(name, objective, preset.as_ref())));
        }
        Objectives(all)
    }

    /// The objective of that name; a name that stands for nothing is a problem,
    /// and means `balanced` until that is mended.
    pub(super) fn named(&self, name: &str, path: &Path, check: &mut Check<'_>) -> Arc<Objective> {
        if let Some(found) = self.0.get(name) {
            return Arc::clone(found);
        }
        let mut known: Vec<&str> = self.0.keys().map(String::as_str).collect();
        known.sort_unstable();
        check.dangling(path, "objective", name, known);
        Arc::new(one(name, &raw::Objective::default(), Objective::preset("balanced").as_ref()))
    }

    /// For the catalog.
    pub(super) fn into_map(self) -> HashMap<String, Arc<Objective>> {
        self.0
    }
}

fn one(name: &str, raw: &raw::Objective, preset: Option<&Objective>) -> Objective {
    let price = |usd: Option<f64>| usd.and_then(PicoUsd::from_usd_per_mtok);
    let usual = |of: fn(&Objective) -> f64| preset.map(of).unwrap_or_default();
    Objective {
        name: name.into(),
        usd_per_second: raw.usd_per_second.unwrap_or_else(|| usual(|preset| preset.usd_per_second)),
        usd_per_good_answer: raw
            .usd_per_good_answer
            .unwrap_or_else(|| usual(|preset| preset.usd_per_good_answer)),
        max_price: raw
            .max_price
            .map(|most| MaxPrice { input: price(most.input), output: price(most.output) }),
        max_cost_usd: raw.max_cost_usd,
        min_quality: raw.min_quality,
        ttft: raw.ttft.map(|ttft| TtftTarget { ms: ttft.ms, probability: ttft.probability }),
    }
}
