//! genai-prices, version 2: providers with models, prices in USD per million
//! tokens, dated and by the time of day, found by clauses that match names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Rates, figures, has_both, number, rates, tiers, vendors};
use crate::books::prices::list::{Line, Priced, WhenLine};
use crate::books::prices::pattern;

const PRICES: [(&str, &str); 9] = [
    ("input_mtok", "input"),
    ("output_mtok", "output"),
    ("cache_read_mtok", "cached_input"),
    ("cache_write_mtok", "cache_write_5m"),
    ("cache_write_1h_mtok", "cache_write_1h"),
    ("output_reasoning_mtok", "reasoning"),
    ("input_audio_mtok", "audio_input"),
    ("output_audio_mtok", "audio_output"),
    ("input_image_mtok", "image_input"),
];
/// USD per thousand.
const FEES: [(&str, &str); 2] = [("requests_kcount", "request"), ("web_searches_kcount", "tool_call")];

pub(super) fn lines(providers: &[Value]) -> Vec<Line> {
    let models_of = |id: &str| {
        let provider = providers.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(id));
        provider.and_then(|one| one.get("models")).and_then(Value::as_array).into_iter().flatten()
    };
    let mut lines = Vec::new();
    for (slug, vendor) in vendors::all() {
        let plain = vendor.genai_prices.iter().map(|name| (name, ""));
        let suffixed = vendor.genai_prices_suffixed.iter().map(|(name, suffix)| (name, suffix.as_str()));
        for (name, suffix) in plain.chain(suffixed) {
            // In the list's own order: its first match wins.
            lines.extend(models_of(name).filter_map(|model| line(slug, model, suffix)));
        }
    }
    lines
}

fn line(vendor: &str, model: &Value, suffix: &str) -> Option<Line> {
    let Found { mut names, rules } = clause(model.get("match")?)?;
    let id = model.get("id")?.as_str()?;
    // The identifier is a name too where the clause accepts it.
    if !names.iter().any(|name| name == id) && rules.iter().any(|rule| pattern::fits(rule, id)) {
        names.insert(0, id.to_owned());
    }
    let (usual, when) = match model.get("prices")? {
        Value::Array(spans) => {
            let (usual, others) = spans.split_first()?;
            if usual.get("constraint").is_some_and(|constraint| !constraint.is_null()) {
                return None;
            }
            (priced(usual.get("prices")?)?, others.iter().map(span).collect::<Option<_>>()?)
        }
        prices => (priced(prices)?, Vec::new()),
    };
    let suffixed = |all: Vec<String>| all.into_iter().map(|name| name + suffix).collect();
    Some(Line {
        vendor: vendor.to_owned(),
        names: suffixed(names),
        rules: suffixed(rules),
        rates: usual.rates,
        tiers: usual.tiers,
        when,
        context: model.get("context_window").and_then(Value::as_u64),
        ..Line::default()
    })
}

/// Prices at some time. (Those of a span whose form is not known must not be
/// taken for usual ones, so that the whole model is left out.)
fn span(entry: &Value) -> Option<WhenLine> {
    let constraint = entry.get("constraint")?;
    let text = |key: &str| constraint.get(key).and_then(Value::as_str);
    let span = match text("start_date") {
        Some(date) => serde_json::json!({ "from": date }),
        None => {
            serde_json::json!({ "start": minute(text("start_time")?)?, "end": minute(text("end_time")?)? })
        }
    };
    Some(WhenLine { span: serde_json::from_value(span).ok()?, priced: priced(entry.get("prices")?)? })
}

/// Minutes after midnight of `HH:MM:SSZ`.
fn minute(clock: &str) -> Option<u16> {
    let mut parts = clock.strip_suffix('Z')?.split(':');
    let (hours, minutes): (u16, u16) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn priced(prices: &Value) -> Option<Priced> {
    let mut usual = rates(prices, &FEES, 0.001);
    let mut by_border: BTreeMap<u64, Rates> = BTreeMap::new();
    for (theirs, ours) in PRICES {
        let Some(price) = prices.get(theirs) else { continue };
        if let Some(base) = price.get("base").unwrap_or(price).as_f64() {
            usual.insert(ours.to_owned(), base.into());
        }
        for tier in price.get("tiers").and_then(Value::as_array).into_iter().flatten() {
            let (start, price) = (tier.get("start")?.as_u64()?, number(tier.get("price")?)?);
            by_border.entry(start).or_default().insert(ours.to_owned(), price.into());
        }
    }
    if !has_both(&usual) {
        return None;
    }
    let tiers = tiers(&usual, by_border);
    Some(Priced { rates: figures(usual), tiers })
}

/// What finds a model.
#[derive(Debug, Default)]
struct Found {
    names: Vec<String>,
    /// Patterns: `#` is a digit, `*` is anything.
    rules: Vec<String>,
}

/// The names a clause lists literally, and its patterns. `None` for a form that is not known.
fn clause(clause: &Value) -> Option<Found> {
    let mut members = clause.as_object()?.iter();
    let ((kind, value), None) = (members.next()?, members.next()) else { return None };
    if kind == "or" {
        let mut found = Found::default();
        for part in value.as_array()? {
            // One level is all there is; more would only be a way to exhaust the stack.
            simple(part, &mut found)?;
        }
        return Some(found);
    }
    let mut found = Found::default();
    simple(clause, &mut found)?;
    Some(found)
}

fn simple(clause: &Value, found: &mut Found) -> Option<()> {
    let mut members = clause.as_object()?.iter();
    let ((kind, value), None) = (members.next()?, members.next()) else { return None };
    let text = value.as_str()?;
    if kind == "equals" {
        found.names.push(text.to_owned());
        return Some(());
    }
    if kind != "regex" && text.contains(['#', '*']) {
        return None;
    }
    let rule = match kind.as_str() {
        "starts_with" => format!("{text}*"),
        "ends_with" => format!("*{text}"),
        "contains" => format!("*{text}*"),
        "regex" => regex(text)?,
        _ => return None,
    };
    found.rules.push(rule);
    Some(())
}

/// The few regular expressions of the list as patterns: literal text, `\.`, `\d`
/// and `\d{n}`, with or without anchors.
fn regex(regex: &str) -> Option<String> {
    let (start, inner) = regex.strip_prefix('^').map_or(("*", regex), |inner| ("", inner));
    let (inner, end) = inner.strip_suffix('$').map_or((inner, "*"), |inner| (inner, ""));
    let mut pattern = start.to_owned();
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        if let Some(after) = rest.strip_prefix('d').filter(|_| c == '\\') {
            let times = after.strip_prefix('{').and_then(|count| count.split_once('}'));
            let (times, after) = match times {
                Some((count, after)) => (count.parse::<usize>().ok().filter(|count| *count < 10)?, after),
                None => (1, after),
            };
            pattern.extend(std::iter::repeat_n('#', times));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.').filter(|_| c == '\\') {
            pattern.push('.');
            rest = after;
        } else if "\\[](){}+?|^$*#".contains(c) {
            return None;
        } else {
            pattern.push(c);
        }
    }
    Some(pattern + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expressions_of_the_list_are_patterns() {
        assert_eq!(regex(r"^gpt-5\.6-\d{4}-\d$").as_deref(), Some("gpt-5.6-####-#"));
        assert_eq!(regex("mini").as_deref(), Some("*mini*"));
        for unknown in ["a|b", "a+", "(a)", r"\w", r"\d{99}", "a*"] {
            assert_eq!(regex(unknown), None, "{unknown}");
        }
    }
}
