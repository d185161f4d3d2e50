//! Says a request: the caller's own bytes, with a few places changed.

use bytes::Bytes;

use crate::catalog::Quirk;
use crate::dialect::Encoded;
use crate::dialect::splice::{Edit, pieces};
use crate::request::{ChatRequest, Name};

/// The request for an endpoint whose provider calls the model `upstream`.
pub(in crate::dialect) fn encode(request: &ChatRequest, upstream: &str, quirks: &[Quirk]) -> Encoded {
    let quirk = |quirk| quirks.contains(&quirk);
    let spans = &request.spans;
    let mut warnings = Vec::new();
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
    let (from, to) = match (quirk(Quirk::MaxCompletionTokens), quirk(Quirk::MaxTokens)) {
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
    });
    edits.extend(cuts.into_iter().map(Edit::cut));
    Encoded { path: "/chat/completions".to_owned(), body: pieces(&request.body, edits), warnings }
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
