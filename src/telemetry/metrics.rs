//! Every metric, declared once, with a sentence of help.
//!
//! Label values come from the configuration or from closed sets in the code,
//! never from callers: a model nobody configured is `_other`. Handles for
//! endpoints are resolved when a configuration generation is built, so that a
//! request touches only atomics.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Counter, CounterVec, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use crate::outcome::Failure;
use crate::request::Demand;
use crate::units::Usage;

mod declare;
pub mod poll;

pub use poll::PollResult;

/// The label of names that are not configured.
pub const OTHER: &str = "_other";

/// Seconds; from the `GenAI` semantic conventions' server buckets, with a tail
/// for reasoning models of OpenTelemetry.
const TTFT_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0, 120.0,
];
/// Seconds; the conventions' time per output token.
const ITL_BUCKETS: &[f64] = &[0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5];
/// Seconds; the conventions' operation duration, with a tail to ten minutes.
const DURATION_BUCKETS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 600.0];
/// Seconds; what we ourselves add, from 20 µs.
const OVERHEAD_BUCKETS: &[f64] =
    &[0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1.0];
/// Seconds; one decision, from half a microsecond.
const DECISION_BUCKETS: &[f64] =
    &[0.000_000_5, 0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.001];

/// How a request ended, as the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer.
    Ok,
    /// A stream that broke off after content; the caller was told.
    Truncated,
    /// The caller hung up.
    CallerCancelled,
    /// The request was at fault.
    CallerError,
    /// No upstream gave an answer.
    UpstreamError,
    /// A limit of the caller's, or of all upstreams.
    RateLimited,
    /// A budget did not allow it.
    BudgetDenied,
    /// We were too busy, or shutting down.
    Shed,
    /// A defect of ours.
    Internal,
}

impl Outcome {
    /// The label value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Truncated => "truncated",
            Outcome::CallerCancelled => "client_cancelled",
            Outcome::CallerError => "client_error",
            Outcome::UpstreamError => "upstream_error",
            Outcome::RateLimited => "rate_limited",
            Outcome::BudgetDenied => "budget_denied",
            Outcome::Shed => "shed",
            Outcome::Internal => "internal",
        }
    }
}

/// Declares the metrics: field, type, kind, name, help, and for some kinds
/// buckets and labels. The help is also the field's documentation.
macro_rules! metrics {
    ($($field:ident: $type:ty = $kind:ident($name:literal, $help:literal $(, $more:expr)*);)*) => {
        /// All metrics of the process.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $type,)*
        }

        impl Metrics {
            fn declare(registry: Registry) -> Self {
                $(let $field = declare::$kind(&registry, $name, $help $(, $more)*);)*
                Metrics { registry, $($field,)* }
            }
        }
    };
}

/// Kinds of alarms about answers: the words of `books::Drift`.
pub const DRIFTS: [&str; 3] = ["unsound", "worse", "model_changed"];
/// The labels of an endpoint.
const ENDPOINT: &[&str] = &["provider", "model"];

