//! Texts with `{variables}`: addresses that differ by account and region.

use std::collections::BTreeMap;

use crate::config::check::Check;
use crate::config::tree::Path;

/// Values by name.
pub(super) type Variables = BTreeMap<String, String>;

/// Stands for the model, and is filled in for each.
const MODEL: &str = "model";

/// Fills `text` in. A variable that is not set is a problem at `path`, once, and
/// gives an empty text.
pub(super) fn fill(
    text: &str,
    variables: &Variables,
    (provider, path): (&Path, &Path),
    check: &mut Check<'_>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            check.error(path, "a '{' without its '}'", "write {name}, and set it under variables");
            return String::new();
        };
        rest = after;
        match variables.get(name) {
            _ if name == MODEL => out.push_str("{model}"),
            Some(value) => out.push_str(value.trim_end_matches('/')),
            None => {
                let message = format!("{{{name}}} stands for nothing");
                check.error(path, message, format!("add [{provider}.variables] with {name} = \"…\""));
                return String::new();
            }
        }
    }
    out.push_str(rest);
    out
}
