//! What an answer consumed, from Anthropic's figures, and from those of Bedrock's
//! Converse, which count alike under other names.

use crate::json::{Kind, Raw};
use crate::units::Usage;

/// The figures stated so far. A stream states them twice, and the second time
/// may correct the first: the last word counts, nothing is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::dialect) struct Figures {
    /// Input that was neither read from nor written to a cache.
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    searches: Option<u64>,
    /// A figure was something else than a count.
    odd: bool,
}

impl Figures {
    /// Takes over a `usage` object.
    pub(in crate::dialect) fn take(&mut self, stated: &Raw<'_>) {
        for (key, value) in stated.members().flatten() {
            match key.raw {
                b"input_tokens" | b"inputTokens" => count(&mut self.input, &value, &mut self.odd),
                b"cache_read_input_tokens" | b"cacheReadInputTokens" => {
                    count(&mut self.cache_read, &value, &mut self.odd);
                }
                b"cache_creation_input_tokens" | b"cacheWriteInputTokens" => {
                    count(&mut self.cache_write, &value, &mut self.odd);
                }
                b"cacheDetails" => self.details(&value),
                b"output_tokens" | b"outputTokens" => count(&mut self.output, &value, &mut self.odd),
                b"cache_creation" => {
                    self.part(&value, b"ephemeral_5m_input_tokens", |figures| &mut figures.cache_write_5m);
                    self.part(&value, b"ephemeral_1h_input_tokens", |figures| &mut figures.cache_write_1h);
                }
                b"output_tokens_details" => {
                    self.part(&value, b"thinking_tokens", |figures| &mut figures.thinking);
                }
                // Searches have a fee each; fetching a page has none.
                b"server_tool_use" => {
                    self.part(&value, b"web_search_requests", |figures| &mut figures.searches);
                }
                _ => {}
            }
        }
    }

    /// Converse's list of what was written to which cache.
    fn details(&mut self, list: &Raw<'_>) {
        for one in list.elements().flatten() {
            match one.get(b"ttl").and_then(|ttl| ttl.inner()) {
                Some(b"5m") => self.part(&one, b"inputTokens", |figures| &mut figures.cache_write_5m),
                Some(b"1h") => self.part(&one, b"inputTokens", |figures| &mut figures.cache_write_1h),
                _ => {}
            }
        }
    }

    fn part(&mut self, object: &Raw<'_>, name: &[u8], slot: impl FnOnce(&mut Self) -> &mut Option<u64>) {
        if let Some(value) = object.get(name) {
            let mut odd = false;
            count(slot(self), &value, &mut odd);
            self.odd |= odd;
        }
    }

    /// Input tokens are stated without the cached ones; here they are a part.
    /// Nothing when too little was stated, or what cannot be true.
    pub(in crate::dialect) fn usage(&self) -> Option<Usage> {
        let (plain, output) = (self.input?, self.output?);
        let read = self.cache_read.unwrap_or(0);
        let hour = self.cache_write_1h.unwrap_or(0);
        let written = self.cache_write.or_else(|| self.cache_write_5m?.checked_add(hour)).unwrap_or(hour);
        let usage = Usage {
            input: plain.checked_add(read)?.checked_add(written)?,
            cached_input: read,
            cache_write_5m: written.checked_sub(hour)?,
            cache_write_1h: hour,
            output,
            reasoning: self.thinking.unwrap_or(0),
            requests: 1,
            tool_calls: self.searches.unwrap_or(0),
            ..Usage::default()
        };
        (!self.odd && usage.is_plausible()).then_some(usage)
    }

    /// Whether what was stated cannot be true.
    pub(in crate::dialect) fn is_implausible(&self) -> bool {
        let stated = self.input.is_some() && self.output.is_some();
        self.odd || stated && self.usage().is_none()
    }
}

/// A count; some compatible upstreams write `12.0`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn count(slot: &mut Option<u64>, value: &Raw<'_>, odd: &mut bool) {
    if value.kind == Kind::Null {
        return;
    }
    let number = value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
    });
    match number {
        Some(number) => *slot = Some(number),
        None => *odd = true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use proptest::prelude::*;

    fn figures(stated: &[&str]) -> Figures {
        let mut figures = Figures::default();
        for text in stated {
            figures.take(&json::document(text.as_bytes()).unwrap());
        }
        figures
    }

    #[test]
    fn cached_input_is_a_part_of_all_input() {
        let usage = figures(&[
            r#"{"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000,
            "cache_creation": {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50},
            "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 15},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}"#,
        ])
        .usage()
        .unwrap();
        assert_eq!((usage.input, usage.cached_input), (3210, 3000));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (150, 50));
        assert_eq!((usage.output, usage.reasoning, usage.tool_calls), (40, 15, 2));
    }

    #[test]
    fn converse_counts_alike() {
        let usage = figures(&[
            r#"{"inputTokens": 10, "outputTokens": 40, "totalTokens": 3250, "cacheReadInputTokens": 3000,
            "cacheWriteInputTokens": 200, "cacheDetails": [{"ttl": "5m", "inputTokens": 150}, {"ttl": "1h", "inputTokens": 50}]}"#,
        ])
        .usage()
        .unwrap();
        assert_eq!((usage.input, usage.cached_input, usage.output), (3210, 3000, 40));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (150, 50));
    }

    #[test]
    fn the_last_word_that_is_not_null_counts() {
        let stated = [
            r#"{"input_tokens": 43, "cache_read_input_tokens": 7, "output_tokens": 1}"#,
            r#"{"input_tokens": 61, "cache_read_input_tokens": null, "output_tokens": 20}"#,
            r#"{"output_tokens": 25}"#,
        ];
        let usage = figures(&stated).usage().unwrap();
        assert_eq!((usage.input, usage.cached_input, usage.output), (68, 7, 25));
    }

    #[test]
    fn too_little_is_not_implausible() {
        assert!(!figures(&["{}", r#"{"input_tokens": 1}"#]).is_implausible());
        assert_eq!(figures(&[r#"{"input_tokens": 1}"#]).usage(), None);
        assert_eq!(figures(&["null", "[]"]), Figures::default());
    }

    proptest! {
        #[test]
        fn hostile_figures_never_get_through(
            input in any::<u64>(), read in any::<u64>(), written in any::<u64>(), hour in any::<u64>(),
            output in prop_oneof![any::<u64>().prop_map(|n| n.to_string()), Just("-1".to_owned()), Just("1e308".to_owned()), Just("\"many\"".to_owned())],
        ) {
            let text = format!(
                r#"{{"input_tokens":{input},"cache_read_input_tokens":{read},"cache_creation_input_tokens":{written},
                "cache_creation":{{"ephemeral_1h_input_tokens":{hour}}},"output_tokens":{output}}}"#
            );
            let figures = figures(&[&text]);
            prop_assert_ne!(figures.usage().is_some(), figures.is_implausible());
            prop_assert!(figures.usage().is_none_or(|usage| usage.is_plausible()));
        }
    }
}
