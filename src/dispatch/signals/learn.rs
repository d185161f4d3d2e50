//! Looks at answers, one after the other, and teaches the books.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::{Counter, IntCounterVec};
use serde_json::Value;
use tokio::sync::mpsc;

use super::again::{Given, Lately};
use super::form::{self, Wanted};
use super::signal::Signal;
use super::{Answer, Asked, Ear, Finished, Queue, Sample};
use crate::books::{Drift, Live};
use crate::catalog::{Endpoint, EndpointId};
use crate::dialect;
use crate::market::{Hindsight, regret};
use crate::outcome::FinishReason;
use crate::telemetry::Metrics;

/// Answers are collected this long before they are looked at, so that a busy gateway
/// wakes the thread seldom.
const COLLECT: Duration = Duration::from_millis(10);
/// An answer that ends at its limit with this share of the tokens that the caller
/// allowed ends at the caller's limit; tokens are counted differently here and there.
const OWN_LIMIT: f64 = 0.9;

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Learner {
    signals: IntCounterVec,
    drifts: IntCounterVec,
    regret: Counter,
    samples: mpsc::Sender<Sample>,
    lately: Lately,
}

impl Learner {
    pub(super) fn new(metrics: &Metrics, samples: mpsc::Sender<Sample>) -> Self {
        Learner {
            signals: metrics.signals.clone(),
            drifts: metrics.drifts.clone(),
            regret: metrics.regret.clone(),
            samples,
            lately: Lately::default(),
        }
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let mut waiting = queue.lock();
            while waiting.jobs.is_empty() && !waiting.closed {
                waiting = queue.more.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            if waiting.closed {
                return;
            }
            drop(waiting);
            std::thread::sleep(COLLECT);
            let jobs = std::mem::take(&mut queue.lock().jobs);
            for job in jobs {
                // One answer that cannot be looked at costs no more than itself; the
                // panic has been counted and told by the hook.
                let looked = AssertUnwindSafe(|| self.look_at(*job));
                drop(std::panic::catch_unwind(looked));
            }
        }
    }

    fn look_at(&mut self, job: Finished) {
        let again = self.lately.answered(
            job.asked.prefix,
            job.arrived,
            Given {
                live: Arc::clone(&job.fleet.member(job.endpoint).live),
                demand: job.asked.demand,
                at: job.ended,
            },
        );
        if let Some(before) = again {
            self.count(Signal::AskedAgain);
            before.live.regret(before.demand, Signal::AskedAgain.defect(), job.ended);
        }
        self.regret.inc_by(regretted(&job).max(0.0));
        let Finished { fleet, endpoint, asked, said, usage, ended, id, decision, .. } = job;
        let limited = said.finish == Some(FinishReason::Length);
        if said.finish == Some(FinishReason::ContentFilter) || limited && is_own_limit(&asked, usage.output) {
            // The provider's policy and the caller's limit are nobody's fault.
            return;
        }
        let answer = said.answer.and_then(read);
        let mut found = match (&answer, said.is_refusal, said.is_empty) {
            (Some(answer), ..) if asked.format.is_some() || asked.tools.is_some() => {
                let bytes = |kept: &'_ Option<super::Kept>| kept.as_ref().map(|kept| kept.bytes.clone());
                let (format, tools) = (bytes(&asked.format), bytes(&asked.tools));
                Wanted::of(format.as_deref(), tools.as_deref()).found(answer)
            }
            (_, true, _) => vec![Signal::Refused],
            (_, _, true) => vec![Signal::Empty],
            _ => Vec::new(),
        };
        if limited {
            found.push(Signal::CutShort);
        }
        if found.is_empty() {
            found.push(Signal::Sound);
        }
        for signal in &found {
            self.count(*signal);
        }
        let defect = found.iter().map(|signal| signal.defect()).fold(0.0, f64::max);
        let drift = fleet.member(endpoint).live.inspect(asked.demand, defect, ended);
        let offered = fleet.catalog.endpoint(endpoint);
        tell(&self.drifts, offered, &fleet.catalog.model(offered.model).name, drift);
        if let (Some(messages), Some(answer)) = (asked.messages, answer) {
            let messages = String::from_utf8_lossy(&messages.bytes).into_owned();
            let class = decision.class;
            let sample = Sample { id, fleet, endpoint, class, messages, answer: to_judge(&answer) };
            // A judge who cannot keep up judges fewer.
            drop(self.samples.try_send(sample));
        }
    }

