//! A conversation stays where its beginning is in the cache, as long as that
//! saves money; and leaves without ado when it must.

use merit::sim::ProviderSpec;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::{chat, with};
use crate::support::gateway::Gateway;
use crate::support::market::Market;

/// A provider with a prompt cache, whose cached input costs a tenth.
fn caching(name: &str) -> ProviderSpec {
    let mut spec = ProviderSpec { cache: true, ..ProviderSpec::named(name) }.model("small", 2.0, 2.0, 0.8);
    for model in &mut spec.models {
        model.price.cached_input = Some(0.2);
    }
    spec
}

fn four() -> Fallible<Market> {
    Market::start(["one", "two", "three", "four"].map(caching).into())
}

/// The `turn`th request of the conversation about `subject`: each has all that
/// was said before.
fn turn(subject: &str, turn: usize) -> Value {
    let said = |text: &str| format!("{subject}: {}", text.repeat(400));
    let mut messages = vec![json!({ "role": "user", "content": said("please go on. ") })];
    for number in 0..turn {
        messages.push(json!({ "role": "assistant", "content": said("so it went. ") }));
        messages.push(json!({ "role": "user", "content": format!("{number}. and then?") }));
    }
    with(chat("small"), "messages", json!(messages))
}

fn cached(answer: &Value) -> u64 {
    answer.pointer("/usage/prompt_tokens_details/cached_tokens").and_then(Value::as_u64).unwrap_or_default()
}

#[test]
fn a_conversation_stays_where_it_is_in_the_cache() -> Fallible<()> {
    let market = four()?;
    let gateway = Gateway::start(&market.config())?;
    for (home, subject) in [("one", "apples"), ("two", "pears"), ("three", "plums"), ("four", "figs")] {
        let first = with(turn(subject, 0), "provider", json!({ "only": [home] }));
        assert_eq!(gateway.chat(&first)?.status, 200);
        for number in 1..5 {
            let answer = gateway.chat(&turn(subject, number))?;
            assert_eq!(answer.must("x-merit-provider")?, home, "{subject}, turn {number}");
            assert!(cached(&answer.json()?) > 1000, "{}", answer.body);
        }
    }
    Ok(())
}

#[test]
fn warmth_is_dollars_in_the_decision_and_no_wall() -> Fallible<()> {
    let market = four()?;
    let gateway = Gateway::start(&market.config())?;
    let home = gateway.chat(&turn("apples", 0))?.must("x-merit-provider")?.to_owned();
    let answer = gateway.chat(&turn("apples", 1))?;
    let decision = gateway.decision(&answer)?;
    let candidates = decision.pointer("/decision/candidates").and_then(Value::as_array).ok_or("none")?;
    for candidate in candidates {
        let number = |pointer: &str| candidate.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let is_home = candidate.pointer("/endpoint") == Some(&json!(format!("{home}/small")));
        assert_eq!(number("/facts/warm_tokens") > 500.0, is_home, "{candidate}");
        assert_eq!(number("/score/cost_usd") < 0.004, is_home, "{candidate}");
    }
    market.provider(&home)?.set("status-500")?;
    let answer = gateway.chat(&turn("apples", 2))?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let refuge = answer.must("x-merit-provider")?.to_owned();
    assert_ne!(refuge, home);
    Ok(())
}

#[test]
fn a_session_stays_together_whatever_it_is_named_by() -> Fallible<()> {
    let market = four()?;
    let gateway = Gateway::start(&market.config())?;
    let named = |session: &str| with(chat("small"), "merit", json!({ "session": session }));
    for session in ["s", "t", "u"] {
        let home = gateway.chat(&named(session))?.must("x-merit-provider")?.to_owned();
        for _ in 0..8 {
            let answer = gateway.chat(&named(session))?;
            assert_eq!(answer.must("x-merit-provider")?, home);
            assert_eq!(answer.header("x-merit-warnings"), None);
        }
        let by_header = gateway.chat_as(&[("x-session-id", session)], &chat("small"))?;
        assert_eq!(by_header.must("x-merit-provider")?, home);
        let by_cache_key = gateway.chat(&with(chat("small"), "prompt_cache_key", json!(session)))?;
        assert_eq!(by_cache_key.must("x-merit-provider")?, home);
        let decision = gateway.decision(&by_cache_key)?;
        let candidates = decision.pointer("/decision/candidates").and_then(Value::as_array).ok_or("none")?;
        let leaving = candidates.iter().filter(|candidate| {
            candidate.pointer("/score/switching").and_then(Value::as_f64).is_some_and(|usd| usd > 0.0)
        });
        assert_eq!(leaving.count(), 3, "{decision}");
    }
    Ok(())
}
