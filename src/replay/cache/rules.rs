//! Rules that spread prompts over endpoints: ours, which is the production code,
//! and simple ones.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::endpoints::{Answer, PRICES};
use super::trace::Request;
use crate::books::warm::Tenant;
use crate::books::{CircuitSettings, Identity, Judgements, Lengths, Live, Warm};
use crate::catalog::{Endpoint, Objective};
use crate::dispatch::flight::cold;
use crate::market::{Ask, Draw, Offer, decide, gather, score};
use crate::outcome::Sample;
use crate::replay::merit::{endpoint, provider};
use crate::replay::random::Random;
use crate::request::Control;
use crate::units::{PicoUsd, Rates, Usage};

/// The rule that others are measured by.
pub(super) const ONE: &str = "one endpoint";
/// What an answer is worth (USD). All are equally good here.
const ANSWER: f64 = 0.01;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// The endpoint.
    pub(super) endpoint: usize,
    /// Which share of the prompt the rule takes it to have read lately (0..1).
    pub(super) known: f64,
}

impl Choice {
    /// One of a rule that remembers nothing.
    fn blind(endpoint: usize) -> Self {
        Choice { endpoint, known: 0.0 }
    }
}

/// A rule.
pub(super) trait Rule: Debug {
    /// The name it is reported under.
    fn name(&self) -> &'static str;

    /// Where a request goes.
    fn choose(&mut self, request: &Request) -> Choice;

    /// At `now` (seconds) the first token came.
    fn first(&mut self, _request: &Request, _answer: &Answer, _now: f64) {}

    /// At `now` (seconds) the answer was complete.
    fn over(&mut self, _request: &Request, _answer: &Answer, _now: f64) {}
}

/// All but ours.
pub(super) fn rivals(settings: &Settings) -> Vec<Box<dyn Rule>> {
    let count = settings.endpoints;
    vec![
        Box::new(One),
        Box::new(ByBeginning { count }),
        Box::new(Turns { count, next: 0 }),
        Box::new(Shuffled { count, random: Random::new(settings.seed ^ 0x5EED) }),
    ]
}

/// Everything goes to one endpoint: the most that a cache can give.
#[derive(Debug)]
struct One;

impl Rule for One {
    fn name(&self) -> &'static str {
        ONE
    }

    fn choose(&mut self, _: &Request) -> Choice {
        Choice::blind(0)
    }
}

/// The first block decides.
#[derive(Debug)]
struct ByBeginning {
    count: usize,
}

impl Rule for ByBeginning {
    fn name(&self) -> &'static str {
        "prefix-sticky"
    }

    fn choose(&mut self, request: &Request) -> Choice {
        let first = request.prefix.marks().first().map_or(0, |mark| mark.hash);
        Choice::blind(usize::try_from(first % self.count as u64).unwrap_or(0))
    }
}

/// One after the other.
#[derive(Debug)]
struct Turns {
    count: usize,
    next: usize,
}

impl Rule for Turns {
    fn name(&self) -> &'static str {
        "round robin"
    }

    fn choose(&mut self, _: &Request) -> Choice {
        self.next = (self.next + 1) % self.count;
        Choice::blind(self.next)
    }
}

/// At random.
#[derive(Debug)]
struct Shuffled {
    count: usize,
    random: Random,
}

impl Rule for Shuffled {
    fn name(&self) -> &'static str {
        "random"
    }

    fn choose(&mut self, _: &Request) -> Choice {
        Choice::blind(self.random.below(self.count))
    }
}

/// The production books and the production market.
#[derive(Debug)]
pub(super) struct Merit {
    objective: Objective,
    model: Arc<str>,
    members: Vec<Member>,
    lengths: Lengths,
    warm: Warm,
    tenant: Tenant,
    ttl: Duration,
    random: Random,
}

#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    identity: Identity,
    live: Live,
}