    fn count(&self, signal: Signal) {
        self.signals.with_label_values(&[signal.label()]).inc();
    }
}

/// Whether an answer ended at the limit that the caller itself had set.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn is_own_limit(asked: &Asked, output: u64) -> bool {
    asked.max_output_tokens.is_some_and(|most| output as f64 >= OWN_LIMIT * f64::from(most))
}

/// The complete answer, also of a stream.
fn read(answer: Answer) -> Option<Value> {
    match answer {
        Answer::Whole(kept) => serde_json::from_slice(&kept.bytes).ok(),
        Answer::Stream(Ear(kept)) if kept.lost => None,
        Answer::Stream(Ear(mut kept)) => {
            let events = Bytes::from(std::mem::take(&mut kept.bytes));
            serde_json::from_slice(&dialect::whole_of(events)?).ok()
        }
    }
}

/// What the judge is shown of an answer: its text and its calls.
fn to_judge(answer: &Value) -> String {
    let message = answer.pointer("/choices/0/message").unwrap_or(&Value::Null);
    let text = form::text(message);
    match message.get("tool_calls").filter(|calls| !calls.is_null()) {
        Some(calls) => format!("{text}\n{calls}"),
        None => text,
    }
}

/// How much worse the choice was than the best one, as far as is known now.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn regretted(job: &Finished) -> f64 {
    let hindsight = |id: EndpointId| {
        let rates = job.fleet.catalog.endpoint(id).rates.as_ref()?;
        let view = job.fleet.member(id).live.view(job.asked.input_tokens, job.decision.class, job.ended);
        Some(Hindsight { cost_usd: rates.cost(&job.usage).usd(), view })
    };
    regret(&job.decision, job.asked.demand, job.usage.output as f64, hindsight)
}

/// Tells the operator what has become clear of an endpoint.
fn tell(drifts: &IntCounterVec, endpoint: &Endpoint, model: &str, drift: Option<Drift>) {
    let Some(drift) = drift else { return };
    drifts.with_label_values(&[&*endpoint.provider.name, model, drift.label()]).inc();
    let endpoint = &*endpoint.identity;
    match drift {
        Drift::Unsound(demand) => {
            let form = demand.label();
            tracing::warn!(
                endpoint,
                form,
                "answers are of no use more often than before or than elsewhere for this model"
            );
        }
        Drift::Worse => tracing::warn!(endpoint, "answers are judged worse than elsewhere for this model"),
        Drift::ModelChanged => {
            tracing::warn!(endpoint, model, "the model's answers are judged otherwise than before");
        }
    }
}

/// An answer that was judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'j> {
    /// Who gave it.
    pub endpoint: &'j Endpoint,
    /// The name of its model.
    pub model: &'j str,
    /// Its live state.
    pub live: &'j Live,
    /// The class of task.
    pub class: u8,
    /// How good it is, 0..1.
    pub score: f32,
}

impl Judged<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "a quality in 0..1")]
    fn prior(&self) -> f32 {
        self.endpoint.quality as f32
    }

    /// The endpoint's quality as believed at `now`.
    #[must_use]
    pub fn believed(&self, now: Duration) -> f64 {
        self.live.worth(self.class, self.prior(), now)
    }

    /// Teaches the books, and tells the operator what has become clear by it. Returns
    /// the endpoint's quality as believed at `now`.
    pub fn learn(&self, metrics: &Metrics, now: Duration) -> f64 {
        let drift = self.live.judge(self.class, self.score, self.prior());
        tell(&metrics.drifts, self.endpoint, self.model, drift);
        self.believed(now)
    }
}
