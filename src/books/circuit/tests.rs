use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn open(gate: &mut Gate, now: Duration, settings: &CircuitSettings) {
    for failure in 1..=settings.consecutive_failures {
        let opened = gate.failed(now, now, 0.5, settings);
        assert_eq!(opened, failure == settings.consecutive_failures);
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
    let settings = CircuitSettings::default();
    let mut gate = Gate::default();
    open(&mut gate, SECOND, &settings);
    assert_eq!(gate.circuit(SECOND * 2, &settings), Circuit::Open { until: SECOND * 6 });
    assert_eq!(gate.try_pass(SECOND * 5, &settings), Pass::Refused);
    assert_eq!(gate.try_pass(SECOND * 6, &settings), Pass::Probe);
    assert_eq!(gate.try_pass(SECOND * 6, &settings), Pass::Refused, "one at a time");
    gate.succeeded(SECOND * 6, SECOND * 7, &settings);
    assert_eq!(gate.try_pass(SECOND * 7, &settings), Pass::Free);
}

#[test]
fn a_success_in_between_keeps_it_closed() {
    let settings = CircuitSettings::default();
    let mut gate = Gate::default();
    for _ in 0..4 {
        gate.failed(SECOND, SECOND, 0.5, &settings);
    }
    gate.succeeded(SECOND, SECOND, &settings);
    assert!(!gate.failed(SECOND, SECOND, 0.5, &settings));
}

#[test]
fn more_than_half_of_twenty_open_it_within_the_window_only() {
    let settings = CircuitSettings::default();
    let alternate = |apart: Duration| {
        let mut gate = Gate::default();
        let mut now = SECOND;
        let opened = (0..60_u32).find(|attempt| {
            now += apart;
            if attempt % 5 < 2 {
                gate.succeeded(now, now, &settings);
                false
            } else {
                gate.failed(now, now, 0.5, &settings)
            }
        });
        opened.map(|attempt| attempt + 1)
    };
    assert_eq!(alternate(SECOND / 10), Some(20), "three of five fail");
    assert_eq!(alternate(SECOND * 3), None, "ten in thirty seconds are too few");
}

#[test]
fn every_failed_probe_doubles_the_time_up_to_the_most() {
    let settings = CircuitSettings::default();
    let mut gate = Gate::default();
    let mut now = SECOND;
    open(&mut gate, now, &settings);
    let mut lasted = Vec::new();
    for _ in 0..8 {
        let Circuit::Open { until } = gate.circuit(now, &settings) else { panic!("it should be open") };
        lasted.push(until.saturating_sub(now).as_secs());
        now = until;
        assert_eq!(gate.try_pass(now, &settings), Pass::Probe);
        assert!(gate.failed(now, now, 0.5, &settings));
    }
    assert_eq!(lasted, [5, 10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn stragglers_from_before_say_nothing_about_the_probe() {
    let settings = CircuitSettings::default();
    let mut gate = Gate::default();
    open(&mut gate, SECOND, &settings);
    assert_eq!(gate.try_pass(SECOND * 10, &settings), Pass::Probe);
    gate.succeeded(SECOND, SECOND * 11, &settings);
    assert!(!gate.failed(SECOND, SECOND * 11, 0.5, &settings));
    assert_eq!(gate.circuit(SECOND * 11, &settings), Circuit::HalfOpen { probing: true });
    gate.answered(SECOND * 10);
    assert_eq!(gate.circuit(SECOND * 11, &settings), Circuit::Closed);
}

#[test]
fn a_lost_probe_is_replaced_and_an_abandoned_one_at_once() {
    let settings = CircuitSettings::default();
    let mut gate = Gate::default();
    open(&mut gate, SECOND, &settings);
    assert_eq!(gate.try_pass(SECOND * 10, &settings), Pass::Probe);
    assert_eq!(gate.try_pass(SECOND * 189, &settings), Pass::Refused);
    assert_eq!(gate.try_pass(SECOND * 190, &settings), Pass::Probe);
    gate.abandon_probe();
    assert_eq!(gate.try_pass(SECOND * 190, &settings), Pass::Probe);
}

#[test]
fn an_open_circuit_survives_a_restart() {
    let settings = CircuitSettings::default();
    let mut gate = Gate::default();
    open(&mut gate, SECOND * 100, &settings);
    gate.shift(SECOND * 101, Duration::ZERO);
    let text = serde_json::to_string(&gate).unwrap();
    let mut restored: Gate = serde_json::from_str(&text).unwrap();
    restored.shift(SECOND, SECOND * 2);
    assert_eq!(restored.circuit(SECOND * 2, &settings), Circuit::Open { until: SECOND * 5 });
}

#[derive(Debug, Clone)]
enum Event {
    Ask,
    Succeed,
    Fail,
    Abandon,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        1 => Just(Event::Succeed),
        4 => Just(Event::Fail),
        1 => Just(Event::Abandon),
        2 => (0..20_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn there_is_never_more_than_one_probe(events in prop::collection::vec(event(), 0..200)) {
        let settings = CircuitSettings { probe_timeout: Duration::MAX, ..CircuitSettings::default() };
        let mut gate = Gate::default();
        let mut now = SECOND;
        let mut probing = false;
        for event in events {
            match event {
                Event::Ask => {
                    let pass = gate.try_pass(now, &settings);
                    prop_assert!(!(probing && pass == Pass::Probe), "a second probe");
                    prop_assert!(!(probing && pass == Pass::Free), "free while a probe is under way");
                    probing |= pass == Pass::Probe;
                }
                Event::Succeed => {
                    gate.succeeded(now, now, &settings);
                    probing = false;
                }
                Event::Fail => {
                    gate.failed(now, now, 0.5, &settings);
                    probing = false;
                }
                Event::Abandon => {
                    gate.abandon_probe();
                    probing = false;
                }
                Event::Wait(seconds) => now += SECOND * u32::try_from(seconds).unwrap(),
            }
        }
    }

    #[test]
    fn it_is_never_open_for_longer_than_the_most(
        fails in prop::collection::vec((0.0..1.0_f64, 0..400_u32), 1..80),
    ) {
        let settings = CircuitSettings::default();
        let mut gate = Gate::default();
        let mut now = SECOND;
        for (random, later) in fails {
            now += SECOND * later;
            gate.try_pass(now, &settings);
            gate.failed(now, now, random, &settings);
            if let Circuit::Open { until } = gate.circuit(now, &settings) {
                prop_assert!(until <= now + settings.open_max.mul_f64(1.2));
            }
        }
    }
}
