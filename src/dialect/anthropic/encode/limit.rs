//! How long the answer may be. Messages must say; chat need not.

use super::Notes;
use crate::dialect::anthropic::models::Family;

/// What the caller asks for, at most what the model can do; all that it can do
/// when the caller does not say.
pub(super) fn plan(asked: Option<u32>, endpoint: Option<u32>, family: &Family, notes: &mut Notes) -> u32 {
    let most = endpoint.unwrap_or(family.max_output);
    let wanted = asked.unwrap_or(most);
    if wanted > most {
        notes.add(format!("max_tokens was lowered to {most}"));
    }
    wanted.min(most)
}
