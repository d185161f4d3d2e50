//! What an answer consumed: from the many spellings to one meaning, and back.

use serde_json::{Map, Value, json};

use crate::json::{Key, Kind, Raw};
use crate::units::Usage;

/// What an upstream said of its consumption.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Stated {
    /// The figures; `None` when there are none or they cannot be true.
    pub(super) usage: Option<Usage>,
    /// Whether they cannot be true.
    pub(super) implausible: bool,
    /// What the upstream says it costs (USD).
    pub(super) cost_usd: Option<f64>,
}

/// Where figures stand, by the names that upstreams give them: the object inside
/// `usage` (empty for `usage` itself) and the member.
const PLACES: [(&str, &str); 16] = [
    ("", "prompt_tokens"),
    ("", "input_tokens"),
    ("", "completion_tokens"),
    ("", "output_tokens"),
    ("", "total_tokens"),
    (OUTPUT, "reasoning_tokens"),
    ("", "reasoning_tokens"),
    (INPUT, "cached_tokens"),
    ("", "prompt_cache_hit_tokens"),
    ("", "cached_tokens"),
    ("", "cache_read_input_tokens"),
    (INPUT, "cache_write_tokens"),
    ("", "cache_creation_input_tokens"),
    (INPUT, "audio_tokens"),
    (OUTPUT, "audio_tokens"),
    (INPUT, "image_tokens"),
];
const INPUT: &str = "prompt_tokens_details";
const OUTPUT: &str = "completion_tokens_details";

/// The figures of a `usage` object, read in one pass: looking each up by its path
/// cost more than everything else that is done with an answer.
#[derive(Debug, Default)]
struct Figures {
    counts: [Option<u64>; PLACES.len()],
    cost_usd: Option<f64>,
}

impl Figures {
    /// Of a tree.
    fn of<'v>(stated: impl IntoIterator<Item = (&'v String, &'v Value)>) -> Self {
        let mut figures = Figures::default();
        for (name, value) in stated {
            match value {
                Value::Object(parts) => {
                    for (part, value) in parts {
                        figures.note(name, part, || whole(value));
                    }
                }
                _ if name == "cost" => figures.cost_usd = value.as_f64(),
                _ => figures.note("", name, || whole(value)),
            }
        }
        figures
    }

    /// Of JSON text. `None` when names are written with escapes.
    fn of_text(stated: &Raw<'_>) -> Option<Self> {
        let mut figures = Figures::default();
        for member in stated.members() {
            let (key, value) = member.ok()?;
            let name = plain(&key)?;
            match value.kind {
                Kind::Object => {
                    for part in value.members() {
                        let (key, value) = part.ok()?;
                        figures.note(name, plain(&key)?, || whole_text(&value));
                    }
                }
                _ if name == "cost" => figures.cost_usd = value.as_f64(),
                _ => figures.note("", name, || whole_text(&value)),
            }
        }
        Some(figures)
    }

    fn note(&mut self, object: &str, name: &str, count: impl FnOnce() -> Option<u64>) {
        let place = PLACES.iter().position(|place| place.1 == name && place.0 == object);
        if let Some(slot) = place.and_then(|place| self.counts.get_mut(place)) {
            *slot = count();
        }
    }

    /// The first of these figures that is there.
    fn first(&self, places: &[(&str, &str)]) -> Option<u64> {
        let at = |wanted| PLACES.iter().position(|place| place == wanted);
        places
            .iter()
            .find_map(|wanted| at(wanted).and_then(|place| self.counts.get(place).copied().flatten()))
    }

    /// Whether reasoning is missing in `completion_tokens` (xAI): then the total
    /// only adds up with it.
    fn excludes_reasoning(&self) -> bool {
        let (Some(prompt), Some(completion), Some(total), Some(reasoning)) = (
            self.first(&[("", "prompt_tokens")]),
            self.first(&[("", "completion_tokens")]),
            self.first(&[("", "total_tokens")]),
            self.first(&[(OUTPUT, "reasoning_tokens")]),
        ) else {
            return false;
        };
        let without = prompt.checked_add(completion);
        reasoning > 0 && without.and_then(|sum| sum.checked_add(reasoning)) == Some(total)
    }

    fn stated(&self) -> Stated {
        let cost_usd = self.cost_usd.filter(|usd| usd.is_finite() && *usd >= 0.0);
        let Some(input) = self.first(&[("", "prompt_tokens"), ("", "input_tokens")]) else {
            return Stated { cost_usd, ..Stated::default() };
        };
        let mut output = self.first(&[("", "completion_tokens"), ("", "output_tokens")]).unwrap_or(0);
        let part = |places: &[(&str, &str)]| self.first(places).unwrap_or(0);
        let reasoning = part(&[(OUTPUT, "reasoning_tokens"), ("", "reasoning_tokens")]);
        if self.excludes_reasoning() {
            output = output.saturating_add(reasoning);
        }
        let cached_input = part(&[
            (INPUT, "cached_tokens"),
            ("", "prompt_cache_hit_tokens"),
            ("", "cached_tokens"),
            ("", "cache_read_input_tokens"),
        ]);
        let usage = Usage {
            input,
            cached_input,
            cache_write_5m: part(&[(INPUT, "cache_write_tokens"), ("", "cache_creation_input_tokens")]),
            output,
            reasoning,
            audio_input: part(&[(INPUT, "audio_tokens")]),
            audio_output: part(&[(OUTPUT, "audio_tokens")]),
            image_input: part(&[(INPUT, "image_tokens")]),
            requests: 1,
            ..Usage::default()
        };
        match plausible(&usage) {
            true => Stated { usage: Some(usage), implausible: false, cost_usd },
            false => Stated { usage: None, implausible: true, cost_usd },
        }
    }
}

