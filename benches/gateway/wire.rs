//! Just enough HTTP/1.1 for both ends of the bench.
//!
//! A full client or server would cost more than the gateways that are to be
//! measured and so drown the differences between them. This one reads heads and
//! bodies by length or in chunks, and nothing else: it talks only to itself and
//! to what the bench has started.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much is read at once, in bytes: a 200 kB body takes few reads, and two
/// thousand connections stay small.
const READ: usize = 32 * 1024;

/// The longest head or chunk header that is accepted, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With a chunk of length zero.
    Chunked,
    /// With the connection.
    Close,
}

/// What the bench needs to know of a message's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// A response's status; `None` for a request.
    pub status: Option<u16>,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the sender closes the connection after this message.
    pub close: bool,
}

/// A connection and what has been read from it but not yet used.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

impl Wire {
    /// A connection that has just been accepted or made.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Wire { stream, buffer: Vec::new(), used: 0 })
    }

    /// A new connection.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Wire::new(TcpStream::connect(address).await?)
    }

    /// Sends all of these bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next head; `None` when the peer has closed between two messages.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(length) = memchr::memmem::find(self.unused(), b"\r\n\r\n") {
                let head = parse(self.unused().get(..length).unwrap_or_default());
                self.used += length + 4;
                return head.map(Some);
            }
            if self.unused().len() > LONGEST_LINE {
                return Err(io::Error::other("the head is too long"));
            }
            if self.fill().await? == 0 {
                return if self.unused().is_empty() { Ok(None) } else { Err(cut()) };
            }
        }
    }

    /// Reads a body to its end and hands it on piece by piece.
    pub(crate) async fn body(&mut self, framing: Framing, mut sink: impl FnMut(&[u8])) -> io::Result<()> {
        match framing {
            Framing::Length(length) => self.take(length, &mut sink).await,
            Framing::Chunked => self.chunks(&mut sink).await,
            Framing::Close => self.rest(&mut sink).await,
        }
    }

    async fn chunks(&mut self, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let length = chunk_length(&self.line().await?)?;
            if length == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.take(length, sink).await?;
            if !self.line().await?.is_empty() {
                return Err(io::Error::other("a chunk is longer than it says"));
            }
        }
    }

    async fn rest(&mut self, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            sink(self.unused());
            self.used = self.buffer.len();
            if self.fill().await? == 0 {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, mut length: usize, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let piece = self.unused().get(..length).unwrap_or_else(|| self.unused());
            if !piece.is_empty() {
                sink(piece);
            }
            let taken = piece.len();
            self.used += taken;
            length -= taken;
            if length == 0 {
                return Ok(());
            }
            if self.fill().await? == 0 {
                return Err(cut());
            }
        }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(length) = memchr::memmem::find(self.unused(), b"\r\n") {
                let line = self.unused().get(..length).unwrap_or_default().to_vec();
                self.used += length + 2;
                return Ok(line);
            }
            if self.unused().len() > LONGEST_LINE {
                return Err(io::Error::other("a chunk's header is too long"));
            }
            if self.fill().await? == 0 {
                return Err(cut());
            }
        }
    }

    fn unused(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.reserve(READ);
        self.stream.read_buf(&mut self.buffer).await
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside a message")
}

fn parse(head: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = match first.strip_prefix("HTTP/1.1 ") {
        Some(rest) => {
            Some(rest.get(..3).and_then(|s| s.parse().ok()).ok_or_else(|| io::Error::other("bad status"))?)
        }
        None => None,
    };
    // A request without a length has no body; a response without one ends with the connection.
    let framing = if status.is_some() { Framing::Close } else { Framing::Length(0) };
    let mut head = Head { status, framing, close: false };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.framing = Framing::Length(value.parse().map_err(io::Error::other)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(head)
}

fn chunk_length(line: &[u8]) -> io::Result<usize> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let digits = std::str::from_utf8(digits).map_err(io::Error::other)?;
    usize::from_str_radix(digits.trim(), 16).map_err(io::Error::other)
}
