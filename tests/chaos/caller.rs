//! A caller that trusts nothing: it frames its answers itself, so that an
//! answer that broke off can never look whole.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// What works, or what was wrong in words.
pub(crate) type Sure<T> = Result<T, String>;

/// A gateway that says nothing for this long hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection that is to be closed is closed within this.
const CLOSING: Duration = Duration::from_secs(2);

/// An error in words.
pub(crate) fn words(error: impl Display) -> String {
    error.to_string()
}

/// A chat request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// Stands in the prompt, so that journal entries can be told apart.
    pub(crate) tag: String,
    pub(crate) max_tokens: u32,
    /// The member `merit`.
    pub(crate) merit: Value,
}

impl Ask {
    /// For `model`; not a stream.
    pub(crate) fn of(model: &str, tag: impl Into<String>) -> Ask {
        Ask {
            model: model.to_owned(),
            stream: false,
            include_usage: false,
            tag: tag.into(),
            max_tokens: 8,
            merit: json!({}),
        }
    }

    /// The same as a stream.
    pub(crate) fn streamed(self, include_usage: bool) -> Ask {
        Ask { stream: true, include_usage, ..self }
    }

    /// The same, trying `provider` first.
    pub(crate) fn first(self, provider: &str) -> Ask {
        Ask { merit: json!({ "order": [provider] }), ..self }
    }

    fn body(&self) -> String {
        let mut body = json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": format!("<{}>", self.tag) }],
            "max_tokens": self.max_tokens,
            "stream": self.stream,
            "merit": self.merit,
        });
        if self.include_usage {
            body["stream_options"] = json!({ "include_usage": true });
        }
        body.to_string()
    }
}

/// An answer, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the framing says that all of it came.
    pub(crate) whole: bool,
    /// Whether the gateway closed the connection after it.
    pub(crate) closed: bool,
    /// From sending to the head.
    pub(crate) head_after: Duration,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Sure<Value> {
        serde_json::from_slice(&self.body).map_err(|error| format!("not JSON ({error}): {}", self.text()))
    }

    /// Whole seconds of `retry-after`.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.parse().ok()
    }
}

/// How a caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Says that it sends nothing more, and goes on listening.
    HalfClose,
    /// Closes.
    Close,
    /// Resets.
    Reset,
}

/// One connection to the gateway.
#[derive(Debug)]
pub(crate) struct Line {
    stream: BufReader<TcpStream>,
    sent: Instant,
    chunked: bool,
    /// Bytes still to come of a body with a length.
    left: usize,
}

impl Line {
    pub(crate) async fn open(port: u16) -> Sure<Line> {
        Ok(Line::over(TcpStream::connect(("127.0.0.1", port)).await.map_err(words)?))
    }

    /// A connection whose kernel takes few bytes for a reader that does not read.
    pub(crate) async fn narrow(port: u16) -> Sure<Line> {
        let socket = TcpSocket::new_v4().map_err(words)?;
        socket.set_recv_buffer_size(4096).map_err(words)?;
        Ok(Line::over(socket.connect(([127, 0, 0, 1], port).into()).await.map_err(words)?))
    }

    fn over(stream: TcpStream) -> Line {
        Line { stream: BufReader::new(stream), sent: Instant::now(), chunked: false, left: 0 }
    }

    pub(crate) async fn send(&mut self, ask: &Ask) -> Sure<()> {
        let body = ask.body();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.sent = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes()).await.map_err(words)
    }

    /// Status line and headers.
    pub(crate) async fn head(&mut self) -> Sure<Heard> {
        let first = self.line().await?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let mut heard = Heard {
            status: status.ok_or_else(|| format!("no status line: {first:?}"))?,
            head_after: self.sent.elapsed(),
            ..Heard::default()
        };
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
            heard.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        self.chunked = heard.header("transfer-encoding") == Some("chunked");
        let length = heard.header("content-length").map(|length| length.parse().map_err(words));
        match (self.chunked, length) {
            (true, None) => {}
            (false, Some(length)) => self.left = length?,
            both => return Err(format!("ambiguous framing: {both:?}")),
        }
        Ok(heard)
    }

    /// The next piece of the body; `None` at its proper end.
    pub(crate) async fn piece(&mut self) -> Sure<Option<Vec<u8>>> {
        if !self.chunked {
            let length = std::mem::take(&mut self.left);
            return Ok(if length == 0 { None } else { Some(self.exactly(length).await?) });
        }
        let size = self.line().await?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| format!("no chunk size: {size:?}"))?;
        let piece = self.exactly(size).await?;
        match self.line().await?.as_str() {
            "" if size == 0 => Ok(None),
            "" => Ok(Some(piece)),
            other => Err(format!("{other:?} after a chunk")),
        }
    }

    /// Whether the gateway closes the connection now, without another byte.
    async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(timeout(CLOSING, self.stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }

    /// Leaves, one way or the other. What comes back keeps a connection that is
    /// only half closed from closing whole.
    pub(crate) async fn leave(self, how: Leave) -> Sure<Option<TcpStream>> {
        let mut stream = self.stream.into_inner();
        match how {
            Leave::HalfClose => stream.shutdown().await.map_err(words)?,
            Leave::Close => return Ok(None),
            Leave::Reset => {
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).map_err(words)?;
                return Ok(None);
            }
        }
        Ok(Some(stream))
    }

    async fn line(&mut self) -> Sure<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        read.map_err(|_| "the gateway hangs")?.map_err(words)?;
        match line.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("a line that does not end: {line:?}")),
        }
    }

    async fn exactly(&mut self, length: usize) -> Sure<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await;
        read.map_err(|_| "the gateway hangs")?.map_err(words)?;
        Ok(bytes)
    }
}

/// One request on a connection of its own. An answer that breaks off is an
/// answer, but not a whole one.
pub(crate) async fn ask(port: u16, ask: &Ask) -> Sure<Heard> {
    let mut line = Line::open(port).await?;
    line.send(ask).await?;
    let mut heard = line.head().await?;
    loop {
        match line.piece().await {
            Ok(Some(piece)) => heard.body.extend(piece),
            Ok(None) => {
                heard.whole = true;
                break;
            }
            Err(why) if why == "the gateway hangs" => return Err(why),
            Err(_) => break,
        }
    }
    // A connection that may be used again is not waited for.
    let over = heard.status == 200 && heard.whole && heard.text().ends_with("data: [DONE]\n\n");
    heard.closed = !over && ask.stream && heard.status == 200 && line.is_closed().await;
    Ok(heard)
}
