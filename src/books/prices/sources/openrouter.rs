//! OpenRouter's `GET /models`, and listings in its form: prices in USD per token,
//! written as texts; other prices for long inputs and times of day as overrides.

use serde_json::Value;

use super::{Rates, figures, has_both, over, rates, texts, tiers};
use crate::books::prices::list::{Line, Priced, WhenLine};

const MTOK: f64 = 1e6;
const PRICES: [(&str, &str); 8] = [
    ("prompt", "input"),
    ("completion", "output"),
    ("input_cache_read", "cached_input"),
    ("input_cache_write", "cache_write_5m"),
    ("input_cache_write_1h", "cache_write_1h"),
    ("internal_reasoning", "reasoning"),
    ("audio", "audio_input"),
    ("audio_output", "audio_output"),
];
/// USD each.
const FEES: [(&str, &str); 2] = [("request", "request"), ("web_search", "tool_call")];

pub(super) fn lines(models: &[Value], vendor: &str) -> Vec<Line> {
    models.iter().filter_map(|model| line(model, vendor)).collect()
}

fn line(model: &Value, vendor: &str) -> Option<Line> {
    let text = |key: &str| model.get(key).and_then(Value::as_str);
    let id = text("id")?;
    let names = std::iter::once(id).chain(text("canonical_slug").filter(|slug| *slug != id));
    let pricing = model.get("pricing")?;
    let usual = priced(pricing);
    if !has_both(&usual) {
        return None;
    }
    let overrides = pricing.get("overrides").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let long = overrides.iter().filter(|one| one.get("utc_start").is_none()).filter_map(|one| {
        let least = one.get("min_prompt_tokens")?.as_u64()?;
        Some((least.saturating_sub(1), priced(one)))
    });
    let tiers = tiers(&usual, long);
    let when = overrides.iter().filter_map(|one| daily(one, &usual)).collect();
    let limits = |key: &str| model.get("top_provider").and_then(|top| top.get(key)).and_then(Value::as_u64);
    Some(Line {
        vendor: vendor.to_owned(),
        names: names.map(ToOwned::to_owned).collect(),
        rates: figures(usual),
        tiers,
        when,
        context: limits("context_length").or_else(|| model.get("context_length")?.as_u64()),
        max_output: limits("max_completion_tokens"),
        capabilities: capabilities(model),
        ..Line::default()
    })
}

fn priced(entry: &Value) -> Rates {
    let mut all = rates(entry, &PRICES, MTOK);
    all.extend(rates(entry, &FEES, 1.0));
    all
}

/// Prices at a time of day, which is written as 1630 for half past four.
fn daily(entry: &Value, usual: &Rates) -> Option<WhenLine> {
    let minute = |key: &str| {
        let clock = entry.get(key)?.as_u64()?;
        let (hours, minutes) = (clock / 100, clock % 100);
        (hours <= 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    let span = serde_json::json!({ "start": minute("utc_start")? % 1440, "end": minute("utc_end")? % 1440 });
    let priced = Priced { rates: figures(over(usual, priced(entry))), tiers: Vec::new() };
    Some(WhenLine { span: serde_json::from_value(span).ok()?, priced })
}

/// `None` when the listing does not speak of them.
fn capabilities(model: &Value) -> Option<Vec<String>> {
    let parameters = model.get("supported_parameters")?;
    let parameters = texts(Some(parameters));
    let modalities = |way: &str| texts(model.get("architecture").and_then(|kinds| kinds.get(way)));
    let (reads, writes) = (modalities("input_modalities"), modalities("output_modalities"));
    let can = [
        ("tools", parameters.contains(&"tools")),
        ("json_schema", parameters.contains(&"structured_outputs")),
        ("reasoning", parameters.contains(&"reasoning")),
        ("vision", reads.contains(&"image")),
        ("files", reads.contains(&"file")),
        ("audio", reads.contains(&"audio") || writes.contains(&"audio")),
    ];
    Some(can.iter().filter(|(_, can)| *can).map(|(name, _)| (*name).to_owned()).collect())
}
