//! The embedded lists against the figures of their sources, and the rules by
//! which disagreeing lists are judged.

use std::io::Write;

use proptest::prelude::*;

use super::bounds::{Figures, believed, in_proportion};
use super::*;
use crate::units::PicoUsd;

/// 2026-08-21 12:00 UTC: the day of the first list.
const AUGUST: u64 = 1_787_313_600;
const HEADER: &str = r#"{"format":1,"lists":[{"name":"a","date":"2026-01-01"},{"name":"b","date":"2026-01-02"},{"name":"c","date":"2026-01-03"}],"vendors":{"v":["also-v"]}}"#;

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn book(lines: &[&str]) -> PriceBook {
    PriceBook::from_gzip(&packed(&format!("{HEADER}\n{}", lines.join("\n")))).unwrap()
}

/// A line by which list `list` sells model `m` at these prices.
fn line(list: usize, input: f64, output: f64) -> String {
    format!(r#"{{"vendor":"v","list":{list},"names":["m"],"rates":{{"input":{input},"output":{output}}}}}"#)
}

fn mtok(usd: f64) -> PicoUsd {
    PicoUsd::from_usd_per_mtok(usd).unwrap()
}

/// Prices of input and output, the list, and whether it is of low confidence.
fn told(book: &PriceBook, vendor: &str, model: &str, now: u64) -> Option<(PicoUsd, PicoUsd, String, bool)> {
    let found = book.find(vendor, model, now)?;
    let PriceSource::Book { list, low_confidence, .. } = found.source else { panic!("not from a list") };
    Some((found.rates.input, found.rates.output, list, low_confidence))
}

#[test]
fn well_known_models_cost_what_their_lists_say() {
    let book = PriceBook::embedded();
    for (vendor, model, input, output, list) in [
        ("openai", "gpt-4o-mini", 0.15, 0.60, "genai-prices"),
        ("openai", "gpt-4o-mini-2024-07-18", 0.15, 0.60, "genai-prices"),
        ("openai", "gpt-5.4", 2.50, 15.0, "genai-prices"),
        ("anthropic", "claude-sonnet-4-5", 3.0, 15.0, "genai-prices"),
        ("anthropic", "claude-sonnet-4-5-20250929", 3.0, 15.0, "genai-prices"),
        ("google", "gemini-2.5-pro", 1.25, 10.0, "genai-prices"),
        ("gemini", "gemini-2.5-pro", 1.25, 10.0, "genai-prices"),
        ("deepseek", "deepseek-v4-pro", 0.435, 0.87, "genai-prices"),
        ("alibaba", "qwen-plus", 0.4, 1.2, "models.dev"),
    ] {
        let expected = Some((mtok(input), mtok(output), list.to_owned(), false));
        assert_eq!(told(&book, vendor, model, AUGUST), expected, "{vendor}/{model}");
    }
    assert_eq!(told(&book, "perplexity", "sonar", AUGUST).unwrap().0, mtok(1.0));
    let sonar = book.find("perplexity", "sonar", AUGUST).unwrap();
    assert_eq!(sonar.rates.request, PicoUsd::new(12_000_000_000), "0.012 USD a request");
}

#[test]
fn an_answer_carries_parts_tiers_and_facts() {
    let book = PriceBook::embedded();
    let found = book.find("anthropic", "claude-sonnet-4-5", AUGUST).unwrap();
    let usual = &found.rates;
    assert_eq!(usual.cached_input, Some(PicoUsd::new(300_000)));
    assert_eq!(usual.cache_write_5m, Some(PicoUsd::new(3_750_000)));
    assert_eq!(usual.cache_write_1h, Some(PicoUsd::new(6_000_000)));
    assert_eq!(usual.tool_call, PicoUsd::new(10_000_000_000), "0.01 USD a search");
    assert_eq!(usual.for_input(200_000).input, PicoUsd::new(3_000_000));
    let long = usual.for_input(200_001);
    assert_eq!((long.input.get(), long.output.get()), (6_000_000, 22_500_000));
    assert_eq!(long.cache_write_1h, Some(PicoUsd::new(12_000_000)));
    assert_eq!(found.facts.max_output, Some(64_000));
    let wanted = Capabilities::TOOLS.with(Capabilities::VISION).with(Capabilities::REASONING);
    assert!(found.facts.capabilities.has(wanted) && !found.facts.capabilities.has(Capabilities::AUDIO));
}

#[test]
fn dated_and_daily_prices_follow_the_clock() {
    let book = PriceBook::embedded();
    let input = |vendor, model, now| told(&book, vendor, model, now).unwrap().0;
    let (midnight, day) = (1_787_270_400, 86_400);
    assert_eq!(input("deepseek", "deepseek-chat-v3-0324", midnight), mtok(0.135), "off-peak");
    assert_eq!(input("deepseek", "deepseek-chat-v3-0324", midnight + 30 * 60), mtok(0.27));
    assert_eq!(input("anthropic", "claude-sonnet-5", midnight), mtok(2.0));
    assert_eq!(input("anthropic", "claude-sonnet-5", midnight + 11 * day - 1), mtok(2.0), "2026-08-31");
    assert_eq!(input("anthropic", "claude-sonnet-5", midnight + 11 * day), mtok(3.0), "2026-09-01");
    assert_eq!(input("openai", "o3", 1_749_513_599), mtok(10.0), "2025-06-09");
    assert_eq!(input("openai", "o3", 1_749_513_600), mtok(2.0), "2025-06-10");
}

#[test]
fn every_embedded_price_is_in_bounds() {
    let book = PriceBook::embedded();
    let mut priced = 0;
    for (vendor, model) in book.lists().named() {
        let Some(found) = book.find(vendor, model, AUGUST) else { continue };
        priced += 1;
        let every = std::iter::once(&*found.rates).chain(found.rates.tiers.iter().map(|tier| &tier.rates));
        for rates in every {
            let sane = rates.input.get() == 0 || in_proportion(rates.input, rates.output);
            assert!(sane, "{vendor}/{model}: {rates:?}");
        }
        let ascending = found.rates.tiers.is_sorted_by(|a, b| a.above < b.above);
        assert!(ascending, "{vendor}/{model}: {:?}", found.rates.tiers);
    }
    assert!(book.len() > 4_500, "{} quotes", book.len());
    assert!(priced > 3_500, "{priced} priced names");
}

#[test]
fn an_unknown_name_has_no_price() {
    let book = PriceBook::embedded();
    for (vendor, model) in [
        ("openai", "gpt-4o-mini-tuned"),
        ("openai", ""),
        ("nobody", "gpt-4o-mini"),
        ("", ""),
        ("openai", "claude"),
    ] {
        assert!(book.find(vendor, model, AUGUST).is_none(), "{vendor}/{model}");
    }
}

#[test]
fn the_first_list_speaks_and_another_within_two_percent_confirms() {
    let one = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        told(&book(&lines), "also-v", "m", 0)
    };
    let says = |input, output, list: &str, low| Some((mtok(input), mtok(output), list.to_owned(), low));
    assert_eq!(one(&[line(1, 1.0, 2.0)]), says(1.0, 2.0, "b", true), "one list alone");
    assert_eq!(one(&[line(1, 1.0, 2.0), line(0, 0.98, 2.0)]), says(0.98, 2.0, "a", false), "2 %");
    assert_eq!(one(&[line(1, 1.0, 2.0), line(0, 0.97, 2.0)]), says(0.97, 2.0, "a", true), "3 %");
    assert_eq!(one(&[line(1, 1.0, 2.0), line(0, 1.0, 2.1)]), says(1.0, 2.1, "a", true), "5 % of output");
    let absurd = [line(0, 1.0, 0.1), line(1, 1.0, 2.0), line(2, 1.0, 2.0)];
    assert_eq!(one(&absurd), says(1.0, 2.0, "b", false), "the first is out of bounds");
}

