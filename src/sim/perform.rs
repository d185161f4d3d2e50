//! Performs a script on a socket and keeps the journal while doing so.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::journal::{Ending, Entry, Journal};
use super::script::{Framing, Kind, Script, Step};
use super::socket::{Gone, Socket};

/// Bytes of one write of [`Step::Fill`].
const BLOCK: u64 = 64 << 10;

/// Where a performance is written down.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The journal.
    pub(super) journal: &'a Journal,
    /// The entry's number.
    pub(super) seq: u64,
    /// The simulator's start.
    pub(super) start: Instant,
    /// The response status, noted with the first byte.
    pub(super) status: u16,
}

impl Record<'_> {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn note(&self, change: impl FnOnce(&mut Entry)) {
        self.journal.note(self.seq, change);
    }
}

/// Ends an entry that nobody ended: a task that is dropped was stopped.
impl Drop for Record<'_> {
    fn drop(&mut self) {
        let now = self.now();
        self.note(|entry| {
            if entry.ending == Ending::Running {
                entry.ending = Ending::Stopped;
                entry.ended = Some(now);
            }
        });
    }
}

/// Performs the steps; the answer is how it ended.
pub(super) async fn perform(socket: &mut Socket, script: &Script, record: &Record<'_>) -> Ending {
    let before = socket.written;
    let mut player = Player { socket, script, record, before, queue: BytesMut::new(), marks: Vec::new() };
    let mut ending = Ending::Complete;
    for step in &script.steps {
        match player.step(step).await {
            Ok(None) => {}
            Ok(Some(cut)) => {
                ending = cut;
                break;
            }
            Err(gone) => {
                ending = if gone.reset { Ending::ClientReset } else { Ending::ClientClosed };
                break;
            }
        }
    }
    if ending == Ending::Complete
        && let Err(gone) = player.flush().await
    {
        ending = if gone.reset { Ending::ClientReset } else { Ending::ClientClosed };
    }
    let (written, now) = (player.socket.written - before, record.now());
    record.note(|entry| {
        entry.bytes_written = written;
        entry.ending = ending;
        entry.ended = Some(now);
    });
    ending
}

struct Player<'a> {
    socket: &'a mut Socket,
    script: &'a Script,
    record: &'a Record<'a>,
    /// Bytes the connection had carried before this answer.
    before: u64,
    /// What is to be written next.
    queue: BytesMut,
    /// What it means.
    marks: Vec<(Kind, u32)>,
}

impl Player<'_> {
    /// Performs one step; `Some` when it was the last by its nature.
    async fn step(&mut self, step: &Step) -> Result<Option<Ending>, Gone> {
        match step {
            Step::Raw(bytes) => self.queue.extend_from_slice(bytes),
            Step::Body { bytes, kind, words } => {
                self.body(bytes);
                self.marks.push((*kind, *words));
            }
            Step::EndBody { trailers } => self.end_body(trailers),
            _ => {
                self.flush().await?;
                return self.act(step).await;
            }
        }
        if !self.script.burst {
            self.flush().await?;
        }
        Ok(None)
    }

    /// Performs a step that is not a piece of known bytes.
    async fn act(&mut self, step: &Step) -> Result<Option<Ending>, Gone> {
        match step {
            Step::Fill { byte, count } => self.fill(*byte, *count).await?,
            Step::Wait(time) => self.socket.pause(*time).await?,
            Step::Forever { bytes, every } => loop {
                self.body(bytes);
                self.flush().await?;
                self.socket.pause(*every).await?;
            },
            Step::Hang => return Err(self.socket.hang().await),
            Step::Fin => {
                self.socket.fin().await;
                return Ok(Some(Ending::CutFin));
            }
            Step::Rst => {
                self.socket.rst();
                return Ok(Some(Ending::CutRst));
            }
            Step::Raw(_) | Step::Body { .. } | Step::EndBody { .. } => {}
        }
        Ok(None)
    }

    /// Queues a piece of body, framed.
    fn body(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.script.framing == Framing::Chunked {
            self.queue.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
            self.queue.extend_from_slice(bytes);
            self.queue.extend_from_slice(b"\r\n");
        } else {
            self.queue.extend_from_slice(bytes);
        }
    }

    fn end_body(&mut self, trailers: &str) {
        if self.script.framing == Framing::Chunked {
            self.queue.extend_from_slice(b"0\r\n");
            self.queue.extend_from_slice(trailers.as_bytes());
            self.queue.extend_from_slice(b"\r\n");
        }
    }

    async fn fill(&mut self, byte: u8, count: u64) -> Result<(), Gone> {
        let block = Bytes::from(vec![byte; usize::try_from(BLOCK.min(count)).unwrap_or(0)]);
        let mut left = count;
        while left > 0 {
            let size = usize::try_from(BLOCK.min(left)).unwrap_or(0);
            self.body(block.get(..size).unwrap_or_default());
            self.flush().await?;
            left -= size as u64;
        }
        Ok(())
    }

    /// Writes what is queued, in slices if so asked, and notes it.
    async fn flush(&mut self) -> Result<(), Gone> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let bytes = self.queue.split().freeze();
        let outcome = match self.script.slice {
            None => self.socket.write(&bytes).await,
            Some(size) => self.slices(&bytes, size).await,
        };
        let marks = std::mem::take(&mut self.marks);
        let (written, now) = (self.socket.written - self.before, self.record.now());
        self.record.note(|entry| {
            entry.bytes_written = written;
            if entry.first_byte.is_none() && written > 0 {
                entry.first_byte = Some(now);
                entry.status = self.record.status;
            }
            if outcome.is_ok() {
                for (kind, words) in &marks {
                    entry.wrote(*kind, *words);
                }
            }
        });
        outcome
    }

    async fn slices(&mut self, bytes: &[u8], size: usize) -> Result<(), Gone> {
        for slice in bytes.chunks(size) {
            self.socket.write(slice).await?;
            self.socket.pause(self.script.drip).await?;
        }
        Ok(())
    }
}
