//! Endpoints and offers for tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Ask, Decision, Draw, Offer, decide, gather, score};
use crate::books::quality::Quality;
use crate::books::{Circuit, Forecast, Risk, View};
use crate::catalog::{
    Auth, Capabilities, Dialect, Endpoint, EndpointId, ModelId, Objective, Provider, Timeouts,
};
use crate::request::Control;
use crate::units::{PicoUsd, Rates};

/// An endpoint to be, with everything a test may want to change.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) view: View,
    pub(super) model: Arc<str>,
    pub(super) leaves: super::Leaves,
    pub(super) warm_tokens: f64,
}

pub(super) fn forecast(seconds: f64, spread: f64) -> Forecast {
    let variance_ln = 0.2;
    let mean_ln = seconds.ln() - 0.5 * variance_ln;
    Forecast { seconds, mean_ln, variance_ln, spread, samples: 50.0, age: 1.5 }
}

/// An endpoint that charges `price` USD per million tokens in and out.
pub(super) fn sample(id: u32, price: f64) -> Sample {
    let price = PicoUsd::from_usd_per_mtok(price).unwrap();
    let provider = Provider {
        name: format!("p{id}"),
        dialect: Dialect::OpenAi,
        base_url: "http://127.0.0.1:1".parse().unwrap(),
        auth: Auth::None,
        reach: crate::catalog::Reach::default(),
        key: None,
        headers: http::HeaderMap::new(),
        quirks: Vec::new(),
        timeouts: Timeouts::default(),
    };
    let endpoint = Endpoint {
        id: EndpointId(id),
        identity: format!("p{id}/m").into(),
        provider: Arc::new(provider),
        model: ModelId(0),
        upstream: "m".to_owned(),
        rates: Some(Arc::new(Rates { input: price, output: price, ..Rates::default() })),
        price_source: None,
        capabilities: Capabilities::ALL,
        context: Some(128_000),
        max_output: Some(8_000),
        quality: 0.7,
        region: None,
        terms: crate::catalog::Terms::default(),
    };
    let view = View {
        ttft: forecast(0.5, 0.0),
        itl: forecast(0.02, 0.0),
        risk: Risk { share: 0.02, seconds: 3.0, attempts: 50.0 },
        in_flight: 0,
        circuit: Circuit::Closed,
        resting: None,
        keeps: crate::books::Keeps::default(),
        left: None,
        quality: Quality::default(),
        unusable: [0.0; 3],
    };
    Sample {
        endpoint: Arc::new(endpoint),
        view,
        model: "m".into(),
        leaves: super::Leaves::Nothing,
        warm_tokens: 0.0,
    }
}

impl Sample {
    /// The same with another endpoint.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Endpoint)) -> Self {
        change(Arc::get_mut(&mut self.endpoint).expect("a sample of its own"));
        self
    }

    /// The same, seen otherwise.
    pub(super) fn seen(mut self, change: impl FnOnce(&mut View)) -> Self {
        change(&mut self.view);
        self
    }

    pub(super) fn open_until(self, seconds: u64) -> Self {
        self.seen(|view| view.circuit = Circuit::Open { until: Duration::from_secs(seconds) })
    }

    fn offer(&self) -> Offer<'_> {
        Offer {
            endpoint: &self.endpoint,
            model: &self.model,
            spoken: true,
            view: self.view,
            output_tokens: 200.0,
            warm_tokens: self.warm_tokens,
            leaves: self.leaves,
            understands: true,
        }
    }
}

pub(super) fn balanced() -> Objective {
    Objective::preset("balanced").unwrap()
}

/// What is decided for a request of 1000 tokens.
pub(super) fn decided(objective: &Objective, samples: &[Sample], control: &Control, draw: u64) -> Decision {
    let ask = Ask { input_tokens: 1000, ..Ask::blank(control) };
    let gathered = gather(&ask, objective, samples.iter().map(Sample::offer));
    decide(&ask, objective, score(objective, gathered), Draw(draw))
}

/// Identities in the order tried.
pub(super) fn names(decision: &Decision) -> Vec<&str> {
    decision.ranked().map(|candidate| &*candidate.endpoint).collect()
}

/// Identities in the order of expectation.
pub(super) fn expected(decision: &Decision) -> Vec<&str> {
    decision.mean_order.iter().map(|index| &*decision.candidates[*index as usize].endpoint).collect()
}

/// Each reject's code.
pub(super) fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.rejects.iter().map(|rejected| rejected.reject.code()).collect()
}
