//! Our own rule: the production books, the production market and the class that
//! the gateway would see.

use std::sync::Arc;
use std::time::Duration;

use super::super::grid::Each;
use super::super::merit::{endpoint, provider};
use super::super::random::Random;
use super::data::{Data, Outcome};
use crate::books::{Books, CircuitSettings, Lengths, Live, View};
use crate::catalog::{Endpoint, ModelId, Objective};
use crate::market::{Ask, Draw, Explore, Offer, decide, gather, score};
use crate::request::Control;
use crate::units::{PicoUsd, Rates};

/// When everything happens: nothing here depends on time.
const NOW: Duration = Duration::ZERO;

/// The production rule, with one endpoint for each model.
#[derive(Debug)]
pub struct Merit {
    members: Each<Member>,
    random: Random,
}

#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    live: Arc<Live>,
    lengths: Arc<Lengths>,
    name: Arc<str>,
}

/// A request, as the rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The class its text is taken for.
    pub class: u8,
    /// Tokens of the prompt.
    pub input_tokens: f64,
}

/// What the books say for requests of one class.
#[derive(Debug)]
pub struct Known(Vec<(View, f64)>);

impl Merit {
    /// Nothing is known yet, but that `quality` is assumed of every model.
    #[must_use]
    pub fn new(data: &Data, quality: f64, random: Random) -> Self {
        let books = Books::new(CircuitSettings::default());
        let provider = Arc::new(provider());
        let member = |(id, model): (u32, &super::data::Model)| {
            let price = |usd| PicoUsd::from_usd_per_mtok(usd);
            let rates = price(model.input).zip(price(model.output));
            let rates = rates.map(|(input, output)| Arc::new(Rates { input, output, ..Rates::default() }));
            let endpoint = Endpoint { model: ModelId(id), rates, quality, ..endpoint(id, &provider) };
            // A model may be listed twice under one name; its number tells it apart.
            let name: Arc<str> = format!("{id} {}", model.name).into();
            Member {
                live: books.live(&endpoint.identity, &name),
                lengths: books.lengths(&name),
                endpoint,
                name,
            }
        };
        Merit { members: (0_u32..).zip(data.models.iter()).map(member).collect(), random }
    }

    /// What the books say for requests of `class`.
    #[must_use]
    pub fn known(&self, class: u8) -> Known {
        let known = |member: &Member| (member.live.view(0, class, NOW), member.lengths.expected(class, None));
        Known(self.members.iter().map(known).collect())
    }

    /// The model that is asked.
    pub fn choose(
        &mut self,
        objective: &Objective,
        request: Request,
        known: &Known,
        explore: Explore,
    ) -> usize {
        let control = Control::default();
        let ask = Ask {
            input_tokens: tokens(request.input_tokens),
            class: request.class,
            explore,
            ..Ask::blank(&control)
        };
        let offers = self.members.iter().zip(&known.0).map(|(member, (view, output_tokens))| {
            Offer::new(&member.endpoint, &member.name, *view, *output_tokens)
        });
        let scored = score(objective, gather(&ask, objective, offers));
        let decision = decide(&ask, objective, scored, Draw(self.random.bits()));
        decision.first().and_then(|first| usize::try_from(first.id.0).ok()).unwrap_or_default()
    }

    /// `model` has answered a request of `class`; how well is not known.
    pub fn answered(&self, model: usize, class: u8, outcome: &Outcome) {
        self.members[model].lengths.record(class, u64::from(tokens(outcome.output_tokens)));
    }

    /// An answer of `model` was judged.
    pub fn judge(&self, model: usize, class: u8, score: f64) {
        let member = &self.members[model];
        #[expect(clippy::cast_possible_truncation, reason = "within 0..1")]
        let (score, prior) = (score as f32, member.endpoint.quality as f32);
        member.live.judge(class, score, prior);
    }

    /// Learns what all models did with a prompt of `class` that was tried on all
    /// of them beforehand.
    pub fn evaluated<'o>(&self, class: u8, outcomes: impl Iterator<Item = &'o Outcome>) {
        for (model, outcome) in outcomes.enumerate() {
            self.answered(model, class, outcome);
            let member = &self.members[model];
            #[expect(clippy::cast_possible_truncation, reason = "within 0..1")]
            let (score, prior) = (outcome.score as f32, member.endpoint.quality as f32);
            member.live.evaluate(class, score, prior);
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn tokens(count: f64) -> u32 {
    count as u32
}

/// An objective that values nothing but dollars and good answers.
#[must_use]
pub fn objective(usd_per_good_answer: f64) -> Objective {
    Objective {
        name: "replay".into(),
        usd_per_second: 0.0,
        usd_per_good_answer,
        max_price: None,
        max_cost_usd: None,
        min_quality: None,
        ttft: None,
    }
}
