//! What must hold of every decision, whatever the market looks like.

use std::sync::Arc;

use proptest::prelude::*;

use super::samples::{Sample, balanced, decided, expected, forecast, sample};
use super::score::GIVEN_UP;
use super::{Decision, Kept, Leaves};
use crate::catalog::{Catalog, EndpointId, Objective, TtftTarget};
use crate::request::{Bounds, Control, Sort};
use crate::units::{PicoUsd, Rates};

prop_compose! {
    fn any_sample(id: u32)(
        price in 0.01..20.0_f64,
        ttft in 0.05..20.0_f64,
        itl in 0.001..0.2_f64,
        spread in 0.0..0.8_f64,
        share in 0.0..1.0_f64,
        quality in 0.0..1.0_f64,
        unusable in 0.0..1.0_f64,
        in_flight in 0..20_u32,
    ) -> Sample {
        sample(id, price).with(|endpoint| endpoint.quality = quality).seen(|view| {
            view.ttft = forecast(ttft, spread);
            view.itl = forecast(itl, spread);
            view.risk.share = share;
            view.unusable = [unusable; 3];
            view.in_flight = in_flight;
        })
    }
}

fn market() -> impl Strategy<Value = Vec<Sample>> {
    (2..9_u32).prop_flat_map(|count| (0..count).map(any_sample).collect::<Vec<_>>())
}

fn objective() -> impl Strategy<Value = Objective> {
    (0..4_usize).prop_map(|index| Objective::preset(Objective::PRESETS[index].0).unwrap())
}

fn total(objective: &Objective, sample: &Sample) -> f64 {
    let decision = decided(objective, std::slice::from_ref(sample), &Control::default(), 0);
    decision.candidates[0].score.total
}

/// What a caller may say about the order.
fn control() -> impl Strategy<Value = Control> {
    let sort = prop_oneof![
        4 => Just(None),
        1 => prop::sample::select(vec![Sort::Price, Sort::Latency, Sort::Throughput, Sort::Quality]).prop_map(Some),
    ];
    let order = prop_oneof![
        4 => Just(Vec::new()),
        1 => prop::collection::vec((0..9_u32).prop_map(|id| format!("p{id}")), 1..4),
    ];
    (sort, order, prop::option::of(any::<bool>())).prop_map(|(sort, order, allow_fallbacks)| Control {
        order,
        allow_fallbacks,
        sort,
        ..Control::default()
    })
}

/// The catalog that `market` is offered by.
fn catalog(market: &[Sample]) -> Catalog {
    let endpoints = (0_u32..).zip(market).map(|(id, _)| Arc::into_inner(sample(id, 1.0).endpoint).unwrap());
    Catalog { endpoints: endpoints.collect(), ..Catalog::default() }
}

/// Every order of the numbers below `count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |shorter, next| {
        let inserted = |order: Vec<usize>| {
            (0..=order.len()).map(move |place| {
                let mut longer = order.clone();
                longer.insert(place, next);
                longer
            })
        };
        shorter.into_iter().flat_map(inserted).collect()
    })
}

/// What it costs to try candidates in this order until one answers.
fn expense(decision: &Decision, order: &[usize]) -> f64 {
    let mut reached = 1.0;
    let mut sum = 0.0;
    for index in order {
        let candidate = &decision.candidates[*index];
        let (score, odds) = (candidate.score, candidate.facts.odds());
        let fails = odds / (1.0 + odds);
        // What answers of no use cost is paid where an answer comes.
        let lost = decision.objective.usd_per_good_answer * GIVEN_UP;
        let rubbish = candidate.facts.rubbish() * (score.cost_usd + score.waiting + lost);
        let failure = score.failure - rubbish;
        let answer = score.total - failure;
        // The rest of the term is the price of one failure, times the odds.
        sum += reached * ((1.0 - fails) * answer + fails * failure / odds.max(1e-300));
        reached *= fails;
    }
    sum
}