impl Merit {
    pub(super) fn new(settings: &Settings) -> Self {
        let provider = Arc::new(provider());
        let judgements = Arc::new(Judgements::default());
        let mut random = Random::new(settings.seed ^ 0x5EED);
        let rates = rates().map(Arc::new);
        let members = (0_u32..)
            .take(settings.endpoints)
            .map(|id| {
                let endpoint = Endpoint { rates: rates.clone(), ..endpoint(id, &provider) };
                let identity = Identity::of(&endpoint.identity);
                let live = Live::new(CircuitSettings::default(), Arc::clone(&judgements), random.bits());
                Member { endpoint, identity, live }
            })
            .collect();
        let objective = Objective {
            name: "replay".into(),
            usd_per_second: settings.usd_per_second,
            usd_per_good_answer: ANSWER,
            max_price: None,
            max_cost_usd: None,
            min_quality: None,
            ttft: None,
        };
        let warm = Warm::default();
        let tenant = warm.tenant("replay");
        let lengths = Lengths::default();
        Merit { objective, model: "model".into(), members, lengths, warm, tenant, ttl: settings.ttl, random }
    }
}

/// Tokens of a prompt that an endpoint has to read of whose beginning it has read
/// `known` lately (0..1).
fn cold_tokens(request: &Request, member: &Member, known: f64) -> u64 {
    let warm = member.live.keeps().warm(known * f64::from(request.input_tokens));
    cold(request.input_tokens, warm)
}

impl Rule for Merit {
    fn name(&self) -> &'static str {
        "merit"
    }

    fn choose(&mut self, request: &Request) -> Choice {
        let now = Duration::from_secs_f64(request.at);
        let known = self.warm.known(self.tenant, &request.prefix, now);
        let control = Control::default();
        let ask = Ask { input_tokens: request.input_tokens, ..Ask::blank(&control) };
        let input = f64::from(request.input_tokens);
        let output_tokens = self.lengths.expected(0, None);
        let offers = self.members.iter().map(|member| {
            let warm_tokens = member.live.keeps().warm(known.share(member.identity) * input);
            let cold = cold(request.input_tokens, warm_tokens);
            let view = member.live.view(u32::try_from(cold).unwrap_or(u32::MAX), 0, now);
            Offer { warm_tokens, ..Offer::new(&member.endpoint, &self.model, view, output_tokens) }
        });
        let scored = score(&self.objective, gather(&ask, &self.objective, offers));
        let decision = decide(&ask, &self.objective, scored, Draw(self.random.bits()));
        let first = decision.first().map_or(0, |candidate| candidate.id.0);
        let endpoint = usize::try_from(first).unwrap_or(0);
        let Some(member) = self.members.get(endpoint) else { return Choice::blind(endpoint) };
        member.live.begin();
        member.live.await_content(now);
        Choice { endpoint, known: known.share(member.identity) }
    }

    fn first(&mut self, request: &Request, answer: &Answer, now: f64) {
        let Some(member) = self.members.get(answer.endpoint) else { return };
        let now = Duration::from_secs_f64(now);
        member.live.first_content(answer.ttft, cold_tokens(request, member, answer.known), now);
        self.warm.read(self.tenant, &request.prefix, member.identity, self.ttl, now);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of tokens")]
    fn over(&mut self, request: &Request, answer: &Answer, now: f64) {
        let Some(member) = self.members.get(answer.endpoint) else { return };
        let now = Duration::from_secs_f64(now);
        let output = u64::from(request.output_tokens);
        let usage = Usage {
            input: u64::from(request.input_tokens),
            cached_input: answer.cached as u64,
            output,
            ..Usage::default()
        };
        let sample = Sample {
            ttft: Some(answer.ttft),
            itl: (output > 1).then_some(answer.itl),
            streamed: true,
            followed: false,
            seconds: answer.seconds,
            input_tokens: cold_tokens(request, member, answer.known),
            output_tokens: output,
            failure: None,
        };
        member.live.end();
        member.live.record_rest(&sample, now);
        self.lengths.record(0, output);
        member.live.learn_kept(answer.known, &usage);
    }
}

fn rates() -> Option<Rates> {
    let price = |usd: f64| PicoUsd::from_usd_per_mtok(usd * 1e6);
    let (input, cached, output) = PRICES;
    Some(Rates {
        input: price(input)?,
        cached_input: price(cached),
        output: price(output)?,
        ..Rates::default()
    })
}
