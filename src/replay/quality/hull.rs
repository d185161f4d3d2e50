//! What a rule that can be set to spend more or less is worth as a whole.
//!
//! As in `RouterBench` (Hu et al., 2024): of the points (cost, accuracy) that a
//! rule reaches at different settings, what lies on the non-decreasing convex hull
//! can be reached by mixing two settings. AIQ is the area under that hull over the
//! range of the models' own costs, divided by that range: the mean accuracy over
//! all budgets.

/// One setting's result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// USD for an answer.
    pub cost: f64,
    /// Share of good answers, 0..1.
    pub accuracy: f64,
}

/// A non-decreasing convex hull.
#[derive(Debug, Clone, PartialEq)]
pub struct Hull(Vec<Point>);

impl Hull {
    /// The hull over `points`.
    #[must_use]
    pub fn over(mut points: Vec<Point>) -> Self {
        points.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(b.accuracy.total_cmp(&a.accuracy)));
        let mut hull: Vec<Point> = Vec::new();
        for point in points {
            if hull.last().is_some_and(|last| point.accuracy <= last.accuracy) {
                continue;
            }
            while let [.., before, last] = hull.as_slice()
                && rise(before, last) <= rise(before, &point)
            {
                hull.pop();
            }
            hull.push(point);
        }
        Hull(hull)
    }

    /// Its most accurate point.
    #[must_use]
    pub fn best(&self) -> Option<Point> {
        self.0.last().copied()
    }

    /// The accuracy that `cost` buys. Less than the cheapest point costs buys as
    /// much as that one: there is nothing cheaper.
    #[must_use]
    pub fn accuracy(&self, cost: f64) -> f64 {
        let mut before: Option<Point> = None;
        for point in &self.0 {
            if cost <= point.cost {
                return before.map_or(point.accuracy, |before| {
                    before.accuracy + rise(&before, point) * (cost - before.cost)
                });
            }
            before = Some(*point);
        }
        before.map_or(0.0, |last| last.accuracy)
    }

    /// The least cost at which `accuracy` is reached; `None` when it never is.
    #[must_use]
    pub fn cost(&self, accuracy: f64) -> Option<f64> {
        let mut before: Option<Point> = None;
        for point in &self.0 {
            if accuracy <= point.accuracy {
                return Some(before.map_or(point.cost, |before| {
                    before.cost + (accuracy - before.accuracy) / rise(&before, point)
                }));
            }
            before = Some(*point);
        }
        None
    }

    /// The mean accuracy over the costs `range`.
    #[must_use]
    pub fn aiq(&self, range: (f64, f64)) -> f64 {
        let inside = self.0.iter().map(|point| point.cost).filter(|cost| range.0 < *cost && *cost < range.1);
        let mut costs: Vec<f64> = [range.0].into_iter().chain(inside).collect();
        costs.push(range.1);
        if range.1 <= range.0 {
            return self.accuracy(range.0);
        }
        let area: f64 = costs
            .windows(2)
            .map(|pair| match pair {
                [from, to] => 0.5 * (self.accuracy(*from) + self.accuracy(*to)) * (to - from),
                _ => 0.0,
            })
            .sum();
        area / (range.1 - range.0)
    }
}

/// Accuracy for a dollar between two points.
fn rise(from: &Point, to: &Point) -> f64 {
    (to.accuracy - from.accuracy) / (to.cost - from.cost)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hull(points: &[(f64, f64)]) -> Hull {
        Hull::over(points.iter().map(|(cost, accuracy)| Point { cost: *cost, accuracy: *accuracy }).collect())
    }

    #[test]
    fn two_points_are_mixed_and_worse_ones_ignored() {
        let hull = hull(&[(1.0, 0.5), (3.0, 0.9), (2.0, 0.6), (4.0, 0.8)]);
        assert!((hull.accuracy(2.0) - 0.7).abs() < 1e-12);
        assert!(hull.cost(0.7).is_some_and(|cost| (cost - 2.0).abs() < 1e-9));
        assert_eq!(hull.cost(0.95), None);
        assert!((hull.aiq((1.0, 5.0)) - (0.7 * 2.0 + 0.9 * 2.0) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn one_price_is_no_range() {
        assert!((hull(&[(1.0, 0.5)]).aiq((1.0, 1.0)) - 0.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_hull_is_above_every_point(points in prop::collection::vec((0.0..10.0, 0.0..1.0), 1..30)) {
            let hull = hull(&points);
            for (cost, accuracy) in points {
                prop_assert!(hull.accuracy(cost) >= accuracy - 1e-9);
            }
        }
    }
}
