//! Circuits and rests: who fails is left alone, and comes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::caller::{Ask, Sure};
use super::canon::{Seen, judge};
use super::stage::{Stage, attempts, provider, until};
use crate::support::Fallible;

const ROUTER: &str = "[router]\nattempts = 2\nretry_budget = 1.0\nretry_min_per_second = 10000\n\
     [router.breaker]\nopen = \"3s\"\nopen_max = \"4s\"\n";
/// Answers nobody had to wait for.
const AT_ONCE: Duration = Duration::from_millis(50);

fn model(name: &str, upstream: &str) -> (String, String) {
    (name.to_owned(), upstream.to_owned())
}

async fn asked(stage: &Stage, ask: &Ask) -> Sure<(Seen, Vec<(String, String)>)> {
    let heard = stage.ask(ask).await?;
    Ok((judge(&heard, ask)?, attempts(&stage.decision(&heard)?)))
}

async fn pair() -> Sure<Stage> {
    Stage::set(&["weak", "sound"], |sim| {
        let url = |name: &str| sim.provider(name).map(merit::sim::Provider::base_url).unwrap_or_default();
        let weak = provider("weak", &url("weak"), 1.0, &[model("m", "any")]);
        format!("{ROUTER}{weak}{}", provider("sound", &url("sound"), 1.0, &[model("m", "any")]))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_opens_after_five_failures_and_closes_after_a_probe() -> Fallible<()> {
    let stage = Arc::new(pair().await?);
    let weak = stage.provider("weak");
    let circuit = [("provider", "weak")];
    weak.set("status-500")?;
    let ask = Ask::of("m", "breaker").first("weak");
    for _ in 0..5 {
        assert_eq!(asked(&stage, &ask).await?.0, Seen::Complete);
    }
    assert_eq!(weak.requests(), 5);
    // Whoever fails is not asked any more.
    for _ in 0..5 {
        let (seen, attempts) = asked(&stage, &ask).await?;
        assert_eq!((seen, attempts), (Seen::Complete, vec![("sound".to_owned(), "ok".to_owned())]));
    }
    assert_eq!(weak.requests(), 5);
    stage.until_sum("merit_circuit_state", &circuit, 2.0).await?;

    // After a while one request, and no other, is let through to see.
    weak.set("normal?delay=1500ms")?;
    stage.until_sum("merit_circuit_state", &circuit, 1.0).await?;
    let mut together = JoinSet::new();
    for number in 0..8 {
        let stage = Arc::clone(&stage);
        let ask = Ask { tag: format!("probe-{number}"), ..ask.clone() };
        together.spawn(async move { asked(&stage, &ask).await.map(|(seen, _)| seen) });
    }
    for seen in together.join_all().await {
        assert_eq!(seen?, Seen::Complete);
    }
    assert_eq!(weak.requests(), 6, "one probe");
    stage.until_sum("merit_circuit_state", &circuit, 0.0).await?;
    let attempts = asked(&stage, &ask).await?.1;
    assert_eq!(attempts, [("weak".to_owned(), "ok".to_owned())]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_endpoint_of_a_model_is_asked_whatever_its_circuit() -> Fallible<()> {
    let stage = Stage::set(&["only"], |sim| {
        let url = sim.provider("only").map(merit::sim::Provider::base_url).unwrap_or_default();
        let router = ROUTER.replace("attempts = 2", "attempts = 1");
        format!("{router}{}", provider("only", &url, 1.0, &[model("m", "fault/status-500")]))
    })
    .await?;
    for asks in 1..=8 {
        let ask = Ask::of("m", "last");
        let (seen, _) = asked(&stage, &ask).await?;
        assert_eq!(seen, Seen::Error { status: 502, code: "upstream_error".to_owned() });
        assert_eq!(stage.provider("only").requests(), asks);
    }
    stage.until_sum("merit_circuit_state", &[("provider", "only")], 2.0).await?;
    Ok(())
}

/// A name, the knob of the simulator, and what it means: least and most seconds.
type Form = (&'static str, &'static str, f64, f64);

/// How an upstream says when to come back.
const FORMS: [Form; 4] = [
    ("seconds", "retry-after=3", 3.0, 3.0),
    ("date", "retry-after=date:4", 3.0, 4.0),
    ("milliseconds", "retry-after=ms:2500", 2.5, 2.5),
    ("reset", "retry-after=reset:360", 60.0, 360.0),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_limits_is_left_alone_for_as_long_as_it_says() -> Fallible<()> {
    let stage = Stage::set(&["busy"], |sim| {
        let url = sim.provider("busy").map(merit::sim::Provider::base_url).unwrap_or_default();
        let limited = |(form, knob, ..): &Form| model(form, &format!("fault/status=429&{knob}"));
        let models: Vec<_> = FORMS.iter().map(limited).collect();
        format!("{ROUTER}{}", provider("busy", &url, 1.0, &models))
    })
    .await?;
    for (form, _, least, most) in FORMS {
        rests(&stage, form, least, most).await.map_err(|why| format!("{form}: {why}"))?;
    }
    Ok(())
}

async fn rests(stage: &Stage, form: &str, least: f64, most: f64) -> Sure<()> {
    let ask = Ask::of(form, form);
    let began = Instant::now();
    let heard = stage.ask(&ask).await?;
    let seen = judge(&heard, &ask)?;
    let told = heard.retry_after().ok_or("429 without retry-after")?;
    if seen != (Seen::Error { status: 429, code: "rate_limit_exceeded".to_owned() })
        || !within(told, least, most)
    {
        return Err(format!("{seen:?}, retry-after {told}"));
    }
    // Nobody is left: that is said at once, the best of a few tries counts.
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let heard = stage.ask(&ask).await?;
        let seen = judge(&heard, &ask)?;
        let told = heard.retry_after().ok_or("503 without retry-after")?;
        if seen != (Seen::Error { status: 503, code: "no_healthy_upstream".to_owned() })
            || !within(told, 1.0, most)
        {
            return Err(format!("while it rests: {seen:?}, retry-after {told}"));
        }
        fastest = fastest.min(heard.head_after);
    }
    if fastest > AT_ONCE || stage.journal(form).len() != 1 {
        return Err(format!("not at once, or asked again: {fastest:?}"));
    }
    if least > 10.0 {
        return Ok(());
    }
    while stage.journal(form).len() == 1 {
        if began.elapsed().as_secs_f64() > most + 2.0 {
            return Err("it is never asked again".to_owned());
        }
        stage.ask(&ask).await?;
    }
    let rested = began.elapsed().as_secs_f64();
    if rested < least { Err(format!("asked again after {rested} s")) } else { Ok(()) }
}

/// Whole seconds, rounded up.
fn within(told: u64, least: f64, most: f64) -> bool {
    let told = Duration::from_secs(told).as_secs_f64();
    told >= least.min(1.0) && told <= most.ceil()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_rests_is_passed_over_at_once() -> Fallible<()> {
    let stage = pair().await?;
    stage.provider("weak").next(&["rate-limit-2"])?;
    let ask = Ask::of("m", "rest").first("weak");
    assert_eq!(asked(&stage, &ask).await?.0, Seen::Complete);
    let (seen, attempts) = asked(&stage, &ask).await?;
    assert_eq!((seen, attempts), (Seen::Complete, vec![("sound".to_owned(), "ok".to_owned())]));
    until(Duration::from_secs(1), "one request", || (stage.provider("weak").requests() == 1).then_some(()))
        .await?;
    Ok(())
}
