//! A distribution that is known by a few of its percentiles.
//!
//! Between the percentiles the logarithm is interpolated. The lower half, of
//! which nothing is published, mirrors the upper one.

/// The percentiles that are known, as shares.
pub const KNOWN: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];
/// Shares at which the curve has a corner.
const SHARES: [f64; 11] = [0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.998];
/// How far the logarithm goes on beyond the outermost percentiles.
const TAILS: (f64, f64) = (0.2, 0.3);
/// No quantity is less than this: keeps logarithms finite.
const LEAST: f64 = 1e-3;
/// Points over which means are taken.
const POINTS: u32 = 400;

/// A quantile function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    logs: [f64; SHARES.len()],
}

impl Curve {
    /// The curve through `percentiles` at the shares [`KNOWN`]; one that is less
    /// than the one before it is raised to that.
    #[must_use]
    pub fn through(percentiles: [f64; KNOWN.len()]) -> Self {
        let mut least = LEAST;
        let [median, p75, p90, p95, p99] = percentiles.map(|value| {
            least = least.max(value);
            least.ln()
        });
        let mirrored = |log: f64| 2.0 * median - log;
        let logs = [
            mirrored(p99) - TAILS.0,
            mirrored(p99),
            mirrored(p95),
            mirrored(p90),
            mirrored(p75),
            median,
            p75,
            p90,
            p95,
            p99,
            p99 + TAILS.1,
        ];
        Curve { logs }
    }

    /// The logarithm of what the share `share` (0..1) does not exceed.
    #[must_use]
    pub fn log_at(&self, share: f64) -> f64 {
        let corners = || SHARES.into_iter().zip(self.logs);
        let mut before = (0.0, self.logs.first().copied().unwrap_or_default());
        for corner in corners() {
            if share < corner.0 {
                let part = (share - before.0) / (corner.0 - before.0);
                return before.1 + part * (corner.1 - before.1);
            }
            before = corner;
        }
        before.1
    }

    /// The mean of exp(`power` × logarithm): 1 is the mean, −1 that of the
    /// reciprocal.
    #[must_use]
    pub fn mean(&self, power: f64) -> f64 {
        let points = (0..POINTS).map(|point| (f64::from(point) + 0.5) / f64::from(POINTS));
        points.map(|share| (power * self.log_at(share)).exp()).sum::<f64>() / f64::from(POINTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_what_is_known() {
        let curve = Curve::through([1.0, 2.0, 3.0, 4.0, 8.0]);
        for (share, value) in KNOWN.into_iter().zip([1.0, 2.0, 3.0, 4.0, 8.0_f64]) {
            assert!((curve.log_at(share) - value.ln()).abs() < 1e-12, "{share}");
        }
        assert!((curve.log_at(0.25) + 2.0_f64.ln()).abs() < 1e-12, "mirrored");
        assert!((curve.log_at(1.0) - (8.0_f64.ln() + 0.3)).abs() < 1e-12);
        assert!((curve.log_at(0.0) - (-8.0_f64.ln() - 0.2)).abs() < 1e-12);
    }

    #[test]
    fn never_descends_even_where_percentiles_do() {
        let curve = Curve::through([5.0, 2.0, 3.0, 9.0, 0.0]);
        let logs: Vec<f64> = (0..=100).map(|percent| curve.log_at(f64::from(percent) / 100.0)).collect();
        assert!(logs.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn means_are_those_of_a_constant_and_of_its_reciprocal() {
        let curve = Curve { logs: [4.0_f64.ln(); SHARES.len()] };
        assert!((curve.mean(1.0) - 4.0).abs() < 1e-12);
        assert!((curve.mean(-1.0) - 0.25).abs() < 1e-12);
    }
}
