//! How likely an answer comes too late.

use crate::books::Forecast;
use crate::books::normal;

/// P(first token + `tokens` × time between tokens > `deadline`), in seconds. Both
/// times are log-normal; their sum is taken for log-normal too, with the mean and
/// the variance of the sum (Fenton and Wilkinson's approximation).
#[must_use]
pub(super) fn missed(first: &Forecast, between: &Forecast, tokens: f64, deadline: f64) -> f64 {
    let (first, between) = (moments(first), moments(between));
    let mean = first.0 + tokens * between.0;
    let variance = first.1 + tokens * tokens * between.1;
    if !mean.is_finite() || !variance.is_finite() || mean <= 0.0 {
        return 1.0;
    }
    let variance_ln = (variance / (mean * mean)).ln_1p();
    let mean_ln = mean.ln() - 0.5 * variance_ln;
    let far = (deadline.max(1e-9).ln() - mean_ln) / variance_ln.sqrt().max(1e-9);
    1.0 - normal::below(far)
}

/// Mean and variance of a time.
fn moments(forecast: &Forecast) -> (f64, f64) {
    let mean = (forecast.mean_ln + 0.5 * forecast.variance_ln).exp();
    (mean, mean * mean * forecast.variance_ln.exp_m1())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::samples::forecast;

    #[test]
    fn one_time_alone_is_exact() {
        let (first, none) = (forecast(1.0, 0.0), forecast(1e-9, 0.0));
        for seconds in [0.3, 1.0, 2.5] {
            let exact = 1.0 - first.within(seconds);
            assert!((missed(&first, &none, 0.0, seconds) - exact).abs() < 1e-6, "{seconds}");
        }
    }

    #[test]
    fn the_sum_agrees_with_a_simulation() {
        let (first, between) = (forecast(1.0, 0.0), forecast(0.02, 0.0));
        // Two independent normals at the same equally likely steps.
        let steps: Vec<f64> = (0..400).map(|n| quantile((f64::from(n) + 0.5) / 400.0)).collect();
        for deadline in [3.0, 5.0, 8.0, 12.0] {
            let late = steps
                .iter()
                .flat_map(|a| steps.iter().map(move |b| (a, b)))
                .filter(|(a, b)| first.quantile(**a) + 200.0 * between.quantile(**b) > deadline);
            let share = f64::from(u32::try_from(late.count()).unwrap()) / 160_000.0;
            let ours = missed(&first, &between, 200.0, deadline);
            assert!((ours - share).abs() < 0.02, "{deadline}: {ours} and {share}");
        }
    }

    /// The standard normal quantile, by bisection.
    fn quantile(share: f64) -> f64 {
        let (mut low, mut high) = (-8.0, 8.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if normal::below(middle) < share { low = middle } else { high = middle }
        }
        low
    }

    proptest! {
        #[test]
        fn later_deadlines_are_missed_less_often(
            first in 0.01..100.0_f64,
            between in 0.0001..1.0_f64,
            tokens in 0.0..10_000.0_f64,
            deadline in 0.01..1000.0_f64,
            more in 1.0..10.0_f64,
        ) {
            let late = |deadline| missed(&forecast(first, 0.1), &forecast(between, 0.1), tokens, deadline);
            prop_assert!((0.0..=1.0).contains(&late(deadline)));
            prop_assert!(late(deadline * more) <= late(deadline) + 1e-9);
        }
    }
}
