//! What a provider does with one request: behaviour, pace and content, drawn
//! from the scenario's seed so that a run can be repeated.

use std::time::Duration;

use serde_json::json;

use super::behaviour::{Answer, Behaviour};
use super::compose::Gaps;
use super::example;
use super::quirks::Quirk;
use super::scenario::{ModelSpec, ProviderSpec};
use super::speech::{Ask, Call, Consumed, Content, Tale};
use super::texts;

/// The draws of one request: the same for the same seed, provider and number.
pub(super) fn source(seed: u64, provider: &str, number: u64) -> fastrand::Rng {
    let name = blake3::hash(provider.as_bytes());
    let name = name.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    // Steps of the golden ratio keep neighbouring numbers apart, as in SplitMix64.
    fastrand::Rng::with_seed(seed ^ name ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The behaviour of the mix that the dice choose, if any.
pub(super) fn from_mix(spec: &ProviderSpec, rng: &mut fastrand::Rng) -> Option<Behaviour> {
    let mut dice = rng.f64();
    spec.mix
        .iter()
        .find(|chance| {
            dice -= chance.probability;
            dice < 0.0
        })
        .map(|chance| chance.behaviour.clone())
}

/// Time to the first byte: lognormal around the median.
pub(super) fn first(spec: &ProviderSpec, behaviour: &Behaviour, rng: &mut fastrand::Rng) -> Duration {
    // Box and Muller's method; 1 - u keeps the logarithm finite.
    let (u, v) = (1.0 - rng.f64(), rng.f64());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    let millis = spec.timing.ttft_ms * (spec.timing.spread * normal).exp();
    behaviour.delay.unwrap_or_else(|| Duration::try_from_secs_f64(millis / 1e3).unwrap_or(Duration::MAX))
}

/// The pauses between events.
pub(super) fn gaps(spec: &ProviderSpec, behaviour: &Behaviour, rng: &mut fastrand::Rng) -> Gaps {
    let own = match spec.timing.tokens_per_second {
        rate if rate > 0.0 => Duration::try_from_secs_f64(rate.recip()).unwrap_or(Duration::MAX),
        _ => Duration::ZERO,
    };
    let (mean, jitter) = behaviour.gap.map_or((own, spec.timing.jitter), |gap| (gap, 0.0));
    Gaps { mean, jitter, rng: rng.fork() }
}

/// The answer, and whether it is a sound one.
pub(super) fn tale(
    ask: &Ask,
    behaviour: &Behaviour,
    model: Option<&ModelSpec>,
    number: u64,
    rng: &mut fastrand::Rng,
) -> (Tale, bool) {
    let good = rng.f64() < model.map_or(1.0, |model| model.quality);
    let text = rng.choice(if good { texts::GOOD } else { texts::WEAK }).copied().unwrap_or_default();
    let mut content = content(ask, behaviour, text, number);
    limit(&mut content, ask.max_tokens);
    let reasoning_tokens = count(content.reasoning.len(), ask.choices);
    let said: usize = content.text.len()
        + content.refusal.len()
        + content.calls.iter().map(|call| call.arguments.len()).sum::<usize>();
    let consumed = Consumed {
        prompt_tokens: ask.prompt_bytes.div_ceil(4),
        completion_tokens: reasoning_tokens + count(said, ask.choices),
        reasoning_tokens,
        cached_tokens: 0,
    };
    let cost_usd = model.map_or(0.0, |model| {
        let tokens = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        (tokens(consumed.prompt_tokens) * model.price.input
            + tokens(consumed.completion_tokens) * model.price.output)
            / 1e6
    });
    (Tale { number, content, consumed, cost_usd }, good)
}

fn count(words: usize, choices: u32) -> u64 {
    (words as u64).saturating_mul(u64::from(choices))
}

fn content(ask: &Ask, behaviour: &Behaviour, text: &str, number: u64) -> Content {
    let json = ask.schema.as_ref().filter(|_| !behaviour.has(Quirk::SchemaIgnored));
    if let (Answer::Text, Some(schema), false) = (behaviour.answer, json, ask.must_call) {
        let value = match behaviour.has(Quirk::SchemaBroken) {
            true => json!({ "oops": [behaviour.name] }),
            false => example::of(schema),
        };
        return Content { text: texts::words(&value.to_string(), None), ..Content::default() };
    }
    let words = |text| texts::words(text, behaviour.words);
    match behaviour.answer {
        Answer::Text if ask.must_call => {
            Content { calls: calls(ask, behaviour, 1, number), ..Content::default() }
        }
        Answer::Text => Content { text: words(text), ..Content::default() },
        Answer::Tools(count) => Content { calls: calls(ask, behaviour, count, number), ..Content::default() },
        Answer::Reasoning => Content {
            reasoning: texts::words(texts::REASONING, None),
            text: words(text),
            ..Content::default()
        },
        Answer::Refusal => Content { refusal: texts::words(texts::REFUSAL, None), ..Content::default() },
    }
}

fn calls(ask: &Ask, behaviour: &Behaviour, count: u32, number: u64) -> Vec<Call> {
    let name = match behaviour.has(Quirk::ToolUnknown) {
        true => "tool_of_nobody",
        false => ask.tool.as_deref().unwrap_or("get_weather"),
    };
    let arguments = match () {
        () if behaviour.has(Quirk::ToolBroken) => ["{\"city\"", ":\"Zürich\"", ",\"days\"", ":"],
        () if behaviour.has(Quirk::ToolMistyped) => ["{\"city\"", ":17", ",\"days\"", ":\"three\"}"],
        () => ["{\"city\"", ":\"Zürich\"", ",\"days\"", ":3}"],
    };
    (0..count)
        .map(|index| Call {
            id: format!("call_{number}_{index}"),
            name: name.to_owned(),
            arguments: arguments.map(str::to_owned).to_vec(),
        })
        .collect()
}

/// Keeps to the request's limit; tool calls are never cut, they would be broken.
fn limit(content: &mut Content, most: Option<usize>) {
    let Some(most) = most else { return };
    let all = content.reasoning.len() + content.text.len() + content.refusal.len();
    content.cut_short = all > most;
    content.reasoning.truncate(most);
    content.text.truncate(most - content.reasoning.len());
    content.refusal.truncate(most);
}
