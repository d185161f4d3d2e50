use super::*;
use crate::json::Cursor;

fn class(content: &str) -> &'static str {
    name(of_content(&Cursor::new(content.as_bytes()).value().unwrap()))
}

#[test]
fn the_embedded_table_is_whole() {
    let detector = Detector::parse(TABLE).unwrap();
    assert!((3000..=MOST_WORDS).contains(&detector.weights.len()));
    let words: Vec<u16> = csv::Reader::from_reader(TABLE.as_bytes())
        .records()
        .filter_map(|record| detector.find(hash(record.unwrap()[0].as_bytes())))
        .collect();
    assert!(words.iter().copied().eq(0..u16::try_from(words.len()).unwrap()), "no two words share a hash");
}

#[test]
fn typical_requests_are_told_apart() {
    for (text, expected) in [
        ("Hi, how are you?", "chat"),
        ("Write a Python function that parses an ISO date and raises ValueError.", "code"),
        (
            "Tom has 12 apples, eats 3 and buys twice as many as are left. How many apples does he have now?",
            "arithmetic",
        ),
        ("Find the number of real roots of the polynomial $x^4 - 3x^2 + \\frac{1}{2}$.", "mathematics"),
        ("Translate the following sentence into German: the train is late.", "translation"),
        ("Summarize this article in two sentences.", "summary"),
        ("Write a poem about the autumn wind.", "writing"),
        (
            "Which hormone causes plants to bend toward light, and how do chloroplasts use photosynthesis?",
            "biology",
        ),
        ("The defendant was charged with burglary. Should the court admit the confession?", "law"),
    ] {
        assert_eq!(name(of_text(text)), expected, "{text}");
        assert_eq!(class(&serde_json::to_string(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn texts_of_parts_are_read_and_pictures_are_not() {
    let parts = r#"[{"type":"image_url","image_url":{"url":"data:def class return import"}},
        {"type":"text","text":"Translate the following sentence into German:"},{"type":"text","text":"the train is late."}]"#;
    assert_eq!(class(parts), "translation");
    for nothing in ["\"\"", "[]", "null", "7", "{}", "[null,7,{\"text\":null}]"] {
        assert_eq!(class(nothing), "chat", "{nothing}");
    }
}

#[test]
fn a_damaged_table_is_refused() {
    let header = TABLE.lines().next().unwrap();
    assert!(Detector::parse("word,a,b\n").is_err());
    assert!(Detector::parse(&format!("{header}\nx,1,2\n")).is_err());
    assert!(Detector::parse(&format!("{header}\nx{}\n", ",128".repeat(TOLD))).is_err());
    assert!(Detector::parse(&format!("{header}\nx{}\n", ",127".repeat(TOLD))).is_ok());
}
