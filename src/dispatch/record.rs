//! What is kept of a request: its decision, its attempts and how it ended.
//!
//! One record serves the canonical log line, `GET /v1/decisions/{id}` and the
//! export that `merit replay` reads.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::ticket::{AttemptRecord, Ticket, milliseconds};
use crate::catalog::{Catalog, EndpointId, Provider};
use crate::market::{self, Decision};
use crate::telemetry::log::{Entry, Log};
use crate::telemetry::metrics::OTHER;
use crate::units::NanoUsd;

/// One request, settled.
#[derive(Debug, Serialize)]
pub struct Record {
    /// Ours.
    pub request_id: Uuid,
    /// The caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// Arrival, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The key's name.
    pub key: Arc<str>,
    /// The name that was asked for, if it is configured.
    pub route: Arc<str>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// How it ended.
    pub outcome: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// The provider that answered.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub provider: Option<Arc<Provider>>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// All tries in order.
    pub attempts: Vec<AttemptRecord>,
    /// Milliseconds in all.
    pub total_ms: f64,
    /// Milliseconds of our own: total minus waiting for upstreams.
    pub overhead_ms: f64,
    /// Milliseconds to the first content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Input tokens.
    pub tokens_in: u64,
    /// Input tokens from the prompt cache.
    pub tokens_cached: u64,
    /// Output tokens.
    pub tokens_out: u64,
    /// Whether the tokens are our estimate.
    pub usage_estimated: bool,
    /// What it cost, in USD with nine decimals.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "digits")]
    pub cost_usd: Option<NanoUsd>,
    /// What the key is charged for it, in USD with nine decimals.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "digits")]
    pub charged_usd: Option<NanoUsd>,
    /// What the provider says it costs, likewise.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "digits")]
    pub stated_cost_usd: Option<NanoUsd>,
    /// Generation of the configuration.
    pub generation: u64,
    /// What the caller said of the answer, 0..1, if it has said anything.
    #[serde(skip)]
    pub feedback: OnceLock<f64>,
    /// Who answered, in full or in part.
    #[serde(skip)]
    pub served: Option<EndpointId>,
    /// Why these candidates in this order.
    #[serde(skip)]
    pub decision: Option<market::Kept>,
    /// That of the generation in which it was decided: its ids mean nothing in another.
    #[serde(skip)]
    pub catalog: Arc<Catalog>,
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn name<S: Serializer>(provider: &Option<Arc<Provider>>, serializer: S) -> Result<S::Ok, S::Error> {
    provider.as_ref().map(|provider| provider.name.as_str()).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn digits<S: Serializer>(cost: &Option<NanoUsd>, serializer: S) -> Result<S::Ok, S::Error> {
    match cost {
        Some(cost) => serializer.collect_str(cost),
        None => serializer.serialize_none(),
    }
}

impl Record {
    /// The record of a ticket that ends now, `total` after it arrived. Takes over
    /// what the ticket needs no more.
    #[must_use]
    pub fn of(ticket: &mut Ticket, total: Duration) -> Record {
        let attempts = std::mem::take(&mut ticket.attempts);
        let served = ticket.served.as_ref();
        let endpoint = served.map(|served| ticket.fleet.catalog.endpoint(served.endpoint));
        let usage = served.map(|served| served.usage).unwrap_or_default();
        Record {
            request_id: ticket.id,
            client_request_id: ticket.client_id.take(),
            at_unix_ms: ticket.at_unix_ms,
            key: ticket.caller.as_ref().map_or_else(|| "-".into(), |caller| Arc::clone(&caller.name)),
            route: ticket.route.clone().unwrap_or_else(|| OTHER.into()),
            stream: ticket.request.as_ref().is_some_and(|request| request.stream),
            outcome: ticket.outcome.label(),
            status: ticket.status,
            error: ticket.error,
            provider: endpoint.map(|endpoint| Arc::clone(&endpoint.provider)),
            model: endpoint.map(|endpoint| Arc::clone(&ticket.fleet.catalog.model(endpoint.model).name)),
            attempts,
            total_ms: milliseconds(total),
            overhead_ms: milliseconds(total.saturating_sub(ticket.upstream)),
            ttft_ms: ticket.ttft.map(milliseconds),
            tokens_in: usage.input,
            tokens_cached: usage.cached_input,
            tokens_out: usage.output,
            usage_estimated: usage.estimated,
            cost_usd: served.and_then(|served| served.cost),
            charged_usd: served.and_then(|served| served.charged),
            stated_cost_usd: served.and_then(|served| served.stated),
            generation: ticket.fleet.generation,
            feedback: OnceLock::new(),
            served: served.map(|served| served.endpoint),
            decision: ticket.decision.take().map(|made| market::Kept::of(&made, &ticket.fleet.catalog)),
            catalog: Arc::clone(&ticket.fleet.catalog),
        }
    }
}

impl Record {
    /// Why these candidates in this order: decided again.
    #[must_use]
    pub fn decided(&self) -> Option<Decision> {
        self.decision.as_ref().map(|kept| kept.decision(&self.catalog))
    }
}

/// The canonical log line.
impl Entry for Record {
    fn write(&self, json: bool, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = if json { self.write_json(out) } else { self.write_text(out) };
    }
}

impl Record {
    fn write_json(&self, out: &mut Vec<u8>) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'r> {
            ts: u64,
            level: &'static str,
            msg: &'static str,
            #[serde(flatten)]
            record: &'r Record,
        }
        let level = if self.status >= 500 { "warn" } else { "info" };
        Ok(serde_json::to_writer(out, &Line { ts: self.at_unix_ms, level, msg: "request", record: self })?)
    }

