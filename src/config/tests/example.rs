//! The annotated example is the documentation of the settings: it must parse,
//! mention every key there is, and state the defaults that hold.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Place, print, schema};

const EXAMPLE: &str = include_str!("../../../config/merit.toml");

/// The example with its settings in force: those at their defaults (`# key =`)
/// and, if asked for, the others (`#: key =`).
fn uncommented(others: bool) -> String {
    let is_setting = |text: &str| {
        let key = text.split(" = ").next().unwrap_or_default();
        text.contains(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    EXAMPLE
        .lines()
        .map(|line| match (line.strip_prefix("#: "), line.strip_prefix("# ")) {
            (Some(other), _) if others && !other.starts_with("include") => other,
            (None, Some(default)) if is_setting(default) && others => default,
            (None, None) => line,
            _ => "",
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

fn place(text: &str) -> Place {
    let environment = [
        ("DEEPSEEK_API_KEY", "k"),
        ("ACME_KEY_1", "k1"),
        ("ACME_KEY_2", "k2"),
        ("AZURE_CLIENT_SECRET", "s"),
        ("SALESFORCE_CLIENT_ID", "i"),
        ("SALESFORCE_CLIENT_SECRET", "s"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    let place = Place::new(&environment);
    let token = place.write("token", "t");
    let text = text.replace("/run/secrets/merit-admin", token.to_str().unwrap());
    place.with("merit.toml", text)
}

#[test]
fn it_is_right_with_and_without_all_settings() {
    assert_eq!(place(&uncommented(false)).told(), [] as [&str; 0]);
    assert_eq!(place(&uncommented(true)).told(), [] as [&str; 0]);
}

#[test]
fn it_states_the_defaults_that_hold() {
    let (stated, _) = print(&place(&uncommented(true)).sources);
    let text = uncommented(true);
    let defaults: BTreeSet<&str> = EXAMPLE
        .lines()
        .zip(text.lines())
        .filter(|(line, setting)| line.starts_with("# ") && !setting.is_empty())
        .map(|(_, setting)| setting.split(" = ").next().unwrap())
        .collect();
    // The same providers, routes and keys, with nothing but what has no default.
    let bare: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("#: ") {
            Some(other) if !other.starts_with("include") => other,
            None if !line.starts_with('#') => line,
            _ => "",
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let (built_in, _) = print(&place(&bare).sources);
    assert!(defaults.len() > 25, "{defaults:?}");
    for value in &built_in {
        let same = stated.iter().find(|stated| stated.key == value.key).map(|stated| stated.value.as_str());
        let is_token = value.key == "admin.token.file";
        assert!(
            is_token || same == Some(value.value.as_str()),
            "{} is {} and stated as {same:?}",
            value.key,
            value.value
        );
    }
}

#[test]
fn it_mentions_every_key() {
    let mentioned: BTreeSet<String> =
        EXAMPLE.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(ToOwned::to_owned).collect();
    let mut keys = BTreeSet::new();
    collect(&schema(), &mut keys);
    assert!(keys.len() > 80, "{keys:?}");
    let missing: Vec<&String> = keys.difference(&mentioned).collect();
    assert_eq!(missing, [] as [&str; 0]);
}

fn collect(schema: &Json, keys: &mut BTreeSet<String>) {
    match schema {
        Json::Object(entries) => {
            if let Some(Json::Object(properties)) = entries.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            entries.values().for_each(|value| collect(value, keys));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        _ => {}
    }
}
