use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn live() -> Live {
    Live::new(CircuitSettings::default(), Arc::default(), 7)
}

fn ended(seconds: f64, failure: Option<Failure>) -> Sample {
    Sample { seconds, input_tokens: 100, failure, ..Sample::default() }
}

#[test]
fn waits_for_first_content_as_long_as_the_contract_says() {
    let live = live();
    let usual = Timeouts::default();
    let set = Timeouts { first_content: Some(SECOND * 7), ..usual };
    assert_eq!(live.first_content_timeout(&usual), SECOND * 60, "nothing is known");
    assert_eq!(live.first_content_timeout(&set), SECOND * 7);
    for second in 0..100 {
        live.first_content(0.2, 10, SECOND * second);
    }
    assert_eq!(live.first_content_timeout(&usual), SECOND * 10, "never shorter");
    for second in 100..400 {
        live.first_content(90.0, 10, SECOND * second);
    }
    assert_eq!(live.first_content_timeout(&usual), SECOND * 120, "never longer");
}

#[test]
fn only_the_endpoints_faults_open_its_circuit() {
    let live = live();
    let refused = Failure::Refused(crate::outcome::Refusal::default());
    for failure in [refused, Failure::CallerGone, Failure::ContextLength { message: String::new() }] {
        for _ in 0..30 {
            live.record(&ended(0.1, Some(failure.clone())), SECOND);
        }
    }
    let view = live.view(100, 0, SECOND);
    assert_eq!(view.circuit, Circuit::Closed);
    assert!(view.risk.attempts < 1e-9, "{view:?}");
}

#[test]
fn callers_who_do_not_wait_for_a_whole_answer_teach_no_first_token() {
    let taught = |streamed| {
        let live = live();
        for second in 1..20 {
            let left = Sample { streamed, ..ended(9.0, Some(Failure::CallerGone)) };
            live.record(&left, SECOND * second);
        }
        live.view(100, 0, SECOND * 20).ttft.seconds
    };
    let usual = live().view(100, 0, SECOND * 20).ttft.seconds;
    assert!((taught(false) - usual).abs() < 1e-6, "{} {usual}", taught(false));
    assert!(taught(true) > usual * 2.0, "one who leaves a stream waited longer than that: {}", taught(true));
}

#[test]
fn a_rate_limit_rests_it_and_opens_nothing() {
    let live = live();
    let limited = Failure::RateLimited { retry_after: Some(SECOND * 3) };
    for _ in 0..30 {
        live.record(&ended(0.1, Some(limited.clone())), SECOND);
    }
    let view = live.view(100, 0, SECOND * 2);
    assert_eq!(view.circuit, Circuit::Closed);
    assert_eq!(view.resting, Some(Resting { until: SECOND * 4, why: Why::RateLimit, asked: true }));
    assert_eq!(live.view(100, 0, SECOND * 4).resting, None);
}

#[test]
fn a_refused_key_rests_it_for_minutes() {
    let live = live();
    live.record(&ended(0.1, Some(Failure::Key { status: 401 })), SECOND);
    let resting = live.view(100, 0, SECOND * 40).resting;
    assert_eq!(resting.map(|resting| resting.why), Some(Why::Key));
}

#[test]
fn a_mended_endpoint_is_not_shunned_for_what_opened_its_circuit() {
    let live = live();
    for _ in 0..5 {
        live.record(&ended(0.1, Some(Failure::Server { status: 500 })), SECOND);
    }
    assert!(matches!(live.view(0, 0, SECOND).circuit, Circuit::Open { .. }));
    assert_eq!(live.try_pass(SECOND * 10), Pass::Probe);
    live.record(&Sample { ttft: Some(0.3), ..ended(1.0, None) }, SECOND * 11);
    let view = live.view(0, 0, SECOND * 11);
    assert_eq!(view.circuit, Circuit::Closed);
    assert!(view.risk.share < 0.05, "{view:?}");
}

#[test]
fn a_rate_limited_probe_gives_way_to_another() {
    let live = live();
    for _ in 0..5 {
        live.record(&ended(0.1, Some(Failure::Connect)), SECOND);
    }
    assert_eq!(live.try_pass(SECOND * 10), Pass::Probe);
    live.record(&ended(0.1, Some(Failure::RateLimited { retry_after: None })), SECOND * 11);
    assert_eq!(live.try_pass(SECOND * 20), Pass::Probe);
}

#[test]
fn an_answer_in_one_piece_teaches_both_times() {
    let live = live();
    let before = live.view(0, 0, SECOND);
    for second in 1..50 {
        let sample = Sample { output_tokens: 101, ..ended(30.0, None) };
        live.record(&sample, SECOND * second);
    }
    let after = live.view(0, 0, SECOND * 50);
    let total = after.ttft.quantile(0.0) + 100.0 * after.itl.quantile(0.0);
    assert!((total - 30.0).abs() < 3.0, "{total}");
    assert!(after.ttft.seconds > before.ttft.seconds && after.itl.seconds > before.itl.seconds);
}

#[test]
fn truncated_streams_open_it_although_each_began_well() {
    let live = live();
    for second in 1..=5 {
        live.first_content(0.1, 10, SECOND * second);
        let cut = Sample { ttft: Some(0.1), ..ended(0.2, Some(Failure::Truncated)) };
        live.record_rest(&cut, SECOND * second);
    }
    assert!(matches!(live.view(0, 0, SECOND * 5).circuit, Circuit::Open { .. }));
    assert_eq!(live.commonest_failure(), Some("truncated"));
}

#[test]
fn attempts_under_way_never_fall_below_none() {
    let live = live();
    live.end();
    live.begin();
    live.begin();
    live.end();
    assert_eq!(live.view(0, 0, SECOND).in_flight, 1);
}
