//! Told to stop, the gateway finishes what it has begun, as long as it may.

use std::thread;
use std::time::Duration;

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, streamed};
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::{self, Events};
use crate::support::market::{Market, pace};
use crate::support::process::until;

/// Longer than any end here should take.
const SOON: Duration = Duration::from_secs(9);

fn start(market: &Market, drain: [&str; 2]) -> Fallible<Gateway> {
    let [delay, timeout] = drain;
    let (delay, timeout) = (format!("server.drain_delay={delay}"), format!("server.drain_timeout={timeout}"));
    let arguments = ["--set", delay.as_str(), "--set", timeout.as_str()];
    Gateway::start_with(&Setup { config: &market.config(), arguments: &arguments, ..Setup::default() })
}

fn open(gateway: &Gateway) -> Fallible<Events> {
    let mut stream = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
    assert_eq!(stream.answer.status, 200, "{}", stream.answer.head);
    assert!(stream.next()?.is_some());
    Ok(stream)
}

/// The stream ends with an error that says why, and not as if it were whole.
fn ends_with_an_error(stream: Events) -> Fallible<()> {
    let events = stream.rest()?;
    let last: Value = serde_json::from_str(events.last().ok_or("no events")?)?;
    assert_eq!(last.pointer("/error/code"), Some(&json!("shutting_down")), "{events:?}");
    assert!(!events.contains(&"[DONE]".to_owned()), "{events:?}");
    Ok(())
}

#[test]
fn streams_finish_and_then_it_ends() -> Fallible<()> {
    let spec = ProviderSpec { timing: pace(1.0, 20.0), ..ProviderSpec::named("sim") };
    let market = Market::start(vec![spec.model("small", 1.0, 2.0, 0.8)])?;
    let mut gateway = start(&market, ["500ms", "60s"])?;
    let streams = [open(&gateway)?, open(&gateway)?];
    gateway.signal("TERM")?;
    until("it says that it is not ready", || Ok(http::get(gateway.admin, "/readyz")?.status == 503))?;
    // Load balancers need a moment; whoever still comes is served.
    let late = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
    assert_eq!(gateway.state()?.get("status"), Some(&json!("draining")));
    until("it accepts no more", || Ok(http::get(gateway.api, "/livez").is_err()))?;
    for stream in streams.into_iter().chain([late]) {
        let events = stream.rest()?;
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{events:?}");
    }
    assert!(gateway.ended(SOON)?.success(), "{}", gateway.log());
    assert!(market.entries().iter().all(|entry| entry.ending == merit::sim::Ending::Complete));
    Ok(())
}

#[test]
fn whoever_takes_too_long_is_told() -> Fallible<()> {
    let market = Market::of_one()?;
    market.provider("sim")?.set("stall-after-2")?;
    let mut gateway = start(&market, ["0s", "300ms"])?;
    let stream = open(&gateway)?;
    thread::scope(|scope| {
        let port = gateway.api;
        let plain = scope.spawn(move || {
            http::send(port, "POST", CHAT, &[], chat("small").to_string()).map_err(|error| error.to_string())
        });
        until("both are under way", || Ok(market.entries().len() == 2))?;
        gateway.signal("TERM")?;
        ends_with_an_error(stream)?;
        let plain = plain.join().map_err(|_| "the caller panicked")??;
        assert_eq!((plain.status, plain.error_code()?.as_str()), (503, "shutting_down"), "{}", plain.body);
        assert_eq!(plain.must("x-should-retry")?, "true");
        plain.must("retry-after")?;
        assert!(gateway.ended(SOON)?.success(), "{}", gateway.log());
        Ok(())
    })
}

#[test]
fn a_second_signal_ends_it_at_once() -> Fallible<()> {
    let market = Market::of_one()?;
    market.provider("sim")?.set("stall-after-2")?;
    let mut gateway = start(&market, ["60s", "600s"])?;
    let stream = open(&gateway)?;
    gateway.signal("TERM")?;
    until("it drains", || Ok(http::get(gateway.admin, "/readyz")?.status == 503))?;
    gateway.signal("TERM")?;
    ends_with_an_error(stream)?;
    assert!(gateway.ended(SOON)?.success(), "{}", gateway.log());
    Ok(())
}
