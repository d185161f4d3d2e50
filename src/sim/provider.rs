//! One simulated provider at work: accepts, reads, chooses a behaviour, answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::behaviour::{BadBehaviour, Behaviour};
use super::bench::Prebuilt;
use super::cache::Cache;
use super::compose::{Brief, compose};
use super::inbound::Inbound;
use super::journal::{Ending, Entry, Journal, Sent};
use super::perform::{Record, perform};
use super::quirks::Quirk;
use super::scenario::ProviderSpec;
use super::script::Script;
use super::socket::{NoRequest, Socket};
use super::speech::{Ask, Consumed, Speech};
use super::{control, draw};

/// How long a failed accept waits, so that a full table of files does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections of a provider share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) spec: ProviderSpec,
    pub(super) speech: &'static dyn Speech,
    pub(super) seed: u64,
    pub(super) address: SocketAddr,
    pub(super) start: Instant,
    pub(super) journal: Arc<Journal>,
    pub(super) stop: CancellationToken,
    live: Mutex<Live>,
    cache: Cache,
    busy: AtomicUsize,
    requests: AtomicU64,
    connections: AtomicU64,
}

/// What may be changed at run time.
#[derive(Debug)]
struct Live {
    default: Behaviour,
    /// The default's buffers when it is for benchmarks.
    prebuilt: Option<Arc<Prebuilt>>,
    next: VecDeque<Behaviour>,
}

/// Takes one of a provider's slots and gives it back.
struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(super) fn new(
        spec: ProviderSpec,
        speech: &'static dyn Speech,
        seed: u64,
        listener: &TcpListener,
        surroundings: (Instant, Arc<Journal>, CancellationToken),
    ) -> std::io::Result<Self> {
        let (start, journal, stop) = surroundings;
        let live = Mutex::new(Live { default: Behaviour::default(), prebuilt: None, next: VecDeque::new() });
        let default = spec.default.clone();
        let shared = Shared {
            address: listener.local_addr()?,
            spec,
            speech,
            seed,
            start,
            journal,
            stop,
            live,
            cache: Cache::default(),
            busy: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        };
        shared.set(default);
        Ok(shared)
    }

    /// Changes the default behaviour.
    pub(super) fn set(&self, behaviour: Behaviour) {
        let prebuilt = behaviour.bench.then(|| Arc::new(Prebuilt::new(self.speech, &behaviour)));
        let mut live = self.live();
        live.default = behaviour;
        live.prebuilt = prebuilt;
    }

    /// Adds behaviours for the next requests, one each.
    pub(super) fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.live().next.extend(behaviours);
    }

    /// Requests so far, those of benchmarks included.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The prebuilt answers, while nothing else is to come first.
    fn prebuilt(&self) -> Option<Arc<Prebuilt>> {
        let live = self.live();
        if live.next.is_empty() { live.prebuilt.clone() } else { None }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The behaviour for a request: the model's name, the queue, a provider
    /// that is full, wrong credentials or models, the mix, the default.
    fn choose(
        &self,
        ask: &Ask,
        inbound: &Inbound,
        rng: &mut fastrand::Rng,
    ) -> Result<Behaviour, BadBehaviour> {
        if ask.model.starts_with("fault/") {
            return ask.model.parse();
        }
        if let Some(next) = self.live().next.pop_front() {
            return Ok(next);
        }
        if self.spec.key.as_deref().is_some_and(|key| inbound.credential() != Some(key)) {
            return "status-401".parse();
        }
        if self.busy.load(Ordering::Relaxed) > self.spec.slots {
            return "rate-limit-1".parse();
        }
        let known = &self.spec.models;
        if !known.is_empty() && !known.iter().any(|model| model.name == ask.model) {
            return "status-404".parse();
        }
        Ok(draw::from_mix(&self.spec, rng).unwrap_or_else(|| self.live().default.clone()))
    }

    /// The script of an answer and what of it belongs in the journal.
    fn plan(&self, ask: &Ask, inbound: &Inbound, number: u64) -> Result<(Script, Planned), BadBehaviour> {
        let mut rng = draw::source(self.seed, &self.spec.name, number);
        let behaviour = self.choose(ask, inbound, &mut rng)?;
        let first = draw::first(&self.spec, &behaviour, &mut rng);
        let gaps = draw::gaps(&self.spec, &behaviour, &mut rng);
        let model = self.spec.models.iter().find(|model| model.name == ask.model);
        let (mut tale, good) = draw::tale(ask, &behaviour, model, number, &mut rng);
        if self.spec.cache {
            tale.consumed.cached_tokens = self.cache.read(&inbound.body, tale.consumed.prompt_tokens);
        }
        let consumed = tale.consumed;
        let script = compose(Brief {
            speech: self.speech,
            ask,
            tale: &tale,
            behaviour: &behaviour,
            first,
            gaps,
            credential: inbound.credential(),
        });
        Ok((script, Planned { behaviour, good, consumed }))
    }
}

/// What was decided about an answer.
struct Planned {
    behaviour: Behaviour,
    good: bool,
    consumed: Consumed,
}

/// Accepts until stopped.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                () = connection(&shared, stream) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn connection(shared: &Shared, stream: TcpStream) {
    let id = shared.connections.fetch_add(1, Ordering::Relaxed);
    let Ok(mut socket) = Socket::new(stream) else { return };
    loop {
        if serve_prebuilt(shared, &mut socket).await.is_none() {
            return;
        }
        match socket.request().await {
            Ok(inbound) => {
                let goes_on = match inbound.path.starts_with("/__") {
                    true => socket.write(&control::answer(shared, &inbound)).await.is_ok(),
                    false => serve(shared, &mut socket, id, &inbound).await,
                };
                if !goes_on || inbound.wants_close() {
                    return;
                }
            }
            Err(NoRequest::Bad(why)) => {
                let seq = shared.journal.add(entry(
                    shared,
                    id,
                    &Inbound { path: why.to_owned(), ..Inbound::default() },
                ));
                end(shared, seq, Ending::BadRequest);
                let _client_may_be_gone = socket
                    .write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .await;
                return;
            }
            Err(NoRequest::Gone(_)) => return,
        }
    }
}

