//! Splits bytes into server-sent events, as the WHATWG grammar has them.
//!
//! Written here because the known crates either grow quadratically with long
//! events, have no size limit or copy every byte. This one looks at each byte
//! once, keeps at most one unfinished event, and hands out slices: an event that
//! lies whole in one chunk is never copied.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// Largest event accepted by default, in bytes.
pub const MOST_EVENT: usize = 8 * 1024 * 1024;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One event that carries data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What is between `data:` and the line's end; several lines are joined by
    /// a line feed.
    pub data: Bytes,
    /// The last `event:`; empty when there is none.
    pub name: Bytes,
    /// Where its bytes are, when they are exactly `data: …\n\n`: such an event
    /// can be passed on as it came.
    pub plain: Option<Plain>,
}

/// The bytes of an event that is nothing but one line of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// These of the chunk pushed last.
    Chunk(Range<usize>),
    /// Put together from several chunks.
    Joined(Bytes),
}

/// An event grew over its size limit. The splitter is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a server-sent event over its size limit")
    }
}

impl std::error::Error for TooLarge {}

/// Splits one stream.
#[derive(Debug)]
pub struct Splitter {
    most: usize,
    /// The chunk pushed last, and how far it has been read.
    chunk: Bytes,
    at: usize,
    /// The beginning of an event whose end has not come.
    held: BytesMut,
    /// Bytes of a byte order mark seen; 3 once it was there or cannot come.
    bom: usize,
    /// The current line has nothing in it so far.
    line_empty: bool,
    /// The last byte was a carriage return: a line feed belongs to it.
    after_cr: bool,
}

impl Splitter {
    /// Before the first byte of a stream; events over `most` bytes are refused.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Splitter {
            most,
            chunk: Bytes::new(),
            at: 0,
            held: BytesMut::new(),
            bom: 0,
            line_empty: true,
            after_cr: false,
        }
    }

    /// Takes the next bytes. Call [`Splitter::next`] until it gives nothing
    /// before pushing more: what is unread is lost.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.at = 0;
        self.skip_bom();
    }

    /// The chunk pushed last; [`Plain::Chunk`] points into it.
    #[must_use]
    pub fn chunk(&self) -> &Bytes {
        &self.chunk
    }

    /// Lets go of the chunk pushed last, once there is no next event in it: a
    /// slice of it keeps the whole buffer that it was read into.
    pub fn forget(&mut self) {
        self.chunk = Bytes::new();
        self.at = 0;
    }

    /// The next event that carries data; nothing when more bytes are needed.
    ///
    /// # Errors
    /// When an event is over the size limit.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would borrow the splitter for the whole chunk"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, TooLarge> {
        loop {
            self.cross_line_feed();
            if self.held.len() > self.most {
                return Err(TooLarge);
            }
            let start = self.at;
            let rest = self.chunk.get(start..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let fresh = self.held.is_empty();
            if fresh
                && let Some(length) = one_line(rest)
                && length <= self.most
            {
                self.at = start + length;
                return Ok(Some(plain(&self.chunk, start..self.at)));
            }
            let end = self.scan();
            let length = self.held.len() + self.at - start;
            if length > self.most {
                return Err(TooLarge);
            }
            let piece = self.chunk.get(start..self.at).unwrap_or_default();
            if !end {
                self.held.extend_from_slice(piece);
                return Ok(None);
            }
            let whole = if fresh {
                self.chunk.slice(start..self.at)
            } else {
                self.held.extend_from_slice(piece);
                self.held.split().freeze()
            };
            let event = match one_line(&whole) {
                Some(length) if length == whole.len() => {
                    let event = plain(&whole, 0..length);
                    let joined = event.plain.is_some().then(|| Plain::Joined(whole.clone()));
                    Some(Event { plain: joined, ..event })
                }
                _ => fields(&whole),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    fn skip_bom(&mut self) {
        while let Some(wanted) = BOM.get(self.bom) {
            match self.chunk.get(self.at) {
                None => return,
                Some(byte) if byte == wanted => {
                    self.bom += 1;
                    self.at += 1;
                }
                Some(_) => {
                    // No mark after all: what looked like one is text.
                    self.held.extend_from_slice(BOM.get(..self.bom).unwrap_or_default());
                    self.line_empty = self.bom == 0;
                    self.bom = BOM.len();
                }
            }
        }
    }

    /// Crosses the line feed of a carriage return and line feed that were split
    /// by a chunk's border or ended an event.
    fn cross_line_feed(&mut self) {
        let Some(byte) = self.chunk.get(self.at) else { return };
        if self.after_cr && *byte == b'\n' {
            if !self.held.is_empty() {
                self.held.extend_from_slice(b"\n");
            }
            self.at += 1;
        }
        self.after_cr = false;
    }

    /// Moves behind the blank line that ends the current event, or to the end
    /// of the chunk; tells which.
    fn scan(&mut self) -> bool {
        loop {
            let rest = self.chunk.get(self.at..).unwrap_or_default();
            let Some(next) = memchr2(b'\n', b'\r', rest) else {
                self.line_empty &= rest.is_empty();
                self.at = self.chunk.len();
                return false;
            };
            let blank = self.line_empty && next == 0;
            self.line_empty = true;
            self.at += next + 1;
            if rest.get(next) == Some(&b'\r') {
                match rest.get(next + 1) {
                    Some(b'\n') if !blank => self.at += 1,
                    // Behind an event it may come or not; it is not part of it.
                    Some(b'\n') | None => self.after_cr = true,
                    Some(_) => {}
                }
            }
            if blank {
                return true;
            }
        }
    }
}

/// The length of an event of one line that begins `text` and ends in it; the
/// form nearly all events of nearly all upstreams have.
fn one_line(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"data:") {
        return None;
    }
    let end = memchr2(b'\n', b'\r', text)?;
    text.get(end..)?.starts_with(b"\n\n").then_some(end + 2)
}

/// The event that is one line of data, `range` of `source`.
fn plain(source: &Bytes, range: Range<usize>) -> Event {
    let space = source.get(range.start + 5) == Some(&b' ');
    let data = source.slice(range.start + 5 + usize::from(space)..range.end - 2);
    // `data:` without the space is the same event, but not its usual form.
    Event { data, name: Bytes::new(), plain: space.then_some(Plain::Chunk(range)) }
}

/// Any event, by the grammar; nothing when it carries no data.
fn fields(whole: &Bytes) -> Option<Event> {
    let mut name = Bytes::new();
    let mut data: Vec<Bytes> = Vec::new();
    for line in lines(whole) {
        let text = whole.get(line.clone()).unwrap_or_default();
        let colon = memchr::memchr(b':', text).unwrap_or(text.len());
        let value = text.get(colon + 1..).unwrap_or_default();
        let space = usize::from(value.first() == Some(&b' '));
        let start = (line.start + colon + 1 + space).min(line.end);
        match text.get(..colon) {
            Some(b"data") => data.push(whole.slice(start..line.end)),
            Some(b"event") => name = whole.slice(start..line.end),
            _ => {}
        }
    }
    let data = match data.as_slice() {
        [] => return None,
        [only] => only.clone(),
        many => many.join(&b'\n').into(),
    };
    Some(Event { data, name, plain: None })
}

/// The lines of a text, without what ends them.
fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = at..at + length;
        let crlf = rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n"));
        at += length + 1 + usize::from(crlf);
        Some(line)
    })
}

#[cfg(test)]
mod tests;