metrics! {
    requests: IntCounterVec = counters("merit_requests_total", "Requests by requested name and outcome.", &["route", "outcome"]);
    request_duration: Histogram = histogram("merit_request_duration_seconds", "From a request to the end of its answer.", DURATION_BUCKETS);
    ttft: HistogramVec = histograms("merit_time_to_first_token_seconds", "From sending an attempt to its first content.", TTFT_BUCKETS, ENDPOINT);
    itl: HistogramVec = histograms("merit_inter_token_seconds", "Mean time between output tokens of one answer.", ITL_BUCKETS, ENDPOINT);
    overhead: Histogram = histogram("merit_overhead_seconds", "A request's time minus the waiting for upstreams.", OVERHEAD_BUCKETS);
    attempts: IntCounterVec = counters("merit_attempts_total", "Attempts by endpoint and result.", &["provider", "model", "result"]);
    retries: IntCounterVec = counters("merit_retries_total", "Further attempts at the same endpoint, by the failure before.", &["reason"]);
    fallbacks: IntCounterVec = counters("merit_fallbacks_total", "Attempts at the next candidate, by the failure before.", &["reason"]);
    hedges: IntCounterVec = counters("merit_hedges_total", "Hedged attempts by result.", &["result"]);
    circuit: IntGaugeVec = gauges("merit_circuit_state", "An endpoint's circuit: 0 closed, 1 half-open, 2 open.", ENDPOINT);
    score: GaugeVec = float_gauges("merit_endpoint_score_usd", "An endpoint's last score: expected total cost of one request.", ENDPOINT);
    quality: GaugeVec = float_gauges("merit_endpoint_quality", "Quality as believed now, 0 to 1.", ENDPOINT);
    price: GaugeVec = float_gauges("merit_price_usd_per_mtok", "Prices in force, USD per million tokens.", &["provider", "model", "kind"]);
    decision: Histogram = histogram("merit_decision_seconds", "Gathering, scoring and deciding.", DECISION_BUCKETS);
    regret: Counter = amount("merit_regret_usd_total", "Estimated: chosen score minus best score, both re-scored at the outcome.");
    signals: IntCounterVec = counters("merit_answer_signals_total", "What was found in answers for free.", &["signal"]);
    judgements: IntCounterVec = counters("merit_judgements_total", "Answers that were judged, by whom.", &["source"]);
    judge: IntCounterVec = counters("merit_judge_total", "What became of answers that were to be judged.", &["result"]);
    drifts: IntCounterVec = counters("merit_quality_alarms_total", "Alarms about answers, by endpoint and kind.", &["provider", "model", "kind"]);
    drifting: IntGaugeVec = gauges("merit_endpoint_drifting", "1 while an endpoint's answers are clearly worse than its siblings'.", ENDPOINT);
    unusable: GaugeVec = float_gauges("merit_endpoint_unusable_share", "Share of answers expected to be of no use in form, by the form asked for.", &["provider", "model", "demand"]);
    exploration: IntCounter = counter("merit_exploration_total", "Decisions that chose another candidate in order to learn.");
    tokens: IntCounterVec = counters("merit_tokens_total", "Tokens by endpoint and kind; cached input is part of input, reasoning of output.", &["provider", "model", "kind"]);
    cost: CounterVec = amounts("merit_cost_usd_total", "What providers charge.", ENDPOINT);
    build: IntGaugeVec = gauges("merit_build_info", "The running version; always 1.", &["version"]);
    revenue: CounterVec = amounts("merit_revenue_usd_total", "What customers are charged.", &["plan"]);
    budget_denied: IntCounterVec = counters("merit_budget_denied_total", "Requests refused by a budget.", &["scope"]);
    reservations: IntGauge = gauge("merit_reservations_open", "Requests that hold a reservation.");
    usage_estimated: IntCounterVec = counters("merit_usage_estimated_total", "Answers whose usage had to be estimated.", &["reason"]);
    unpriced: IntCounter = counter("merit_unpriced_requests_total", "Requests refused or served without a known price.");
    truncated: IntCounterVec = counters("merit_streams_truncated_total", "Streams that broke off after content, by whose side.", &["side"]);
    inflight: IntGauge = gauge("merit_inflight", "Requests being served.");
    shed: IntCounterVec = counters("merit_shed_total", "Requests refused because of load.", &["reason"]);
    ledger_append: Histogram = histogram("merit_ledger_append_seconds", "Appending a batch to the ledger.", OVERHEAD_BUCKETS);
    store_up: IntGaugeVec = gauges("merit_store_up", "1 while a store answers.", &["store"]);
    polls: IntCounterVec = counters("merit_published_polls_total", "Times that a published list was asked for, by what came of it.", &["list", "result"]);
    price_alarms: IntGaugeVec = gauges("merit_price_alarms", "Endpoints whose listed price is not believed, by why; theirs is the price from before.", &["reason"]);
    price_drift: IntCounterVec = counters("merit_price_drift_total", "Answers for which a provider states a cost more than 2 % off the one computed.", ENDPOINT);
    reloads: IntCounterVec = counters("merit_config_reload_total", "Reloads of the configuration by result.", &["result"]);
    generation: IntGauge = gauge("merit_config_generation", "The configuration generation in force.");
    panics: IntCounterVec = counters("merit_panics_total", "Panics that were caught.", &["component"]);
    log_dropped: IntCounter = counter("merit_log_lines_dropped_total", "Log lines dropped because their reader was too slow.");
}

