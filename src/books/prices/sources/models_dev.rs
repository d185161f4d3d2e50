//! models.dev's `api.json`: providers by name, their models by name, prices in
//! USD per million tokens.

use serde_json::{Map, Value};

use super::{Rates, figures, has_both, rates, texts, tiers, vendors};
use crate::books::prices::list::Line;

/// The second name of each is one that contributors have written by mistake.
const PRICES: [(&str, &str); 9] = [
    ("input", "input"),
    ("output", "output"),
    ("cached_input", "cached_input"),
    ("cache_read", "cached_input"),
    ("cached_write", "cache_write_5m"),
    ("cache_write", "cache_write_5m"),
    ("reasoning", "reasoning"),
    ("input_audio", "audio_input"),
    ("output_audio", "audio_output"),
];
/// The border of the older form of a long-context price.
const OVER_200K: u64 = 200_000;

pub(super) fn lines(providers: &Map<String, Value>) -> Vec<Line> {
    let models_of = |name: &String| {
        let models = providers.get(name).and_then(|provider| provider.get("models"));
        models.and_then(Value::as_object).into_iter().flatten()
    };
    let mut lines = Vec::new();
    for (slug, vendor) in vendors::all() {
        for (name, model) in vendor.models_dev.iter().flat_map(models_of) {
            lines.extend(line(slug, name, model));
        }
    }
    lines
}

fn line(vendor: &str, name: &str, model: &Value) -> Option<Line> {
    let cost = model.get("cost")?;
    let usual = rates(cost, &PRICES, 1.0);
    let modalities = |way: &str| model.get("modalities").and_then(|both| both.get(way));
    let writes_text = modalities("output").is_none_or(|_| texts(modalities("output")).contains(&"text"));
    if !has_both(&usual) || !writes_text {
        return None;
    }
    let listed = cost
        .get("tiers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tier| Some((tier.get("tier")?.get("size")?.as_u64()?, rates(tier, &PRICES, 1.0))));
    let mut long: Vec<(u64, Rates)> = listed.collect();
    if let Some(over) = cost.get("context_over_200k").filter(|_| long.is_empty()) {
        long.push((OVER_200K, rates(over, &PRICES, 1.0)));
    }
    let limit = |key: &str| model.get("limit").and_then(|limit| limit.get(key)).and_then(Value::as_u64);
    Some(Line {
        vendor: vendor.to_owned(),
        names: vec![name.to_owned()],
        tiers: tiers(&usual, long),
        rates: figures(usual),
        context: limit("context"),
        max_output: limit("output"),
        capabilities: Some(capabilities(model)),
        ..Line::default()
    })
}

fn capabilities(model: &Value) -> Vec<String> {
    let flag = |key: &str| model.get(key).and_then(Value::as_bool);
    let (reads, writes) = {
        let both = model.get("modalities");
        let of = |way: &str| texts(both.and_then(|both| both.get(way)));
        (of("input"), of("output"))
    };
    let tools = flag("tool_call") == Some(true);
    let can = [
        ("tools", tools),
        ("reasoning", flag("reasoning") == Some(true)),
        // Where the list is silent, a model with tools is given the benefit of the doubt.
        ("json_schema", flag("structured_output").unwrap_or(tools)),
        ("vision", reads.contains(&"image")),
        ("files", reads.contains(&"pdf")),
        ("audio", reads.contains(&"audio") || writes.contains(&"audio")),
    ];
    can.iter().filter(|(_, can)| *can).map(|(name, _)| (*name).to_owned()).collect()
}
