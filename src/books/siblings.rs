//! What to expect of an endpoint that nobody has asked yet: what is known of its
//! siblings.
//!
//! The logarithm of a time is taken to be the sum of what all endpoints have in
//! common, of what is particular to the model (a large one is slow everywhere),
//! of what is particular to the provider, and of what only this endpoint has. The
//! first three are estimated from the endpoints that are known, each shrunk
//! towards nothing as long as few endpoints say so.

use std::collections::HashMap;

use super::pace::Usual;

/// The assumption for all counts as much as so many endpoints.
const ASSUMED: f64 = 2.0;
/// What is particular to a model or provider is believed by half when so many
/// endpoints say so.
const HALF: f64 = 1.0;

/// An endpoint of which something is known.
#[derive(Debug, Clone, Copy)]
pub struct Known<'n> {
    /// Who offers it.
    pub provider: &'n str,
    /// What it offers.
    pub model: &'n str,
    /// What is usual of it.
    pub usual: Usual,
}

/// What is known of all endpoints together.
#[derive(Debug, Default)]
pub struct Siblings<'n> {
    ttft: Effects<'n>,
    itl: Effects<'n>,
}

/// What makes up the logarithm of one kind of time.
#[derive(Debug, Default)]
struct Effects<'n> {
    common: f64,
    models: HashMap<&'n str, Effect>,
    providers: HashMap<&'n str, Effect>,
}

/// A deviation that several endpoints share.
#[derive(Debug, Clone, Copy, Default)]
struct Effect {
    sum: f64,
    endpoints: f64,
}

impl Effect {
    fn add(&mut self, deviation: f64) {
        self.sum += deviation;
        self.endpoints += 1.0;
    }

    fn mean(self) -> f64 {
        self.sum / (self.endpoints + HALF)
    }
}

impl<'n> Siblings<'n> {
    /// Learns from the endpoints that are known.
    #[must_use]
    pub fn of(known: &[Known<'n>]) -> Self {
        let assumed = Usual::assumed();
        Siblings {
            ttft: Effects::of(known, assumed.ttft, |usual| usual.ttft),
            itl: Effects::of(known, assumed.itl, |usual| usual.itl),
        }
    }

    /// What is to be expected of an endpoint that is not known.
    #[must_use]
    pub fn expect(&self, provider: &str, model: &str) -> Usual {
        let kind = |effects: &Effects<'_>| Some(effects.expect(provider, model));
        Usual { ttft: kind(&self.ttft), itl: kind(&self.itl) }
    }
}

impl<'n> Effects<'n> {
    fn of(known: &[Known<'n>], assumed: Option<f64>, kind: impl Fn(&Usual) -> Option<f64>) -> Self {
        let times: Vec<(&Known<'n>, f64)> =
            known.iter().filter_map(|one| Some((one, kind(&one.usual)?))).collect();
        let mut all = Effect { sum: assumed.unwrap_or_default() * ASSUMED, endpoints: ASSUMED - HALF };
        for (_, time) in &times {
            all.add(*time);
        }
        let mut effects = Effects { common: all.mean(), ..Effects::default() };
        for (one, time) in &times {
            effects.models.entry(one.model).or_default().add(time - effects.common);
        }
        for (one, time) in &times {
            let left = time - effects.common - effects.of_model(one.model);
            effects.providers.entry(one.provider).or_default().add(left);
        }
        effects
    }

    fn of_model(&self, model: &str) -> f64 {
        self.models.get(model).map_or(0.0, |effect| effect.mean())
    }

    fn expect(&self, provider: &str, model: &str) -> f64 {
        let of_provider = self.providers.get(provider).map_or(0.0, |effect| effect.mean());
        self.common + self.of_model(model) + of_provider
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known<'n>(provider: &'n str, model: &'n str, ttft: f64) -> Known<'n> {
        Known { provider, model, usual: Usual { ttft: Some(ttft.ln()), itl: None } }
    }

    fn expected(all: &[Known<'_>], provider: &str, model: &str) -> f64 {
        Siblings::of(all).expect(provider, model).ttft.unwrap().exp()
    }

    #[test]
    fn without_anybody_it_is_the_assumption() {
        let assumed = Usual::assumed();
        assert_eq!(Siblings::of(&[]).expect("p", "m"), assumed);
        let itl = Siblings::of(&[known("a", "m", 9.0)]).expect("p", "m").itl;
        assert!((itl.unwrap() - assumed.itl.unwrap()).abs() < 1e-12, "nothing is known of it");
    }

    #[test]
    fn a_model_is_slow_everywhere_and_a_provider_with_everything() {
        let large = ["a", "b", "c", "d"].map(|provider| known(provider, "large", 8.0));
        let small = ["a", "b", "c", "d"].map(|provider| known(provider, "small", 0.5));
        let all = [large, small].concat();
        assert!(expected(&all, "new", "large") > 4.0);
        assert!(expected(&all, "new", "small") < 1.0);
        let slow = [known("slow", "x", 9.0), known("slow", "y", 9.0), known("slow", "z", 9.0)];
        let others = ["x", "y", "z"].map(|model| known("other", model, 1.0));
        let all = [slow, others].concat();
        assert!(expected(&all, "slow", "new") > expected(&all, "other", "new") * 2.0);
    }

    proptest! {
        #[test]
        fn what_is_expected_lies_within_what_is_known(times in prop::collection::vec((0..4_usize, 0..4_usize, 0.01_f64..100.0), 0..20)) {
            let names = ["a", "b", "c", "d"];
            let all: Vec<Known<'_>> = times.iter().map(|(p, m, time)| known(names[*p], names[*m], *time)).collect();
            let (low, high) = times.iter().fold((1.0_f64, 1.0_f64), |(low, high), (_, _, time)| (low.min(*time), high.max(*time)));
            // Two effects may add up beyond either.
            let width = (high / low).powi(2);
            for provider in names {
                for model in names {
                    let time = expected(&all, provider, model);
                    prop_assert!(time.is_finite() && time >= low / width && time <= high * width);
                }
            }
        }
    }
}
