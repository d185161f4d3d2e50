//! Small lists of each form against what they mean, and garbage against panics.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::books::prices::list::Lists;
use crate::books::prices::{PriceBook, Refused};
use crate::catalog::{HeldReason, PriceSource};
use crate::units::{PicoUsd, Rates as Prices};

/// 2026-11-20 00:00 UTC.
const DAY: u64 = 1_795_132_800;

fn mtok(usd: f64) -> PicoUsd {
    PicoUsd::from_usd_per_mtok(usd).unwrap()
}

/// The prices that a list of one kind comes to, alone.
fn alone(kind: SourceKind, list: &Value, vendor: &str, model: &str, now: u64) -> Option<Prices> {
    let mut lists = Lists::default();
    let origin = crate::books::prices::list::Origin { name: "x".into(), date: "d".into(), live: true };
    lists.put_first(origin, read(kind, vendor, list.to_string().as_bytes()).unwrap());
    lists.quotes(vendor, model).find_map(|(_, _, quote)| quote.rates_at(now))
}

fn genai(input: f64, output: f64) -> Value {
    json!([{"id": "deepseek", "models": [{
        "id": "deepseek-chat",
        "match": {"or": [{"starts_with": "deepseek-chat"}, {"equals": "ds"}]},
        "context_window": 64000,
        "prices": {"input_mtok": input, "output_mtok": output, "cache_read_mtok": input / 10.0},
    }]}])
}

fn models_dev(input: f64, output: f64) -> Value {
    json!({"deepseek": {"id": "deepseek", "models": {"deepseek-chat": {
        "id": "deepseek-chat", "tool_call": true, "modalities": {"input": ["text"], "output": ["text"]},
        "limit": {"context": 64000, "output": 8000},
        "cost": {"input": input, "output": output, "cache_read": input / 10.0},
    }}}})
}

fn litellm(input: f64, output: f64) -> Value {
    json!({"deepseek/deepseek-chat": {
        "litellm_provider": "deepseek", "mode": "chat", "supports_function_calling": true,
        "input_cost_per_token": input / 1e6, "output_cost_per_token": output / 1e6,
        "input_cost_per_token_above_128k_tokens": input * 2.0 / 1e6,
        "max_input_tokens": 64000,
    }})
}

fn openrouter(input: f64, output: f64) -> Value {
    let per_token = |usd: f64| format!("{:.12}", usd / 1e6);
    json!({"data": [{
        "id": "deepseek-chat", "canonical_slug": "deepseek-chat-0324", "context_length": 64000,
        "supported_parameters": ["tools"],
        "pricing": {"prompt": per_token(input), "completion": per_token(output), "request": "0", "overrides": [
            {"prompt": per_token(input * 2.0), "min_prompt_tokens": 128_000},
            {"prompt": per_token(input / 2.0), "completion": per_token(output / 2.0), "utc_start": 1630, "utc_end": 30},
        ]},
    }]})
}

fn of(kind: SourceKind, input: f64, output: f64) -> Value {
    match kind {
        SourceKind::OpenRouter => openrouter(input, output),
        SourceKind::GenaiPrices => genai(input, output),
        SourceKind::ModelsDev => models_dev(input, output),
        SourceKind::LiteLlm => litellm(input, output),
    }
}

#[test]
fn every_form_comes_to_the_same_prices() {
    for kind in SourceKind::ALL {
        let rates = alone(kind, &of(kind, 0.3, 1.2), "deepseek", "deepseek-chat", DAY + 12 * 3600).unwrap();
        assert_eq!((rates.input, rates.output), (mtok(0.3), mtok(1.2)), "{kind:?}");
    }
}

#[test]
fn times_of_day_and_long_inputs_are_understood() {
    let list = openrouter(0.4, 1.6);
    let at = |seconds| {
        alone(SourceKind::OpenRouter, &list, "deepseek", "deepseek-chat-0324", DAY + seconds).unwrap()
    };
    assert_eq!(at(16 * 3600).input, mtok(0.4));
    assert_eq!((at(17 * 3600).input, at(17 * 3600).output), (mtok(0.2), mtok(0.8)));
    assert_eq!((at(0).input, at(30 * 60).input), (mtok(0.2), mtok(0.4)));
    assert_eq!(at(12 * 3600).for_input(127_999).input, mtok(0.4));
    let long = at(12 * 3600).for_input(128_000).clone();
    assert_eq!((long.input, long.output), (mtok(0.8), mtok(1.6)));

    let mut list = genai(0.3, 1.2);
    list[0]["models"][0]["prices"] = json!([
        {"prices": {"input_mtok": {"base": 1, "tiers": [{"start": 200_000, "price": 2}]}, "output_mtok": 4}},
        {"constraint": {"start_date": "2026-11-21"}, "prices": {"input_mtok": 3, "output_mtok": 9}},
    ]);
    let at = |now| alone(SourceKind::GenaiPrices, &list, "deepseek", "ds", now).unwrap();
    assert_eq!((at(DAY).for_input(200_001).input, at(DAY).for_input(200_001).output), (mtok(2.0), mtok(4.0)));
    assert_eq!((at(DAY + 86_399).input, at(DAY + 86_400).input), (mtok(1.0), mtok(3.0)));
}

