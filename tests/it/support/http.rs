//! The least HTTP that a story needs itself: one request, one whole answer, or
//! its events one by one. What matters is tried with the real clients.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Fallible;

/// A peer that says nothing for this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A whole answer.
#[derive(Debug, Clone, Default)]
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

    /// A header that must be there.
    pub(crate) fn must(&self, name: &str) -> Fallible<&str> {
        self.header(name).ok_or_else(|| format!("no header {name}: {} {}", self.head, self.body).into())
    }

    /// The code of an error in OpenAI's shape, of which all four members must
    /// be there.
    pub(crate) fn error_code(&self) -> Fallible<String> {
        let answer = self.json()?;
        let error = answer.get("error").ok_or_else(|| format!("no error: {answer}"))?;
        for member in ["message", "type", "param", "code"] {
            error.get(member).ok_or_else(|| format!("an error without {member}: {answer}"))?;
        }
        Ok(error.get("code").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Fallible<serde_json::Value> {
        serde_json::from_str(&self.body).map_err(|error| format!("not JSON ({error}): {}", self.body).into())
    }
}

/// `GET path` from a port of loopback.
pub(crate) fn get(port: u16, path: &str) -> Fallible<Answer> {
    get_as(port, path, &[])
}

/// `GET path` with these headers.
pub(crate) fn get_as(port: u16, path: &str, headers: &[(&str, &str)]) -> Fallible<Answer> {
    send(port, "GET", path, headers, "")
}

/// One request on a connection of its own.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Fallible<Answer> {
    whole(ask(port, method, path, headers, body.as_ref())?)
}

/// A `POST` whose body is framed as the header `framing` says.
pub(crate) fn send_framed(port: u16, path: &str, framing: &str, body: &[u8]) -> Fallible<Answer> {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{framing}\r\n\r\n");
    whole(said(port, &head, body)?)
}

/// The whole answer. A peer that refuses a body may reset the connection after
/// it has answered.
fn whole(mut stream: TcpStream) -> Fallible<Answer> {
    let mut raw = Vec::new();
    match stream.read_to_end(&mut raw) {
        Err(error) if raw.is_empty() || error.kind() != ErrorKind::ConnectionReset => Err(error.into()),
        _ => parse(&raw),
    }
}

fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Fallible<TcpStream> {
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    said(port, &head, body)
}

/// A connection on which that has been said.
fn said(port: u16, head: &str, body: &[u8]) -> Fallible<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    match stream.write_all(body) {
        // It may have answered before it had read everything.
        Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            Err(error.into())
        }
        _ => Ok(stream),
    }
}

/// An answer that is read event by event, as it comes.
#[derive(Debug)]
pub(crate) struct Events {
    /// Status and headers; the body stays empty.
    pub(crate) answer: Answer,
    rest: BufReader<TcpStream>,
    /// Bytes of the body that are no whole line yet.
    line: Vec<u8>,
}

impl Events {
    /// Sends a `POST` and reads the answer's head.
    pub(crate) fn open(
        port: u16,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Fallible<Events> {
        let mut rest = BufReader::new(ask(port, "POST", path, headers, body.as_ref())?);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if rest.read_until(b'\n', &mut head)? == 0 {
                return Err("the answer has no end of headers".into());
            }
        }
        let answer = parse_head(&head)?;
        if answer.header("transfer-encoding") != Some("chunked") {
            return Err(format!("not a stream: {}", answer.head).into());
        }
        Ok(Events { answer, rest, line: Vec::new() })
    }

    /// The next `data:` line without its name, or a comment with its colon;
    /// `None` when the body has ended.
    ///
    /// # Errors
    /// When the connection breaks before the body's proper end.
    pub(crate) fn next(&mut self) -> Fallible<Option<String>> {
        loop {
            while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                let line = String::from_utf8(line)?;
                if let Some(data) = line.strip_prefix("data: ") {
                    return Ok(Some(data.trim_end().to_owned()));
                }
                if line.starts_with(':') {
                    return Ok(Some(line.trim_end().to_owned()));
                }
            }
            if !self.chunk()? {
                return Ok(None);
            }
        }
    }

    /// All that are left.
    pub(crate) fn rest(mut self) -> Fallible<Vec<String>> {
        let mut all = Vec::new();
        while let Some(event) = self.next()? {
            all.push(event);
        }
        Ok(all)
    }

    /// Reads one more chunk; tells whether there was one.
    fn chunk(&mut self) -> Fallible<bool> {
        let mut size = String::new();
        if self.rest.read_line(&mut size)? == 0 {
            return Err("the body broke off".into());
        }
        let length = chunk_length(size.trim_end())?;
        let mut data = vec![0; length + 2];
        self.rest.read_exact(&mut data)?;
        self.line.extend_from_slice(data.get(..length).unwrap_or_default());
        Ok(length > 0)
    }
}

fn chunk_length(line: &str) -> Fallible<usize> {
    Ok(usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?)
}

fn parse_head(head: &[u8]) -> Fallible<Answer> {
    let head = String::from_utf8_lossy(head).into_owned();
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("the answer has no status")?;
    Ok(Answer { status, head, body: String::new() })
}

fn parse(raw: &[u8]) -> Fallible<Answer> {
    let end =
        raw.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the answer has no end of headers")?;
    let (head, body) = raw.split_at_checked(end + 4).ok_or("the answer has no body")?;
    let mut answer = parse_head(head)?;
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
        let length = chunk_length(std::str::from_utf8(rest.get(..line).unwrap_or_default())?)?;
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
