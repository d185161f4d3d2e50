//! What deciding again came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::estimate::{Case, Change, effective, median, paired, weighed};
use super::lines::Recorded;

/// Estimates from fewer equally weighted requests than this are not shown.
const FEWEST: f64 = 10.0;
/// Milliseconds in a day.
const DAY_MS: f64 = 86_400_000.0;
/// A shorter record (ms) says nothing about a day.
const SHORTEST_MS: u64 = 1000;

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// How many decisions there were.
    pub decisions: usize,
    /// How many came out the same when decided again as they were.
    pub reproduced: usize,
    /// Seconds from the first to the last.
    pub span_seconds: f64,
    /// Those that another endpoint would have served first (%).
    pub moved_pct: f64,
    /// Those whose order the caller gave: no objective changes it (%).
    pub by_caller_pct: f64,
    /// Those that nobody could have served (%).
    pub no_candidate_pct: f64,
    /// Dollars more a day, at the rate of the record; `None` for less than a second.
    pub usd_per_day: Option<f64>,
    /// Milliseconds more a request.
    pub ms_per_request: Option<f64>,
    /// By what was expected when deciding.
    pub expected: Figures,
    /// By what came of the requests; `None` where too few bear on the other rule.
    pub observed: Option<Figures>,
    /// How many equally weighted requests the observed figures are worth.
    pub effective_sample_size: f64,
    /// What the other rule would choose and this one never does (%): nothing observed
    /// bears on it.
    pub unsupported_pct: f64,
    /// Weights that were cut.
    pub clipped: usize,
    /// Half of all costs were estimated within this factor before the call.
    pub cost_within_factor: Option<f64>,
    /// By the name that was asked for.
    pub routes: Vec<RouteRow>,
    /// By endpoint.
    pub endpoints: Vec<ShareRow>,
    #[serde(skip)]
    cases: Vec<Case>,
    #[serde(skip)]
    by_route: BTreeMap<String, Vec<usize>>,
    #[serde(skip)]
    span: Option<(u64, u64)>,
}

/// Figures before and after.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Figures {
    /// USD per 1000 requests.
    pub cost_usd_per_1k: Option<Change>,
    /// Seconds until the answer is complete.
    pub latency_s: Option<Change>,
    /// Expected quality, 0..1; not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Change>,
    /// Requests without a whole answer (%); not expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_pct: Option<Change>,
}

/// One name that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteRow {
    /// The name.
    pub route: String,
    /// Requests for it.
    pub decisions: usize,
    /// Of these, moved (%).
    pub moved_pct: f64,
    /// By what was expected.
    pub expected: Figures,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShareRow {
    /// Its identity.
    pub endpoint: Arc<str>,
    /// Of all requests, first sent there (%).
    pub before_pct: f64,
    /// The same by the other rule.
    pub after_pct: f64,
}

impl Report {
    /// Adds one decision.
    pub(super) fn add(&mut self, recorded: &Recorded, case: Case) {
        let at = recorded.at_unix_ms;
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        self.by_route.entry(recorded.route.clone()).or_default().push(self.cases.len());
        self.cases.push(case);
    }

