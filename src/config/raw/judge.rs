//! The judge, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model that judges some of the answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Judge {
    /// The model or route that judges; nobody judges when empty.
    pub model: String,
    /// Share of answers that are judged, 0..1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// Most that judging may cost in a day (UTC), in USD.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub max_usd_per_day: f64,
    /// What the judge is told; {question} and {answer} stand for the messages and
    /// the answer. It must have the judge reply with a score from 0 to 1.
    pub prompt: Option<String>,
}

impl Default for Judge {
    fn default() -> Self {
        Judge { model: String::new(), share: 0.01, max_usd_per_day: 1.0, prompt: None }
    }
}
