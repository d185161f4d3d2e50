//! What a request is optimised for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::PicoUsd;

/// What the operator or caller values: exchange rates between dollars, seconds
/// and good answers, and hard limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name in the configuration, or of the preset.
    pub name: Arc<str>,
    /// What a second of the caller's waiting is worth (USD).
    pub usd_per_second: f64,
    /// What quality 1.0 instead of 0.0 is worth for one answer (USD).
    pub usd_per_good_answer: f64,
    /// Dearest list price accepted.
    pub max_price: Option<MaxPrice>,
    /// Most that one request may be expected to cost (USD).
    pub max_cost_usd: Option<f64>,
    /// Least quality accepted, 0..1.
    pub min_quality: Option<f64>,
    /// The first token must come within `ms` with at least `probability`.
    pub ttft: Option<TtftTarget>,
}

/// Dearest list price accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MaxPrice {
    /// For an input token.
    pub input: Option<PicoUsd>,
    /// For an output token.
    pub output: Option<PicoUsd>,
}

/// A latency objective: P(TTFT ≤ `ms`) ≥ `probability`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TtftTarget {
    /// Milliseconds.
    pub ms: f64,
    /// 0..1.
    pub probability: f64,
}

impl Objective {
    /// Names of the presets, with USD per second and USD per good answer
    /// (`docs/configuration.md`).
    pub const PRESETS: [(&'static str, f64, f64); 4] =
        [("cheapest", 2e-5, 0.001), ("balanced", 2e-4, 0.01), ("fastest", 2e-3, 0.01), ("best", 2e-4, 0.1)];

    /// The preset of that name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Objective> {
        let (name, usd_per_second, usd_per_good_answer) =
            *Self::PRESETS.iter().find(|preset| preset.0 == name)?;
        Some(Objective {
            name: name.into(),
            usd_per_second,
            usd_per_good_answer,
            max_price: None,
            max_cost_usd: None,
            min_quality: None,
            ttft: None,
        })
    }
}
