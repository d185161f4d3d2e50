//! What an upstream's answer says about its limits: `x-ratelimit-…` as `OpenAI`
//! has it (and Groq, Together, Azure, …) or without a kind (`OpenRouter`),
//! `anthropic-ratelimit-…`.

use std::time::Duration;

use http::HeaderMap;

use super::openai::retry_after::{duration, until};

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Remaining {
    /// What is left.
    pub left: f64,
    /// The limit, if it was said.
    pub most: Option<f64>,
    /// Until it is full again.
    pub full_in: Duration,
}

/// The headers that tell of a limit: what is left, the most there can be, and when
/// all is back. One triple for each way to spell it.
type Names = [[&'static str; 3]; 3];

/// Requests.
pub const REQUESTS: Names = [
    ["x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "x-ratelimit-reset-requests"],
    [
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-reset",
    ],
    ["x-ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-reset"],
];

/// Tokens.
pub const TOKENS: Names = [
    ["x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"],
    [
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-reset",
    ],
    [
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-reset",
    ],
];

/// What is left of a limit; `None` where the answer does not say how much and
/// until when.
#[must_use]
pub fn remaining(headers: &HeaderMap, names: Names) -> Option<Remaining> {
    let said = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    names.into_iter().find_map(|[left, most, reset]| {
        let left = said(left).and_then(number)?;
        let reset = said(reset)?;
        let full_in = duration(reset).or_else(|| until(reset, said("date")))?;
        Some(Remaining { left, most: said(most).and_then(number), full_in })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn reads_what_providers_say() {
        let openai = headers(&[
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6ms"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m30s"),
        ]);
        let tokens = remaining(&openai, TOKENS).unwrap();
        assert_eq!((tokens.most, tokens.full_in), (Some(150_000.0), Duration::from_millis(6)));
        let requests = remaining(&openai, REQUESTS).unwrap();
        assert_eq!((requests.most, requests.full_in), (None, Duration::from_secs(90)));
        let anthropic = headers(&[
            ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-limit", "80000"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-22T10:00:30Z"),
        ]);
        assert_eq!(remaining(&anthropic, TOKENS).unwrap().full_in, Duration::from_secs(30));
        assert_eq!(remaining(&anthropic, REQUESTS), None);
        assert_eq!(remaining(&headers(&[("x-ratelimit-remaining-tokens", "many")]), TOKENS), None);
        let mixed = headers(&[
            ("x-ratelimit-remaining-requests", "0"),
            ("anthropic-ratelimit-requests-remaining", "7"),
            ("anthropic-ratelimit-requests-reset", "3s"),
        ]);
        let whole = Remaining { left: 7.0, most: None, full_in: Duration::from_secs(3) };
        assert_eq!(remaining(&mixed, REQUESTS), Some(whole), "a limit that does not say when says nothing");
    }
}
