//! Answers for benchmarks: the request is looked at as little as possible and
//! the answer is one write of bytes made beforehand, so that the simulator is
//! not what is measured. No journal entry; the provider's counter counts.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::behaviour::Behaviour;
use super::compose::{Brief, Gaps, compose};
use super::quirks::Quirk;
use super::script::{Framing, Script, Step};
use super::speech::{Ask, Consumed, Content, Speech, Tale};
use super::texts;

/// Both answers of one behaviour.
#[derive(Debug, Clone)]
pub(super) struct Prebuilt {
    whole: Bytes,
    stream: Bytes,
}

impl Prebuilt {
    pub(super) fn new(speech: &'static dyn Speech, behaviour: &Behaviour) -> Self {
        let words = texts::words(texts::GOOD.first().copied().unwrap_or_default(), behaviour.words);
        let consumed = Consumed {
            prompt_tokens: 100,
            completion_tokens: words.len() as u64,
            reasoning_tokens: 0,
            cached_tokens: 0,
        };
        let content = Content { text: words, ..Content::default() };
        let tale = Tale { number: 0, content, consumed, cost_usd: 0.0 };
        let build = |stream| {
            let ask =
                Ask { model: "bench".to_owned(), stream, include_usage: true, choices: 1, ..Ask::default() };
            let mut behaviour = behaviour.clone();
            behaviour.quirks.push(Quirk::Burst);
            let rng = fastrand::Rng::with_seed(0);
            let gaps = Gaps { mean: std::time::Duration::ZERO, jitter: 0.0, rng };
            flatten(&compose(Brief {
                speech,
                ask: &ask,
                tale: &tale,
                behaviour: &behaviour,
                first: std::time::Duration::ZERO,
                gaps,
                credential: None,
            }))
        };
        Prebuilt { whole: build(false), stream: build(true) }
    }

    /// The answer to the request at the front of `inbox`, which is taken out;
    /// `None` when it has not come completely or needs a closer look.
    pub(super) fn answer(&self, inbox: &mut BytesMut) -> Option<&Bytes> {
        if !(inbox.starts_with(b"POST /v1/chat/completions ") || inbox.starts_with(b"POST /v1/messages ")) {
            return None;
        }
        let head = memmem::find(inbox, b"\r\n\r\n")? + 4;
        let length = content_length(inbox.get(..head)?)?;
        let body = inbox.get(head..head.checked_add(length)?)?;
        let stream =
            memmem::find(body, b"\"stream\":true").or_else(|| memmem::find(body, b"\"stream\": true"));
        let stream = stream.is_some();
        inbox.advance(head + length);
        Some(if stream { &self.stream } else { &self.whole })
    }
}

/// The value of the header, in the two spellings that clients use.
fn content_length(head: &[u8]) -> Option<usize> {
    let name = memmem::find(head, b"\r\ncontent-length: ")
        .or_else(|| memmem::find(head, b"\r\nContent-Length: "))?;
    let value = head.get(name + 18..)?;
    let digits = value.get(..memchr::memchr(b'\r', value)?)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// All bytes of a script that neither waits nor fails.
fn flatten(script: &Script) -> Bytes {
    let mut all = BytesMut::new();
    for step in &script.steps {
        match (step, script.framing) {
            (Step::Body { bytes, .. }, Framing::Chunked) => {
                all.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
                all.extend_from_slice(bytes);
                all.extend_from_slice(b"\r\n");
            }
            (Step::Raw(bytes) | Step::Body { bytes, .. }, _) => all.extend_from_slice(bytes),
            (Step::EndBody { .. }, Framing::Chunked) => all.extend_from_slice(b"0\r\n\r\n"),
            _ => {}
        }
    }
    all.freeze()
}
