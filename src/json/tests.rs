use super::*;
use proptest::prelude::*;

fn reason(text: &str) -> Option<Reason> {
    document(text.as_bytes()).err().map(|error| error.reason)
}

#[test]
fn finds_members_in_place() {
    let text = br#" {"a": [1, {"b": "c\"d"}], "mod\u0065l" : "x"} "#;
    let whole = document(text).unwrap();
    let model = whole.get(b"model").unwrap();
    assert_eq!(model.as_str().unwrap(), "x");
    assert_eq!(&text[model.start..model.end()], b"\"x\"");
    let inner = whole.get(b"a").unwrap().elements().nth(1).unwrap().unwrap();
    assert_eq!(inner.get(b"b").unwrap().as_str().unwrap(), "c\"d");
    assert_eq!(&text[inner.start..inner.end()], br#"{"b": "c\"d"}"#);
}

#[test]
fn says_what_is_wrong() {
    assert_eq!(reason(r#"{"a":1"#), Some(Reason::Truncated));
    assert_eq!(reason(r#"{"a":}"#), Some(Reason::Unexpected));
    assert_eq!(reason(r#"{"a":1,}"#), Some(Reason::Unexpected));
    assert_eq!(reason("[1,]"), Some(Reason::Unexpected));
    assert_eq!(reason("[1}"), Some(Reason::Unexpected));
    assert_eq!(reason("{} x"), Some(Reason::Trailing));
    assert_eq!(reason("01"), Some(Reason::Trailing));
    assert_eq!(reason("NaN"), Some(Reason::Unexpected));
    assert_eq!(reason(&"[".repeat(10_000)), Some(Reason::TooDeep));
    assert_eq!(reason(&format!("{}{}", "[".repeat(128), "]".repeat(128))), None);
}

#[test]
fn numbers_outside_the_range_are_not_whole_numbers() {
    let number = |text: &'static str| document(text.as_bytes()).unwrap().as_u64();
    assert_eq!(number("18446744073709551615"), Some(u64::MAX));
    assert_eq!(number("18446744073709551616"), None);
    assert_eq!(number("-1"), None);
    assert_eq!(number("1.0"), None);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Walks everything that can be reached, so that ranges are really used.
fn walk_all(value: &Raw<'_>) -> usize {
    let inside: usize = value.members().flatten().map(|(_, inner)| walk_all(&inner)).sum();
    inside + value.elements().flatten().map(|inner| walk_all(&inner)).sum::<usize>() + 1
}

fn count(value: &serde_json::Value) -> usize {
    1 + match value {
        serde_json::Value::Array(items) => items.iter().map(count).sum(),
        serde_json::Value::Object(members) => members.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn accepts_and_walks_all_json(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let whole = document(text.as_bytes()).unwrap();
        prop_assert_eq!(walk_all(&whole), count(&value));
    }

    #[test]
    fn agrees_with_serde_json_on_damaged_text(value in any_json(), at in any::<prop::sample::Index>(), byte in prop::sample::select(b"{}[]\",:0-.e \\tn".to_vec())) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let index = at.index(text.len());
        text[index] = byte;
        let ours = document(&text).is_ok();
        let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
        // We are laxer inside strings only (escapes, control characters, encoding).
        prop_assert!(ours || !theirs, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = document(&text) {
            walk_all(&value);
        }
    }
}
