//! One upstream try, up to its first content. The only place that sends.
//!
//! A stream's events are held back until one of them is *content*: text, a tool
//! call, reasoning. Providers answer 200, send a preamble and then fail; as long
//! as nothing has gone to the caller, another provider can take over unseen.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{self, Pieces};
use super::scrub::Scrub;
use super::signals::Ear;
use super::target::Target;
use crate::books::headroom::{Allowance, Allowed};
use crate::catalog::Endpoint;
use crate::credential::{Outgoing, Signed};
use crate::dialect::{Decoder, Progress, Reply, Style, headroom};
use crate::outcome::Failure;
use crate::request::ChatRequest;
use form::Form;

mod form;

/// Largest complete answer: many times the longest real one.
const MOST_ANSWER: usize = 64 * 1024 * 1024;
/// How long and how many bytes are read behind a stream's end, to keep its
/// connection.
const REST: Duration = Duration::from_secs(1);
const MOST_REST: usize = 64 * 1024;
/// Largest error body that is looked at; the rest says nothing new.
const MOST_ERROR: usize = 64 * 1024;
/// How long an error's body may take; its status alone says enough.
const ERROR_BODY: Duration = Duration::from_secs(5);
/// Most events and bytes held back before content; a preamble is a few hundred
/// bytes, so more than this is an attack or a defect.
const MOST_HELD: usize = 256 * 1024;

/// What an attempt may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the first content of a stream.
    pub first_content: Duration,
    /// Until the end of an answer that is not streamed.
    pub whole: Duration,
}

/// What an attempt gave.
#[derive(Debug)]
pub enum Answer {
    /// All of it.
    Whole(Reply),
    /// A stream whose first content has come.
    Stream(Upstream),
}

/// A stream being read.
#[derive(Debug)]
pub struct Upstream {
    /// Where it comes from; `None` when all of it is in `ready`.
    pub body: Option<Incoming>,
    /// Follows it.
    pub decoder: Box<dyn Decoder>,
    /// What the caller gets next.
    pub ready: VecDeque<Bytes>,
    /// Whether its terminal marker has come.
    pub ended: bool,
    /// Takes our credential out of what comes.
    pub scrub: Scrub,
    /// Hears what comes, where somebody wants to look at it afterwards.
    pub ear: Option<Ear>,
}

impl Upstream {
    /// A stream of which `events` have come, and which goes on where there is a
    /// body.
    fn new(body: Option<Incoming>, decoder: Box<dyn Decoder>, events: Vec<Bytes>, scrub: &Scrub) -> Self {
        let ended = body.is_none();
        let (ready, scrub) = (VecDeque::new(), scrub.clone());
        let mut upstream = Upstream { body, decoder, ready, ended, scrub, ear: None };
        upstream.push(events);
        upstream
    }

    /// The terminal marker has come; nothing behind it is of interest. But what
    /// is left must be read, or the connection could not be used again: mostly
    /// that is the end of the chunks, which is there already.
    pub fn end(&mut self) {
        self.ended = true;
        let Some(mut body) = self.body.take() else { return };
        let mut context = Context::from_waker(Waker::noop());
        if matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(None | Some(Err(_)))) {
            return;
        }
        tokio::spawn(async move { timeout(REST, read_up_to(body, MOST_REST)).await });
    }

    /// Adds what the decoder gave to what the caller gets next.
    pub fn push(&mut self, events: Vec<Bytes>) {
        let scrub = &self.scrub;
        if let Some(ear) = &mut self.ear {
            ear.hear(&events);
        }
        self.ready.extend(events.into_iter().map(|event| scrub.clean(event)));
    }
}

/// Answer headers that callers may see.
pub type Passed = HeaderMap;

/// What came of a request that was sent.
#[derive(Debug)]
pub struct Sent {
    /// The answer, or its beginning.
    pub answer: Answer,
    /// Headers that callers may see.
    pub passed: Passed,
    /// What its limits leave.
    pub allowed: Allowed,
}

