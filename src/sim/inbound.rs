//! Reads requests from a socket: just enough HTTP/1.1, and strict, so that the
//! journal also shows when a gateway sends something it should not.

use bytes::{Buf, Bytes, BytesMut};

/// Most bytes of a request head: 64 KiB, twice what common servers take.
pub(super) const MOST_HEAD: usize = 64 << 10;
/// Most bytes of a request body: 64 MiB, twice what the gateway takes.
pub(super) const MOST_BODY: usize = 64 << 20;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Inbound {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without framing.
    pub body: Bytes,
}

impl Inbound {
    /// The first header of that name (lower case).
    #[must_use]
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client wants the connection closed after the answer.
    #[must_use]
    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The credential it presents, without its scheme.
    #[must_use]
    pub(super) fn credential(&self) -> Option<&str> {
        let bearer = self.header("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        ["x-api-key", "api-key", "x-goog-api-key"]
            .iter()
            .fold(bearer, |found, name| found.or_else(|| self.header(name)))
    }
}

/// A request whose body is still to come.
pub(super) type Head = (Inbound, BodyFraming);

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// So many bytes.
    Length(usize),
    /// Chunked.
    Chunked,
}

/// Takes a request head from the front of `buffer`; `None` when more bytes are needed.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn head(buffer: &mut BytesMut) -> Result<Option<Head>, &'static str> {
    let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else {
        return if buffer.len() > MOST_HEAD { Err("head too large") } else { Ok(None) };
    };
    let bytes = buffer.split_to(end);
    buffer.advance(4);
    let text = std::str::from_utf8(&bytes).map_err(|_| "head is not utf-8")?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("bad request line");
    };
    let mut inbound = Inbound { method: method.to_owned(), path: path.to_owned(), ..Inbound::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("header without colon")?;
        if name.is_empty() || name.contains(|c: char| c.is_ascii_whitespace()) || value.contains(['\r', '\n'])
        {
            return Err("bad header");
        }
        inbound.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let framing = framing(&inbound)?;
    Ok(Some((inbound, framing)))
}

fn framing(inbound: &Inbound) -> Result<BodyFraming, &'static str> {
    let mut lengths = inbound.headers.iter().filter(|(name, _)| name == "content-length");
    match (lengths.next(), lengths.next(), inbound.header("transfer-encoding")) {
        (None, _, None) => Ok(BodyFraming::Length(0)),
        (None, _, Some("chunked")) => Ok(BodyFraming::Chunked),
        (Some((_, length)), None, None) => {
            let length: usize = length.parse().map_err(|_| "bad content length")?;
            if length > MOST_BODY { Err("body too large") } else { Ok(BodyFraming::Length(length)) }
        }
        _ => Err("ambiguous framing"),
    }
}

/// Takes one chunk's worth of a chunked body from the front of `buffer` into
/// `body`; `Some(true)` after the last, `None` when more bytes are needed.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn chunk(buffer: &mut BytesMut, body: &mut BytesMut) -> Result<Option<bool>, &'static str> {
    let Some(line_end) = memchr::memmem::find(buffer, b"\r\n") else {
        return if buffer.len() > 1024 { Err("chunk size too long") } else { Ok(None) };
    };
    let line = buffer.get(..line_end).unwrap_or_default();
    let size = std::str::from_utf8(line).ok().and_then(|text| text.split(';').next());
    let size = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok()).ok_or("bad chunk size")?;
    if size > MOST_BODY || body.len() + size > MOST_BODY {
        return Err("body too large");
    }
    if buffer.len() < line_end + 2 + size + 2 {
        return Ok(None);
    }
    buffer.advance(line_end + 2);
    body.extend_from_slice(&buffer.split_to(size));
    let ended = buffer.split_to(2);
    if ended.as_ref() == b"\r\n" { Ok(Some(size == 0)) } else { Err("chunk without line end") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_head() {
        let mut buffer =
            BytesMut::from("POST /v1/x HTTP/1.1\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\n{}");
        let (inbound, framing) = head(&mut buffer).unwrap().unwrap();
        assert_eq!((inbound.method.as_str(), inbound.path.as_str()), ("POST", "/v1/x"));
        assert_eq!((inbound.credential(), framing), (Some("k"), BodyFraming::Length(2)));
        assert_eq!(buffer.as_ref(), b"{}");
    }

    #[test]
    fn refuses_ambiguity() {
        for lines in [
            "content-length: 1\r\ncontent-length: 1",
            "content-length: 1\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked, identity",
            "content-length: -1",
            "content-length : 1",
            "nonsense",
        ] {
            let mut buffer = BytesMut::from(format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n").as_str());
            assert!(head(&mut buffer).is_err(), "{lines}");
        }
    }

    #[test]
    fn waits_for_whole_chunks() {
        let whole = b"3\r\nabc\r\n0\r\n\r\n";
        for cut in 0..8 {
            let mut body = BytesMut::new();
            assert_eq!(chunk(&mut BytesMut::from(&whole[..cut]), &mut body), Ok(None), "{cut}");
        }
        let (mut buffer, mut body) = (BytesMut::from(&whole[..]), BytesMut::new());
        assert_eq!(chunk(&mut buffer, &mut body), Ok(Some(false)));
        assert_eq!(chunk(&mut buffer, &mut body), Ok(Some(true)));
        assert_eq!(body.as_ref(), b"abc");
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_makes_up_bytes(bytes: Vec<u8>, cut in 0_usize..64) {
            let mut wire = b"POST / HTTP/1.1\r\na: b\r\n\r\n".to_vec();
            wire.truncate(cut);
            wire.extend_from_slice(&bytes);
            let mut buffer = BytesMut::from(wire.as_slice());
            let _either_way = head(&mut buffer);
            proptest::prop_assert!(wire.ends_with(&buffer));
            let mut body = BytesMut::new();
            while let Ok(Some(false)) = chunk(&mut buffer, &mut body) {}
            proptest::prop_assert!(body.len() <= wire.len());
        }
    }
}
