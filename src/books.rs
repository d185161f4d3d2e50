//! Live state that others read: how fast, how reliable and how good endpoints
//! are, and how long answers get.
//!
//! Books outlive configuration generations: what is learnt belongs to an
//! endpoint's identity and to a model's name, not to the index it has in one
//! catalog. Time is an argument everywhere (`now`, since the process started).

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod carried;
pub mod circuit;
pub mod drift;
pub mod failures;
pub mod headroom;
pub mod keeping;
pub mod lengths;
pub mod live;
pub mod normal;
pub mod pace;
pub mod prices;
pub mod published;
pub mod quality;
mod recent;
pub mod rest;
pub mod siblings;
pub mod sketch;
pub mod soundness;
pub mod stats;
pub mod waiting;
pub mod warm;

pub use carried::Carried;
pub use circuit::{Circuit, CircuitSettings, Pass};
pub use drift::Drift;
pub use failures::Risk;
pub use headroom::Left;
pub use keeping::Keeps;
pub use lengths::Lengths;
pub use live::{Live, View};
pub use quality::{Ease, Judgements, Quality};
pub use rest::{Resting, Why};
pub use soundness::Siblings;
pub use stats::Forecast;
pub use warm::{Identity, Warm};

pub use crate::request::class::CLASSES;

/// The odd constant of `SplitMix64`: steps by it visit every number once.
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// By an endpoint's identity or a model's name.
type ByName<T> = HashMap<Arc<str>, T>;

/// All books of a process.
#[derive(Debug)]
pub struct Books {
    settings: CircuitSettings,
    live: RwLock<ByName<Arc<Live>>>,
    models: RwLock<ByName<Model>>,
    ease: Arc<Ease>,
    /// Restored endpoints that no generation has asked for yet.
    restored: Mutex<ByName<live::State>>,
    /// Differs between processes, so that replicas do not probe in step.
    seeds: RandomState,
}

#[derive(Debug, Clone, Default)]
struct Model {
    lengths: Arc<Lengths>,
    judgements: Arc<Judgements>,
    siblings: Arc<Siblings>,
}

/// What the books know, as data: for a file between two runs, or for another
/// replica. Times in it count from the moment it was taken.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// By endpoint identity.
    pub endpoints: BTreeMap<Arc<str>, live::State>,
    /// By model name.
    pub models: BTreeMap<Arc<str>, ModelState>,
    /// How easy classes are.
    pub ease: [quality::Count; CLASSES],
}

/// One model in a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelState {
    /// Lengths of its answers.
    pub lengths: lengths::Table,
    /// Judgements of its answers.
    pub quality: quality::Table,
}

impl Books {
    /// Empty books.
    #[must_use]
    pub fn new(settings: CircuitSettings) -> Self {
        Books {
            settings,
            live: RwLock::default(),
            models: RwLock::default(),
            ease: Arc::default(),
            restored: Mutex::default(),
            seeds: RandomState::new(),
        }
    }

    /// The live state of the endpoint of that identity, which offers `model`.
    /// The same identity gives the same state in every generation.
    #[must_use]
    pub fn live(&self, identity: &Arc<str>, model: &Arc<str>) -> Arc<Live> {
        if let Some(live) = self.live.read().unwrap_or_else(PoisonError::into_inner).get(identity) {
            return Arc::clone(live);
        }
        let Model { judgements, siblings, .. } = self.model(model);
        let mut all = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let live = all.entry(Arc::clone(identity)).or_insert_with(|| {
            let live = Live::new(self.settings, judgements, self.seeds.hash_one(identity)).beside(&siblings);
            if let Some(state) = self.restored().remove(identity) {
                live.replace(state);
            }
            Arc::new(live)
        });
        Arc::clone(live)
    }

    /// Lengths of the answers of that model.
    #[must_use]
    pub fn lengths(&self, model: &Arc<str>) -> Arc<Lengths> {
        self.model(model).lengths
    }

    /// Judgements of the answers of that model.
    #[must_use]
    pub fn judgements(&self, model: &Arc<str>) -> Arc<Judgements> {
        self.model(model).judgements
    }