/// Sends `request` to `endpoint` and waits for content.
///
/// # Errors
/// Whatever went wrong before content.
pub async fn send(
    target: &Target,
    endpoint: &Endpoint,
    request: &ChatRequest,
    style: &Style,
    limits: Limits,
    warnings: &mut Vec<String>,
) -> Result<Sent, Failure> {
    let encoded = target.codec.encode(request, endpoint)?;
    warnings.extend(encoded.warnings);
    let asked = Asked { uri: target.uri(&encoded.path, request.stream)?, stream: request.stream, style };
    let limit = if request.stream { limits.first_content } else { limits.whole };
    let deadline = Instant::now() + limit;
    let exchange = async {
        let signed = target.signer.sign(asked.outgoing(&encoded.body)).await?;
        let again = target.signer.changes().then(|| encoded.body.clone());
        let first = Box::pin(ask(target, &asked, encoded.body, &signed)).await;
        match (first, again) {
            // A token may end before its time; another is tried once.
            (Err(Failure::Key { status: 401 }), Some(body)) if target.signer.refused(&signed) => {
                let signed = target.signer.sign(asked.outgoing(&body)).await?;
                Box::pin(ask(target, &asked, body, &signed)).await
            }
            (result, _) => result,
        }
    };
    timeout_at(deadline, exchange).await.unwrap_or(Err(Failure::FirstContentTimeout))
}

/// One request, apart from its body and its signature.
struct Asked<'a> {
    uri: Uri,
    stream: bool,
    style: &'a Style,
}

impl Asked<'_> {
    fn outgoing<'o>(&'o self, body: &'o [Bytes]) -> Outgoing<'o> {
        Outgoing { method: &Method::POST, uri: &self.uri, body }
    }
}

/// Sends a signed request and waits for content.
async fn ask(target: &Target, asked: &Asked<'_>, body: Vec<Bytes>, signed: &Signed) -> Result<Sent, Failure> {
    let mut http = Request::new(Pieces::new(body));
    *http.method_mut() = Method::POST;
    http.uri_mut().clone_from(&asked.uri);
    http.headers_mut().clone_from(&target.headers);
    http.headers_mut().extend(signed.headers.iter().cloned());
    let scrub = target.scrub(signed);
    let response = target.client.request(http).await.map_err(|error| connect::failure(&error))?;
    if response.status() != StatusCode::OK {
        return Err(refusal(target, response, &scrub).await);
    }
    if is_ambiguous(response.headers()) {
        return Err(Failure::Protocol { detail: "ambiguous framing" });
    }
    let passed = passed_headers(response.headers());
    let allowed = allowed(response.headers());
    let answer = understand(target, response, (asked.stream, asked.style), &scrub).await;
    let answer = answer.map_err(|failure| scrub.failure(failure))?;
    Ok(Sent { answer, passed, allowed })
}

/// Both a length and chunks, of which hyper believes the chunks. An answer that
/// two readers would cut differently is not trusted, and neither is its
/// connection (RFC 9112, 6.3; nginx refuses it too).
fn is_ambiguous(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// What a status other than 200 means.
async fn refusal(target: &Target, response: Response<Incoming>, scrub: &Scrub) -> Failure {
    let (mut head, body) = response.into_parts();
    if head.status.is_redirection() {
        return Failure::Protocol { detail: "a redirect, which is never followed" };
    }
    if head.status.is_success() {
        return Failure::Protocol { detail: "a success without an answer" };
    }
    // What has no date is as old as its arrival (RFC 9110, 6.6.1): dates of when
    // to come back are measured against it.
    if let Ok(now) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())) {
        head.headers.entry(DATE).or_insert(now);
    }
    let text = timeout(ERROR_BODY, read_up_to(body, MOST_ERROR)).await.unwrap_or_default();
    target.codec.failure(head.status, &head.headers, &scrub.clean(text))
}

/// Whether what came is a stream or a whole answer is told by its first bytes,
/// and by its content type where these leave it open: never by what was asked
/// for.
async fn understand(
    target: &Target,
    response: Response<Incoming>,
    (stream, style): (bool, &Style),
    scrub: &Scrub,
) -> Result<Answer, Failure> {
    let coding = response.headers().get(http::header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Failure::Protocol { detail: "compressed although identity was asked for" });
    }
    let labelled = response.headers().get(CONTENT_TYPE).and_then(|value| Form::labelled(value.as_bytes()));
    let mut body = response.into_body();
    let (form, first) = sniff(&mut body, labelled).await?;
    let events = form == Form::Events;
    match (events, stream) {
        (true, true) => {
            let decoder = target.codec.stream(style);
            until_content(decoder, first, body, scrub).await.map(Answer::Stream)
        }
        (true, false) => {
            gather(target, style, first, body).await.map(|reply| Answer::Whole(scrub.whole(reply)))
        }
        (false, true) => {
            let whole = read_whole(body, first).await?;
            let mut decoder = target.codec.reply_as_stream(whole, style)?;
            let mut out = Vec::new();
            decoder.end_of_input(&mut out)?;
            Ok(Answer::Stream(Upstream::new(None, decoder, out, scrub)))
        }
        (false, false) => {
            let reply = target.codec.reply(read_whole(body, first).await?, style)?;
            Ok(Answer::Whole(scrub.whole(reply)))
        }
    }
}