    /// For people.
    fn write_text(&self, out: &mut Vec<u8>) -> io::Result<()> {
        write!(
            out,
            "{} {} {} → {}/{} {:.1} ms, ours {:.2} ms, {} in {} out",
            self.outcome,
            self.status,
            self.route,
            self.provider.as_ref().map_or("-", |provider| &provider.name),
            self.model.as_deref().unwrap_or("-"),
            self.total_ms,
            self.overhead_ms,
            self.tokens_in,
            self.tokens_out,
        )?;
        if let Some(cost) = &self.cost_usd {
            write!(out, " ${cost}")?;
        }
        if self.attempts.len() > 1 || self.error.is_some() {
            for attempt in &self.attempts {
                write!(out, " [{} {} {:.0} ms]", attempt.endpoint, attempt.result, attempt.ms)?;
            }
        }
        if let Some(error) = self.error {
            write!(out, " {error}")?;
        }
        write!(out, " key={} id={}", self.key, self.request_id)
    }
}

/// The last records, by request id.
#[derive(Debug)]
pub struct Decisions {
    keep: usize,
    kept: Mutex<Kept>,
    export: Option<Log>,
}

#[derive(Debug)]
struct Kept {
    records: HashMap<Uuid, Arc<Record>, BuildHasherDefault<OwnId>>,
    order: VecDeque<Uuid>,
}

/// Our ids are random and never from the wire, so their last eight bytes are a
/// hash already.
#[derive(Debug, Default)]
struct OwnId(u64);

impl Hasher for OwnId {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(random) = bytes.last_chunk() {
            self.0 = u64::from_ne_bytes(*random);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Decisions {
    /// Keeps the last `keep` records, and hands each to `export` as a line.
    #[must_use]
    pub fn new(keep: usize, export: Option<Log>) -> Self {
        // Room for all from the start: moving 100,000 to a larger table would make
        // some request wait. Memory that is not used yet costs nothing.
        let kept = Kept {
            records: HashMap::with_capacity_and_hasher(keep + 1, BuildHasherDefault::default()),
            order: VecDeque::with_capacity(keep + 1),
        };
        Decisions { keep, kept: Mutex::new(kept), export }
    }

    /// Adds a record and forgets the oldest when there are too many.
    pub fn keep(&self, record: Arc<Record>) {
        if let Some(export) = &self.export {
            export.entry(Arc::new(Exported(Arc::clone(&record))));
        }
        let forgotten = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.order.push_back(record.request_id);
            kept.records.insert(record.request_id, record);
            let oldest = if kept.order.len() > self.keep { kept.order.pop_front() } else { None };
            oldest.and_then(|oldest| kept.records.remove(&oldest))
        };
        // Freed outside the lock.
        drop(forgotten);
    }

    /// Waits until all that was handed to the export is written, `limit` at most.
    pub fn flush(&self, limit: Duration) {
        if let Some(export) = &self.export {
            export.flush(limit);
        }
    }

    /// The record of that request, if it is still kept.
    #[must_use]
    pub fn find(&self, id: Uuid) -> Option<Arc<Record>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).records.get(&id).cloned()
    }

    /// The newest records, newest first.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<Arc<Record>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.order.iter().rev().take(count).filter_map(|id| kept.records.get(id).cloned()).collect()
    }
}

/// A record with its decision.
#[derive(Debug, Serialize)]
pub struct Whole<'r> {
    /// What happened.
    #[serde(flatten)]
    pub record: &'r Record,
    /// Why.
    pub decision: Option<Decision>,
}

impl<'r> Whole<'r> {
    /// Both parts of a record.
    #[must_use]
    pub fn of(record: &'r Record) -> Self {
        Whole { record, decision: record.decided() }
    }
}

/// A record on its way to the export.
#[derive(Debug)]
struct Exported(Arc<Record>);

impl Entry for Exported {
    fn write(&self, _json: bool, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, &Whole::of(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        // A hundred thousand are kept, each with its attempts and its decision.
        let size = size_of::<Record>();
        assert!(size <= 448, "{size} bytes");
    }
}
