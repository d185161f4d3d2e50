//! What a request is expected to cost at an endpoint, and at most.

use super::gather::Ask;
use crate::units::Rates;

/// Output tokens assumed for the worst case of a request that sets no limit to
/// an endpoint that states none, as a multiple of what is expected.
const WORST_LENGTH: f64 = 4.0;

/// What a cache does with a prompt: tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prompt {
    /// Expected to be read from it.
    pub warm: f64,
    /// Expected to be written to it.
    pub written: f64,
}

/// Expected cost in USD of `ask` at `rates`, when an answer of `output_tokens`
/// is expected and the endpoint's cache does with the prompt what `prompt` says.
/// The tier is that of the whole input.
#[must_use]
pub fn expected(ask: &Ask<'_>, rates: &Rates, output_tokens: f64, prompt: Prompt) -> f64 {
    let rates = rates.for_input(u64::from(ask.input_tokens));
    let input = f64::from(ask.input_tokens);
    let warm = prompt.warm.clamp(0.0, input);
    let written = prompt.written.clamp(0.0, input - warm);
    let cached = rates.cached_input.unwrap_or(rates.input);
    let write = rates.cache_write_5m.unwrap_or(rates.input);
    let output = output_tokens * f64::from(ask.choices);
    (input - warm - written) * rates.input.usd_per_token()
        + warm * cached.usd_per_token()
        + written * write.usd_per_token()
        + output * rates.output.usd_per_token()
        + rates.request.usd_per_token()
}

/// The most that it can cost in USD, as [`Rates::most`] has it: the dearest of all
/// prices, and an answer as long as allowed. A bill is rounded to nano-USD, hence
/// half of one more.
#[must_use]
pub fn worst(ask: &Ask<'_>, rates: &Rates, output_tokens: f64, max_output: Option<u32>) -> f64 {
    const HALF_NANO: f64 = 0.5e-9;
    let longest = ask.max_output_tokens.or(max_output).map_or(output_tokens * WORST_LENGTH, f64::from);
    let (input, output) = (f64::from(ask.input_tokens), longest.max(output_tokens) * f64::from(ask.choices));
    let dearest = rates.dearest(u64::from(ask.input_tokens)).map(|(token_in, token_out, request)| {
        input * token_in.usd_per_token() + output * token_out.usd_per_token() + request.usd_per_token()
    });
    // Four roundings of a float each take off less than one part in 2^52.
    dearest.fold(0.0, f64::max) * (1.0 + 8.0 * f64::EPSILON) + HALF_NANO
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Control;
    use crate::units::rates::tests::{any_rates, any_usage};
    use crate::units::{PicoUsd, Tier};

    fn rates() -> Rates {
        Rates {
            input: PicoUsd::new(1_000_000),
            cached_input: Some(PicoUsd::new(100_000)),
            output: PicoUsd::new(4_000_000),
            ..Rates::default()
        }
    }

    #[test]
    fn warmth_is_worth_dollars() {
        let control = Control::default();
        let ask = Ask { input_tokens: 1000, ..Ask::blank(&control) };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let rates = Rates { cache_write_5m: Some(PicoUsd::new(1_250_000)), ..rates() };
        let at = |warm, written| expected(&ask, &rates, 100.0, Prompt { warm, written });
        assert!(close(at(0.0, 0.0), 0.001 + 0.0004));
        assert!(close(at(1000.0, 0.0), 0.0001 + 0.0004));
        assert!(close(at(9e9, 0.0), 0.0001 + 0.0004), "no more than the prompt is warm");
        assert!(close(at(200.0, 400.0), 400e-6 + 20e-6 + 500e-6 + 0.0004), "what is written costs more");
        assert!(close(at(800.0, 9e9), 80e-6 + 250e-6 + 0.0004), "no more than the rest is written");
    }

    #[test]
    fn choices_and_tiers_count() {
        let control = Control::default();
        let mut rates = rates();
        let dear = Rates { input: PicoUsd::new(2_000_000), ..Rates::default() };
        rates.tiers.push(Tier { above: 1000, rates: dear });
        let ask = Ask { input_tokens: 2000, choices: 2, ..Ask::blank(&control) };
        assert!((expected(&ask, &rates, 100.0, Prompt::default()) - 0.004).abs() < 1e-12);
        let short = Ask { input_tokens: 0, choices: 2, ..ask };
        assert!((expected(&short, &rates, 100.0, Prompt::default()) - 0.0008).abs() < 1e-12);
        let limited = Ask { max_output_tokens: Some(1000), ..short };
        assert!((worst(&limited, &rates, 100.0, None) - 0.008).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn nothing_that_can_be_billed_within_the_limits_costs_more_than_the_worst(
            rates in any_rates(),
            (input_tokens, most, choices, usage) in (0..10_000_u32, 0..3_000_u32, 1..4_u32).prop_flat_map(
                |(input, most, choices)| {
                    let usage = any_usage(u64::from(input), u64::from(most) * u64::from(choices));
                    (Just(input), Just(most), Just(choices), usage)
                },
            ),
        ) {
            let control = Control::default();
            let ask = Ask { input_tokens, choices, max_output_tokens: Some(most), ..Ask::blank(&control) };
            let billed = rates.cost(&usage).usd();
            let worst = worst(&ask, &rates, f64::from(most.min(10)), None);
            prop_assert!(billed <= worst, "{billed} and {worst}");
        }
    }
}