#[test]
fn a_name_outranks_a_pattern_that_disagrees() {
    let rule = r#"{"vendor":"v","list":0,"rules":["m*"],"rates":{"input":1,"output":2}}"#;
    let same = line(1, 1.01, 2.0);
    assert_eq!(told(&book(&[rule, &same]), "v", "m", 0).unwrap().2, "a");
    let other = line(1, 3.0, 6.0);
    assert_eq!(told(&book(&[rule, &other]), "v", "m", 0).unwrap().2, "b");
    assert_eq!(told(&book(&[rule, &other]), "v", "m-2", 0).unwrap().2, "a");
}

#[test]
fn a_gift_needs_two_witnesses() {
    assert_eq!(told(&book(&[&line(0, 0.0, 0.0)]), "v", "m", 0), None);
    assert_eq!(told(&book(&[&line(0, 0.0, 0.0), &line(1, 1.0, 2.0)]), "v", "m", 0).unwrap().2, "b");
    let free = told(&book(&[&line(0, 0.0, 0.0), &line(2, 0.0, 0.0)]), "v", "m", 0);
    assert_eq!(free, Some((mtok(0.0), mtok(0.0), "a".to_owned(), false)));
}

#[test]
fn a_bad_header_is_refused_and_a_bad_line_left_out() {
    assert!(matches!(PriceBook::from_gzip(b"not gzip"), Err(BookError::Unreadable(_))));
    let later = HEADER.replace("\"format\":1", "\"format\":2");
    assert!(matches!(PriceBook::from_gzip(&packed(&later)), Err(BookError::Header(_))));
    let far = line(7, 1.0, 2.0);
    let book = book(&["{", "[]", &far, r#"{"vendor":"v","list":0}"#, &line(0, 1.0, 2.0)]);
    assert_eq!(book.len(), 1);
}

fn figure() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(0.0)),
        4 => (0.0..200.0_f64).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn an_absent_price_is_never_zero(input in figure(), output in figure(), part in figure(), audio in figure()) {
        let figures = Figures { input, output, cached_input: part, audio_input: audio, ..Figures::default() };
        let rates = believed(&figures);
        if input.is_none() || output.is_none() {
            prop_assert!(rates.is_none());
        }
        if let Some(rates) = rates {
            prop_assert_eq!(Some(rates.input), PicoUsd::from_usd_per_mtok(input.unwrap()));
            prop_assert_eq!(Some(rates.output), PicoUsd::from_usd_per_mtok(output.unwrap()));
            prop_assert!(rates.input.get() == 0 || in_proportion(rates.input, rates.output));
            for own in [rates.cached_input, rates.audio_input].into_iter().flatten() {
                prop_assert!(own.get() > 0);
            }
        }
    }

    #[test]
    fn garbage_never_panics(lines in proptest::collection::vec(garbage(), 0..6), model in "[a-z]{0,4}", now: u64) {
        let text = format!("{HEADER}\n{}", lines.join("\n"));
        let book = PriceBook::from_gzip(&packed(&text)).unwrap();
        for name in ["m", &model] {
            if let Some(found) = book.find("v", name, now) {
                prop_assert!(found.rates.input.get() == 0 || in_proportion(found.rates.input, found.rates.output));
            }
        }
    }

    #[test]
    fn damaged_lists_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        let whole = packed(&format!("{HEADER}\n{}", line(0, 1.0, 2.0)));
        let short = whole.len().min(cut);
        prop_assert!(short == whole.len() || PriceBook::from_gzip(&whole[..short]).is_err());
        prop_assert!(PriceBook::from_gzip(&bytes).is_err());
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(PriceBook::from_gzip(&packed(&text)).is_err());
    }
}

