//! Splits bytes into the messages of AWS's binary event stream
//! (`application/vnd.amazon.eventstream`), and writes such messages.
//!
//! A message is a prelude (its length, the length of its headers, a checksum of
//! these two), headers, a payload, and a checksum of all that. Both checksums are
//! CRC-32, and both are checked: a length that was damaged would make everything
//! behind it nonsense. A message that lies whole in one chunk is never copied;
//! one that does not is put together once, and no more is held than has come.
//!
//! From AWS's description of the encoding (smithy.io, "Amazon Event Stream
//! Specification", seen 2026-11-24).

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Length, length of the headers, and their checksum.
const PRELUDE: usize = 12;
/// What is around headers and payload: prelude and last checksum.
const AROUND: usize = PRELUDE + 4;
/// Most bytes of headers, as the specification has it.
const MOST_HEADERS: usize = 128 * 1024;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event of the stream.
    Event,
    /// An error that the service declares for this stream: its end.
    Exception,
    /// An error that it does not declare.
    Error,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Which event, exception or error: `:event-type`, `:exception-type` or
    /// `:error-code`.
    pub name: Bytes,
    /// What it carries; of an error without a payload, its `:error-message`.
    pub payload: Bytes,
}

/// Why a stream cannot be read any further. The splitter is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A message is over the size limit.
    TooLarge,
    /// A checksum is wrong.
    Checksum,
    /// Lengths or headers that cannot be.
    Malformed,
}

impl Broken {
    /// In words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Broken::TooLarge => "a message of the event stream over its size limit",
            Broken::Checksum => "a message of the event stream with a wrong checksum",
            Broken::Malformed => "a message of the event stream that cannot be read",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for Broken {}

/// Splits one stream.
#[derive(Debug)]
pub struct Splitter {
    most: usize,
    /// What is left of the chunk pushed last.
    chunk: Bytes,
    /// The beginning of a message whose end has not come.
    held: BytesMut,
}

impl Splitter {
    /// Before the first byte of a stream; messages over `most` bytes are refused.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Splitter { most, chunk: Bytes::new(), held: BytesMut::new() }
    }

    /// Takes the next bytes. Call [`Splitter::next`] until it gives nothing
    /// before pushing more: what is unread is lost.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// Whether a message has begun that has not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.held.is_empty()
    }

    /// The next message; nothing when more bytes are needed.
    ///
    /// # Errors
    /// When the stream cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would borrow the splitter for the whole chunk"
    )]
    pub fn next(&mut self) -> Result<Option<Message>, Broken> {
        if self.held.is_empty() {
            let Some(prelude) = Prelude::read(&self.chunk, self.most)? else {
                return Ok(self.hold(PRELUDE));
            };
            if self.chunk.len() < prelude.whole {
                return Ok(self.hold(prelude.whole));
            }
            let whole = self.chunk.split_to(prelude.whole);
            return prelude.message(&whole).map(Some);
        }
        self.hold(PRELUDE);
        let Some(prelude) = Prelude::read(&self.held, self.most)? else { return Ok(None) };
        self.hold(prelude.whole);
        if self.held.len() < prelude.whole {
            return Ok(None);
        }
        let whole = self.held.split().freeze();
        prelude.message(&whole).map(Some)
    }

    /// Takes of the chunk what is missing to `length` bytes held.
    fn hold(&mut self, length: usize) -> Option<Message> {
        let missing = length.saturating_sub(self.held.len()).min(self.chunk.len());
        self.held.extend_from_slice(&self.chunk.split_to(missing));
        None
    }
}

/// The lengths of a message.
#[derive(Debug, Clone, Copy)]
struct Prelude {
    whole: usize,
    headers: usize,
}

