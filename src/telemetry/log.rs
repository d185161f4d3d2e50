//! Where log lines go: through one bounded queue to one thread.
//!
//! A request never waits for a terminal, a pipe or a disk: it hands over what it
//! has, and even the writing out as text happens on that thread. When the reader
//! is too slow, lines are dropped and counted. Every line passes the
//! [`Redactor`] and is made harmless for terminals (no control characters).

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::Redactor;

/// Lines that may wait. At 500 bytes each this is 4 MiB.
const QUEUE: usize = 8192;

/// How long the thread lets lines gather once there is one. Waking it and
/// writing for every line would cost more than the rest of the logging: a wake,
/// two switches of threads and a system call, for each request.
const GATHER: Duration = Duration::from_millis(10);

/// Bytes of a usual line.
const LINE: usize = 768;
/// Bytes that are written at once.
const MOST_TEXT: usize = 64 * 1024;

/// What becomes a line of the log, on the log's own thread.
pub trait Entry: std::fmt::Debug + Send + Sync {
    /// Appends the line, without its line feed: JSON or for people.
    fn write(&self, json: bool, out: &mut Vec<u8>);
}

/// The sending end of the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    queue: SyncSender<Message>,
    dropped: IntCounter,
    json: bool,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Entry(Arc<dyn Entry>),
    /// Answered when everything before it has been written.
    Flush(SyncSender<()>),
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// JSON unless a terminal reads along.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Log {
    /// Starts the writing thread. `file` `None` is standard output.
    ///
    /// # Errors
    /// When the file cannot be opened or no thread can be started.
    pub fn start(
        format: Format,
        file: Option<&Path>,
        redactor: Arc<Redactor>,
        dropped: IntCounter,
    ) -> io::Result<(Log, JoinHandle<()>)> {
        let sink: Box<dyn Write + Send> = match file {
            Some(path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder)?;
                }
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
            None => Box::new(io::stdout()),
        };
        let terminal = file.is_none() && io::IsTerminal::is_terminal(&io::stdout());
        let json = match format {
            Format::Auto => !terminal,
            Format::Json => true,
            Format::Text => false,
        };
        let (queue, lines) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || Writer { sink, redactor, json, text: Vec::new() }.run(&lines))?;
        Ok((Log { queue, dropped, json }, thread))
    }

    /// Hands over one line, without its line feed. Never waits.
    pub fn line(&self, line: Vec<u8>) {
        self.send(Message::Line(line));
    }

    /// Hands over what becomes a line. Never waits.
    pub fn entry(&self, entry: Arc<dyn Entry>) {
        self.send(Message::Entry(entry));
    }

    fn send(&self, message: Message) {
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.inc(),
        }
    }

    /// Waits until all lines so far are written, `limit` at most.
    pub fn flush(&self, limit: Duration) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }

    /// Makes this log the destination of `tracing` events of at least `level`
    /// (an `EnvFilter` directive; an invalid one means `info`).
    pub fn install(&self, level: &str) {
        let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
        let base =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(self.clone()).with_ansi(false);
        let installed = if self.json {
            tracing::subscriber::set_global_default(base.json().flatten_event(true).finish())
        } else {
            tracing::subscriber::set_global_default(base.with_target(false).finish())
        };
        if installed.is_err() {
            tracing::debug!("a log was installed before; it stays");
        }
    }
}

/// The log's thread.
struct Writer {
    sink: Box<dyn Write + Send>,
    redactor: Arc<Redactor>,
    json: bool,
    /// What goes out with the next write.
    text: Vec<u8>,
}

impl Writer {
    fn run(mut self, lines: &Receiver<Message>) {
        while let Ok(first) = lines.recv() {
            // Somebody who waits for a flush is not kept waiting.
            if !matches!(first, Message::Flush(_)) {
                std::thread::sleep(GATHER);
            }
            self.take(first);
            while let Ok(message) = lines.try_recv() {
                self.take(message);
            }
            self.flush();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => self.line(&line),
            Message::Entry(entry) => {
                let mut line = Vec::with_capacity(LINE);
                entry.write(self.json, &mut line);
                self.line(&line);
            }
            Message::Flush(done) => {
                self.flush();
                let _ = done.try_send(());
            }
        }
        if self.text.len() >= MOST_TEXT {
            self.flush();
        }
    }

    fn line(&mut self, line: &[u8]) {
        let text =
            simdutf8::basic::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
        let clean = self.redactor.clean(text.trim_end());
        // Nearly all lines are plain ASCII, for which bytes tell enough.
        if clean.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !clean.chars().any(is_harmful) {
            self.text.extend_from_slice(clean.as_bytes());
        } else {
            let harmless: String =
                clean.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect();
            self.text.extend_from_slice(harmless.as_bytes());
        }
        self.text.push(b'\n');
    }

    /// A sink that fails (disk full, pipe closed) must not stop the log: these
    /// lines are lost, the next may succeed.
    fn flush(&mut self) {
        let _ = self.sink.write_all(&self.text).and_then(|()| self.sink.flush());
        self.text.clear();
        // What a burst has needed is not kept for ever.
        self.text.shrink_to(MOST_TEXT);
    }
}

/// Control characters, and those that reorder text on a terminal.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One `tracing` event being formatted; handed over when dropped.
#[derive(Debug)]
pub struct Line {
    log: Log,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.log.line(std::mem::take(&mut self.bytes));
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { log: self.clone(), bytes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Secret;

    #[test]
    fn lines_are_cleaned_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let redactor = Arc::new(Redactor::new());
        redactor.set(&[Secret::new("topsecret".to_owned())]);
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let (log, thread) = Log::start(Format::Json, Some(&path), redactor, dropped.clone()).unwrap();
        log.line(b"the key is topsecret\x1b[31m".to_vec());
        log.flush(Duration::from_secs(5));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "the key is ***\u{fffd}[31m\n");
        assert_eq!(dropped.get(), 0);
        drop(log);
        thread.join().unwrap();
    }
}
