//! `generationConfig`: how much is said, how freely, in which form.

use serde_json::Value;

use super::{Warnings, cannot, quoted, schema};
use crate::dialect::gemini::models::{self, Thinking, Traits};
use crate::json::{Kind, Raw};
use crate::outcome::Failure;
use crate::request::ChatRequest;

/// Members being collected: name and JSON.
type Members = Vec<(&'static str, String)>;

/// Most stop sequences Google takes.
const MOST_STOPS: usize = 5;
/// Most candidates Google takes.
const MOST_CANDIDATES: u32 = 8;

/// Members that only have another name.
const RENAMED: [(&str, &str); 6] = [
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("top_logprobs", "logprobs"),
];

/// Whether a member says what is so anyway, so that leaving it out changes
/// nothing.
pub(super) fn is_default(name: &str, value: &Raw<'_>) -> bool {
    let word = value.as_str();
    match name {
        "parallel_tool_calls" => value.as_bool() == Some(true),
        "logprobs" => value.as_bool() == Some(false),
        "service_tier" => matches!(word.as_deref(), Some("auto" | "default")),
        "verbosity" => word.as_deref() == Some("medium"),
        "logit_bias" => value.members().next().is_none(),
        // Some models refuse penalties, those of nothing too.
        "frequency_penalty" | "presence_penalty" | "top_logprobs" => value.as_f64() == Some(0.0),
        _ => false,
    }
}

/// A member that goes over as it is; whether there is such a one.
pub(super) fn plain(name: &str, value: &Raw<'_>, config: &mut Members) -> Result<bool, Failure> {
    let json = || String::from_utf8_lossy(value.text).into_owned();
    if let Some((_, to)) = RENAMED.iter().find(|(from, _)| *from == name) {
        if value.kind != Kind::Number {
            return Err(cannot(format!("{name} that is not a number")));
        }
        config.push((to, json()));
        return Ok(true);
    }
    match name {
        "logprobs" => config.push(("responseLogprobs", "true".to_owned())),
        "seed" => {
            // Google's seed has 32 bits. What does not fit becomes one that does,
            // the same each time.
            let seed: Option<i64> = std::str::from_utf8(value.text).ok().and_then(|text| text.parse().ok());
            let seed = seed.ok_or_else(|| cannot("a seed that is not a whole number"))?;
            let seed = i32::try_from(seed).unwrap_or_else(|_| i32::try_from(seed & 0x7fff_ffff).unwrap_or(0));
            config.push(("seed", seed.to_string()));
        }
        "stop" => {
            let one = value.as_str().into_iter().collect::<Vec<_>>();
            let many = value.elements().filter_map(Result::ok).filter_map(|stop| stop.as_str());
            let stops: Vec<String> = one
                .into_iter()
                .chain(many)
                .filter(|stop| !stop.is_empty())
                .map(|stop| quoted(&stop))
                .collect();
            if stops.len() > MOST_STOPS {
                return Err(cannot(format!("more than {MOST_STOPS} stop sequences")));
            }
            if !stops.is_empty() {
                config.push(("stopSequences", format!("[{}]", stops.join(","))));
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// How much may be said, and how often.
pub(super) fn limits(
    request: &ChatRequest,
    max_output: Option<u32>,
    config: &mut Members,
    warnings: &mut Warnings,
) -> Result<(), Failure> {
    if let Some(wanted) = request.max_output_tokens {
        let most = max_output.unwrap_or(u32::MAX);
        if wanted > most {
            warnings.add(format!("the limit of {wanted} output tokens was lowered to the model's {most}"));
        }
        config.push(("maxOutputTokens", wanted.min(most).to_string()));
    }
    if request.n > MOST_CANDIDATES {
        return Err(cannot(format!("more than {MOST_CANDIDATES} choices")));
    }
    if request.n > 1 {
        config.push(("candidateCount", request.n.to_string()));
    }
    Ok(())
}

/// In which forms the answer comes.
pub(super) fn modalities(asked: Option<&Raw<'_>>, config: &mut Members) -> Result<(), Failure> {
    let words: Vec<_> =
        asked.iter().flat_map(|asked| asked.elements()).flatten().filter_map(|word| word.as_str()).collect();
    if words.iter().all(|word| word == "text") {
        return Ok(());
    }
    if let Some(other) = words.iter().find(|word| !matches!(word.as_ref(), "text" | "image")) {
        return Err(cannot(format!("an answer in {}", super::parts::short(other))));
    }
    let words: Vec<String> = words.iter().map(|word| quoted(&word.to_uppercase())).collect();
    config.push(("responseModalities", format!("[{}]", words.join(","))));
    Ok(())
}

/// How much is thought. What the caller says in Google's own words wins.
pub(super) fn thinking(
    effort: Option<&Raw<'_>>,
    google: Option<&Raw<'_>>,
    traits: Traits,
    config: &mut Members,
    warnings: &mut Warnings,
) {
    let own =
        google.and_then(|google| google.get(b"thinking_config").or_else(|| google.get(b"thinkingConfig")));
    if let Some(own) = own {
        config.push(("thinkingConfig", String::from_utf8_lossy(own.text).into_owned()));
        return;
    }
    let Some(effort) = effort.and_then(Raw::as_str) else { return };
    match models::thinking(traits, &effort) {
        Some((member, value)) => {
            // Thoughts are told only on request; at the lowest level there are none to tell.
            let told = effort != "none";
            config.push(("thinkingConfig", format!("{{\"{member}\":{value},\"includeThoughts\":{told}}}")));
            if effort == "none" && value != "0" {
                warnings.add("the model cannot be kept from thinking; it was told to think least");
            }
        }
        None if traits.thinking == Thinking::None && effort == "none" => {}
        None => warnings.add("reasoning_effort has no effect here"),
    }
}

/// `response_format`.
pub(super) fn format(
    format: Option<&Raw<'_>>,
    beside_tools: bool,
    config: &mut Members,
    warnings: &mut Warnings,
) -> Result<(), Failure> {
    let Some(format) = format else { return Ok(()) };
    let kind = format.get(b"type").and_then(|kind| kind.as_str()).unwrap_or_default();
    if !matches!(kind.as_ref(), "json_object" | "json_schema") {
        return match kind.as_ref() {
            "text" => Ok(()),
            other => Err(cannot(format!("a response format of type {:?}", super::parts::short(other)))),
        };
    }
    if beside_tools {
        return Err(cannot("response_format beside tools"));
    }
    config.push(("responseMimeType", "\"application/json\"".to_owned()));
    if kind == "json_schema" {
        let schema = format.get(b"json_schema").and_then(|inner| inner.get(b"schema"));
        let schema = schema.ok_or_else(|| cannot("a response format without schema"))?;
        let schema: Value =
            serde_json::from_slice(schema.text).map_err(|_| cannot("a schema that cannot be read"))?;
        config.push(("responseJsonSchema", schema::clean(&schema, warnings).to_string()));
    }
    Ok(())
}