/// Answers from buffers as long as that is wanted and possible; `None` when the
/// client has left.
async fn serve_prebuilt(shared: &Shared, socket: &mut Socket) -> Option<()> {
    while let Some(prebuilt) = shared.prebuilt() {
        if socket.inbox.is_empty() {
            socket.fill().await.ok()?;
        }
        let Some(answer) = prebuilt.answer(&mut socket.inbox) else { break };
        shared.requests.fetch_add(1, Ordering::Relaxed);
        socket.write(answer).await.ok()?;
    }
    Some(())
}

/// Answers one request; whether the connection goes on.
async fn serve(shared: &Shared, socket: &mut Socket, id: u64, inbound: &Inbound) -> bool {
    let number = shared.requests.fetch_add(1, Ordering::Relaxed);
    shared.busy.fetch_add(1, Ordering::Relaxed);
    let _slot = Slot(&shared.busy);
    let mut entry = entry(shared, id, inbound);
    let path = inbound.path.split('?').next().unwrap_or_default().trim_end_matches('/');
    if (inbound.method.as_str(), path.ends_with("/models")) == ("GET", true) {
        entry.status = 200;
        let seq = shared.journal.add(entry);
        let names: Vec<&str> = shared.spec.models.iter().map(|model| model.name.as_str()).collect();
        let written = socket.write(&control::json(200, &shared.speech.models(&names))).await;
        end(shared, seq, if written.is_ok() { Ending::Complete } else { Ending::ClientClosed });
        return written.is_ok();
    }
    let ask = shared.speech.understand(inbound);
    let planned = match ask {
        Err(why) => Err((400, why)),
        Ok(_) if inbound.method != "POST" || !shared.speech.serves(path) => {
            Err((404, format!("there is nothing at {path}")))
        }
        Ok(ask) => {
            entry.model.clone_from(&ask.model);
            entry.stream = ask.stream;
            shared.plan(&ask, inbound, number).map_err(|error| (404, error.to_string()))
        }
    };
    match planned {
        Ok((script, planned)) => answer(shared, socket, entry, script, planned).await,
        Err((status, why)) => {
            entry.status = status;
            let seq = shared.journal.add(entry);
            let complaint = super::speech::Complaint { status, code: None, message: &why };
            let body = shared.speech.error(complaint, &Behaviour::default()).to_string();
            let written = socket.write(&control::json(status, body.as_bytes())).await;
            end(shared, seq, if written.is_ok() { Ending::Complete } else { Ending::ClientClosed });
            written.is_ok()
        }
    }
}

async fn answer(
    shared: &Shared,
    socket: &mut Socket,
    mut entry: Entry,
    script: Script,
    planned: Planned,
) -> bool {
    entry.behaviour.clone_from(&planned.behaviour.name);
    entry.good = planned.good;
    entry.consumed = planned.consumed;
    let status = if planned.behaviour.script.is_some() { 0 } else { planned.behaviour.status() };
    let seq = shared.journal.add(entry);
    let record = Record { journal: &shared.journal, seq, start: shared.start, status };
    let ending = perform(socket, &script, &record).await;
    if ending != Ending::Complete {
        return false;
    }
    if script.close {
        socket.fin().await;
        return false;
    }
    if planned.behaviour.has(Quirk::DieOnReuse) {
        if socket.inbox.is_empty() && socket.fill().await.is_err() {
            return false;
        }
        socket.rst();
        return false;
    }
    true
}

fn entry(shared: &Shared, connection: u64, inbound: &Inbound) -> Entry {
    /// Most of a body that the journal keeps.
    const MOST_BODY: usize = 64 << 10;
    let secret = |name: &str| {
        matches!(
            name,
            "authorization" | "x-api-key" | "api-key" | "x-goog-api-key" | "proxy-authorization" | "cookie"
        )
    };
    let kept = inbound.body.get(..inbound.body.len().min(MOST_BODY)).unwrap_or_default();
    Entry {
        seq: 0,
        provider: shared.spec.name.clone(),
        connection,
        at: shared.start.elapsed(),
        method: inbound.method.clone(),
        path: inbound.path.clone(),
        headers: inbound.headers.iter().filter(|(name, _)| !secret(name)).cloned().collect(),
        credential: inbound.credential().map(digest),
        body: String::from_utf8_lossy(kept).into_owned(),
        body_bytes: inbound.body.len(),
        model: String::new(),
        stream: false,
        behaviour: String::new(),
        status: 0,
        good: false,
        bytes_written: 0,
        first_byte: None,
        content_events: 0,
        words: 0,
        sent: Sent::default(),
        consumed: Consumed::default(),
        ending: Ending::Running,
        ended: None,
    }
}

/// How the journal names a credential: 16 hex digits of its BLAKE3 digest.
pub(super) fn digest(credential: &str) -> String {
    blake3::hash(credential.as_bytes()).to_hex().chars().take(16).collect()
}

fn end(shared: &Shared, seq: u64, ending: Ending) {
    let now = shared.start.elapsed();
    shared.journal.note(seq, |entry| {
        entry.ending = ending;
        entry.ended = Some(now);
    });
}
