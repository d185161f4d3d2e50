//! Which listed figures can be believed.
//!
//! Lists are typed by hand or scraped; wrong units and shifted digits show as
//! prices of input and output that are impossibly far apart. Released lists
//! have been wrong by factors of ten to sixty.

use serde::Deserialize;

use crate::units::{PicoUsd, Rates};

/// Output may cost a quarter of input, not less: below, the columns were
/// mixed up or a unit is wrong.
const LEAST_OUTPUT: u64 = 4;

/// Output, or any part, may cost a hundred times the input, not more.
const MOST: u64 = 100;

/// Prices as listed: USD per million tokens, fees in USD each.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Figures {
    pub(super) input: Option<f64>,
    pub(super) output: Option<f64>,
    pub(super) cached_input: Option<f64>,
    pub(super) cache_write_5m: Option<f64>,
    pub(super) cache_write_1h: Option<f64>,
    pub(super) reasoning: Option<f64>,
    pub(super) audio_input: Option<f64>,
    pub(super) audio_output: Option<f64>,
    pub(super) image_input: Option<f64>,
    pub(super) request: Option<f64>,
    pub(super) tool_call: Option<f64>,
}

/// The figures as rates. `None` when input or output is absent, or when the two
/// are out of proportion; a part that cannot be right is left out, so that it
/// is charged as its total.
pub(super) fn believed(figures: &Figures) -> Option<Rates> {
    let input = PicoUsd::from_usd_per_mtok(figures.input?)?;
    let output = PicoUsd::from_usd_per_mtok(figures.output?)?;
    if input.get() > 0 && !in_proportion(input, output) {
        return None;
    }
    let part = |listed: Option<f64>, of: PicoUsd| {
        let price = PicoUsd::from_usd_per_mtok(listed?)?;
        // Lists write 0 where they mean "nothing extra": the total's price.
        (price.get() > 0 && price.get() <= of.get().saturating_mul(MOST)).then_some(price)
    };
    Some(Rates {
        input,
        output,
        cached_input: part(figures.cached_input, input).filter(|cached| *cached <= input),
        cache_write_5m: part(figures.cache_write_5m, input),
        cache_write_1h: part(figures.cache_write_1h, input),
        reasoning: part(figures.reasoning, output),
        audio_input: part(figures.audio_input, input),
        audio_output: part(figures.audio_output, output),
        image_input: part(figures.image_input, input),
        request: fee(figures.request)?,
        tool_call: fee(figures.tool_call)?,
        tiers: Vec::new(),
    })
}

/// Whether output costs a quarter to a hundred times what input does.
pub(super) fn in_proportion(input: PicoUsd, output: PicoUsd) -> bool {
    let (input, output) = (input.get(), output.get());
    output.saturating_mul(LEAST_OUTPUT) >= input && output <= input.saturating_mul(MOST)
}

/// Whether nothing is charged.
pub(super) fn is_free(rates: &Rates) -> bool {
    [rates.input, rates.output, rates.request].iter().all(|price| price.get() == 0)
}

/// A fee that is not listed is not charged; one that is no price is an error.
/// (USD each is a million times what "USD per million" says.)
fn fee(usd: Option<f64>) -> Option<PicoUsd> {
    usd.map_or(Some(PicoUsd::default()), |usd| PicoUsd::from_usd_per_mtok(usd * 1e6))
}
