//! LiteLLM's price map: one table, by the names of its own, prices in USD per
//! token.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Rates, figures, has_both, number, over, rates, tiers, vendors};
use crate::books::prices::list::Line;
use crate::books::prices::sources::vendors::Vendor;

/// Entries of other modes are not asked for chats.
const MODES: [&str; 3] = ["chat", "completion", "responses"];
const MTOK: f64 = 1e6;
const PRICES: [(&str, &str); 9] = [
    ("input_cost_per_token", "input"),
    ("output_cost_per_token", "output"),
    ("cache_read_input_token_cost", "cached_input"),
    ("cache_creation_input_token_cost", "cache_write_5m"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
    ("output_cost_per_reasoning_token", "reasoning"),
    ("input_cost_per_audio_token", "audio_input"),
    ("output_cost_per_audio_token", "audio_output"),
    ("input_cost_per_image_token", "image_input"),
];
const CAPABILITIES: [(&str, &str); 7] = [
    ("supports_function_calling", "tools"),
    ("supports_response_schema", "json_schema"),
    ("supports_vision", "vision"),
    ("supports_audio_input", "audio"),
    ("supports_audio_output", "audio"),
    ("supports_reasoning", "reasoning"),
    ("supports_pdf_input", "files"),
];

pub(super) fn lines(map: &Map<String, Value>) -> Vec<Line> {
    // Sorted, so that the same map always gives the same lines.
    let entries: BTreeMap<&String, &Value> = map.iter().collect();
    vendors::all().iter().flat_map(|(slug, vendor)| of_vendor(slug, vendor, &entries)).collect()
}

fn of_vendor(slug: &str, vendor: &Vendor, entries: &BTreeMap<&String, &Value>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut seen = BTreeSet::new();
    // Keys with a prefix name the vendor outright and come before bare ones.
    for prefix in &vendor.litellm_prefixes {
        for (key, entry) in entries {
            let Some(name) = key.strip_prefix(prefix.as_str()) else { continue };
            let of = |member: &str| entry.get(member).and_then(Value::as_str);
            let listed = of("litellm_provider")
                .is_some_and(|provider| vendor.litellm.iter().any(|known| known == provider));
            let chats = of("mode").is_some_and(|mode| MODES.contains(&mode));
            let bare = prefix.is_empty() && name.contains('/');
            if !listed || !chats || bare || seen.contains(name) {
                continue;
            }
            if let Some(line) = line(slug, name, entry) {
                seen.insert(name);
                lines.push(line);
            }
        }
    }
    lines
}

fn line(vendor: &str, name: &str, entry: &Value) -> Option<Line> {
    let mut by_border = borders(entry);
    let usual = over(&by_border.remove(&0).unwrap_or_default(), priced(entry));
    if !has_both(&usual) {
        return None;
    }
    // Most flags are written only when true; an entry that does not even say
    // whether it has tools does not speak of capabilities at all.
    let speaks = entry.get("supports_function_calling").is_some();
    let can: BTreeSet<&str> = CAPABILITIES
        .iter()
        .filter(|(flag, _)| entry.get(flag) == Some(&Value::Bool(true)))
        .map(|(_, name)| *name)
        .collect();
    Some(Line {
        vendor: vendor.to_owned(),
        names: vec![name.to_owned()],
        tiers: tiers(&usual, by_border),
        rates: figures(usual),
        context: entry.get("max_input_tokens").and_then(Value::as_u64),
        max_output: entry.get("max_output_tokens").and_then(Value::as_u64),
        capabilities: speaks.then(|| can.into_iter().map(ToOwned::to_owned).collect()),
        ..Line::default()
    })
}

fn priced(entry: &Value) -> Rates {
    let mut all = rates(entry, &PRICES, MTOK);
    all.extend(rates(entry, &[("input_cost_per_request", "request")], 1.0));
    if let Some(search) = entry.get("search_context_cost_per_query") {
        all.extend(rates(search, &[("search_context_size_medium", "tool_call")], 1.0));
    }
    all
}

/// Prices by the input tokens above which they hold: from keys such as
/// `input_cost_per_token_above_200k_tokens`, and from `tiered_pricing`.
fn borders(entry: &Value) -> BTreeMap<u64, Rates> {
    let mut by_border: BTreeMap<u64, Rates> = BTreeMap::new();
    for (key, value) in entry.as_object().into_iter().flatten() {
        let Some((stem, border)) = key.rsplit_once("_above_") else { continue };
        let thousands = border.strip_suffix("k_tokens").and_then(|number| number.parse::<u32>().ok());
        let ours = PRICES.iter().find(|(theirs, _)| *theirs == stem).map(|(_, ours)| *ours);
        let price = number(value).filter(|price| *price > 0.0);
        if let (Some(thousands), Some(ours), Some(price)) = (thousands, ours, price) {
            let tier = by_border.entry(u64::from(thousands) * 1000).or_default();
            tier.insert(ours.to_owned(), (price * MTOK).into());
        }
    }
    for step in entry.get("tiered_pricing").and_then(Value::as_array).into_iter().flatten() {
        let above = step.get("range").and_then(|range| range.get(0)).and_then(Value::as_f64);
        if let Some(above) = above.filter(|above| (0.0..1e12).contains(above)) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            by_border.insert(above as u64, priced(step));
        }
    }
    by_border
}
