use super::*;
use crate::market::samples::{balanced, decided, names, sample};
use crate::request::Control;

fn catalog(count: u32) -> Catalog {
    let endpoints = (0..count).map(|id| Arc::into_inner(sample(id, 1.0).endpoint).unwrap());
    Catalog { endpoints: endpoints.collect(), ..Catalog::default() }
}

#[test]
fn three_candidates_take_less_than_500_bytes() {
    let market = [sample(0, 1.0), sample(1, 2.0), sample(2, 3.0)];
    let decision = decided(&balanced(), &market, &Control::default(), 1);
    let kept = Kept::of(&decision, &catalog(3));
    assert!(kept.bytes() <= 500, "{} bytes", kept.bytes());
    let of_fifty: Vec<_> = (0..50).map(|id| sample(id, 1.0)).collect();
    let kept = Kept::of(&decided(&balanced(), &of_fifty, &Control::default(), 1), &catalog(50));
    assert!(kept.bytes() <= 5200, "{} bytes", kept.bytes());
}

#[test]
fn what_is_reserved_is_never_rounded_down() {
    let worst_cost_usd = 0.123_456_789_012_345;
    let market = [sample(0, 1.0)];
    let decision = decided(&balanced(), &market, &Control::default(), 1);
    let facts = Facts { worst_cost_usd, ..decision.candidates[0].facts };
    let rounded = facts.rounded();
    assert!(rounded.worst_cost_usd >= worst_cost_usd);
    assert!(rounded.worst_cost_usd <= worst_cost_usd * (1.0 + 1e-6));
    assert_eq!(rounded, rounded.rounded(), "once is enough");
}

#[test]
fn limits_of_another_objective_hold_and_are_named() {
    let market = [sample(0, 1.0), sample(1, 3.0).with(|endpoint| endpoint.quality = 0.9)];
    let decision = decided(&balanced(), &market, &Control::default(), 1);
    assert_eq!(decision.candidates.len(), 2);
    let strict = |change: fn(&mut Objective)| {
        let mut objective = balanced();
        change(&mut objective);
        let again = decision.clone().again(&objective);
        let codes: Vec<&str> = again.rejects.iter().map(|rejected| rejected.reject.code()).collect();
        (names(&again).join(" "), codes.join(" "))
    };
    let found = |name: &str, code: &str| (name.to_owned(), code.to_owned());
    assert_eq!(strict(|objective| objective.min_quality = Some(0.8)), found("p1/m", "min_quality"));
    assert_eq!(strict(|objective| objective.max_cost_usd = Some(0.002)), found("p0/m", "max_cost"));
    assert_eq!(strict(|objective| objective.min_quality = Some(0.7)).1, "", "a limit that is just kept");
}