/// Waits for the first bytes that tell what came, and gives them back.
async fn sniff(body: &mut Incoming, labelled: Option<Form>) -> Result<(Form, Bytes), Failure> {
    while let Some(chunk) = next_chunk(body).await? {
        if let Some(first) = form::first(&chunk) {
            return Form::told(first, labelled).map(|form| (form, chunk));
        }
    }
    // A stream without events has broken off; anything else is no answer.
    match labelled {
        Some(Form::Events) => Ok((Form::Events, Bytes::new())),
        Some(Form::Json) | None => Err(Failure::Protocol { detail: "an empty answer" }),
    }
}

/// Reads a stream until its first content or its end.
async fn until_content(
    mut decoder: Box<dyn Decoder>,
    first: Bytes,
    mut body: Incoming,
    scrub: &Scrub,
) -> Result<Upstream, Failure> {
    let mut out = Vec::new();
    let mut chunk = Some(first);
    loop {
        let ended = if let Some(bytes) = chunk {
            decoder.feed(bytes, &mut out)? == Progress::Ended
        } else {
            decoder.end_of_input(&mut out)?;
            true
        };
        if ended || decoder.watch().content_events > 0 {
            let mut upstream = Upstream::new(Some(body), decoder, out, scrub);
            if ended {
                upstream.end();
            }
            return Ok(upstream);
        }
        if out.iter().map(Bytes::len).sum::<usize>() > MOST_HELD {
            return Err(Failure::Protocol { detail: "too much before any content" });
        }
        chunk = next_chunk(&mut body).await?;
    }
}

/// An upstream that streams although it was not asked to: its events are put
/// together again by the codec.
async fn gather(target: &Target, style: &Style, first: Bytes, mut body: Incoming) -> Result<Reply, Failure> {
    let mut whole = BytesMut::from(first);
    while let Some(chunk) = next_chunk(&mut body).await? {
        if whole.len() + chunk.len() > MOST_ANSWER {
            return Err(Failure::Protocol { detail: "an answer over 64 MiB" });
        }
        whole.extend_from_slice(&chunk);
    }
    target.codec.stream_as_reply(whole.freeze(), style)
}

/// The next bytes of a body; `None` at its proper end.
async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken(&error)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// A body that broke off.
#[must_use]
pub fn broken(error: &hyper::Error) -> Failure {
    match connect::exchange_failure(error) {
        Failure::Closed => Failure::Truncated,
        other => other,
    }
}

async fn read_whole(mut body: Incoming, first: Bytes) -> Result<Bytes, Failure> {
    let mut chunk = match first.is_empty() {
        true => next_chunk(&mut body).await?,
        false => Some(first),
    };
    let Some(only) = chunk.take() else { return Err(Failure::Protocol { detail: "an empty answer" }) };
    let Some(second) = next_chunk(&mut body).await? else { return Ok(only) };
    let mut whole = BytesMut::from(only);
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        if whole.len() + bytes.len() > MOST_ANSWER {
            return Err(Failure::Protocol { detail: "an answer over 64 MiB" });
        }
        whole.extend_from_slice(&bytes);
        chunk = next_chunk(&mut body).await?;
    }
    Ok(whole.freeze())
}

async fn read_up_to(mut body: Incoming, most: usize) -> Bytes {
    let mut read = BytesMut::new();
    while let Ok(Some(chunk)) = next_chunk(&mut body).await {
        read.extend_from_slice(&chunk);
        if read.len() >= most {
            read.truncate(most);
            break;
        }
    }
    read.freeze()
}

/// What the upstream says that its limits leave.
fn allowed(headers: &HeaderMap) -> Allowed {
    let allowance = |names| {
        let headroom::Remaining { left, most, full_in } = headroom::remaining(headers, names)?;
        Some(Allowance { left, most: most.unwrap_or(left), full_in })
    };
    Allowed { requests: allowance(headroom::REQUESTS), tokens: allowance(headroom::TOKENS) }
}

/// Upstream headers that tell a caller something and cannot hurt: an allow-list.
fn passed_headers(headers: &HeaderMap) -> Passed {
    let mut passed = HeaderMap::new();
    for name in ["openai-processing-ms", "openai-version"] {
        if let Some(value) = headers.get(name) {
            passed.insert(name, value.clone());
        }
    }
    passed
}
