//! A client's connection. Whatever the provider does, writing, waiting or
//! nothing at all, it also reads, so that a client that leaves is noticed at once.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::inbound::{self, BodyFraming, Inbound};

/// Bytes a client may send ahead while an answer is being written: 1 MiB, far
/// more than one pipelined request; beyond it nothing more is read.
const MOST_AHEAD: usize = 1 << 20;

/// The client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    /// Whether by reset.
    pub(super) reset: bool,
}

/// Why there is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// The connection ended between requests, or inside one.
    Gone(Gone),
    /// What came is not HTTP/1.1 as it should be.
    Bad(&'static str),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// What was read and not yet understood.
    pub(super) inbox: BytesMut,
    /// Bytes written in all.
    pub(super) written: u64,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Socket { stream, inbox: BytesMut::with_capacity(8 << 10), written: 0 })
    }

    /// Waits for more bytes.
    pub(super) async fn fill(&mut self) -> Result<(), Gone> {
        if self.inbox.len() >= MOST_AHEAD + inbound::MOST_BODY {
            return std::future::pending().await;
        }
        self.inbox.reserve(4 << 10);
        gone(self.stream.read_buf(&mut self.inbox).await)
    }

    /// The next request.
    pub(super) async fn request(&mut self) -> Result<Inbound, NoRequest> {
        let (mut inbound, framing) = loop {
            if let Some(head) = inbound::head(&mut self.inbox).map_err(NoRequest::Bad)? {
                break head;
            }
            self.fill().await.map_err(NoRequest::Gone)?;
        };
        if inbound.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(NoRequest::Gone)?;
        }
        inbound.body = match framing {
            BodyFraming::Length(length) => self.exactly(length).await.map_err(NoRequest::Gone)?,
            BodyFraming::Chunked => self.chunks().await?,
        };
        Ok(inbound)
    }

    async fn exactly(&mut self, length: usize) -> Result<Bytes, Gone> {
        while self.inbox.len() < length {
            self.fill().await?;
        }
        Ok(self.inbox.split_to(length).freeze())
    }

    async fn chunks(&mut self) -> Result<Bytes, NoRequest> {
        let mut body = BytesMut::new();
        loop {
            match inbound::chunk(&mut self.inbox, &mut body).map_err(NoRequest::Bad)? {
                Some(true) => return Ok(body.freeze()),
                Some(false) => {}
                None => self.fill().await.map_err(NoRequest::Gone)?,
            }
        }
    }

    /// Writes all, unless the client leaves.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        let (mut reader, mut writer) = self.stream.split();
        while !bytes.is_empty() {
            tokio::select! {
                biased;
                read = reader.read_buf(&mut self.inbox), if self.inbox.len() < MOST_AHEAD => gone(read)?,
                wrote = writer.write(bytes) => match wrote {
                    Ok(count) => {
                        bytes.advance(count);
                        self.written += count as u64;
                    }
                    Err(error) => return Err(left(&error)),
                },
            }
        }
        Ok(())
    }

    /// Does nothing for so long, unless the client leaves.
    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        if time.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let sleep = tokio::time::sleep(time);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return Ok(()),
                read = self.stream.read_buf(&mut self.inbox), if self.inbox.len() < MOST_AHEAD => gone(read)?,
            }
        }
    }

    /// Does nothing until the client leaves.
    pub(super) async fn hang(&mut self) -> Gone {
        loop {
            if self.inbox.len() >= MOST_AHEAD {
                self.inbox.clear(); // a client that floods a silent provider; nobody will read it
            }
            if let Err(gone) = gone(self.stream.read_buf(&mut self.inbox).await) {
                return gone;
            }
        }
    }

    /// Closes in order.
    pub(super) async fn fin(&mut self) {
        // The client may have left already; then it is closed all the same.
        let _already_closed = self.stream.shutdown().await;
    }

    /// Resets: with a linger time of zero the kernel discards and sends RST on close.
    pub(super) fn rst(&self) {
        let _already_closed = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

fn gone(read: io::Result<usize>) -> Result<(), Gone> {
    match read {
        Ok(0) => Err(Gone { reset: false }),
        Ok(_) => Ok(()),
        Err(error) => Err(left(&error)),
    }
}

fn left(error: &io::Error) -> Gone {
    Gone { reset: matches!(error.kind(), io::ErrorKind::ConnectionReset) }
}