/// Understands a `usage` object.
pub(super) fn read(stated: &Value) -> Stated {
    Figures::of(stated.as_object().into_iter().flatten()).stated()
}

/// The same of its members.
pub(super) fn read_map(stated: &Map<String, Value>) -> Stated {
    Figures::of(stated).stated()
}

/// The same of JSON text. `None` when it must be mended first, or may have to be.
pub(super) fn read_text(stated: &Raw<'_>) -> Option<Stated> {
    let figures = Figures::of_text(stated).filter(|figures| !figures.excludes_reasoning())?;
    Some(figures.stated())
}

/// A name without escapes.
fn plain<'t>(key: &Key<'t>) -> Option<&'t str> {
    std::str::from_utf8(key.raw).ok().filter(|name| !name.contains('\\'))
}

fn whole_text(value: &Raw<'_>) -> Option<u64> {
    value.as_u64().or_else(|| whole_float(value.as_f64()?))
}

/// As [`Usage::is_plausible`], with sums that cannot overflow.
fn plausible(usage: &Usage) -> bool {
    let parts = [usage.cached_input, usage.cache_write_5m];
    parts.iter().all(|part| *part <= usage.input) && usage.is_plausible()
}

/// A count; some upstreams write `12.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| whole_float(value.as_f64()?))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole_float(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}

/// Brings a `usage` object into the form callers add up: `completion_tokens`
/// includes reasoning. Tells whether anything had to change.
pub(super) fn mend(stated: &mut Value) -> bool {
    let figures = Figures::of(stated.as_object().into_iter().flatten());
    if !figures.excludes_reasoning() {
        return false;
    }
    let completion = figures.first(&[("", "completion_tokens")]).unwrap_or(0);
    let reasoning = figures.first(&[(OUTPUT, "reasoning_tokens")]).unwrap_or(0);
    if let Some(members) = stated.as_object_mut() {
        members.insert("completion_tokens".to_owned(), completion.saturating_add(reasoning).into());
    }
    true
}

/// Takes out what the upstream charges: it is not what this caller pays.
pub(super) fn hide_cost(stated: &mut Map<String, Value>) {
    stated.shift_remove("cost");
    stated.shift_remove("cost_details");
}

