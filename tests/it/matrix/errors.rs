//! The column of failures: each class, and whose fault the caller is told it was.

use serde_json::{Value, json};

use super::cells::Mark;
use super::stage::{Source, Stage};
use crate::support::Fallible;
use crate::support::chat::{chat, with};

/// A behaviour of the upstream, and the statuses and codes that the caller may get.
const CLASSES: [(&str, &[u16], &[&str]); 6] = [
    ("context-length", &[400], &["context_length_exceeded"]),
    ("status-400", &[400], &[]),
    ("error-200", &[502, 503], &[]),
    ("status-503", &[502, 503], &[]),
    ("rate-limit-1", &[429, 503], &[]),
    ("status-401", &[502, 503], &[]),
];

/// All classes.
pub(super) fn all(stage: &Stage) -> Fallible<Mark> {
    for (behaviour, statuses, codes) in CLASSES {
        stage.behaves(behaviour)?;
        let body = match &stage.source {
            Source::Sim(..) => chat("model"),
            Source::Org(_) => match behaviour.strip_prefix("status-") {
                Some(status) => asked_to_fail(status),
                None => continue,
            },
        };
        let before = stage.asked();
        // The last two make a gateway ask no more for a while.
        let another =
            ["rate-limit-1", "status-401"].contains(&behaviour).then(|| stage.another()).transpose()?;
        let answer = another.as_ref().unwrap_or(&stage.gateway).chat(&body)?;
        let code = answer.error_code()?;
        let told = statuses.contains(&answer.status) && (codes.is_empty() || codes.contains(&code.as_str()));
        if !told || stage.asked() == before {
            return Err(format!("{behaviour} became {} {}", answer.status, answer.body).into());
        }
    }
    Ok(Mark::Done)
}

fn asked_to_fail(status: &str) -> Value {
    with(chat("model"), "messages", json!([{ "role": "user", "content": format!("fail {status}") }]))
}