impl Prelude {
    /// Of the message that `bytes` begin with; nothing when they are too few.
    fn read(bytes: &[u8], most: usize) -> Result<Option<Self>, Broken> {
        let Some((lengths, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
        let Some((checksum, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        if crc32fast::hash(lengths) != u32::from_be_bytes(*checksum) {
            return Err(Broken::Checksum);
        }
        // Two numbers of four bytes each, read as one of eight.
        let both = u64::from_be_bytes(*lengths);
        let length = |number: u64| usize::try_from(number).map_err(|_| Broken::TooLarge);
        let (whole, headers) = (length(both >> 32)?, length(both & u64::from(u32::MAX))?);
        if whole > most || headers > MOST_HEADERS {
            return Err(Broken::TooLarge);
        }
        if whole < AROUND || headers > whole - AROUND {
            return Err(Broken::Malformed);
        }
        Ok(Some(Prelude { whole, headers }))
    }

    /// The message that `whole` is.
    fn message(self, whole: &Bytes) -> Result<Message, Broken> {
        let (checked, checksum) = whole.split_last_chunk::<4>().ok_or(Broken::Malformed)?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*checksum) {
            return Err(Broken::Checksum);
        }
        let border = PRELUDE + self.headers;
        let headers = Headers::read(whole.get(PRELUDE..border).ok_or(Broken::Malformed)?)?;
        let named = |text: Option<&[u8]>| text.map(|text| whole.slice_ref(text)).unwrap_or_default();
        let payload = whole.slice(border..checked.len());
        let (kind, name) = match headers.kind {
            Some(b"event") => (Kind::Event, headers.event),
            Some(b"exception") => (Kind::Exception, headers.exception),
            Some(b"error") => (Kind::Error, headers.code),
            _ => return Err(Broken::Malformed),
        };
        let payload = if payload.is_empty() { named(headers.message) } else { payload };
        Ok(Message { kind, name: named(name), payload })
    }
}

/// The headers that mean something.
#[derive(Debug, Default)]
struct Headers<'m> {
    kind: Option<&'m [u8]>,
    event: Option<&'m [u8]>,
    exception: Option<&'m [u8]>,
    code: Option<&'m [u8]>,
    message: Option<&'m [u8]>,
}

impl<'m> Headers<'m> {
    fn read(mut rest: &'m [u8]) -> Result<Self, Broken> {
        let mut headers = Headers::default();
        while !rest.is_empty() {
            let length = usize::from(take(&mut rest, 1)?.first().copied().unwrap_or_default());
            let name = take(&mut rest, length)?;
            let Some(value) = value(&mut rest)? else { continue };
            match name {
                b":message-type" => headers.kind = Some(value),
                b":event-type" => headers.event = Some(value),
                b":exception-type" => headers.exception = Some(value),
                b":error-code" => headers.code = Some(value),
                b":error-message" => headers.message = Some(value),
                _ => {}
            }
        }
        Ok(headers)
    }
}

/// A header's value if it is a string; values of all other types are crossed.
fn value<'m>(rest: &mut &'m [u8]) -> Result<Option<&'m [u8]>, Broken> {
    let kind = take(rest, 1)?.first().copied().unwrap_or_default();
    let length = match kind {
        // True and false have no bytes of their own.
        0 | 1 => 0,
        // A byte, a short, an integer, a long or a time, a UUID.
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        // Bytes and strings say how long they are.
        6 | 7 => {
            let (length, behind) = rest.split_first_chunk::<2>().ok_or(Broken::Malformed)?;
            *rest = behind;
            usize::from(u16::from_be_bytes(*length))
        }
        _ => return Err(Broken::Malformed),
    };
    let value = take(rest, length)?;
    Ok((kind == 7).then_some(value))
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], Broken> {
    let (taken, behind) = rest.split_at_checked(length).ok_or(Broken::Malformed)?;
    *rest = behind;
    Ok(taken)
}

/// Writes a message: for those who play a provider. Headers are strings; names
/// over 255 and values over 65,535 bytes cannot be said and are cut.
#[must_use]
pub fn write(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in headers {
        let (name, value) = (cut(name, usize::from(u8::MAX)), cut(value, usize::from(u16::MAX)));
        lines.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        lines.extend_from_slice(name);
        lines.push(7);
        lines.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        lines.extend_from_slice(value);
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let mut whole = Vec::with_capacity(AROUND + lines.len() + payload.len());
    whole.extend_from_slice(&length(AROUND + lines.len() + payload.len()));
    whole.extend_from_slice(&length(lines.len()));
    whole.extend_from_slice(&crc32fast::hash(&whole).to_be_bytes());
    whole.extend_from_slice(&lines);
    whole.extend_from_slice(payload);
    whole.extend_from_slice(&crc32fast::hash(&whole).to_be_bytes());
    whole.into()
}

/// Writes an event with a JSON payload.
#[must_use]
pub fn event(name: &str, payload: &[u8]) -> Bytes {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write(&headers, payload)
}

/// Writes an exception with a JSON payload.
#[must_use]
pub fn exception(name: &str, payload: &[u8]) -> Bytes {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    write(&headers, payload)
}

fn cut(text: &str, most: usize) -> &[u8] {
    text.as_bytes().get(..text.len().min(most)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
