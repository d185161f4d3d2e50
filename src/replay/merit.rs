//! Our own rule: the production books and the production market, which only
//! differ from the gateway's in whose clock they are told.

use std::sync::Arc;
use std::time::Duration;

use super::grid::Each;
use super::policy::{Attempt, FirstToken, Policy, Progress, Scene};
use super::random::Random;
use super::world::{Offer as Listed, Request, TIMEOUT, World};
use crate::books::published::Figures;
use crate::books::{CircuitSettings, Judgements, Lengths, Live, Pass};
use crate::catalog::{
    Auth, Capabilities, Dialect, Endpoint, EndpointId, ModelId, Objective, Provider, Timeouts,
};
use crate::market::{Ask, Candidate, Draw, Offer, decide, gather, score};
use crate::outcome::{Failure, Sample};
use crate::request::Control;
use crate::units::{PicoUsd, Rates};

/// The production rule.
#[derive(Debug)]
pub struct Merit {
    objective: Objective,
    model: Arc<str>,
    members: Each<Member>,
    lengths: Lengths,
    random: Random,
    /// Whether it is told what was published of the day before.
    published: bool,
    /// Logarithms of estimated over real cost.
    cost_errors: Vec<f64>,
}

#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    live: Live,
}

impl Merit {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: &World, objective: Objective, published: bool, mut random: Random) -> Self {
        let provider = Arc::new(provider());
        let judgements = Arc::new(Judgements::default());
        let members = (0_u32..)
            .take(world.endpoints)
            .map(|id| Member {
                endpoint: endpoint(id, &provider),
                live: Live::new(CircuitSettings::default(), Arc::clone(&judgements), random.bits()),
            })
            .collect();
        let lengths = Lengths::default();
        let cost_errors = Vec::new();
        Merit { objective, model: "model".into(), members, lengths, random, published, cost_errors }
    }
}

impl Policy for Merit {
    fn name(&self) -> &'static str {
        "merit"
    }

    fn regime(&mut self, scene: &Scene<'_>, regime: usize, now: f64) {
        let now = Duration::from_secs_f64(now);
        for number in 0..scene.world.endpoints {
            let offer = scene.world.offers[(regime, number)];
            let yesterday = regime.checked_sub(1).and_then(|before| scene.world.offers[(before, number)]);
            let member = &mut self.members[number];
            member.endpoint.rates = offer.as_ref().and_then(rates).map(Arc::new);
            if let Some((ttft, itl)) = yesterday.and_then(|offer| offer.median).filter(|_| self.published) {
                member.live.publish(&published(ttft, itl), Duration::ZERO, now);
            }
        }
    }

    fn cost_errors(&self) -> &[f64] {
        &self.cost_errors
    }

    fn rank(&mut self, scene: &Scene<'_>, request: &Request, listed: &[usize]) -> Vec<usize> {
        let now = Duration::from_secs_f64(request.at);
        let control = Control::default();
        let input_tokens = tokens(request.input_tokens);
        let ask = Ask { input_tokens, class: request.class, ..Ask::blank(&control) };
        let output_tokens = self.lengths.expected(request.class, None);
        let offers = listed.iter().map(|number| {
            let member = &self.members[*number];
            let view = member.live.view(input_tokens, request.class, now);
            Offer::new(&member.endpoint, &self.model, view, output_tokens)
        });
        let scored = score(&self.objective, gather(&ask, &self.objective, offers));
        let decision = decide(&ask, &self.objective, scored, Draw(self.random.bits()));
        if let Some(first) = decision.first() {
            let cost = scene.world.price(request, number(first), request.output_tokens);
            let error = (first.score.cost_usd / cost).ln();
            self.cost_errors.extend(error.is_finite().then_some(error));
        }
        decision.ranked().map(number).collect()
    }

    fn admits(&mut self, endpoint: usize, now: f64) -> bool {
        self.members[endpoint].live.try_pass(Duration::from_secs_f64(now)) != Pass::Refused
    }

    fn began(&mut self, endpoint: usize, now: f64) {
        let live = &self.members[endpoint].live;
        live.begin();
        live.await_content(Duration::from_secs_f64(now));
    }

    fn progress(&mut self, progress: &Progress, now: f64) {
        let live = &self.members[progress.endpoint].live;
        live.progress(progress.itl, progress.since_first, Duration::from_secs_f64(now));
    }

    fn first_token(&mut self, first: &FirstToken, now: f64) {
        let live = &self.members[first.endpoint].live;
        live.first_content(
            first.seconds,
            u64::from(tokens(first.input_tokens)),
            Duration::from_secs_f64(now),
        );
    }

    fn over(&mut self, attempt: &Attempt, now: f64) {
        let live = &self.members[attempt.endpoint].live;
        let now = Duration::from_secs_f64(now);
        live.end();
        let sample = Sample {
            ttft: attempt.answered.then_some(attempt.ttft),
            itl: (attempt.output_tokens > 1.0).then_some(attempt.itl),
            streamed: true,
            followed: attempt.progress().is_some(),
            seconds: attempt.seconds,
            input_tokens: u64::from(tokens(attempt.input_tokens)),
            output_tokens: u64::from(tokens(attempt.output_tokens)),
            failure: (!attempt.answered).then(|| failure(attempt.seconds)),
        };
        if attempt.answered {
            live.record_rest(&sample, now);
            self.lengths.record(attempt.class, sample.output_tokens);
        } else {
            live.record(&sample, now);
        }
    }
}

fn published(ttft_seconds: f64, itl_seconds: f64) -> Figures {
    Figures { provider: String::new(), model: None, ttft_seconds, itl_seconds, uptime: None, as_of: None }
}

/// What a gateway would have seen.
fn failure(seconds: f64) -> Failure {
    if seconds < TIMEOUT { Failure::Server { status: 500 } } else { Failure::FirstContentTimeout }
}

fn number(candidate: &Candidate) -> usize {
    usize::try_from(candidate.id.0).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn tokens(count: f64) -> u32 {
    count as u32
}

fn rates(offer: &Listed) -> Option<Rates> {
    let price = |usd: f64| PicoUsd::from_usd_per_mtok(usd * 1e6);
    Some(Rates { input: price(offer.input)?, output: price(offer.output)?, ..Rates::default() })
}

/// Whoever is asked in a replay: nobody.
pub(super) fn provider() -> Provider {
    Provider {
        name: "replay".to_owned(),
        dialect: Dialect::OpenAi,
        base_url: http::Uri::default(),
        auth: Auth::None,
        reach: crate::catalog::Reach::default(),
        key: None,
        headers: http::HeaderMap::new(),
        quirks: Vec::new(),
        timeouts: Timeouts::default(),
    }
}

/// The endpoint of that number.
pub(super) fn endpoint(id: u32, provider: &Arc<Provider>) -> Endpoint {
    Endpoint {
        id: EndpointId(id),
        identity: format!("replay/{id}").into(),
        provider: Arc::clone(provider),
        model: ModelId(0),
        upstream: String::new(),
        rates: None,
        price_source: None,
        capabilities: Capabilities::ALL,
        context: None,
        max_output: None,
        quality: 1.0,
        region: None,
        terms: crate::catalog::Terms::default(),
    }
}