    /// Works out all figures from what was added.
    pub(super) fn finish(&mut self) {
        let cases = &self.cases;
        let (first, last) = self.span.unwrap_or_default();
        let span_ms = last - first;
        let percent = |is: fn(&Case) -> bool| share(cases.iter(), is);
        self.decisions = cases.len();
        self.reproduced = cases.iter().filter(|case| case.reproduced).count();
        self.span_seconds = wide(span_ms) / 1e3;
        self.moved_pct = percent(|case| case.moved);
        self.by_caller_pct = percent(|case| case.by_caller);
        self.no_candidate_pct = percent(|case| case.after.is_none());
        self.expected = expected(&cases.iter());
        let a_day = wide(cases.len() as u64) * DAY_MS / wide(span_ms);
        let cost = self.expected.cost_usd_per_1k.filter(|_| span_ms >= SHORTEST_MS);
        self.usd_per_day = cost.map(|cost| cost.difference / 1e3 * a_day);
        self.ms_per_request = self.expected.latency_s.map(|latency| 1e3 * latency.difference);
        let seen = cases.iter().filter(|case| case.observed.is_some());
        self.effective_sample_size = effective(seen.map(Case::weight));
        self.unsupported_pct =
            100.0 * cases.iter().map(|case| case.unsupported).sum::<f64>() / wide(cases.len() as u64);
        self.clipped = cases.iter().filter(|case| case.is_cut()).count();
        self.observed = (self.effective_sample_size >= FEWEST).then(|| observed(cases));
        let errors = cases.iter().filter_map(|case| case.estimated).map(|factor| factor.ln().abs());
        self.cost_within_factor = median(errors.collect()).map(f64::exp);
        self.routes = self.by_route.iter().map(|(route, own)| row(route, own, cases)).collect();
        self.endpoints = shares(cases);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^52")]
fn wide(count: u64) -> f64 {
    count as f64
}

fn share<'c>(cases: impl Iterator<Item = &'c Case> + Clone, is: fn(&Case) -> bool) -> f64 {
    let all = cases.clone().count() as u64;
    100.0 * wide(cases.filter(|case| is(case)).count() as u64) / wide(all.max(1))
}

fn expected<'c>(cases: &(impl Iterator<Item = &'c Case> + Clone)) -> Figures {
    let pairs = |of: fn(&super::estimate::Expected) -> f64| {
        let both =
            cases.clone().filter_map(|case| Some((of(case.before.as_ref()?), of(case.after.as_ref()?))));
        both.collect::<Vec<_>>()
    };
    Figures {
        cost_usd_per_1k: paired(&pairs(|one| one.cost_usd), 1e3),
        latency_s: paired(&pairs(|one| one.seconds), 1.0),
        quality: paired(&pairs(|one| one.quality), 1.0),
        failed_pct: None,
    }
}

fn observed(cases: &[Case]) -> Figures {
    let seen = |of: fn(&super::estimate::Observed) -> Option<f64>| {
        let all = cases.iter().filter_map(|case| Some((of(case.observed.as_ref()?)?, case.weight())));
        all.collect::<Vec<_>>()
    };
    Figures {
        cost_usd_per_1k: weighed(&seen(|one| one.cost_usd), 1e3),
        latency_s: weighed(&seen(|one| Some(one.seconds)), 1.0),
        quality: None,
        failed_pct: weighed(&seen(|one| Some(f64::from(u8::from(one.failed)))), 100.0),
    }
}

fn row(route: &str, own: &[usize], cases: &[Case]) -> RouteRow {
    let own = own.iter().filter_map(|index| cases.get(*index));
    RouteRow {
        route: route.to_owned(),
        decisions: own.clone().count(),
        moved_pct: share(own.clone(), |case| case.moved),
        expected: expected(&own),
    }
}

/// Who is first how often, the most used first.
fn shares(cases: &[Case]) -> Vec<ShareRow> {
    let mut counts: BTreeMap<&Arc<str>, (u64, u64)> = BTreeMap::new();
    for case in cases {
        if let Some(first) = &case.first {
            counts.entry(first).or_default().0 += 1;
        }
        if let Some(then) = &case.then {
            counts.entry(then).or_default().1 += 1;
        }
    }
    let percent = |count: u64| 100.0 * wide(count) / wide(cases.len() as u64);
    let mut rows: Vec<ShareRow> = counts
        .into_iter()
        .map(|(endpoint, (before, after))| ShareRow {
            endpoint: Arc::clone(endpoint),
            before_pct: percent(before),
            after_pct: percent(after),
        })
        .collect();
    rows.sort_by(|a, b| b.before_pct.max(b.after_pct).total_cmp(&a.before_pct.max(a.after_pct)));
    rows
}
