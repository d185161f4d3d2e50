//! A server that answers as a story says: token servers, and upstreams that the
//! simulator does not speak. One connection for each request, so that nothing is
//! left to framing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Fallible;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    /// All headers, as they came.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

/// Status, more header lines (each with its end), body.
pub(crate) type Said = (u16, String, String);
type Script = dyn Fn(&Asked, usize) -> Said + Send + Sync;

/// A running one; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Fake {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

impl Fake {
    /// Answers by `script`, which is given each request and its number from 1.
    pub(crate) fn start(script: impl Fn(&Asked, usize) -> Said + Send + Sync + 'static) -> Fallible<Fake> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (asked, over) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (seen, ended, script) =
            (Arc::clone(&asked), Arc::clone(&over), Arc::<Box<Script>>::new(Box::new(script)));
        thread::spawn(move || {
            for socket in listener.incoming() {
                if ended.load(Relaxed) {
                    return;
                }
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                // A client that hangs up is no failure of the story.
                thread::spawn(move || socket.map(|socket| serve(socket, &seen, &**script).ok()));
            }
        });
        Ok(Fake { port, asked, over })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        // Wakes it, so that it sees that it is over.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn serve(socket: TcpStream, seen: &Mutex<Vec<Asked>>, script: &Script) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    let mut asked = Asked::default();
    let mut length = 0;
    reader.read_line(&mut asked.line)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        asked.head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    let number = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(asked.clone());
        seen.len()
    };
    let (status, headers, body) = script(&asked, number);
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    reader.get_mut().write_all(answer.as_bytes())
}
