//! The least HTTP that a story needs itself: one request, one whole answer. What
//! matters is tried with the real clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Fallible;

/// A peer that says nothing for this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers as they came.
    pub(crate) head: String,
    /// The body; pieces of a chunked one joined.
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Fallible<serde_json::Value> {
        serde_json::from_str(&self.body).map_err(|error| format!("not JSON ({error}): {}", self.body).into())
    }
}

/// `GET path` from a port of loopback.
pub(crate) fn get(port: u16, path: &str) -> Fallible<Answer> {
    send(port, "GET", path, &[], "")
}

/// One request on a connection of its own.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Fallible<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    parse(&raw)
}

fn parse(raw: &[u8]) -> Fallible<Answer> {
    let end =
        raw.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the answer has no end of headers")?;
    let (head, body) = raw.split_at_checked(end + 4).ok_or("the answer has no body")?;
    let head = String::from_utf8_lossy(head).into_owned();
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("the answer has no status")?;
    let mut answer = Answer { status, head, body: String::new() };
    let chunked =
        answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let body = if chunked { unchunked(body)? } else { body.to_vec() };
    answer.body = String::from_utf8(body)?;
    Ok(answer)
}

fn unchunked(mut rest: &[u8]) -> Fallible<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").ok_or("a chunk has no length")?;
        let digits = std::str::from_utf8(rest.get(..line).unwrap_or_default())?;
        let length = usize::from_str_radix(digits.split(';').next().unwrap_or_default().trim(), 16)?;
        if length == 0 {
            return Ok(whole);
        }
        let start = line + 2;
        whole.extend_from_slice(rest.get(start..start + length).ok_or("a chunk is cut off")?);
        rest = rest.get(start + length + 2..).ok_or("a chunk has no end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        let answer = parse(raw).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "abcde"));
        assert!(parse(&raw[..raw.len() - 8]).is_err());
        let plain = parse(b"HTTP/1.1 404 Not Found\r\nX-Id:  7 \r\n\r\n{}").unwrap();
        assert_eq!((plain.status, plain.header("x-id")), (404, Some("7")));
        assert!(plain.json().unwrap().is_object());
    }
}
