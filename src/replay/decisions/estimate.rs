//! What another rule would have come to: means over decisions, with intervals.

use std::sync::Arc;

use serde::Serialize;

/// Standard deviations on either side of a 95 % interval.
const Z95: f64 = 1.96;

/// What was expected of a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// USD.
    pub cost_usd: f64,
    /// Seconds until the answer is complete.
    pub seconds: f64,
    /// 0..1.
    pub quality: f64,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// USD; `None` where it failed or has no price.
    pub cost_usd: Option<f64>,
    /// Seconds it took.
    pub seconds: f64,
    /// Whether the caller got no whole answer.
    pub failed: bool,
}

/// One decision, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Whether deciding it again as it was gives the same.
    pub reproduced: bool,
    /// Whether the caller gave the order.
    pub by_caller: bool,
    /// Whether another endpoint comes first.
    pub moved: bool,
    /// Of the first candidate.
    pub before: Option<Expected>,
    /// Of who comes first now.
    pub after: Option<Expected>,
    /// What came of it.
    pub observed: Option<Observed>,
    /// By which factor its cost was estimated too high.
    pub estimated: Option<f64>,
    /// How much likelier the new rule would have made the same choice.
    pub likelier: f64,
    /// The probability with which the new rule chooses what the old one never did.
    pub unsupported: f64,
    /// Who was first.
    pub first: Option<Arc<str>>,
    /// Who is.
    pub then: Option<Arc<str>>,
}

/// A weight above this is cut to it: one lucky request must not decide everything.
const MOST_WEIGHT: f64 = 10.0;

impl Case {
    /// What it counts for in observed figures.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.likelier.min(MOST_WEIGHT)
    }

    /// Whether that was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.likelier > MOST_WEIGHT
    }
}

/// A figure before and after.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Change {
    /// As it was.
    pub before: f64,
    /// As it would have been.
    pub after: f64,
    /// The difference.
    pub difference: f64,
    /// Where the difference lies with 95 % probability.
    pub interval: (f64, f64),
}

impl Change {
    /// A difference with its standard error; all multiplied by `unit`.
    fn new(before: f64, after: f64, error: f64, unit: f64) -> Self {
        let difference = after - before;
        let interval = ((difference - Z95 * error) * unit, (difference + Z95 * error) * unit);
        Change { before: before * unit, after: after * unit, difference: difference * unit, interval }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}

/// The mean difference of pairs, and its standard error by their spread.
#[must_use]
pub fn paired(pairs: &[(f64, f64)], unit: f64) -> Option<Change> {
    let count = number(pairs.len());
    if pairs.is_empty() {
        return None;
    }
    let before = pairs.iter().map(|pair| pair.0).sum::<f64>() / count;
    let after = pairs.iter().map(|pair| pair.1).sum::<f64>() / count;
    let squares: f64 = pairs.iter().map(|pair| (pair.1 - pair.0 - (after - before)).powi(2)).sum();
    Some(Change::new(before, after, squares.sqrt() / count, unit))
}

/// The mean of what was observed, and the same with weights that are normalised by
/// their sum. Its error follows from what each request contributes to the difference
/// (the delta method).
#[must_use]
pub fn weighed(seen: &[(f64, f64)], unit: f64) -> Option<Change> {
    let count = number(seen.len());
    let weights: f64 = seen.iter().map(|(_, weight)| weight).sum();
    if weights <= 0.0 {
        return None;
    }
    let before = seen.iter().map(|(value, _)| value).sum::<f64>() / count;
    let after = seen.iter().map(|(value, weight)| value * weight).sum::<f64>() / weights;
    let usual = weights / count;
    let contribution = |(value, weight): &(f64, f64)| weight / usual * (value - after) - (value - before);
    let squares: f64 = seen.iter().map(|one| contribution(one).powi(2)).sum();
    Some(Change::new(before, after, squares.sqrt() / count, unit))
}

/// How many equally weighted requests the weighted ones are worth (Kish).
#[must_use]
pub fn effective(weights: impl Iterator<Item = f64>) -> f64 {
    let (sum, squares) = weights.fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The median; `None` of nothing.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_weights_change_nothing_and_count_fully() {
        let seen = [(1.0, 2.0), (3.0, 2.0), (8.0, 2.0)];
        let change = weighed(&seen, 1.0).unwrap();
        assert!(change.difference.abs() < 1e-12 && change.interval.1 < 1e-12, "{change:?}");
        assert!((effective(seen.iter().map(|one| one.1)) - 3.0).abs() < 1e-12);
        assert_eq!(weighed(&[(1.0, 0.0)], 1.0), None, "no support");
    }

    /// A coin decides between a rule that costs 1 and one that costs 3; what always
    /// taking the second would cost is found, within its interval.
    #[test]
    fn what_was_left_to_chance_tells_of_the_other_choice() {
        let mut random = fastrand::Rng::with_seed(7);
        let seen: Vec<(f64, f64)> = (0..4000)
            .map(|_| {
                let second = random.f64() < 0.25;
                let noise = random.f64() - 0.5;
                if second { (3.0 + noise, 4.0) } else { (1.0 + noise, 0.0) }
            })
            .collect();
        let change = weighed(&seen, 1.0).unwrap();
        assert!((change.after - 3.0).abs() < 0.05 && (change.before - 1.5).abs() < 0.05, "{change:?}");
        assert!(change.interval.0 < 1.5 && 1.5 < change.interval.1, "{change:?}");
        let effective = effective(seen.iter().map(|one| one.1));
        assert!((900.0..1100.0).contains(&effective), "{effective}");
    }

    proptest! {
        #[test]
        fn a_weighted_mean_lies_among_what_was_seen(seen in prop::collection::vec((0.0..100.0_f64, 0.0..10.0_f64), 1..60)) {
            if let Some(change) = weighed(&seen, 1.0) {
                let low = seen.iter().map(|one| one.0).fold(f64::INFINITY, f64::min);
                let high = seen.iter().map(|one| one.0).fold(0.0, f64::max);
                prop_assert!((low - 1e-9..=high + 1e-9).contains(&change.after), "{change:?}");
                prop_assert!(change.interval.0 <= change.difference && change.difference <= change.interval.1);
            }
            let effective = effective(seen.iter().map(|one| one.1));
            prop_assert!(effective <= number(seen.len()) + 1e-9);
        }
    }
}
