//! What is sent and answered: the same bytes for every target.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// Content events in one streamed answer.
pub(crate) const EVENTS: usize = 100;

/// The model everybody asks for.
pub(crate) const MODEL: &str = "bench-model";

/// The text of the answer that is not streamed, by which it is recognised.
pub(crate) const ANSWER: &str = "Merit order dispatches the cheapest plant that can serve the load.";

/// How fast a streamed answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as it can be written, each event for itself.
    Burst,
    /// An event every 5 ms, as from a fast model: none meets the next on its way.
    Paced,
    /// An event a second.
    Slow,
}

impl Pace {
    /// Every pace.
    pub(crate) const ALL: [Pace; 3] = [Pace::Burst, Pace::Paced, Pace::Slow];

    /// How a request asks for it: the value of its `user`.
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Pace::Burst => "burst-stream",
            Pace::Paced => "paced-stream",
            Pace::Slow => "slow-stream",
        }
    }

    /// The pause after each event.
    pub(crate) const fn pause(self) -> Duration {
        match self {
            Pace::Burst => Duration::ZERO,
            Pace::Paced => Duration::from_millis(5),
            Pace::Slow => Duration::from_secs(1),
        }
    }
}

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The request body's length in bytes.
    pub body: usize,
    /// How its answer is streamed, if it is.
    pub stream: Option<Pace>,
}

impl Shape {
    /// A question of this many bytes with an answer in one piece.
    pub(crate) const fn plain(body: usize) -> Self {
        Shape { body, stream: None }
    }

    /// A small question with a streamed answer.
    pub(crate) const fn stream(pace: Pace) -> Self {
        Shape { body: 300, stream: Some(pace) }
    }
}

/// A whole request, ready to be written.
pub(crate) fn request(shape: Shape, address: SocketAddr, key: Option<&str>) -> Vec<u8> {
    let body = body(shape);
    let mut head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: */*\r\nuser-agent: bench\r\ncontent-length: {}\r\n",
        body.len()
    );
    if let Some(key) = key {
        head.push_str("authorization: Bearer ");
        head.push_str(key);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    [head.into_bytes(), body.into_bytes()].concat()
}

/// A chat request of exactly `shape.body` bytes (or the least possible).
fn body(shape: Shape) -> String {
    let mut text = format!(r#"{{"model":"{MODEL}","#);
    if let Some(pace) = shape.stream {
        text.push_str(r#""stream":true,"stream_options":{"include_usage":true},"user":""#);
        text.push_str(pace.mark());
        text.push_str(r#"","#);
    }
    text.push_str(r#""messages":[{"role":"user","content":""#);
    let end = r#""}],"max_tokens":64}"#;
    // Prose with line breaks and quotes, as prompts have: escapes are what slows JSON readers down.
    let prose = r#"A grid serves the next megawatt from the cheapest plant that can; they call it \"merit order\".\nNow: "#;
    while text.len() + end.len() + prose.len() <= shape.body {
        text.push_str(prose);
    }
    while text.len() + end.len() < shape.body {
        text.push('.');
    }
    text.push_str(end);
    text
}

/// The whole answer that is not streamed: head and body.
pub(crate) fn plain_answer() -> Vec<u8> {
    let body = format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1760000000,"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{ANSWER}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":57,"completion_tokens":16,"total_tokens":73}},"system_fingerprint":"fp_bench"}}"#
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A streamed answer, write by write: the head with the first event, one event
/// in each further write, and the end.
pub(crate) fn stream_answer() -> Vec<Vec<u8>> {
    let mut writes: Vec<Vec<u8>> = (0..EVENTS).map(|n| http_chunk(&event(&content(n)))).collect();
    let end = r#"{"index":0,"delta":{},"finish_reason":"stop"}"#;
    writes.push(http_chunk(&event(&chunk(end, "null"))));
    let usage = r#"{"prompt_tokens":57,"completion_tokens":100,"total_tokens":157}"#;
    writes.push(http_chunk(&event(&chunk("", usage))));
    writes.push([http_chunk(&event("[DONE]")), b"0\r\n\r\n".to_vec()].concat());
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if let Some(first) = writes.first_mut() {
        first.splice(0..0, head.iter().copied());
    }
    writes
}

fn content(n: usize) -> String {
    let role = if n == 0 { r#""role":"assistant","# } else { "" };
    chunk(&format!(r#"{{"index":0,"delta":{{{role}"content":"w{n:03} "}},"finish_reason":null}}"#), "null")
}

fn chunk(choice: &str, usage: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1760000000,"model":"{MODEL}","choices":[{choice}],"usage":{usage}}}"#
    )
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

fn http_chunk(data: &str) -> Vec<u8> {
    let mut chunk = String::new();
    // Writing to a string cannot fail.
    let _ = write!(chunk, "{:x}\r\n{data}\r\n", data.len());
    chunk.into_bytes()
}

/// Whether this is the whole answer that is not streamed.
pub(crate) fn is_whole_answer(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"{")
        && body.ends_with(b"}")
        && memchr::memmem::find(body, ANSWER.as_bytes()).is_some()
        && memchr::memmem::find(body, br#""total_tokens""#).is_some()
}

/// Watches a streamed answer as it arrives: every content event once and in
/// order, then `[DONE]`.
#[derive(Debug, Default)]
pub(crate) struct StreamCheck {
    line: Vec<u8>,
    next: usize,
    disorder: bool,
    done: bool,
}

impl StreamCheck {
    /// Takes the next bytes and returns how many content events they completed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> u64 {
        let before = self.next;
        let mut rest = bytes;
        while let Some((line, after)) =
            memchr::memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end + 1))
        {
            if self.line.is_empty() {
                self.read(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.read(&whole);
            }
            rest = after;
        }
        self.line.extend_from_slice(rest);
        (self.next - before) as u64
    }

    /// Whether the stream was whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.done && !self.disorder && self.next == EVENTS
    }

    fn read(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.disorder |= self.done;
            self.done = true;
            return;
        }
        let mark = br#""content":"w"#;
        let Some(at) = memchr::memmem::find(data, mark) else { return };
        let number = data.get(at + mark.len()..at + mark.len() + 3);
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        self.disorder |= self.done || number != Some(self.next);
        self.next += 1;
    }
}
