use super::*;
use crate::books::{Circuit, Forecast, Left, Resting, Why};
use crate::catalog::{Capabilities, MaxPrice, Terms, TtftTarget};
use crate::market::explain::flips::What;
use crate::market::samples::{balanced, codes, decided, expected, forecast, names, sample};
use crate::market::{Leaves, explain};
use crate::request::{Bounds, Control, Preferences};
use crate::units::PicoUsd;

fn control(change: impl FnOnce(&mut Control)) -> Control {
    let mut control = Control::default();
    change(&mut control);
    control
}

fn listed(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn the_objective_decides_between_cheap_and_fast() {
    let slow = sample(0, 0.1).seen(|view| view.itl = forecast(0.05, 0.0));
    let fast = sample(1, 3.0).seen(|view| view.itl = forecast(0.005, 0.0));
    let winner = |preset: &str| {
        let objective = Objective::preset(preset).unwrap();
        names(&decided(&objective, &[slow.clone(), fast.clone()], &Control::default(), 0))[0].to_owned()
    };
    assert_eq!(winner("cheapest"), "p0/m");
    assert_eq!(winner("fastest"), "p1/m");
}

#[test]
fn quality_decides_between_models() {
    let weak = sample(0, 0.1).with(|endpoint| endpoint.quality = 0.5);
    let strong = sample(1, 10.0).with(|endpoint| {
        endpoint.quality = 0.9;
        endpoint.model = crate::catalog::ModelId(1);
    });
    let winner = |preset: &str| {
        let objective = Objective::preset(preset).unwrap();
        names(&decided(&objective, &[weak.clone(), strong.clone()], &Control::default(), 0))[0].to_owned()
    };
    assert_eq!(winner("cheapest"), "p0/m");
    assert_eq!(winner("best"), "p1/m");
}

#[test]
fn every_constraint_has_its_code() {
    let lame = Capabilities(Capabilities::ALL.0 & !Capabilities::TOOLS.0);
    let market = [
        sample(0, 1.0).with(|endpoint| endpoint.capabilities = lame),
        sample(1, 1.0).with(|endpoint| endpoint.context = Some(1000)),
        sample(2, 1.0).with(|endpoint| endpoint.max_output = Some(10)),
        sample(3, 1.0).with(|endpoint| endpoint.rates = None),
        sample(4, 9.0),
        sample(5, 1.0).with(|endpoint| endpoint.quality = 0.1),
        sample(6, 1.0).seen(|view| view.ttft = forecast(9.0, 0.0)),
        sample(7, 1.0),
    ];
    let mut objective = balanced();
    objective.max_price = Some(MaxPrice { input: Some(PicoUsd::new(5_000_000)), output: None });
    objective.min_quality = Some(0.3);
    objective.ttft = Some(TtftTarget { ms: 1000.0, probability: 0.5 });
    let control = Control::default();
    let ask = Ask {
        input_tokens: 1000,
        needs: Capabilities::TOOLS,
        max_output_tokens: Some(50),
        ..Ask::blank(&control)
    };
    let offers = market.iter().map(|sample| crate::market::Offer {
        endpoint: &sample.endpoint,
        model: &sample.model,
        spoken: sample.endpoint.id.0 != 7,
        view: sample.view,
        output_tokens: 50.0,
        warm_tokens: 0.0,
        leaves: crate::market::Leaves::Nothing,
        understands: true,
    });
    let gathered = crate::market::gather(&ask, &objective, offers);
    let decision = decide(&ask, &objective, crate::market::score(&objective, gathered), Draw(1));
    let codes = codes(&decision);
    let each =
        ["capability", "context", "max_output", "unpriced", "max_price", "min_quality", "ttft", "not_spoken"];
    assert_eq!(codes, each);
    assert_eq!(decision.rejects[0].reject.to_string(), "it lacks tools");
    assert_eq!(decision.emptiness(), Some(Emptiness::Lasting));
    assert_eq!(decision.margin_usd, None);
}

#[test]
fn data_policy_and_region_are_kept_and_the_unknown_is_a_no() {
    let terms = |id, region: Option<&str>, retention, training| {
        sample(id, 1.0).with(|endpoint| {
            endpoint.region = region.map(ToOwned::to_owned);
            endpoint.terms = Terms { retention, training, ..Terms::default() };
        })
    };
    let market = [
        terms(0, Some("eu-west-1"), Some(false), Some(false)),
        terms(1, Some("europe"), Some(true), Some(false)),
        terms(2, None, None, None),
    ];
    let left = |bounds: Bounds| {
        let decision = decided(&balanced(), &market, &control(|control| control.bounds = bounds), 0);
        (names(&decision).join(" "), codes(&decision).join(" "))
    };
    let bounds = Bounds { regions: listed(&["eu"]), ..Bounds::default() };
    assert_eq!(left(bounds), ("p0/m".into(), "region region".into()));
    let bounds = Bounds { no_retention: true, ..Bounds::default() };
    assert_eq!(left(bounds), ("p0/m".into(), "retention retention".into()));
    let bounds = Bounds { no_training: true, ..Bounds::default() };
    assert_eq!(left(bounds).1, "training");
    let bounds = Bounds { require_parameters: true, ..Bounds::default() };
    assert_eq!(left(bounds).1, "", "all of them understand it");
}

#[test]
fn the_constrained_objective_is_the_cheapest_that_keeps_it_or_infeasible() {
    let fast = |id, price| sample(id, price).seen(|view| view.ttft = forecast(0.2, 0.0));
    let market = [
        sample(0, 0.1).seen(|view| view.ttft = forecast(4.0, 0.0)),
        fast(1, 1.0),
        fast(2, 2.0),
        fast(3, 0.5).with(|endpoint| endpoint.quality = 0.3),
    ];
    let objective = Objective::preset("cheapest").unwrap();
    let asked = |ms, quality| {
        let bounds = Bounds {
            ttft: Some(TtftTarget { ms, probability: 0.95 }),
            min_quality: Some(quality),
            ..Bounds::default()
        };
        decided(&objective, &market, &control(|control| control.bounds = bounds), 0)
    };
    let decision = asked(800.0, 0.5);
    assert_eq!((names(&decision)[0], codes(&decision)), ("p1/m", vec!["ttft", "min_quality"]));
    assert!(decision.infeasible().is_empty());
    let none = asked(1.0, 0.5);
    assert_eq!(none.emptiness(), Some(Emptiness::Lasting));
    assert_eq!(none.infeasible().into_iter().collect::<Vec<_>>(), [("min_quality", 1), ("ttft", 3)]);
}

#[test]
fn a_deadline_leaves_who_keeps_it_in_nine_of_ten() {
    let market = [sample(0, 0.1).seen(|view| view.itl = forecast(0.5, 0.0)), sample(1, 1.0)];
    let within = |seconds| {
        let deadline = Some(Duration::from_secs(seconds));
        decided(&balanced(), &market, &control(|control| control.bounds.deadline = deadline), 0)
    };
    assert_eq!((names(&within(10)), codes(&within(10))), (vec!["p1/m"], vec!["deadline"]));
    assert_eq!(codes(&within(1)), ["deadline", "deadline"]);
    assert!(codes(&within(1000)).is_empty());
}

#[test]
fn preferences_put_nobody_out_but_the_slow_behind() {
    let market = [
        sample(0, 0.1).seen(|view| view.ttft = forecast(3.0, 0.0)),
        sample(1, 5.0),
        sample(2, 0.1).seen(|view| view.itl = forecast(0.2, 0.0)),
        sample(3, 0.2).seen(|view| view.ttft = Forecast { samples: 0.0, ..forecast(9.0, 0.0) }),
    ];
    let preferred = Preferences {
        max_latency: [None, None, Some(2.0), None],
        min_throughput: [Some(20.0), None, None, None],
    };
    for draw in 0..50 {
        let decision =
            decided(&balanced(), &market, &control(|control| control.bounds.preferred = preferred), draw);
        let mut names = names(&decision);
        names[..2].sort_unstable();
        names[2..].sort_unstable();
        assert_eq!(names, ["p1/m", "p3/m", "p0/m", "p2/m"], "whoever is not measured is not held back");
    }
}

#[test]
fn who_has_no_headroom_left_is_spared_while_others_are_there() {
    let left = |id, tokens| {
        let left =
            Left { requests: None, tokens: Some(tokens), most_tokens: 1e6, until: Duration::from_secs(9) };
        sample(id, 1.0).seen(|view| view.left = Some(left))
    };
    let decision =
        decided(&balanced(), &[left(0, 900.0), sample(1, 9.0), left(2, 9000.0)], &Control::default(), 0);
    assert_eq!((names(&decision), codes(&decision)), (vec!["p2/m", "p1/m"], vec!["headroom"]));
    assert!(!decision.rejects[0].reject.lasts());
    let alone = decided(&balanced(), &[left(0, 0.0)], &Control::default(), 0);
    assert!(alone.candidates[0].facts.last_resort);
}

#[test]
fn a_request_may_name_whom_it_wants() {
    let market = [sample(0, 1.0), sample(1, 2.0), sample(2, 3.0)];
    let names = |control: Control| {
        let decision = decided(&balanced(), &market, &control, 5);
        names(&decision).join(" ")
    };
    assert_eq!(names(control(|control| control.only = listed(&["p2"]))), "p2/m");
    assert_eq!(names(control(|control| control.ignore = listed(&["p0", "p1/m"]))), "p2/m");
    assert_eq!(names(control(|control| control.order = listed(&["p2", "p1"]))), "p2/m p1/m p0/m");
    let strict = |control: &mut Control| {
        control.order = listed(&["p2", "p1"]);
        control.allow_fallbacks = Some(false);
    };
    assert_eq!(names(control(strict)), "p2/m p1/m");
    assert_eq!(names(control(|control| control.allow_fallbacks = Some(false))), "p0/m");
}

#[test]
fn one_dimension_may_be_sorted_by() {
    let market = [
        sample(0, 1.0).seen(|view| view.ttft = forecast(5.0, 0.5)),
        sample(1, 2.0).seen(|view| view.itl = forecast(0.001, 0.5)),
        sample(2, 3.0).seen(|view| view.ttft = forecast(0.1, 0.5)),
        sample(3, 4.0).with(|endpoint| endpoint.quality = 0.9),
    ];
    let by = |sort| {
        let decision = decided(&balanced(), &market, &control(|control| control.sort = Some(sort)), 3);
        assert!((decision.propensity(8) - 1.0).abs() < 1e-12, "chance has no say");
        names(&decision)[0].to_owned()
    };
    assert_eq!(
        [by(Sort::Price), by(Sort::Latency), by(Sort::Throughput), by(Sort::Quality)],
        ["p0/m", "p2/m", "p1/m", "p3/m"]
    );
}

#[test]
fn open_circuits_and_rests_are_rejects_that_pass() {
    let resting = |id, until| {
        let until = Duration::from_secs(until);
        let rest = Resting { until, why: Why::RateLimit, asked: true };
        sample(id, 1.0).seen(|view| view.resting = Some(rest))
    };
    let some = decided(&balanced(), &[sample(0, 1.0).open_until(9), sample(1, 9.0)], &Control::default(), 0);
    assert_eq!((names(&some), codes(&some)), (vec!["p1/m"], vec!["circuit_open"]));
    let none = decided(&balanced(), &[resting(0, 9), resting(1, 7)], &Control::default(), 0);
    assert_eq!(none.emptiness(), Some(Emptiness::Passing { until: Duration::from_secs(7) }));
}

#[test]
fn where_circuits_have_left_nobody_they_are_candidates_of_last_resort() {
    let probing = sample(1, 2.0).seen(|view| view.circuit = Circuit::HalfOpen { probing: true });
    let decision = decided(&balanced(), &[sample(0, 3.0).open_until(9), probing], &Control::default(), 0);
    assert_eq!(names(&decision), ["p1/m", "p0/m"]);
    assert!(decision.candidates.iter().all(|candidate| candidate.facts.last_resort));
    assert_eq!(decision.emptiness(), None);
}

#[test]
fn who_rests_without_a_certain_end_is_asked_where_nobody_else_is_left() {
    let resting = |id, why, asked| {
        let rest = Resting { until: Duration::from_secs(9), why, asked };
        sample(id, 1.0).seen(|view| view.resting = Some(rest))
    };
    for (why, asked) in [(Why::Key, false), (Why::Quota, false), (Why::RateLimit, false)] {
        let alone = decided(&balanced(), &[resting(0, why, asked)], &Control::default(), 0);
        assert_eq!(names(&alone), ["p0/m"], "{why:?}");
        assert!(alone.candidates[0].facts.last_resort);
        let other = decided(&balanced(), &[resting(0, why, asked), sample(1, 9.0)], &Control::default(), 0);
        assert_eq!((names(&other), codes(&other)), (vec!["p1/m"], vec!["resting"]));
    }
    let told = [resting(0, Why::RateLimit, true), resting(1, Why::Key, false)];
    let decision = decided(&balanced(), &told, &Control::default(), 0);
    assert_eq!((names(&decision), codes(&decision)), (vec!["p1/m"], vec!["resting"]));
}

#[test]
fn chance_breaks_near_ties_in_favour_of_the_emptier() {
    let twins = [sample(0, 1.0), sample(1, 1.0), sample(2, 1.01).seen(|view| view.in_flight = 50)];
    let mut wins = [0; 3];
    for draw in 0..600 {
        let decision = decided(&balanced(), &twins, &Control::default(), draw);
        wins[decision.first().unwrap().id.0 as usize] += 1;
    }
    assert!(wins[0] > 200 && wins[1] > 200, "{wins:?}");
    assert_eq!(wins[2], 0, "of any two it is the fuller");
}

#[test]
fn the_uncertain_are_explored_but_not_for_a_deadline_or_a_warm_cache() {
    let market = [
        sample(0, 1.0),
        sample(1, 1.0).seen(|view| {
            view.ttft = forecast(0.9, 1.0);
            view.itl = forecast(0.022, 1.0);
        }),
    ];
    let objective = Objective::preset("fastest").unwrap();
    let draws = 0..400_u64;
    let explored = draws
        .clone()
        .filter(|draw| decided(&objective, &market, &Control::default(), *draw).explored)
        .count();
    assert!((20..300).contains(&explored), "{explored}");
    let decision =
        draws.map(|draw| decided(&objective, &market, &Control::default(), draw)).find(|one| one.explored);
    let decision = decision.unwrap();
    assert_eq!((names(&decision)[0], expected(&decision)[0]), ("p1/m", "p0/m"));
    assert!(decision.margin_usd.unwrap() < 0.0);
    let propensity = decision.propensity(200);
    assert!((0.05..0.75).contains(&propensity), "{propensity}");

    let control = Control::default();
    let hurried = Ask { deadline: Some(Duration::from_secs(60)), ..Ask::blank(&control) };
    assert!(!Explore::of(&hurried, &decision.candidates).is_on());
    let mut warm = decision.candidates.clone();
    warm[0].facts.warm_tokens = 100.0;
    assert!(Explore::of(&Ask::blank(&control), &warm).is_on(), "many requests may begin alike");
    let conversation = Ask { continues: true, ..Ask::blank(&control) };
    assert!(!Explore::of(&conversation, &warm).is_on());
    assert!(Explore::of(&conversation, &decision.candidates).is_on());
    let mut session = decision.candidates.clone();
    session[1].facts.leaves = Leaves::Endpoint;
    assert!(!Explore::of(&Ask::blank(&control), &session).is_on());
}

#[test]
fn a_decision_explains_itself() {
    let dear = sample(1, 3.0).seen(|view| view.itl = forecast(0.01, 0.0));
    let decision =
        decided(&balanced(), &[sample(0, 0.5), dear, sample(2, 1.0).open_until(3)], &Control::default(), 0);
    let catalog = crate::catalog::Catalog::default();
    let explanation = explain(&decision, &catalog);
    assert_eq!((explanation.winner, explanation.runner_up), (Some("p0/m"), Some("p1/m")));
    let against = explanation.against_runner_up.unwrap();
    assert!((against.saved_usd - 0.003).abs() < 1e-8, "{against:?}");
    assert!((against.slower_ms - 2000.0).abs() < 1e-2, "{against:?}");
    let value = serde_json::to_value(&explanation).unwrap();
    assert_eq!(value["rejects"][0]["code"], "circuit_open");
    assert!(value["candidates"][0]["score"]["waiting"].as_f64().unwrap() > 0.0);

    // Where somebody else is said to become the best, he does.
    assert!(!explanation.flips.is_empty());
    for flip in &explanation.flips {
        let best = |share: f64| {
            let to = flip.from + (flip.to - flip.from) * share;
            let (mut objective, mut changed) = (balanced(), decision.clone());
            let factor = |changed: &mut Decision, id: u32| {
                changed
                    .candidates
                    .iter_mut()
                    .filter(|one| one.id.0 == id)
                    .for_each(|one| one.score.cost_usd *= to);
            };
            match flip.what {
                What::UsdPerSecond => objective.usd_per_second = to,
                What::UsdPerGoodAnswer => objective.usd_per_good_answer = to,
                What::PriceOfBest => factor(&mut changed, 0),
                What::PriceOfOther => factor(&mut changed, 1),
            }
            expected(&changed.again(&objective))[0].to_owned()
        };
        assert_eq!(best(0.99), "p0/m", "{flip:?}");
        assert_eq!(best(1.01), flip.endpoint, "{flip:?}");
    }
    let terms = &explanation.candidates[0].terms;
    let sum: f64 = terms.iter().map(|term| term.usd).sum();
    assert!((sum - explanation.candidates[0].score.total).abs() < 1e-12);
    for term in terms.iter().filter(|term| term.interval.is_some()) {
        let (low, high) = term.interval.unwrap();
        assert!(low <= term.usd && term.usd <= high, "{term:?}");
    }
    // At the rate at which it is said to flip, it flips.
    let rate = against.flips_at_usd_per_second.unwrap();
    let winner = |rate: f64| {
        let objective = Objective { usd_per_second: rate, ..balanced() };
        expected(&decision.clone().again(&objective))[0].to_owned()
    };
    assert_eq!((winner(rate * 0.99), winner(rate * 1.01)), ("p0/m".to_owned(), "p1/m".to_owned()));
}
