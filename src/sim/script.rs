//! What a simulated provider does with a socket, step by step.
//!
//! Every answer, however odd, becomes a list of [`Step`]s before the first byte
//! is written. So one player performs them all, faults are edits of a list, and
//! a test may write the list itself: `[send "HTTP/1.1 200 OK\r\n", wait 50ms, rst]`.

use std::time::Duration;

use bytes::Bytes;

/// What a piece of a body means, for the journal and for finding places in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Says nothing yet: the role, an empty chunk.
    Preamble,
    /// Text, a tool call, reasoning or a refusal.
    Content,
    /// States why the answer ended.
    Finish,
    /// States what the answer consumed.
    Usage,
    /// States both.
    FinishAndUsage,
    /// The dialect's terminal marker.
    Terminal,
    /// A complete answer that is not streamed.
    Whole,
    /// Anything else: comments, errors, junk.
    Other,
}

/// One thing done to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes as they are: a head, or what a script says.
    Raw(Bytes),
    /// A piece of the body, framed as the head announced.
    Body {
        /// The bytes before framing.
        bytes: Bytes,
        /// What they mean.
        kind: Kind,
        /// Words of the answer among them.
        words: u32,
    },
    /// The same byte many times over, as body; never held in memory at once.
    Fill {
        /// The byte.
        byte: u8,
        /// How often.
        count: u64,
    },
    /// What the framing needs after a body; `trailers` only where chunked.
    EndBody {
        /// Header lines after the last chunk, each with its line end.
        trailers: &'static str,
    },
    /// Nothing for a while.
    Wait(Duration),
    /// A piece of body again and again until the client leaves.
    Forever {
        /// The piece.
        bytes: Bytes,
        /// The pause after each.
        every: Duration,
    },
    /// Nothing until the client leaves.
    Hang,
    /// Close the connection in order.
    Fin,
    /// Reset the connection.
    Rst,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// `transfer-encoding: chunked`.
    #[default]
    Chunked,
    /// `content-length`.
    Length,
    /// The connection closes.
    Close,
}

/// A list of steps and how to perform them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Framing of [`Step::Body`] and [`Step::Fill`].
    pub framing: Framing,
    /// At most so many bytes per write.
    pub slice: Option<usize>,
    /// Pause after each slice.
    pub drip: Duration,
    /// Whether pieces that follow each other without a pause go in one write.
    pub burst: bool,
    /// Whether the connection closes when the steps are done.
    pub close: bool,
}

/// Why a script could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadScript(pub String);

impl std::fmt::Display for BadScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "script: {}", self.0)
    }
}

impl std::error::Error for BadScript {}

/// Reads a script: steps separated by commas, in square brackets or not.
///
/// | step | does |
/// |---|---|
/// | `send "…"` | writes bytes; `\r \n \t \0 \\ \" \xNN` are understood |
/// | `fill N "c"` | writes the byte `c` N times |
/// | `wait 50ms`, `wait 2s` | does nothing for so long |
/// | `hang` | does nothing until the client leaves |
/// | `fin`, `rst` | closes, resets |
///
/// # Errors
/// [`BadScript`] with the step that is wrong.
pub fn parse(text: &str) -> Result<Vec<Step>, BadScript> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    split_outside_quotes(text).iter().map(|part| step(part.trim())).collect()
}

/// Splits at commas that stand outside quotes; empty parts vanish.
fn split_outside_quotes(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == ',' && !quoted {
            parts.push(String::new());
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn step(text: &str) -> Result<Step, BadScript> {
    let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match (verb, rest.is_empty()) {
        ("send", false) => quoted(rest).map(|bytes| Step::Raw(bytes.into())),
        ("fill", false) => fill(rest),
        ("wait", false) => duration(rest)
            .map(Step::Wait)
            .ok_or_else(|| BadScript(format!("`{rest}` is not a duration such as 50ms or 2s"))),
        ("hang", true) => Ok(Step::Hang),
        ("fin", true) => Ok(Step::Fin),
        ("rst", true) => Ok(Step::Rst),
        _ => Err(BadScript(format!("`{text}` is not a step (send, fill, wait, hang, fin, rst)"))),
    }
}

fn fill(rest: &str) -> Result<Step, BadScript> {
    let bad = || BadScript(format!("`fill {rest}` needs a number and one quoted byte"));
    let (count, byte) = rest.split_once(' ').ok_or_else(bad)?;
    let count = count.parse().map_err(|_| bad())?;
    match quoted(byte.trim())?.as_slice() {
        [byte] => Ok(Step::Fill { byte: *byte, count }),
        _ => Err(bad()),
    }
}

/// The bytes of a quoted text.
fn quoted(text: &str) -> Result<Vec<u8>, BadScript> {
    let bad = |why: &str| BadScript(format!("{why} in `{text}`"));
    let inner = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .ok_or_else(|| bad("expected a quoted text"))?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).map_err(|_| bad("`\\x` needs two hex digits"))?
            }
            _ => return Err(bad("unknown escape")),
        });
    }
    Ok(bytes)
}

/// The longest pause that can be asked for: a day, longer than any game day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Reads `50ms`, `2s`, or a bare number of milliseconds; a day at most.
pub(super) fn duration(text: &str) -> Option<Duration> {
    any_duration(text).filter(|duration| *duration <= LONGEST)
}

fn any_duration(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().ok().map(Duration::from_millis);
    }
    if let Some(number) = text.strip_suffix('s') {
        return number.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    }
    text.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_step() {
        let steps =
            parse(r#"[send "a,\"\r\n\x00é", wait 50ms, fill 3 "x", wait 1.5s, hang, fin, rst]"#).unwrap();
        assert_eq!(
            steps,
            vec![
                Step::Raw("a,\"\r\n\0é".into()),
                Step::Wait(Duration::from_millis(50)),
                Step::Fill { byte: b'x', count: 3 },
                Step::Wait(Duration::from_millis(1500)),
                Step::Hang,
                Step::Fin,
                Step::Rst,
            ]
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, word) in [
            ("jump", "jump"),
            ("wait soon", "soon"),
            (r"send a", "quoted"),
            (r#"send "\q""#, "escape"),
            (r#"send "\xZZ""#, "hex"),
            (r#"fill 2 "ab""#, "one quoted byte"),
            ("fin now", "fin now"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
