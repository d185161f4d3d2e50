use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::catalog::Secret;

/// Answers one request with `answer` and gives what was asked.
fn once(answer: &'static str) -> (Uri, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap()).parse().unwrap();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut asked = Vec::new();
        let mut piece = [0; 4096];
        // Until the body has come, or nothing more does.
        while !String::from_utf8_lossy(&asked).contains("end=1") {
            match socket.read(&mut piece) {
                Ok(read) if read > 0 => asked.extend_from_slice(&piece[..read]),
                _ => break,
            }
        }
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&asked).into_owned()
    });
    (url, served)
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 44\r\n\r\n\
                    {\"access_token\": \"tok-1\", \"expires_in\":  60}";

fn exchange(url: Uri, ask: Ask) -> Exchange {
    Exchange::new(Grant { url, ask, then: None }, Control::new(Duration::from_secs(5)).unwrap())
}

#[tokio::test]
async fn a_form_is_posted_with_every_value_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "{\"id\": \"from file\"}").unwrap();
    let (url, served) = once(GOOD);
    let fields = vec![
        ("grant_type", Field::Text("client_credentials".to_owned())),
        ("client_secret", Field::Secret(Secret::new("a&b=c d".to_owned()))),
        ("subject_token", Field::File { path, member: Some("id".to_owned()) }),
        ("end", Field::Text("1".to_owned())),
    ];
    let granted = exchange(url, Ask::Form(fields)).run().await.unwrap();
    assert_eq!((granted.secret.expose(), granted.life), ("tok-1", Duration::from_secs(60)));
    let asked = served.join().unwrap();
    assert!(asked.starts_with("POST /token HTTP/1.1"), "{asked}");
    let form = "grant_type=client_credentials&client_secret=a%26b%3Dc%20d&subject_token=from%20file&end=1";
    assert!(asked.ends_with(form), "{asked}");
}

#[tokio::test]
async fn a_redirect_is_refused_and_nothing_sent_to_where_it_leads() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let head = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.local_addr().unwrap()
    );
    let (url, served) = once(head.leak());
    let fields = vec![
        ("client_secret", Field::Secret(Secret::new("s".to_owned()))),
        ("end", Field::Text("1".to_owned())),
    ];
    let denied = exchange(url, Ask::Form(fields)).run().await.unwrap_err();
    assert_eq!(denied.failure, Failure::Protocol { detail: "a redirect, which is never followed" });
    served.join().unwrap();
    assert!(elsewhere.accept().is_err(), "somebody followed");
}

#[tokio::test]
async fn what_is_missing_on_our_side_is_told_by_its_path() {
    let field = Field::File { path: "/nowhere/token".into(), member: None };
    let url = "http://127.0.0.1:1/".parse().unwrap();
    let denied = exchange(url, Ask::Form(vec![("t", field)])).run().await.unwrap_err();
    assert!(denied.why.starts_with("/nowhere/token: "), "{}", denied.why);
    assert_eq!(denied.failure, Failure::Key { status: 401 });
}

#[test]
fn secrets_go_to_encrypted_or_local_addresses_only() {
    for (url, private) in [
        ("https://login.example/t", true),
        ("http://127.0.0.1:80/t", true),
        ("http://[::1]/t", true),
        ("http://169.254.169.254/t", true),
        ("http://metadata.google.internal/t", true),
        ("http://login.example/t", false),
        ("http://10.0.0.1/t", false),
    ] {
        assert_eq!(is_private(&url.parse().unwrap()), private, "{url}");
    }
}
