//! The judge: a configured model that is asked, now and then, how good an answer
//! was. Its requests take the same way as everybody's, from stage 3 on, as those of
//! a caller of their own; they are charged, logged and limited by a budget, and their
//! answers are never judged. It works beside the requests and never in their way.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{chat, respond};
use crate::accounts::Caller;
use crate::app::{App, Generation};
use crate::config::settings::Judge;
use crate::dispatch::run;
use crate::dispatch::signals::{Judged, Sample};
use crate::dispatch::ticket::unix_ms;
use crate::request::ChatRequest;

/// What the judge's requests are called in log and decisions.
const NAME: &str = "(judge)";
/// Room for a score and for the thinking before it.
const MOST_TOKENS: u32 = 2000;
/// A verdict is short; more than this is none.
const MOST_VERDICT: usize = 1 << 20;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What became of an answer that was to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Judged,
    OverBudget,
    Unreadable,
    Failed,
}

impl Verdict {
    const fn label(self) -> &'static str {
        match self {
            Verdict::Judged => "judged",
            Verdict::OverBudget => "over_budget",
            Verdict::Unreadable => "unreadable",
            Verdict::Failed => "failed",
        }
    }
}

/// What was spent today. Counted from the start of the process on: a restart begins
/// anew.
#[derive(Debug, Default)]
struct Purse {
    day: u64,
    usd: f64,
}

impl Purse {
    /// Whether `usd` more are within `most` today.
    fn allows(&mut self, usd: f64, most: f64, now_ms: u64) -> bool {
        let day = now_ms / DAY_MS;
        if day != self.day {
            *self = Purse { day, usd: 0.0 };
        }
        self.usd + usd <= most
    }
}

/// Judges what is sampled, one answer at a time, for as long as it is polled.
pub async fn run_judge(app: App) {
    let Some(mut samples) = app.shared.signals.samples() else { return };
    let mut purse = Purse::default();
    while let Some(sample) = samples.recv().await {
        let generation = app.generation();
        let Some(settings) = &generation.settings.judge else { continue };
        let verdict = judge(&app, &generation, settings, &sample, &mut purse).await;
        app.shared.metrics.judge.with_label_values(&[verdict.label()]).inc();
    }
}

async fn judge(
    app: &App,
    generation: &Generation,
    settings: &Judge,
    sample: &Sample,
    purse: &mut Purse,
) -> Verdict {
    let mut ticket = app.arrive(generation, &HeaderMap::new());
    ticket.is_judges = true;
    let caller = Arc::new(Caller { name: NAME.into(), ..Caller::anonymous() });
    ticket.caller = Some(Arc::clone(&caller));
    let Ok(request) = ChatRequest::read(question(settings, sample).into()) else { return Verdict::Failed };
    if let Err(error) = chat::decided(app, generation, &mut ticket, &caller, &Arc::new(request)).await {
        respond::error(ticket, &error, crate::catalog::Dialect::OpenAi);
        return Verdict::Failed;
    }
    let candidates = ticket.decision.iter().flat_map(|decision| &decision.candidates);
    let worst = candidates.map(|candidate| candidate.facts.worst_cost_usd).fold(0.0, f64::max);
    if !purse.allows(worst, settings.max_usd_per_day, unix_ms()) {
        let error = super::error::Error::overloaded();
        respond::error(ticket, &error, crate::catalog::Dialect::OpenAi);
        return Verdict::OverBudget;
    }
    let response = match Box::pin(run(ticket)).await {
        (ticket, Ok(won)) => respond::won(ticket, won, Arc::new(Notify::new())),
        (ticket, Err(failure)) => respond::failure(ticket, &failure),
    };
    if !response.status().is_success() {
        return Verdict::Failed;
    }
    purse.usd += cost(&response);
    let Some(score) = verdict(response).await else { return Verdict::Unreadable };
    let endpoint = sample.fleet.catalog.endpoint(sample.endpoint);
    let model = &sample.fleet.catalog.model(endpoint.model).name;
    let live = &sample.fleet.member(sample.endpoint).live;
    let judged = Judged { endpoint, model, live, class: sample.class, score };
    judged.learn(&app.shared.metrics, app.shared.now());
    app.shared.metrics.judgements.with_label_values(&["judge"]).inc();
    tracing::debug!(request_id = %sample.id, score, "an answer was judged");
    Verdict::Judged
}

