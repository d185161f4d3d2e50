//! What the API refuses in contents, as far as their form goes.

use serde_json::Value;
use serde_json::value::RawValue;

/// # Errors
/// What is wrong, in words like the API's own.
pub(super) fn check(contents: &RawValue, model: &str) -> Result<(), String> {
    let turns: Vec<Value> = serde_json::from_str(contents.get()).map_err(|error| error.to_string())?;
    if turns.is_empty() {
        return Err("contents is not specified".to_owned());
    }
    let signed = model.starts_with("gemini-3");
    let mut awaited = 0;
    for turn in &turns {
        let parts = turn.get("parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
        let parts = parts.ok_or("contents.parts must not be empty.")?;
        let (calls, results) = (all(parts, "functionCall"), all(parts, "functionResponse"));
        match turn.get("role").and_then(Value::as_str) {
            Some("user") if calls.is_empty() => {}
            Some("model") if results.is_empty() => {}
            _ => return Err("Please use a valid role: user, model.".to_owned()),
        }
        if results.len() != awaited {
            let awaited =
                "the number of function response parts is equal to the number of function call parts";
            return Err(format!("Please ensure that {awaited} of the function call turn."));
        }
        let objects = results
            .iter()
            .all(|part| part.pointer("/functionResponse/response").is_some_and(Value::is_object));
        if !objects {
            return Err("Invalid value at 'function_response.response' (Struct)".to_owned());
        }
        if signed && calls.first().is_some_and(|part| part.get("thoughtSignature").is_none()) {
            return Err("Function call is missing a thought_signature in functionCall parts.".to_owned());
        }
        awaited = calls.len();
    }
    Ok(())
}

fn all<'a>(parts: &'a [Value], name: &str) -> Vec<&'a Value> {
    parts.iter().filter(|part| part.get(name).is_some()).collect()
}
