//! A client that looks at bytes and judges nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sim::Provider;

/// How a response ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The provider closed.
    Closed,
    /// The provider reset.
    Reset,
}

/// The request of most tests.
pub(super) fn body(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"stream":{stream},"stream_options":{{"include_usage":true}}}}"#
    )
}

/// The bytes of a request that asks for the connection to be kept.
pub(super) fn request(body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer sk-canary\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) async fn connect(provider: &Provider) -> TcpStream {
    TcpStream::connect(provider.address()).await.unwrap()
}

/// Reads until the provider ends the connection.
pub(super) async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Seen) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Ok(_) => (bytes, Seen::Closed),
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
            (bytes, Seen::Reset)
        }
    }
}

/// Reads until what came ends with `end`; fails at the end of the connection.
pub(super) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

/// Asks for a behaviour on a new connection and reads to the end of it.
pub(super) async fn ask(provider: &Provider, fault: &str, stream: bool) -> (Vec<u8>, Seen) {
    let mut connection = connect(provider).await;
    connection.write_all(request(&body(&format!("fault/{fault}"), stream)).as_bytes()).await.unwrap();
    read_to_end(&mut connection).await
}

/// As [`ask`], for behaviours that end properly: adds what makes the provider close.
pub(super) async fn ask_and_close(provider: &Provider, fault: &str, stream: bool) -> String {
    let joint = if fault.contains(['?', '=']) { '&' } else { '?' };
    let (bytes, seen) = ask(provider, &format!("{fault}{joint}quirks=say-close"), stream).await;
    assert_eq!(seen, Seen::Closed, "{fault}");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Head and body of a response; chunked framing is taken off.
pub(super) fn parts(response: &str) -> (String, String) {
    let (head, mut rest) = response.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return (head.to_owned(), rest.to_owned());
    }
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 || after.len() < size {
            break;
        }
        let (chunk, after) = after.split_at(size);
        body.push_str(chunk);
        rest = after.strip_prefix("\r\n").unwrap();
    }
    (head.to_owned(), body)
}

/// The JSON of a stream's events, without the terminal marker.
pub(super) fn events(body: &str) -> Vec<serde_json::Value> {
    body.split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}
