use proptest::prelude::*;

use super::*;
use crate::dialect::sse::MOST_EVENT;

/// All messages of `stream`, cut into chunks of `size` bytes, and how it ended.
fn split(stream: &[u8], size: usize) -> (Vec<Message>, Option<Broken>) {
    let mut splitter = Splitter::new(MOST_EVENT);
    let mut found = Vec::new();
    for chunk in stream.chunks(size) {
        splitter.push(Bytes::copy_from_slice(chunk));
        loop {
            match splitter.next() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(broken) => return (found, Some(broken)),
            }
        }
    }
    (found, None)
}

/// A message that Bedrock sent, as the Bedrock provider of Vercel's AI SDK
/// records it (github.com/vercel/ai, packages/amazon-bedrock).
const RECORDED: &[u8] = b"\x00\x00\x00\xdd\x00\x00\x00\x67\xc7\x91\x90\x7a\x0d:message-type\x07\x00\x09exception\
\x0f:exception-type\x07\x00\x19modelStreamErrorException\x0d:content-type\x07\x00\x10application/json\
{\"message\":\"Model Stream Error\",\"originalStatusCode\":500,\"originalMessage\":\"The model stream failed.\"}\
\x57\x33\x43\x13";

#[test]
fn what_bedrock_sent_is_understood_in_any_pieces() {
    for size in 1..=RECORDED.len() {
        let (messages, broken) = split(RECORDED, size);
        assert_eq!((messages.len(), broken), (1, None), "{size}");
        assert_eq!(
            (messages[0].kind, &messages[0].name[..]),
            (Kind::Exception, &b"modelStreamErrorException"[..])
        );
        assert!(messages[0].payload.starts_with(b"{\"message\":\"Model Stream Error\""));
    }
}

#[test]
fn headers_of_every_type_are_crossed() {
    let mut lines = Vec::new();
    let values: [&[u8]; 9] = [
        b"\x00",
        b"\x01",
        b"\x02a",
        b"\x03ab",
        b"\x04abcd",
        b"\x05abcdefgh",
        b"\x06\x00\x03abc",
        b"\x08abcdefgh",
        b"\x09abcdefghijklmnop",
    ];
    for value in values {
        // Of another type than a string, even a name that means something does not.
        lines.extend_from_slice(b"\x0b:event-type");
        lines.extend_from_slice(value);
    }
    lines.extend_from_slice(b"\x0d:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x02ok");
    let headers = Headers::read(&lines).unwrap();
    assert_eq!((headers.kind, headers.event), (Some(&b"event"[..]), Some(&b"ok"[..])));
    for bad in
        [&b"\x01a\x0a"[..], b"\x05ab", b"\x01a", b"\x01a\x07\x00", b"\x01a\x07\x00\x05ab", b"\x01a\x04abc"]
    {
        assert!(Headers::read(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_error_without_payload_has_its_message() {
    let headers = [(":message-type", "error"), (":error-code", "internal"), (":error-message", "broken")];
    let (messages, _) = split(&write(&headers, b""), 5);
    let expected = Message { kind: Kind::Error, name: "internal".into(), payload: "broken".into() };
    assert_eq!(messages, [expected]);
}

#[test]
fn lengths_that_cannot_be_are_refused_before_anything_is_held() {
    let prelude = |whole: u32, headers: u32| {
        let mut bytes = [whole.to_be_bytes(), headers.to_be_bytes()].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        split(&bytes, 3).1
    };
    assert_eq!(prelude(u32::MAX, 0), Some(Broken::TooLarge));
    assert_eq!(prelude(8 * 1024 * 1024 + 1, 0), Some(Broken::TooLarge));
    assert_eq!(prelude(1 << 20, 1 << 19), Some(Broken::TooLarge));
    assert_eq!(prelude(15, 0), Some(Broken::Malformed));
    assert_eq!(prelude(20, 5), Some(Broken::Malformed));
    // Much is announced, little comes: little is held.
    assert_eq!(prelude(8 * 1024 * 1024, 0), None);
    let mut splitter = Splitter::new(MOST_EVENT);
    let announced = write(&[], &vec![b'x'; 4 << 20]);
    splitter.push(announced.slice(..100));
    assert_eq!(splitter.next(), Ok(None));
    assert!(splitter.is_inside() && splitter.held.capacity() < 1024);
}

#[test]
fn a_message_that_lies_whole_in_a_chunk_is_not_copied() {
    let chunk = event("x", &[b'a'; 100]);
    let mut splitter = Splitter::new(MOST_EVENT);
    splitter.push(chunk.clone());
    let message = splitter.next().unwrap().unwrap();
    assert!(chunk.as_ptr_range().contains(&message.payload.as_ptr()));
}

proptest! {
    #[test]
    fn messages_are_the_same_wherever_the_borders_are(
        events in prop::collection::vec(("[a-zA-Z]{0,9}", prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 0..6), size in 1..300_usize,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (name, payload, fails) in events {
            let (written, kind) =
                if fails { (exception(&name, &payload), Kind::Exception) } else { (event(&name, &payload), Kind::Event) };
            stream.extend_from_slice(&written);
            expected.push(Message { kind, name: name.into(), payload: payload.into() });
        }
        prop_assert_eq!(split(&stream, size), (expected, None));
    }

    #[test]
    fn no_damage_goes_unnoticed(payload in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut stream = event("chunk", &payload).to_vec();
        let at = at.index(stream.len());
        stream[at] ^= 1 << bit;
        let (messages, broken) = split(&stream, 7);
        prop_assert!(messages.is_empty() && broken.is_some());
    }

    #[test]
    fn any_bytes_are_messages_or_broken(stream in prop::collection::vec(any::<u8>(), 0..200), size in 1..50_usize) {
        prop_assert_eq!(split(&stream, size), split(&stream, 1));
    }
}
