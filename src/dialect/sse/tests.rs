use proptest::prelude::*;

use super::*;

/// Data and name of events, and whether an error ended them.
type Found = (Vec<(Bytes, Bytes)>, bool);

/// All events, whatever the borders.
fn events<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, most: usize) -> Found {
    let mut splitter = Splitter::new(most);
    let mut found = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        loop {
            match splitter.next() {
                Ok(None) => break,
                Ok(Some(event)) => found.push((event.data, event.name)),
                Err(TooLarge) => return (found, true),
            }
        }
    }
    (found, false)
}

fn data(text: &str) -> Vec<String> {
    let (found, _) = events([text.as_bytes()], MOST_EVENT);
    found.into_iter().map(|(data, _)| String::from_utf8(data.to_vec()).unwrap()).collect()
}

/// The grammar, said as plainly as possible and without any border.
fn reference(text: &[u8]) -> Vec<(Bytes, Bytes)> {
    let text = text.strip_prefix(&BOM).unwrap_or(text);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            other => lines.last_mut().unwrap().push(other),
        }
    }
    // What is behind the last line's end is not a line.
    lines.pop();
    let (mut events, mut data, mut name) = (Vec::new(), Vec::<Vec<u8>>::new(), Vec::new());
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                events.push((Bytes::from(data.join(&b'\n')), Bytes::from(name)));
            }
            (data, name) = (Vec::new(), Vec::new());
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        match &line[..colon] {
            b"data" => data.push(value),
            b"event" => name = value,
            _ => {}
        }
    }
    events
}

#[test]
fn lines_end_in_three_ways() {
    assert_eq!(data("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n"), ["a", "b", "c", "d"]);
}

#[test]
fn fields_are_read_as_the_grammar_says() {
    assert_eq!(data("\u{feff}data:a\ndata:  b\nid: 1\nretry: 5\n: comment\ndata\n\n"), ["a\n b\n"]);
    assert_eq!(data(": ping\n\n\n\nevent: x\n\ndata: a\n\n"), ["a"]);
    assert_eq!(data("data: cut"), Vec::<String>::new());
    assert_eq!(data("data: cut\n"), Vec::<String>::new());
    assert_eq!(data("data:\n\n"), [""]);
    let (found, _) = events([&b"event: error\ndata: x\n\n"[..]], MOST_EVENT);
    assert_eq!(found, [("x".into(), "error".into())]);
}

#[test]
fn a_whole_event_is_not_copied() {
    let chunk = Bytes::from_static(b"data: one\n\ndata: two\n\n");
    let mut splitter = Splitter::new(MOST_EVENT);
    splitter.push(chunk.clone());
    let first = splitter.next().unwrap().unwrap();
    assert_eq!(first.data.as_ptr(), chunk[6..].as_ptr());
    assert_eq!(first.plain, Some(Plain::Chunk(0..11)));
    assert_eq!(splitter.next().unwrap().unwrap().plain, Some(Plain::Chunk(11..22)));
    assert_eq!(splitter.next(), Ok(None));
}

#[test]
fn an_event_in_pieces_is_put_together() {
    let mut splitter = Splitter::new(MOST_EVENT);
    splitter.push(Bytes::from_static(b"data: o"));
    assert_eq!(splitter.next(), Ok(None));
    splitter.push(Bytes::from_static(b"ne\n\ndata: two\n\n"));
    let first = splitter.next().unwrap().unwrap();
    assert_eq!(first.plain, Some(Plain::Joined(Bytes::from_static(b"data: one\n\n"))));
    assert_eq!(splitter.next().unwrap().unwrap().plain, Some(Plain::Chunk(4..15)));
}

#[test]
fn events_over_the_limit_are_refused_before_they_are_held() {
    let long = format!("data: {}\n\n", "x".repeat(92));
    assert!(!events([long.as_bytes()], 100).1);
    assert!(events([long.as_bytes()], 99).1);
    assert!(events(long.as_bytes().chunks(7), 99).1);
    let endless = vec![b'x'; 1000];
    let mut splitter = Splitter::new(100);
    splitter.push(Bytes::from(endless));
    assert_eq!(splitter.next(), Err(TooLarge));
}

#[test]
fn a_line_feed_that_comes_later_counts_too() {
    let text = b"data: 1\r\n";
    assert_eq!(events([text.as_slice()], 8), events(text.chunks(1), 8));
    assert!(events(text.chunks(1), 8).1);
    assert!(!events(text.chunks(1), 9).1);
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data: ".to_vec()),
        Just(b"data:".to_vec()),
        Just(b"data".to_vec()),
        Just(b"event: e".to_vec()),
        Just(b": c".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(BOM.to_vec()),
        Just(b"\xef\xbb".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
        "[a-zü ]{0,6}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn agrees_with_the_grammar_at_every_border(text in anything(), size in 1..9_usize) {
        let expected = reference(&text);
        prop_assert_eq!(&events([text.as_slice()], MOST_EVENT).0, &expected);
        prop_assert_eq!(&events(text.chunks(size), MOST_EVENT).0, &expected);
        for at in 0..=text.len() {
            let (left, right) = text.split_at(at);
            prop_assert_eq!(&events([left, right], MOST_EVENT).0, &expected, "split at {}", at);
        }
    }

    #[test]
    fn the_limit_does_not_depend_on_borders(text in anything(), size in 1..9_usize, most in 1..40_usize) {
        prop_assert_eq!(events([text.as_slice()], most), events(text.chunks(size), most));
    }

    #[test]
    fn plain_bytes_are_the_event(text in anything(), size in 1..20_usize) {
        let mut splitter = Splitter::new(MOST_EVENT);
        for chunk in text.chunks(size) {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = splitter.next().unwrap() {
                let bytes = match event.plain {
                    None => continue,
                    Some(Plain::Chunk(range)) => splitter.chunk().slice(range),
                    Some(Plain::Joined(bytes)) => bytes,
                };
                prop_assert_eq!(bytes, [b"data: ", event.data.as_ref(), b"\n\n"].concat());
            }
        }
    }
}