/// A `usage` object that says `usage`, for upstreams that said nothing.
pub(super) fn write(usage: &Usage) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("prompt_tokens".to_owned(), usage.input.into());
    members.insert("completion_tokens".to_owned(), usage.output.into());
    members.insert("total_tokens".to_owned(), usage.input.saturating_add(usage.output).into());
    members.insert("prompt_tokens_details".to_owned(), json!({ "cached_tokens": usage.cached_input }));
    members.insert("completion_tokens_details".to_owned(), json!({ "reasoning_tokens": usage.reasoning }));
    if usage.estimated {
        members.insert("estimated".to_owned(), true.into());
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_openais_form() {
        let stated = read(&json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 10, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 2},
            "cost": 0.00125
        }));
        let usage = stated.usage.unwrap();
        assert_eq!((usage.input, usage.output, usage.cached_input), (100, 50, 80));
        assert_eq!((usage.cache_write_5m, usage.reasoning), (10, 30));
        assert_eq!((usage.audio_input, usage.audio_output), (5, 2));
        assert_eq!(stated.cost_usd, Some(0.00125));
    }

    #[test]
    fn adds_reasoning_only_where_the_total_shows_that_it_is_missing() {
        let xai = |total: u64| {
            json!({
                "prompt_tokens": 307, "completion_tokens": 26, "total_tokens": total,
                "completion_tokens_details": {"reasoning_tokens": 227}
            })
        };
        assert_eq!(read(&xai(560)).usage.unwrap().output, 253);
        let mut mended = xai(560);
        assert!(mend(&mut mended));
        assert_eq!(mended["completion_tokens"], 253);
        assert!(!mend(&mut mended));
        // More reasoning than output, and no total to explain it: not believed.
        assert!(read(&xai(333)).implausible);
    }

    #[test]
    fn knows_other_names() {
        let deepseek = json!({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 8});
        assert_eq!(read(&deepseek).usage.unwrap().cached_input, 8);
        assert_eq!(read(&json!({"prompt_tokens": 10.0, "completion_tokens": 1})).usage.unwrap().input, 10);
        assert_eq!(read(&json!({})), Stated::default());
        assert_eq!(read(&json!(null)), Stated::default());
    }

    #[test]
    fn text_and_tree_say_the_same() {
        for text in [
            r#"{"prompt_tokens":57,"completion_tokens":16,"total_tokens":73,"cost":0.5}"#,
            r#"{"input_tokens":10.0,"output_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}"#,
            r#"{"prompt_tokens":1,"prompt_tokens":5,"completion_tokens_details":null}"#,
            r#"{"prompt_tokens":1,"completion_tokens_details":{"reasoning_tokens":7}}"#,
            "null",
        ] {
            let tree = read(&serde_json::from_str(text).unwrap());
            assert_eq!(read_text(&crate::json::document(text.as_bytes()).unwrap()), Some(tree), "{text}");
        }
        let escaped = crate::json::document(br#"{"prompt\u005ftokens":1}"#).unwrap();
        assert_eq!(read_text(&escaped), None);
    }

    proptest! {
        #[test]
        fn hostile_figures_never_get_through(
            prompt in any::<u64>(), completion in any::<u64>(), cached in any::<u64>(),
            written in any::<u64>(), reasoning in any::<u64>(), total in any::<u64>(),
        ) {
            let stated = read(&json!({
                "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
                "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            }));
            prop_assert_ne!(stated.usage.is_some(), stated.implausible);
            prop_assert!(stated.usage.is_none_or(|usage| usage.is_plausible()));
        }

        #[test]
        fn what_is_written_reads_back(input in 0..1_000_000_u64, output in 0..1_000_000_u64, part in 0.0..1.0_f64) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
            let of = |whole: u64| (whole as f64 * part) as u64;
            let usage = Usage { input, output, cached_input: of(input), reasoning: of(output), requests: 1, ..Usage::default() };
            // A total that happens to add up with reasoning is not possible here.
            prop_assert_eq!(read(&Value::Object(write(&usage))).usage, Some(usage));
        }
    }
}
