//! One of three providers becomes a hundred times slower, and well again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

use merit::sim::ProviderSpec;

use crate::support::Fallible;
use crate::support::chat::streamed;
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::Events;
use crate::support::market::{Market, pace};
use crate::support::process::until_within;

/// Callers at a time.
const CALLERS: usize = 6;
/// Requests that tell how much goes where.
const ENOUGH: usize = 120;

#[test]
fn traffic_leaves_a_provider_that_became_slow_and_comes_back_when_it_is_well() -> Fallible<()> {
    // A little cheaper than the others, so that it has most of the traffic.
    let provider = |name: &str, usd: f64| {
        ProviderSpec { timing: pace(50.0, 400.0), ..ProviderSpec::named(name) }.model("small", usd, usd, 0.8)
    };
    let market =
        Market::start(vec![provider("first", 8.0), provider("second", 10.0), provider("third", 10.5)])?;
    let gateway = Gateway::start(&market.config())?;
    let (over, failed) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    failed.fetch_add(u32::from(ask(&gateway).is_err()), Relaxed);
                }
            });
        }
        let told = story(&market);
        over.store(true, Relaxed);
        told
    })?;
    assert_eq!(failed.load(Relaxed), 0, "nobody was told of it");
    Ok(())
}

fn story(market: &Market) -> Fallible<()> {
    let first = market.provider("first")?;
    settled(market, 30, "most goes to the cheapest", |share| share > 0.8)?;
    first.set("slow-first-byte")?;
    settled(market, 10, "nine in ten go elsewhere", |share| share <= 0.1)?;
    first.set("normal")?;
    settled(market, 60, "it has most of it again", |share| share > 0.5)
}

/// Waits until the first one's share of the newest requests `is` as it should be.
fn settled(market: &Market, seconds: u64, what: &str, is: impl Fn(f64) -> bool) -> Fallible<()> {
    let begun = market.entries().len();
    until_within(std::time::Duration::from_secs(seconds), what, || {
        let entries = market.entries();
        let newest = entries
            .get(begun..)
            .and_then(|new| new.len().checked_sub(ENOUGH).and_then(|from| new.get(from..)));
        let Some(newest) = newest else { return Ok(false) };
        let own = newest.iter().filter(|entry| entry.provider == "first").count();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let share = own as f64 / newest.len() as f64;
        Ok(is(share))
    })
}

/// One stream, whole.
fn ask(gateway: &Gateway) -> Fallible<()> {
    let stream = Events::open(gateway.api, CHAT, &[], streamed("small").to_string())?;
    if stream.answer.status != 200 {
        return Err(stream.answer.body.into());
    }
    let events = stream.rest()?;
    if events.last().map(String::as_str) == Some("[DONE]") { Ok(()) } else { Err("no end".into()) }
}
