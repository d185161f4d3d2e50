//! What an endpoint charges, and what a usage costs at those rates.

use serde::{Deserialize, Serialize};

use super::{NanoUsd, PicoUsd, Usage};

/// Prices of one endpoint. A part without a price of its own is charged at its
/// total's: cached input as input, reasoning as output, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// An input token.
    pub input: PicoUsd,
    /// An input token read from the prompt cache.
    pub cached_input: Option<PicoUsd>,
    /// An input token written to the five-minute cache.
    pub cache_write_5m: Option<PicoUsd>,
    /// An input token written to the one-hour cache.
    pub cache_write_1h: Option<PicoUsd>,
    /// An output token.
    pub output: PicoUsd,
    /// An output token of reasoning.
    pub reasoning: Option<PicoUsd>,
    /// An audio input token.
    pub audio_input: Option<PicoUsd>,
    /// An audio output token.
    pub audio_output: Option<PicoUsd>,
    /// An image input token.
    pub image_input: Option<PicoUsd>,
    /// A request, whatever its size (pico-USD).
    pub request: PicoUsd,
    /// A provider-side tool call (pico-USD).
    pub tool_call: PicoUsd,
    /// Other prices for long inputs, by ascending `above`. A tier reprices the
    /// whole request, not only the tokens above its border.
    pub tiers: Vec<Tier>,
}

/// Prices that hold when the input is longer than `above` tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Input tokens, exclusive: a request of exactly this many is below.
    pub above: u64,
    /// The prices there; their own `tiers` are ignored.
    pub rates: Rates,
}

impl Rates {
    /// The prices for a request of `input` tokens.
    #[must_use]
    pub fn for_input(&self, input: u64) -> &Rates {
        self.tiers.iter().rev().find(|tier| input > tier.above).map_or(self, |tier| &tier.rates)
    }

    /// What `usage` costs: computed in 128 bits, rounded once, half up.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let rates = self.for_input(usage.input);
        let input_parts = [
            (usage.cached_input, rates.cached_input),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h.or(rates.cache_write_5m)),
            (usage.audio_input, rates.audio_input),
            (usage.image_input, rates.image_input),
        ];
        let output_parts = [(usage.reasoning, rates.reasoning), (usage.audio_output, rates.audio_output)];
        let pico = total(usage.input, rates.input, &input_parts)
            + total(usage.output, rates.output, &output_parts)
            + times(usage.requests.max(1), rates.request)
            + times(usage.tool_calls, rates.tool_call);
        NanoUsd::from_pico(pico)
    }

    /// The most that a request of at most `input` and `output` tokens can cost,
    /// whatever part of them is cached, written to a cache, audio, images or
    /// reasoning, and whichever tier it turns out to be in. Tool calls that the
    /// provider makes are not limited by tokens and are not counted.
    #[must_use]
    pub fn most(&self, input: u64, output: u64) -> NanoUsd {
        let pico = |(token_in, token_out, request): (PicoUsd, PicoUsd, PicoUsd)| {
            times(input, token_in) + times(output, token_out) + times(1, request)
        };
        NanoUsd::from_pico(self.dearest(input).map(pico).fold(0, i128::max))
    }

    /// The dearest price of an input token, of an output token and of a request in
    /// each tier that a request of at most `input` tokens may be in.
    pub fn dearest(&self, input: u64) -> impl Iterator<Item = (PicoUsd, PicoUsd, PicoUsd)> {
        let tiers = self.tiers.iter().filter(move |tier| input > tier.above).map(|tier| &tier.rates);
        std::iter::once(self).chain(tiers).map(|rates| {
            let token_in = [
                rates.cached_input,
                rates.cache_write_5m,
                rates.cache_write_1h,
                rates.audio_input,
                rates.image_input,
            ];
            let token_out = [rates.reasoning, rates.audio_output];
            let dearest = |total: PicoUsd, parts: &[Option<PicoUsd>]| {
                parts.iter().flatten().fold(total, |most, part| most.max(*part))
            };
            (dearest(rates.input, &token_in), dearest(rates.output, &token_out), rates.request)
        })
    }
}

