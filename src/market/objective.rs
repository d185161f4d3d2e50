//! The hard limits of a request: the operator's and the caller's together.
//!
//! Where both set a limit the stricter one holds: a caller can ask for less
//! than the operator allows, never for more.

use crate::catalog::{Objective, TtftTarget};
use crate::request::Control;
use crate::units::PicoUsd;

/// The limits that every candidate must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Dearest list price of an input token.
    pub input: Option<PicoUsd>,
    /// Dearest list price of an output token.
    pub output: Option<PicoUsd>,
    /// Most that the request may be expected to cost (USD).
    pub cost_usd: Option<f64>,
    /// Least quality, 0..1.
    pub quality: Option<f64>,
    /// The first token must come in time: for the operator, and for the caller.
    pub ttft: [Option<TtftTarget>; 2],
}

impl Limits {
    /// Those of `objective` and of `control`, the stricter of each.
    #[must_use]
    pub fn of(objective: &Objective, control: &Control) -> Self {
        let operators = objective.max_price.unwrap_or_default();
        Limits {
            input: stricter(operators.input, control.max_price.0, PicoUsd::min),
            output: stricter(operators.output, control.max_price.1, PicoUsd::min),
            cost_usd: stricter(objective.max_cost_usd, control.max_cost_usd, f64::min),
            quality: stricter(objective.min_quality, control.bounds.min_quality, f64::max),
            ttft: [objective.ttft, control.bounds.ttft],
        }
    }
}

fn stricter<T>(one: Option<T>, other: Option<T>, least: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(least(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_can_only_tighten() {
        let mut objective = Objective::preset("balanced").unwrap();
        objective.max_cost_usd = Some(0.01);
        let control = |most| Control { max_cost_usd: most, ..Control::default() };
        let most = |control| Limits::of(&objective, &control).cost_usd;
        assert_eq!(most(control(None)), Some(0.01));
        assert_eq!(most(control(Some(1.0))), Some(0.01));
        assert_eq!(most(control(Some(0.001))), Some(0.001));
    }
}