proptest! {
    #[test]
    fn better_never_scores_worse(one in any_sample(0), objective in objective(), by in 0.01..1.0_f64) {
        let before = total(&objective, &one);
        let faster = one.clone().seen(|view| view.ttft.seconds *= by);
        let steadier = one.clone().seen(|view| view.itl.seconds *= by);
        let surer = one.clone().seen(|view| view.risk.share *= by);
        let sounder = one.clone().seen(|view| view.unusable = view.unusable.map(|share| share * by));
        prop_assert!(total(&objective, &sounder) <= before, "sounder");
        for (what, better) in [("faster", faster), ("more tokens a second", steadier), ("surer", surer)] {
            prop_assert!(total(&objective, &better) <= before, "{what}");
        }
    }

    #[test]
    fn cheaper_and_better_answers_never_score_worse(price in 0.01..20.0_f64, quality in 0.0..1.0_f64, by in 0.01..1.0_f64) {
        let at = |price: f64, quality: f64| {
            total(&balanced(), &sample(0, price).with(|endpoint| endpoint.quality = quality))
        };
        prop_assert!(at(price * by, quality) <= at(price, quality));
        prop_assert!(at(price, 1.0 - (1.0 - quality) * by) <= at(price, quality));
    }

    #[test]
    fn an_endpoint_more_or_less_never_turns_the_others_around(
        market in market(),
        objective in objective(),
        gone in any::<prop::sample::Index>(),
    ) {
        let all = decided(&objective, &market, &Control::default(), 1);
        let mut fewer = market.clone();
        let gone = fewer.remove(gone.index(market.len()));
        let rest = decided(&objective, &fewer, &Control::default(), 1);
        let without: Vec<&str> =
            expected(&all).into_iter().filter(|name| *name != &*gone.endpoint.identity).collect();
        prop_assert_eq!(without, expected(&rest));
    }

    #[test]
    fn the_same_views_and_draw_give_the_same_decision(market in market(), objective in objective(), draw in any::<u64>()) {
        let one = decided(&objective, &market, &Control::default(), draw);
        prop_assert_eq!(&one, &decided(&objective, &market, &Control::default(), draw));
        let read: Decision = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
        prop_assert_eq!(&read, &one, "what was exported is what was decided");
        prop_assert_eq!(&read.again(&objective), &one, "and can be decided again");
    }

    #[test]
    fn what_is_kept_of_a_decision_gives_the_same_decision(
        market in market(),
        objective in objective(),
        draw in any::<u64>(),
        control in control(),
    ) {
        let one = decided(&objective, &market, &control, draw);
        prop_assert_eq!(Kept::of(&one, &catalog(&market)).decision(&catalog(&market)), one);
    }

    #[test]
    fn propensities_of_all_candidates_sum_to_one(market in market(), objective in objective(), draw in any::<u64>()) {
        let decision = decided(&objective, &market, &Control::default(), draw);
        let shares = decision.propensities(64);
        prop_assert_eq!(shares.len(), market.len());
        prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
        prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        let first = shares[decision.order[0] as usize];
        prop_assert!((first - decision.propensity(64)).abs() < 1e-12);
    }

    #[test]
    fn a_number_that_is_none_never_wins_by_any_objective_or_sort(
        market in market(),
        objective in objective(),
        control in control(),
        draw in any::<u64>(),
        bad in any::<prop::sample::Index>(),
    ) {
        let mut market = market;
        let bad = bad.index(market.len());
        market[bad] = market[bad].clone().seen(|view| view.itl.seconds = f64::NAN);
        let decision = decided(&objective, &market, &control, draw);
        prop_assert!(decision.ranked().all(|candidate| candidate.id.0 as usize != bad));
        prop_assert!(decision.candidates.iter().all(|candidate| candidate.score.total.is_finite()));
    }

    #[test]
    fn whatever_chance_does_costs_little(market in market(), objective in objective(), draw in any::<u64>()) {
        let decision = decided(&objective, &market, &Control::default(), draw);
        let best = decision.candidates[decision.mean_order[0] as usize].score;
        let first = decision.first().unwrap().score.total;
        let spent = best.cost_usd + best.waiting + best.failure;
        prop_assert!(first <= best.total + decision.explore.cap * spent + 1e-12);
        let mut order = decision.order.clone();
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..u32::try_from(market.len()).unwrap()), "everybody once");
        let propensity = decision.propensity(16);
        prop_assert!(propensity > 0.0 && propensity <= 1.0);
    }

    #[test]
    fn what_is_not_a_number_never_wins(market in market(), draw in any::<u64>(), bad in prop_oneof![
        Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
    ]) {
        let mut market = market;
        market[0] = sample(0, 0.01).seen(|view| view.ttft.seconds = bad);
        let decision = decided(&balanced(), &market, &Control::default(), draw);
        prop_assert!(decision.ranked().all(|candidate| candidate.id.0 != 0));
        prop_assert_eq!(decision.rejects[0].reject.code(), "unpriced");
    }

    #[test]
    fn trying_by_ascending_score_is_the_cheapest_way_to_an_answer(
        market in prop::collection::vec(any_sample(0), 2..5),
        objective in objective(),
    ) {
        let samples: Vec<Sample> = (0_u32..)
            .zip(market)
            .map(|(id, one)| one.with(|endpoint| endpoint.id = EndpointId(id)))
            .collect();
        let decision = decided(&objective, &samples, &Control::default(), 0);
        let ours: Vec<usize> = decision.mean_order.iter().map(|index| *index as usize).collect();
        let best = permutations(samples.len())
            .into_iter()
            .map(|order| expense(&decision, &order))
            .fold(f64::INFINITY, f64::min);
        prop_assert!(expense(&decision, &ours) <= best * (1.0 + 1e-9));
    }

    #[test]
    fn warmth_is_dollars_and_a_session_moves_only_for_more_than_its_hesitation(
        one in any_sample(0),
        other in any_sample(1),
        objective in objective(),
        warm in 0.0..1000.0_f64,
    ) {
        let cached = |price: Option<u64>, warm_tokens: f64| {
            let rates = Rates { input: PicoUsd::new(1_000_000), cached_input: price.map(PicoUsd::new), ..Rates::default() };
            let priced = sample(0, 1.0).with(|endpoint| endpoint.rates = Some(Arc::new(rates)));
            total(&objective, &Sample { warm_tokens, ..priced })
        };
        prop_assert!(cached(Some(100_000), warm) <= cached(Some(100_000), 0.0));
        prop_assert!((cached(None, warm) - cached(None, 0.0)).abs() < 1e-12, "no discount, no dollars");

        let left = |leaves| Sample { leaves, ..other.clone() };
        let [stays, moves, changes] =
            [Leaves::Nothing, Leaves::Endpoint, Leaves::Model].map(|leaves| total(&objective, &left(leaves)));
        prop_assert!(stays < moves && moves < changes);
        let session = [one.clone(), left(Leaves::Endpoint)];
        let decision = decided(&objective, &session, &Control::default(), 3);
        let (stay, go) = (total(&objective, &one), moves);
        prop_assert!(!decision.explored);
        if (stay - go).abs() > 0.01 * stay.max(go) {
            prop_assert_eq!(decision.first().unwrap().id.0, u32::from(go < stay));
        }
    }

    #[test]
    fn nobody_who_misses_a_limit_is_a_candidate_and_everybody_is_accounted_for(
        market in market(),
        draw in any::<u64>(),
        ms in 10.0..20_000.0_f64,
        probability in 0.0..1.0_f64,
        least in 0.0..1.0_f64,
        most in 1e-5..0.05_f64,
    ) {
        let ttft = Some(TtftTarget { ms, probability });
        let bounds = Bounds { ttft, min_quality: Some(least), ..Bounds::default() };
        let control = Control { max_cost_usd: Some(most), bounds, ..Control::default() };
        let decision = decided(&balanced(), &market, &control, draw);
        prop_assert_eq!(decision.candidates.len() + decision.rejects.len(), market.len());
        for candidate in &decision.candidates {
            let view = &market[candidate.id.0 as usize].view;
            prop_assert!(view.ttft.within(ms * 1e-3) >= probability);
            prop_assert!(candidate.facts.quality >= least && candidate.score.cost_usd <= most);
        }
        let free = decided(&balanced(), &market, &Control::default(), draw);
        let kept: Vec<&str> = expected(&free)
            .into_iter()
            .filter(|name| decision.candidates.iter().any(|candidate| &*candidate.endpoint == *name))
            .collect();
        prop_assert_eq!(kept, expected(&decision), "limits take away, they do not turn around");
        prop_assert_eq!(decision.candidates.is_empty(), !decision.infeasible().is_empty());
    }

    #[test]
    fn terms_add_up(one in any_sample(0), objective in objective()) {
        let score = decided(&objective, &[one], &Control::default(), 0).candidates[0].score;
        let sum = score.cost_usd + score.waiting + score.quality + score.failure + score.switching;
        prop_assert!((sum - score.total).abs() <= 1e-12 * score.total.abs());
    }
}