/// Handles of one endpoint, resolved once per generation.
#[derive(Debug, Clone)]
pub struct EndpointMetrics {
    /// Attempts that ended properly.
    pub ok: IntCounter,
    /// Attempts that failed, by [`Failure::index`].
    pub failed: Vec<IntCounter>,
    /// Seconds to the first content.
    pub ttft: Histogram,
    /// Seconds per output token.
    pub itl: Histogram,
    /// USD.
    pub cost: prometheus::Counter,
    /// Input tokens, cached ones among them.
    pub input: IntCounter,
    /// Input tokens read from the prompt cache.
    pub cached_input: IntCounter,
    /// Output tokens, reasoning among them.
    pub output: IntCounter,
    /// Reasoning tokens.
    pub reasoning: IntCounter,
    /// 0 closed, 1 half-open, 2 open.
    pub circuit: IntGauge,
    /// USD.
    pub score: prometheus::Gauge,
    /// 0..1.
    pub quality: prometheus::Gauge,
    /// 0 or 1.
    pub drifting: IntGauge,
    /// 0..1, in the order of [`Demand::ALL`].
    pub unusable: Vec<prometheus::Gauge>,
    /// Answers whose stated cost is not the one computed.
    pub drift: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Declares and registers everything.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let process = registry.register(Box::new(ProcessCollector::for_self()));
        debug_assert!(process.is_ok());
        let metrics = Self::declare(registry);
        metrics.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics.seed();
        metrics
    }

    /// Series whose labels are closed sets in the code exist from the start, so
    /// that a rate over them is right from the first event.
    fn seed(&self) {
        for list in ["openrouter", "genai-prices", "models.dev", "litellm", "statistics"] {
            for result in PollResult::ALL {
                self.polls.with_label_values(&[list, result.label()]);
            }
        }
        for side in ["upstream", "caller", "gateway"] {
            self.truncated.with_label_values(&[side]);
        }
        for result in ["ok", "rejected"] {
            self.reloads.with_label_values(&[result]);
        }
        self.panics.with_label_values(&["request"]);
        for reason in ["missing", "invalid", "cancelled"] {
            self.usage_estimated.with_label_values(&[reason]);
        }
        self.shed.with_label_values(&["draining"]);
        for reason in Failure::LABELS {
            self.retries.with_label_values(&[reason]);
            self.fallbacks.with_label_values(&[reason]);
        }
        for result in ["won", "lost"] {
            self.hedges.with_label_values(&[result]);
        }
        for scope in ["key", "customer", "organisation", "shadow"] {
            self.budget_denied.with_label_values(&[scope]);
        }
        self.revenue.with_label_values(&["none"]);
        for source in ["feedback", "judge"] {
            self.judgements.with_label_values(&[source]);
        }
        for result in ["judged", "over_budget", "unreadable", "failed"] {
            self.judge.with_label_values(&[result]);
        }
    }

    /// The handles of one endpoint.
    #[must_use]
    pub fn endpoint(&self, provider: &str, model: &str) -> EndpointMetrics {
        let pair = &[provider, model];
        let attempts = |result: &str| self.attempts.with_label_values(&[provider, model, result]);
        let tokens = |kind: &str| self.tokens.with_label_values(&[provider, model, kind]);
        EndpointMetrics {
            ok: attempts("ok"),
            failed: Failure::LABELS.iter().map(|label| attempts(label)).collect(),
            ttft: self.ttft.with_label_values(pair),
            itl: self.itl.with_label_values(pair),
            cost: self.cost.with_label_values(pair),
            input: tokens("input"),
            cached_input: tokens("cached_input"),
            output: tokens("output"),
            reasoning: tokens("reasoning"),
            circuit: self.circuit.with_label_values(pair),
            score: self.score.with_label_values(pair),
            quality: self.quality.with_label_values(pair),
            drifting: self.drifting.with_label_values(pair),
            unusable: Demand::ALL
                .iter()
                .map(|demand| self.unusable.with_label_values(&[provider, model, demand.label()]))
                .collect(),
            drift: self.price_drift.with_label_values(pair),
        }
    }

    /// Drops the series of an endpoint that is no longer offered. What its last
    /// requests still count is lost.
    pub fn forget(&self, provider: &str, model: &str) {
        let pair = [provider, model];
        // A series that was never made cannot be dropped, which is just as well.
        for demand in Demand::ALL {
            let _ = self.unusable.remove_label_values(&[provider, model, demand.label()]);
        }
        for kind in DRIFTS {
            let _ = self.drifts.remove_label_values(&[provider, model, kind]);
        }
        let _ = self.drifting.remove_label_values(&pair);
        for result in Failure::LABELS.iter().copied().chain(["ok"]) {
            let _ = self.attempts.remove_label_values(&[provider, model, result]);
        }
        for kind in ["input", "cached_input", "cache_write", "output", "reasoning"] {
            let _ = self.tokens.remove_label_values(&[provider, model, kind]);
            let _ = self.price.remove_label_values(&[provider, model, kind]);
        }
        let _ = (self.ttft.remove_label_values(&pair), self.itl.remove_label_values(&pair));
        let _ = (self.cost.remove_label_values(&pair), self.circuit.remove_label_values(&pair));
        let _ = (self.score.remove_label_values(&pair), self.quality.remove_label_values(&pair));
        let _ = self.price_drift.remove_label_values(&pair);
    }

    /// Everything in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl EndpointMetrics {
    /// Counts one attempt's result.
    pub fn attempt(&self, failure: Option<&Failure>) {
        match failure {
            None => self.ok.inc(),
            Some(failure) => {
                if let Some(counter) = self.failed.get(failure.index()) {
                    counter.inc();
                }
            }
        }
    }

    /// Counts the tokens of one attempt.
    pub fn usage(&self, usage: &Usage) {
        self.input.inc_by(usage.input);
        self.cached_input.inc_by(usage.cached_input);
        self.output.inc_by(usage.output);
        self.reasoning.inc_by(usage.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_register_and_render() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint("openai", "gpt-4o-mini");
        endpoint.attempt(Some(&Failure::Dns));
        endpoint.attempt(None);
        let text = metrics.render();
        assert!(
            text.contains(r#"merit_attempts_total{model="gpt-4o-mini",provider="openai",result="dns"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"merit_attempts_total{model="gpt-4o-mini",provider="openai",result="ok"} 1"#)
        );
        assert!(text.contains("merit_build_info{version="));
        assert!(text.contains("process_resident_memory_bytes"));
    }
}