/// Text that is nearly a line of a list.
fn garbage() -> impl Strategy<Value = String> {
    let number =
        prop_oneof!["-?[0-9]{1,25}", "[0-9]\\.[0-9]e[0-9]{1,3}", Just("null".to_owned()), "\"[a-z]\""];
    let rates = (number.clone(), number.clone(), number.clone())
        .prop_map(|(a, b, c)| format!(r#"{{"input":{a},"output":{b},"cached_input":{c}}}"#));
    let almost = (0..5_usize, rates.clone(), rates, number, "[a-z*#]{0,5}").prop_map(|(list, a, b, n, rule)| {
        format!(
            r#"{{"vendor":"v","list":{list},"names":["m"],"rules":["{rule}"],"rates":{a},"tiers":[{{"above":{n},"input":1,"output":2}}],"when":[{{"start":{n},"end":0,"rates":{b}}}],"context":{n}}}"#
        )
    });
    prop_oneof![3 => almost, 1 => "\\PC{0,80}"]
}

#[test]
fn what_no_list_speaks_of_is_assumed() {
    let silent = line(0, 1.0, 2.0);
    let all = book(&[&silent]).find("v", "m", 0).unwrap().facts;
    assert_eq!(all, Facts { context: None, max_output: None, capabilities: Capabilities::ALL });
    let speaks = |list: usize, context: u32, capability: &str| {
        let line = line(list, 1.0, 2.0);
        let stem = line.strip_suffix('}').unwrap();
        format!(r#"{stem},"context":{context},"capabilities":["{capability}"]}}"#)
    };
    let facts =
        book(&[&silent, &speaks(1, 10, "tools"), &speaks(2, 20, "vision")]).find("v", "m", 0).unwrap().facts;
    let expected = Capabilities::TOOLS.with(Capabilities::VISION).with(list::UNLISTED);
    assert_eq!((facts.context, facts.capabilities), (Some(10), expected));
}