fn times(count: u64, price: PicoUsd) -> i128 {
    i128::from(count) * i128::from(price.get())
}

/// `all` tokens at `price`, those of a part with a price of its own at that.
fn total(all: u64, price: PicoUsd, parts: &[(u64, Option<PicoUsd>)]) -> i128 {
    let mut rest = all;
    let mut sum = 0;
    for (count, own) in parts {
        if let Some(own) = own {
            let count = (*count).min(rest);
            rest -= count;
            sum += times(count, *own);
        }
    }
    sum + times(rest, price)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price() -> impl Strategy<Value = PicoUsd> {
        (0..50_000_000_u64).prop_map(PicoUsd::new)
    }

    prop_compose! {
        /// Prices without tiers, of which any may be dearer than any other.
        fn flat()(
            input in price(),
            output in price(),
            parts in prop::collection::vec(prop::option::of(price()), 7),
            request in price(),
        ) -> Rates {
            Rates {
                input,
                cached_input: parts[0],
                cache_write_5m: parts[1],
                cache_write_1h: parts[2],
                output,
                reasoning: parts[3],
                audio_input: parts[4],
                audio_output: parts[5],
                image_input: parts[6],
                request,
                ..Rates::default()
            }
        }
    }

    prop_compose! {
        /// Any prices.
        pub(crate) fn any_rates()(base in flat(), tiers in prop::collection::vec((0..5_000_u64, flat()), 0..3)) -> Rates {
            let mut tiers: Vec<Tier> = tiers.into_iter().map(|(above, rates)| Tier { above, rates }).collect();
            tiers.sort_by_key(|tier| tier.above);
            Rates { tiers, ..base }
        }
    }

    prop_compose! {
        /// What may be billed of a request of at most so many tokens: its parts are
        /// whatever a provider says they are.
        pub(crate) fn any_usage(most_input: u64, most_output: u64)(
            input in 0..=most_input,
            output in 0..=most_output,
            parts in prop::collection::vec(0..=most_input.max(most_output), 7),
        ) -> Usage {
            Usage {
                input,
                cached_input: parts[0],
                cache_write_5m: parts[1],
                cache_write_1h: parts[2],
                output,
                reasoning: parts[3],
                audio_input: parts[4],
                audio_output: parts[5],
                image_input: parts[6],
                ..Usage::default()
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_within_the_limits_costs_more_than_the_most(
            rates in any_rates(),
            (most_input, most_output, usage) in (0..10_000_u64, 0..10_000_u64)
                .prop_flat_map(|(input, output)| (Just(input), Just(output), any_usage(input, output))),
        ) {
            prop_assert!(rates.cost(&usage) <= rates.most(most_input, most_output));
        }
    }

    fn rates() -> Rates {
        Rates {
            input: PicoUsd::new(3_000_000),
            cached_input: Some(PicoUsd::new(300_000)),
            output: PicoUsd::new(15_000_000),
            ..Rates::default()
        }
    }

    #[test]
    fn parts_have_their_own_price() {
        let usage = Usage { input: 1000, cached_input: 400, output: 10, reasoning: 4, ..Usage::default() };
        // 600 × 3 + 400 × 0.3 + 10 × 15 USD per million
        assert_eq!(rates().cost(&usage), NanoUsd::new(2_070_000));
    }

    #[test]
    fn a_long_input_reprices_the_whole_request() {
        let mut rates = rates();
        let dear = Rates { input: PicoUsd::new(6_000_000), ..Rates::default() };
        rates.tiers.push(Tier { above: 200_000, rates: dear });
        let cost = |input| rates.cost(&Usage { input, ..Usage::default() });
        assert_eq!(cost(200_000), NanoUsd::new(600_000_000));
        assert_eq!(cost(200_001), NanoUsd::new(1_200_006_000));
    }

    #[test]
    fn the_largest_usage_does_not_overflow() {
        let dearest = Rates { input: PicoUsd::MAX, output: PicoUsd::MAX, ..Rates::default() };
        let most = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        assert_eq!(dearest.cost(&most), NanoUsd::new(i64::MAX));
    }
}
