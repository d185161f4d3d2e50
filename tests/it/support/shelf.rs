//! A server of published lists: what lies at a path is served with its `ETag`,
//! and whoever has it already is told so.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Fallible;

/// A shelf on loopback. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Shelf {
    port: u16,
    state: Arc<State>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    closed: AtomicBool,
    bodies: Mutex<BTreeMap<String, String>>,
    /// Every request: its path, its credential, and whether it was told that
    /// nothing has changed.
    asked: Mutex<Vec<Asked>>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) unchanged: bool,
}

impl Shelf {
    /// Starts one that has nothing: every path is a 404.
    pub(crate) fn start() -> Fallible<Shelf> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let serving = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || state.serve(&listener))
        };
        Ok(Shelf { port, state, serving: Some(serving) })
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Puts a text there.
    pub(crate) fn put(&self, path: &str, body: &str) {
        let mut bodies = self.state.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.insert(path.to_owned(), body.to_owned());
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl State {
    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.closed.load(Relaxed) {
                return;
            }
            // Whoever hangs up in the middle has only himself to blame.
            let _ = self.answer(stream);
        }
    }

    fn answer(&self, mut stream: TcpStream) -> Fallible<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().ok_or("no request")??;
        let path = first.split(' ').nth(1).ok_or("no path")?.to_owned();
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let body = self.bodies.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        let etag = body.as_ref().map(|body| format!("\"{}\"", blake3::hash(body.as_bytes()).to_hex()));
        let unchanged = etag.is_some() && headers.get("if-none-match") == etag.as_ref();
        let authorization = headers.get("authorization").cloned();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
            path,
            authorization,
            unchanged,
        });
        let (status, body) = match body {
            _ if unchanged => ("304 Not Modified", String::new()),
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", String::new()),
        };
        let length = body.len();
        let etag = etag.unwrap_or_default();
        write!(
            stream,
            "HTTP/1.1 {status}\r\netag: {etag}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )?;
        Ok(())
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.state.closed.store(true, Relaxed);
        // Wakes it; where that fails it has ended already.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(serving) = self.serving.take() {
            drop(serving.join());
        }
    }
}
