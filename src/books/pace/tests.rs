use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `count` first tokens after `seconds` each, one every 5 s.
fn measured(seconds: f64, count: u64) -> Pace {
    let mut pace = Pace::default();
    for n in 0..count {
        pace.learn_first(seconds, 0, at(5 * n));
    }
    pace
}

#[test]
fn an_assumption_gives_way_to_samples() {
    let before = Pace::default().first_token(0, 0.0, HOUR);
    let after = measured(0.2, 300).first_token(0, 0.0, at(1500));
    assert!((after.quantile(0.0) - 0.2).abs() < 0.01, "{after:?}");
    assert!(after.spread < before.spread / 2.0, "{before:?} {after:?}");
    assert!(after.within(0.2) > 0.4 && after.within(2.0) > 0.99, "{after:?}");
}

#[test]
fn a_wave_is_followed_at_once_and_forgotten_in_minutes() {
    let mut pace = measured(0.5, 200);
    for n in 0..3 {
        pace.learn_first(2.0, 0, at(1000 + n));
    }
    let during = pace.first_token(0, 0.0, at(1003)).quantile(0.0);
    let later = pace.first_token(0, 0.0, at(1400)).quantile(0.0);
    assert!(during > 0.8, "{during}");
    assert!(later < 0.7, "{later}");
}

#[test]
fn a_late_first_token_warns_of_slow_ones_after_it() {
    let mut pace = measured(0.5, 100);
    for n in 0..100 {
        pace.learn_next(0.02, Part::Whole, at(500 + 5 * n));
    }
    let before = pace.next_token(0.0, at(1000)).seconds;
    for n in 0..5 {
        pace.learn_first(3.0, 0, at(1000 + n));
    }
    let after = pace.next_token(0.0, at(1005)).seconds;
    assert!(after > 1.05 * before, "{before} {after}");
}

#[test]
fn who_waits_in_vain_warns_the_next() {
    let pace = measured(0.5, 100);
    let forecast = |waited| pace.first_token(0, waited, at(500)).seconds;
    assert!((forecast(0.4) - forecast(0.0)).abs() < 1e-12, "nothing is wrong yet");
    assert!(forecast(10.0) > 1.3 * forecast(0.0), "{} {}", forecast(10.0), forecast(0.0));
    assert!(forecast(60.0) > forecast(10.0));
}

#[test]
fn who_is_not_asked_becomes_uncertain() {
    let pace = measured(0.5, 100);
    let spread = |after: u64| pace.first_token(0, 0.0, at(500 + after)).spread;
    assert!(spread(3600) > spread(60) && spread(60) > spread(0), "{} {}", spread(0), spread(3600));
    assert!(spread(1_000_000) < 1.5, "but not for ever");
}

#[test]
fn a_published_median_is_believed_until_there_are_samples() {
    let mut pace = Pace::default();
    pace.publish(5.0, 0.1, Duration::ZERO, HOUR);
    let told = pace.first_token(0, 0.0, HOUR).quantile(0.0);
    assert!(told > 3.0 && told < 5.0, "{told}");
    for n in 0..50 {
        pace.learn_first(0.5, 0, HOUR + at(5 * n));
    }
    let seen = pace.first_token(0, 0.0, HOUR + at(250)).quantile(0.0);
    assert!((seen - 0.5).abs() < 0.1, "{seen}");
}

#[test]
fn an_unseen_size_borrows_from_the_others() {
    let mut pace = measured(0.1, 50);
    let before = pace.first_token(3, 0.0, at(250)).quantile(0.0);
    assert!(before < 0.2, "{before}");
    for n in 0..50 {
        pace.learn_first(0.1, 0, at(250 + 10 * n));
        pace.learn_first(1.0, 3, at(255 + 10 * n));
    }
    let median = |size| pace.first_token(size, 0.0, at(750)).quantile(0.0);
    assert!(median(3) > 2.0 * median(0), "{} {}", median(3), median(0));
}

#[test]
fn a_timeout_teaches_that_it_takes_longer() {
    let mut pace = Pace::default();
    let before = pace.first_token(0, 0.0, HOUR).seconds;
    pace.learn_longer(30.0, 0, HOUR);
    let once = pace.first_token(0, 0.0, HOUR).seconds;
    pace.learn_longer(0.001, 0, HOUR);
    assert!(once > 2.0 * before, "{before} {once}");
    assert!((pace.first_token(0, 0.0, HOUR).seconds - once).abs() < 1e-9, "an early end says nothing");
}

#[test]
fn steady_and_wavy_endpoints_are_told_apart() {
    let mut steady = Pace::default();
    let mut wavy = Pace::default();
    let mut random = fastrand::Rng::with_seed(1);
    let mut noise = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let mut load = 0.0;
    for n in 0..600 {
        load = 0.92 * load + 0.39 * noise();
        steady.learn_first((0.7 * noise()).exp(), 0, at(5 * n));
        wavy.learn_first((0.66 * load + 0.23 * noise()).exp(), 0, at(5 * n));
    }
    assert!(steady.ttft.noise() > 0.35, "{}", steady.ttft.noise());
    assert!(wavy.ttft.loading().powi(2) > wavy.ttft.noise(), "{:?}", wavy.ttft);
}

#[test]
fn another_clock_changes_nothing() {
    let mut pace = measured(0.5, 100);
    pace.learn_next(0.03, Part::Beginning, at(501));
    let expected = (pace.first_token(1, 3.0, at(530)), pace.next_token(0.0, at(530)));
    pace.shift(at(510), at(7));
    let shifted = (pace.first_token(1, 3.0, at(27)), pace.next_token(0.0, at(27)));
    assert!((expected.0.seconds - shifted.0.seconds).abs() < 1e-9, "{expected:?} {shifted:?}");
    assert!((expected.1.spread - shifted.1.spread).abs() < 1e-9);
}

proptest! {
    #[test]
    fn nothing_measured_makes_a_forecast_that_is_not_a_number(
        samples in prop::collection::vec((any::<f64>(), 0..9_usize, any::<u32>(), 0..5_u8), 0..40),
        later in any::<u32>(),
        waited in any::<f64>(),
    ) {
        let mut pace = Pace::default();
        for (seconds, size, now, what) in samples {
            let now = Duration::from_secs(u64::from(now));
            match what {
                0 => pace.learn_first(seconds, size, now),
                1 => pace.learn_longer(seconds, size, now),
                2 => pace.publish(seconds, seconds, Duration::ZERO, now),
                3 => pace.learn_next(seconds, Part::Beginning, now),
                _ => pace.learn_next(seconds, Part::Rest, now),
            }
        }
        let now = Duration::from_secs(u64::from(later));
        for forecast in [pace.first_token(0, waited, now), pace.next_token(waited, now)] {
            prop_assert!(forecast.seconds.is_finite() && forecast.seconds > 0.0, "{forecast:?}");
            prop_assert!(forecast.spread.is_finite() && forecast.variance_ln > 0.0, "{forecast:?}");
        }
    }

    #[test]
    fn more_samples_never_make_a_level_less_certain(times in prop::collection::vec(0.01..100.0_f64, 1..80)) {
        let mut pace = Pace::default();
        let mut now = HOUR;
        for seconds in times {
            now += Duration::from_millis(1);
            let before = pace.belief.later(Duration::from_millis(1)).level(Kind::Ttft).variance;
            pace.learn_first(seconds, 0, now);
            let after = pace.belief.level(Kind::Ttft).variance;
            prop_assert!(after > 0.0 && after <= before + 1e-12, "{before} {after}");
        }
    }
}