    /// All that is known at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let model =
            |model: &Model| ModelState { lengths: model.lengths.table(), quality: model.judgements.table() };
        Snapshot {
            endpoints: live.iter().map(|(identity, live)| (Arc::clone(identity), live.state(now))).collect(),
            models: models.iter().map(|(name, book)| (Arc::clone(name), model(book))).collect(),
            ease: self.ease.table(),
        }
    }

    /// Goes on at `now` from a snapshot that was taken `age` ago. What is not
    /// in it stays as it is.
    pub fn restore(&self, snapshot: Snapshot, age: Duration, now: Duration) {
        self.ease.restore(snapshot.ease);
        for (name, state) in snapshot.models {
            let model = self.model(&name);
            model.lengths.restore(state.lengths);
            model.judgements.restore(state.quality);
        }
        for (identity, mut state) in snapshot.endpoints {
            state.shift(age, now);
            // The credential may be another one now.
            state.new_credential();
            let known = self.live.read().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned();
            match known {
                Some(live) => live.replace(state),
                None => {
                    self.restored().insert(identity, state);
                }
            }
        }
    }

    fn model(&self, name: &Arc<str>) -> Model {
        if let Some(model) = self.models.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return model.clone();
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        let new =
            || Model { judgements: Arc::new(Judgements::new(Arc::clone(&self.ease))), ..Model::default() };
        models.entry(Arc::clone(name)).or_insert_with(new).clone()
    }

    fn restored(&self) -> MutexGuard<'_, ByName<live::State>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mixing step of `SplitMix64`: turns a counter into random-looking bits.
#[must_use]
pub(crate) const fn mixed(seed: u64) -> u64 {
    let x = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Sample};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_identity_is_one_state() {
        let books = Books::new(CircuitSettings::default());
        let live = books.live(&"a/m".into(), &"m".into());
        live.begin();
        assert_eq!(books.live(&"a/m".into(), &"m".into()).view(0, 0, SECOND).in_flight, 1);
        assert_eq!(books.live(&"b/m".into(), &"m".into()).view(0, 0, SECOND).in_flight, 0);
    }

    #[test]
    fn endpoints_share_what_is_known_of_their_model() {
        let books = Books::new(CircuitSettings::default());
        let (a, b) = (books.live(&"a/m".into(), &"m".into()), books.live(&"b/m".into(), &"m".into()));
        for _ in 0..50 {
            a.judge(0, 0.0, 0.5);
        }
        let mean = |live: &Live| live.view(0, 0, SECOND).quality.mean(0.5);
        assert!(mean(&b) < 0.3, "{}", mean(&b));
        assert!(mean(&a) < mean(&b), "the one that was judged is the worse");
    }

    #[test]
    fn a_restart_forgets_what_was_held_against_a_credential() {
        let before = Books::new(CircuitSettings::default());
        let live = before.live(&"a/m".into(), &"m".into());
        live.record(&Sample { failure: Some(Failure::Key { status: 401 }), ..Sample::default() }, SECOND);
        assert!(live.view(0, 0, SECOND * 2).resting.is_some());
        let after = Books::new(CircuitSettings::default());
        after.restore(before.snapshot(SECOND * 2), SECOND, SECOND);
        assert_eq!(after.live(&"a/m".into(), &"m".into()).view(0, 0, SECOND).resting, None);
    }

    #[test]
    fn a_restart_forgets_nothing_but_what_is_under_way() {
        let before = Books::new(CircuitSettings::default());
        let live = before.live(&"a/m".into(), &"m".into());
        let slow = Sample { ttft: Some(4.0), seconds: 5.0, output_tokens: 50, ..Sample::default() };
        for _ in 0..30 {
            live.record(&slow, SECOND * 1000);
        }
        live.begin();
        let limited = Failure::RateLimited { retry_after: Some(SECOND * 50) };
        live.record(&Sample { failure: Some(limited), ..Sample::default() }, SECOND * 1000);
        before.lengths(&"m".into()).record(0, 5000);
        let text = serde_json::to_string(&before.snapshot(SECOND * 1001)).unwrap();

        let after = Books::new(CircuitSettings::default());
        after.restore(serde_json::from_str(&text).unwrap(), SECOND * 10, SECOND);
        let (then, view) =
            (live.view(0, 0, SECOND * 1011), after.live(&"a/m".into(), &"m".into()).view(0, 0, SECOND));
        assert!((view.ttft.seconds - then.ttft.seconds).abs() < 1e-6, "{view:?}");
        assert!((view.risk.share - then.risk.share).abs() < 1e-9);
        assert_eq!(view.in_flight, 0);
        assert_eq!(
            view.resting.map(|rest| rest.until.saturating_sub(SECOND).as_millis()),
            then.resting.map(|rest| rest.until.saturating_sub(SECOND * 1011).as_millis())
        );
        assert!(view.resting.is_some());
        let expected = |books: &Books| books.lengths(&"m".into()).expected(0, None);
        assert!((expected(&after) - expected(&before)).abs() < 1e-9);
    }
}
