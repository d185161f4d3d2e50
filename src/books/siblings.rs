//! What to expect of an endpoint that nobody has asked yet: the assumption for all,
//! and by how much its provider is faster or slower than others with other models.
//!
//! The logarithm of a time is taken to be the sum of what all endpoints have in
//! common, of what is particular to the model (a large one is slow everywhere),
//! of what is particular to the provider, and of what only this endpoint has. The
//! first three are estimated from the endpoints that are known, each shrunk
//! towards nothing as long as few endpoints say so.
//!
//! Of these only the provider's part is passed on. The same model elsewhere is not a
//! sibling but a rival: those that are known are those that were preferred, and
//! whoever is taken to be like them is asked too late or for nothing. Measured,
//! that cost more than it gained (`docs/routing.md`).

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
    /// What is assumed of whoever nobody knows.
    assumed: f64,
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

    /// What is to be expected of an endpoint of that provider that is not known.
    #[must_use]
    pub fn expect(&self, provider: &str) -> Usual {
        let kind = |effects: &Effects<'_>| Some(effects.expect(provider));
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
        let assumed = assumed.unwrap_or_default();
        let mut effects = Effects { assumed, common: all.mean(), ..Effects::default() };
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

    fn expect(&self, provider: &str) -> f64 {
        self.assumed + self.providers.get(provider).map_or(0.0, |effect| effect.mean())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known<'n>(provider: &'n str, model: &'n str, ttft: f64) -> Known<'n> {
        Known { provider, model, usual: Usual { ttft: Some(ttft.ln()), itl: None } }
    }

    fn expected(all: &[Known<'_>], provider: &str) -> f64 {
        Siblings::of(all).expect(provider).ttft.unwrap().exp()
    }

    #[test]
    fn without_siblings_it_is_the_assumption() {
        let assumed = Usual::assumed();
        assert_eq!(Siblings::of(&[]).expect("p"), assumed);
        let rivals = ["a", "b", "c"].map(|provider| known(provider, "m", 9.0));
        assert_eq!(Siblings::of(&rivals).expect("p"), assumed, "rivals are no siblings");
        assert_eq!(Siblings::of(&rivals).expect("a").itl, assumed.itl, "nothing is known of it");
    }

    #[test]
    fn a_provider_that_is_slow_with_everything_is_taken_to_be_slow() {
        let slow = ["x", "y", "z"].map(|model| known("slow", model, 9.0));
        let other = ["x", "y", "z"].map(|model| known("other", model, 1.0));
        let all = [slow, other].concat();
        assert!(expected(&all, "slow") > 1.5 && expected(&all, "other") < 0.8);
        // Large models are slow everywhere: that is nobody's fault.
        let large = ["a", "b", "c", "d", "e", "f"].map(|provider| known(provider, "large", 8.0));
        let small = ["a", "b", "c", "d", "e", "f"].map(|provider| known(provider, "small", 0.5));
        let all = [large, small].concat();
        assert!((0.6..1.6).contains(&expected(&all, "a")), "{}", expected(&all, "a"));
    }

    proptest! {
        #[test]
        fn what_is_expected_is_a_time(times in prop::collection::vec((0..4_usize, 0..4_usize, 0.01_f64..100.0), 0..20)) {
            let names = ["a", "b", "c", "d"];
            let all: Vec<Known<'_>> =
                times.iter().map(|(p, m, time)| known(names[*p], names[*m], *time)).collect();
            for provider in names {
                let time = expected(&all, provider);
                prop_assert!(time.is_finite() && time > 1e-5 && time < 1e5, "{time}");
            }
        }
    }
}