/// The judge's request.
fn question(settings: &Judge, sample: &Sample) -> String {
    // In one pass, so that what is put in is not read as a place to put something.
    let mut prompt = String::new();
    let mut rest = settings.prompt.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        prompt.push_str(before);
        let places = [("question}", &sample.messages), ("answer}", &sample.answer)];
        let found = places.iter().find_map(|(place, text)| Some((after.strip_prefix(place)?, *text)));
        rest = if let Some((after, text)) = found {
            prompt.push_str(text);
            after
        } else {
            prompt.push('{');
            after
        };
    }
    prompt.push_str(rest);
    json!({
        "model": settings.model,
        "messages": [{ "role": "user", "content": prompt }],
        "max_completion_tokens": MOST_TOKENS,
    })
    .to_string()
}

/// What the verdict cost in USD, as the answer's header says.
fn cost(response: &Response) -> f64 {
    let header = response.headers().get("x-merit-cost-usd").and_then(|value| value.to_str().ok());
    header.and_then(|usd| usd.parse::<f64>().ok()).filter(|usd| usd.is_finite()).unwrap_or_default()
}

async fn verdict(response: Response) -> Option<f32> {
    let body = axum::body::to_bytes(response.into_body(), MOST_VERDICT).await.ok()?;
    let answer: Value = serde_json::from_slice(&body).ok()?;
    score(answer.pointer("/choices/0/message/content").and_then(Value::as_str)?)
}

/// The score in a judge's words: what stands behind the last `score`, or the only
/// thing that it says. Nothing else is guessed.
fn score(text: &str) -> Option<f32> {
    let behind = text.to_ascii_lowercase();
    let behind = match behind.rsplit_once("score") {
        Some((_, behind)) => behind.trim_start_matches([' ', '"', '\'', '*', '`', ':', '=', '\t', '\n']),
        None => behind.trim(),
    };
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e');
    let end = behind.find(|c: char| !is_part(c)).unwrap_or(behind.len());
    let (number, rest) = behind.split_at_checked(end)?;
    // "8/10", "80 %" and "1,5" are on another scale.
    if rest.trim_start().starts_with(['/', '%', ',']) && !rest.starts_with(", ") && !rest.starts_with(",\"") {
        return None;
    }
    let number: f32 = number.trim_end_matches('.').parse().ok()?;
    (0.0..=1.0).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_however_judges_say_them() {
        for (text, expected) in [
            ("{\"score\": 0.7}", Some(0.7)),
            ("```json\n{\"score\":1}\n```", Some(1.0)),
            ("{\"score\": 0.25, \"why\": \"x\"}", Some(0.25)),
            ("I would say the score is high.\n**Score:** 0.9.", Some(0.9)),
            ("0.5", Some(0.5)),
            ("Score: 8/10", None),
            ("score 80%", None),
            ("score: 7", None),
            ("score: -0.1", None),
            ("score: NaN", None),
            ("It is fine, 0.5 or so", None),
            ("no idea of a score", None),
            ("", None),
        ] {
            assert_eq!(score(text), expected, "{text}");
        }
    }

    #[test]
    fn a_day_has_its_own_budget() {
        let mut purse = Purse::default();
        assert!(purse.allows(0.5, 1.0, 5 * DAY_MS));
        purse.usd += 0.9;
        assert!(!purse.allows(0.5, 1.0, 5 * DAY_MS + 1) && purse.allows(0.05, 1.0, 5 * DAY_MS + 1));
        assert!(purse.allows(0.5, 1.0, 6 * DAY_MS));
        assert!(!purse.allows(f64::NAN, 1.0, 6 * DAY_MS), "what is not known is not within it");
    }
}
