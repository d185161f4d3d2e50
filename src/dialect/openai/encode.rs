//! Says a request: the caller's own bytes, with a few places changed.

use bytes::Bytes;

use crate::catalog::Quirk;
use crate::dialect::Encoded;
use crate::dialect::splice::{Edit, pieces};
use crate::outcome::Failure;
use crate::request::{ChatRequest, Name};

use super::models::Family;

/// The request for an endpoint whose provider calls the model `upstream`.
///
/// # Errors
/// When it asks for what the model refuses and the answer would lack.
pub(in crate::dialect) fn encode(
    request: &ChatRequest,
    upstream: &str,
    quirks: &[Quirk],
) -> Result<Encoded, Failure> {
    encode_as(request, upstream, Family::of(upstream, ""), quirks)
}

/// The same where the model is known to be one of that family.
///
/// # Errors
/// When it asks for what the model refuses and the answer would lack.
pub(super) fn encode_as(
    request: &ChatRequest,
    upstream: &str,
    family: &Family,
    quirks: &[Quirk],
) -> Result<Encoded, Failure> {
    let quirk = |quirk| quirks.contains(&quirk);
    let spans = &request.spans;
    let (refused, mut warnings) = refused(request, family)?;
    let mut edits = Vec::new();
    if let Some(model) = spans.find(Name::Model)
        && request.model != upstream
    {
        edits.push(Edit::replace(model.value.clone(), json_string(upstream)));
    }
    let no_options = request.stream && quirk(Quirk::NoStreamOptions);
    if request.stream && !no_options {
        edits.extend(ask_for_usage(request));
    }
    let new_name = quirk(Quirk::MaxCompletionTokens) || family.limit && !quirk(Quirk::MaxTokens);
    let (from, to) = match (new_name, quirk(Quirk::MaxTokens)) {
        (true, false) => (Some(Name::MaxTokens), Name::MaxCompletionTokens),
        (false, true) => (Some(Name::MaxCompletionTokens), Name::MaxTokens),
        _ => (None, Name::MaxTokens),
    };
    let old = from.and_then(|name| spans.find(name));
    let both = old.is_some() && spans.find(to).is_some();
    if let Some(member) = old {
        let (old, new) = (limit_name(member.name), limit_name(to));
        if both {
            warnings.push(format!("{old} was left out beside {new}"));
        } else {
            edits.push(Edit::replace(member.key.clone(), format!("\"{new}\"")));
            warnings.push(format!("{old} was sent as {new}"));
        }
    }
    let cuts = spans.cuts(|member| {
        member.name == Name::Control
            || no_options && member.name == Name::StreamOptions
            || both && from == Some(member.name)
            || refused.contains(&member.position)
    });
    edits.extend(cuts.into_iter().map(Edit::cut));
    Ok(Encoded { path: "/chat/completions".to_owned(), body: pieces(&request.body, edits), warnings })
}

/// Positions of members, and warnings.
type Refused = (Vec<usize>, Vec<String>);

/// Positions of the members that the model refuses, and warnings of those that
/// would have changed something.
///
/// # Errors
/// When the caller would miss what was asked for.
fn refused(request: &ChatRequest, family: &Family) -> Result<Refused, Failure> {
    let text = |span: &std::ops::Range<usize>| {
        let bytes = request.body.get(span.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default().trim_matches('"')
    };
    let effort = request.spans.find(Name::Effort).map(|member| text(&member.value));
    let effort = effort.filter(|effort| *effort != "null");
    let (mut positions, mut warnings) = (Vec::new(), Vec::new());
    if !family.refuses_sampling(effort) {
        return Ok((positions, warnings));
    }
    for member in request.spans.members.iter().filter(|member| member.name == Name::Sampling) {
        let (name, value) = (text(&member.key), text(&member.value));
        let number = value.parse::<f64>().ok();
        let says_nothing = match name {
            _ if value == "null" => true,
            "temperature" | "top_p" => number == Some(1.0),
            "presence_penalty" | "frequency_penalty" | "top_logprobs" => number == Some(0.0),
            "logprobs" => value == "false",
            _ => value == "{}",
        };
        if !says_nothing && name.ends_with("logprobs") {
            return Err(Failure::Unsupported { what: format!("{name} of a model that reasons") });
        }
        if !says_nothing {
            warnings.push(format!("{name} has no effect here"));
        }
        positions.push(member.position);
    }
    Ok((positions, warnings))
}

/// Usage is asked for whatever the caller wants: it is billed from.
fn ask_for_usage(request: &ChatRequest) -> Option<Edit> {
    const ASK: &str = r#""include_usage":true"#;
    let spans = &request.spans;
    let Some(options) = spans.find(Name::StreamOptions) else {
        return Some(Edit::insert(spans.open, format!(r#""stream_options":{{{ASK}}},"#)));
    };
    match &spans.include_usage {
        Some(_) if request.include_usage => None,
        Some(value) => Some(Edit::replace(value.clone(), "true")),
        None if request.body.get(options.value.start) != Some(&b'{') => {
            Some(Edit::replace(options.value.clone(), format!("{{{ASK}}}")))
        }
        None => {
            let comma = if spans.options_empty { "" } else { "," };
            Some(Edit::insert(options.value.start + 1, format!("{ASK}{comma}")))
        }
    }
}

fn limit_name(name: Name) -> &'static str {
    match name {
        Name::MaxCompletionTokens => "max_completion_tokens",
        _ => "max_tokens",
    }
}

/// A text as JSON has it.
pub(super) fn json_string(text: &str) -> Bytes {
    serde_json::Value::from(text).to_string().into()
}

#[cfg(test)]
mod tests;