#[test]
fn what_is_no_list_is_refused() {
    for kind in SourceKind::ALL {
        for body in ["", "<html>", "{", "17", "\"x\""] {
            assert!(
                matches!(read(kind, "v", body.as_bytes()), Err(SourceError::Garbage(_))),
                "{kind:?} {body}"
            );
        }
    }
    for (kind, body) in [
        (SourceKind::OpenRouter, r#"{"data":[]}"#),
        (SourceKind::GenaiPrices, "[]"),
        (SourceKind::ModelsDev, "{}"),
        (SourceKind::LiteLlm, "{}"),
    ] {
        assert_eq!(read(kind, "v", body.as_bytes()).unwrap_err(), SourceError::Empty, "{kind:?}");
    }
}

fn put(book: &PriceBook, kind: SourceKind, input: f64, output: f64) {
    book.update(kind, vendor_of(kind), of(kind, input, output).to_string().as_bytes(), DAY).unwrap();
}

fn vendor_of(kind: SourceKind) -> &'static str {
    if kind == SourceKind::OpenRouter { "deepseek" } else { "" }
}

/// The input price in force, the list that speaks, and why another is not believed.
fn told(book: &PriceBook) -> (f64, String, Option<HeldReason>) {
    let found = book.for_now().find("deepseek", "deepseek-chat", DAY + 12 * 3600).unwrap();
    let PriceSource::Book { list, held, .. } = found.source else { panic!("not from a list") };
    (found.rates.input.usd_per_mtok(), list, held.map(|held| held.reason))
}

#[test]
fn fetched_lists_come_first_and_by_precedence() {
    let book = PriceBook::embedded();
    let (compiled_in, ..) = told(&book);
    for (kind, factor) in SourceKind::ALL.into_iter().rev().zip([1.1, 1.2, 1.3, 1.4]) {
        put(&book, kind, compiled_in * factor, 1.1 * factor);
        let (input, list, held) = told(&book);
        assert!((input - compiled_in * factor).abs() < 1e-5, "{input} {list}");
        assert_eq!((list.as_str(), held), (kind.name(), None));
    }
    assert!(book.keep_only(|kind, _| kind == SourceKind::LiteLlm));
    assert_eq!(told(&book).1, "litellm");
}

#[test]
fn a_jump_needs_a_second_list() {
    let book = PriceBook::embedded();
    let (before, ..) = told(&book);
    put(&book, SourceKind::GenaiPrices, before * 10.0, 11.0);
    assert_eq!(told(&book), (before, "genai-prices".into(), Some(HeldReason::Jump)));
    put(&book, SourceKind::LiteLlm, before * 9.0, 11.0);
    assert_eq!(told(&book).2, Some(HeldReason::Jump), "10 % apart is another price");
    put(&book, SourceKind::LiteLlm, before * 10.0, 11.0);
    let (input, _, held) = told(&book);
    assert!((input - before * 10.0).abs() < 1e-5 && held.is_none(), "{input} {held:?}");
    // And down again, within reach.
    put(&book, SourceKind::GenaiPrices, before * 4.0, 5.0);
    assert!((told(&book).0 - before * 4.0).abs() < 1e-5);
}

#[test]
fn a_jump_that_is_taken_back_leaves_nothing() {
    let book = PriceBook::embedded();
    let (before, ..) = told(&book);
    put(&book, SourceKind::ModelsDev, before / 10.0, 0.11);
    assert_eq!(told(&book).2, Some(HeldReason::Jump));
    put(&book, SourceKind::ModelsDev, before, 1.1);
    assert_eq!((told(&book).0, told(&book).2), (before, None));
}

