use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(1000);

fn three() -> [Place; 3] {
    let siblings = Arc::new(Siblings::default());
    [(); 3].map(|()| siblings.join())
}

fn share(place: &Place) -> f64 {
    place.shares()[Demand::Structured.index()]
}

/// After how many of these answers the alarm is raised, if it is.
fn raised(place: &Place, defects: impl IntoIterator<Item = f64>) -> Option<usize> {
    defects.into_iter().position(|defect| place.answered(Demand::Structured, defect, NOW))
}

#[test]
fn sound_answers_say_nothing_but_that_they_are_sound() {
    let [one, ..] = three();
    assert!((share(&one) - ASSUMED).abs() < 1e-12);
    assert_eq!(raised(&one, [0.0; 300]), None);
    assert!(share(&one) < ASSUMED && share(&one) > 0.0);
    assert!((one.shares()[Demand::Plain.index()] - ASSUMED).abs() < 1e-12, "forms are apart");
}

#[test]
fn one_that_becomes_useless_is_known_within_a_few_answers_however_long_it_was_good() {
    let places = three();
    for place in &places {
        assert_eq!(raised(place, [0.0; 500]), None);
    }
    let [bad, good, _] = &places;
    let after = raised(bad, [1.0; 50]).unwrap();
    assert!(after < 5, "{after}");
    assert!(share(bad) > 0.4 && bad.is_drifting(), "{}", share(bad));
    assert!(share(good) < 0.01 && !good.is_drifting());
}

#[test]
fn one_that_is_useless_now_and_then_is_known_too() {
    let places = three();
    for place in &places {
        raised(place, [0.0; 100]);
    }
    let one_in_three = (0..200).map(|n| f64::from(u8::from(n % 3 == 0)));
    let after = raised(&places[0], one_in_three).unwrap();
    assert!(after < 30, "{after}");
    assert!((share(&places[0]) - 0.33).abs() < 0.12, "{}", share(&places[0]));
}

#[test]
fn what_all_siblings_do_is_no_drift() {
    let places = three();
    let mut rng = fastrand::Rng::with_seed(3);
    let mut alarms = 0;
    for _ in 0..3000 {
        for place in &places {
            let defect = f64::from(u8::from(rng.f64() < 0.1));
            alarms += u32::from(place.answered(Demand::Structured, defect, NOW));
        }
    }
    assert!(alarms <= 2, "{alarms} alarms in 9000 answers");
    assert!((share(&places[0]) - 0.1).abs() < 0.05);
}

#[test]
fn a_lone_endpoint_has_nobody_to_be_worse_than_but_itself() {
    let lone = Arc::new(Siblings::default()).join();
    assert_eq!(raised(&lone, [1.0; 20]), None);
    assert!(share(&lone) > 0.2, "it is useless all the same: {}", share(&lone));
    let changed = Arc::new(Siblings::default()).join();
    assert_eq!(raised(&changed, [0.0; 100]), None);
    let after = raised(&changed, [1.0; 20]).unwrap();
    assert!(after < 5 && changed.is_drifting(), "but it has a past: {after}");
    raised(&changed, [0.0; 100]);
    assert!(!changed.is_drifting());
}

#[test]
fn time_and_good_answers_clear_it() {
    let places = three();
    for place in &places[1..] {
        raised(place, [0.0; 100]);
    }
    let bad = &places[0];
    raised(bad, [1.0; 20]).unwrap();
    bad.refresh(NOW + Duration::from_secs(4 * 3600));
    assert!(!bad.is_drifting() && share(bad) < 0.02, "{}", share(bad));
    let again = &places[0];
    again.answered(Demand::Structured, 1.0, NOW + Duration::from_secs(4 * 3600));
    assert!(share(again) > 0.02, "one answer tells");

    let places = three();
    raised(&places[1], [0.0; 100]);
    raised(&places[0], [1.0; 20]).unwrap();
    raised(&places[0], [0.0; 100]);
    assert!(!places[0].is_drifting());
}

#[test]
fn a_late_regret_counts_no_answer_twice() {
    let [one, ..] = three();
    one.answered(Demand::Plain, 0.0, NOW);
    one.regretted(Demand::Plain, 0.25, NOW);
    let with = one.shares()[0];
    let [other, ..] = three();
    other.answered(Demand::Plain, 0.25, NOW);
    assert!((with - other.shares()[0]).abs() < 1e-12);
}

#[test]
fn what_is_remembered_is_enough_to_go_on() {
    let [one, two, _] = three();
    raised(&two, [0.0; 50]);
    raised(&one, [1.0; 9]);
    let mut standing = one.standing();
    standing.shift(NOW, Duration::ZERO);
    let text = serde_json::to_string(&standing).unwrap();
    let [new, sibling, _] = three();
    raised(&sibling, [0.0; 50]);
    new.restore(serde_json::from_str(&text).unwrap());
    assert!((share(&new) - share(&one)).abs() < 1e-9 && new.is_drifting());
}

proptest! {
    #[test]
    fn a_share_is_a_share(events in prop::collection::vec((0..3_usize, 0..3_usize, any::<f64>(), 0..100_000_u32, any::<bool>()), 0..80)) {
        let places = three();
        for (place, demand, defect, now, late) in events {
            let now = Duration::from_secs(u64::from(now));
            if late && defect.is_finite() {
                places[place].regretted(Demand::ALL[demand], defect, now);
            } else {
                places[place].answered(Demand::ALL[demand], defect, now);
            }
            for place in &places {
                place.refresh(now);
                let shares = place.shares();
                prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
                prop_assert!((0.0..=1.0).contains(&place.overall()));
            }
        }
    }
}