#[test]
fn a_jump_that_is_announced_for_later_is_judged_at_once() {
    let book = PriceBook::embedded();
    let (before, ..) = told(&book);
    let mut list = genai(before, 1.1);
    list[0]["models"][0]["prices"] = json!([
        {"prices": {"input_mtok": before, "output_mtok": 1.1}},
        {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": before * 10.0, "output_mtok": 11}},
    ]);
    book.update(SourceKind::GenaiPrices, "", list.to_string().as_bytes(), DAY).unwrap();
    assert_eq!(told(&book), (before, "genai-prices".into(), Some(HeldReason::Jump)));
    let later = book.for_now().find("deepseek", "deepseek-chat", DAY + 90 * 86_400).unwrap();
    assert!(later.rates.input < mtok(before * 3.0), "{:?}", later.rates.input);
}

/// A book without a price.
fn small() -> PriceBook {
    let header = r#"{"format":1,"lists":[{"name":"a","date":"2026-01-01"}],"vendors":{"deepseek":[]}}"#;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, header.as_bytes()).unwrap();
    PriceBook::from_gzip(&packed.finish().unwrap()).unwrap()
}

#[test]
fn a_price_that_is_in_no_list_any_more_stays() {
    let book = small();
    put(&book, SourceKind::ModelsDev, 1.0, 2.0);
    assert_eq!(told(&book), (1.0, "models.dev".into(), None));
    let other = json!({"deepseek": {"models": {"other": {"cost": {"input": 1, "output": 2}}}}});
    book.update(SourceKind::ModelsDev, "", other.to_string().as_bytes(), DAY).unwrap();
    assert_eq!(told(&book), (1.0, "models.dev".into(), Some(HeldReason::Gone)));
}

#[test]
fn half_a_list_is_none() {
    let book = PriceBook::embedded();
    let list = |models: usize| {
        let models: Map<String, Value> =
            (0..models).map(|n| (format!("m{n}"), json!({"cost": {"input": 1, "output": 2}}))).collect();
        json!({"deepseek": {"models": models}}).to_string()
    };
    book.update(SourceKind::ModelsDev, "", list(10).as_bytes(), DAY).unwrap();
    assert!(book.update(SourceKind::ModelsDev, "", list(5).as_bytes(), DAY).unwrap().changed);
    assert!(!book.update(SourceKind::ModelsDev, "", list(5).as_bytes(), DAY).unwrap().changed);
    let refused = book.update(SourceKind::ModelsDev, "", list(2).as_bytes(), DAY);
    assert_eq!(refused, Err(Refused::Shrunk { before: 5, now: 2 }));
}

/// JSON that is nearly a list: names of its members, with anything in them.
fn nearly() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("data"),
        Just("id"),
        Just("pricing"),
        Just("prompt"),
        Just("overrides"),
        Just("deepseek"),
        Just("models"),
        Just("match"),
        Just("or"),
        Just("equals"),
        Just("regex"),
        Just("prices"),
        Just("input_mtok"),
        Just("output_mtok"),
        Just("base"),
        Just("tiers"),
        Just("start"),
        Just("price"),
        Just("constraint"),
        Just("start_date"),
        Just("cost"),
        Just("input"),
        Just("output"),
        Just("tier"),
        Just("size"),
        Just("litellm_provider"),
        Just("mode"),
        Just("input_cost_per_token"),
        Just("output_cost_per_token"),
        Just("tiered_pricing"),
        Just("range"),
        Just("utc_start"),
        Just("utc_end"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        "[a-z0-9\\\\{}^$.é-]{0,12}".prop_map(Value::from),
        Just(json!("chat")),
        Just(json!("deepseek")),
        Just(json!("0.000001")),
        Just(json!("2026-02-30")),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_never_panics(list in nearly(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let wrapped = [list.clone(), json!({"data": [list.clone()]}), json!([{"id": "deepseek", "models": [list.clone()]}]),
            json!({"deepseek": {"models": {"m": list.clone()}}}), json!({"deepseek/m": list})];
        for kind in SourceKind::ALL {
            let _ = read(kind, "v", &bytes);
            for list in &wrapped {
                let _ = read(kind, "v", list.to_string().as_bytes());
            }
        }
    }

    /// Whatever one list says, and in whatever order it says it, the price in force
    /// never moves by more than a factor of three at once.
    #[test]
    fn one_list_alone_never_moves_a_price_far(factors in prop::collection::vec(0.0_f64..40.0, 1..8)) {
        let book = small();
        put(&book, SourceKind::GenaiPrices, 1.0, 2.0);
        let (mut before, ..) = told(&book);
        for factor in factors {
            put(&book, SourceKind::GenaiPrices, factor, factor * 2.0);
            let (now, ..) = told(&book);
            prop_assert!(now <= before * 3.0001 && before <= now * 3.0001, "{before} to {now}");
            before = now;
        }
    }
}
