//! Where an outlook is posted: numbers that one thread at a time writes and any
//! number read, without a lock.
//!
//! A version is odd while somebody writes and another after that: whoever read in
//! between sees that and knows that what it read may belong to two outlooks (a
//! sequence lock). Readers write nothing at all, so that a decision on one core
//! costs those on others nothing. The numbers are atomics only to be allowed to be
//! read while they are written; reading one is a plain load.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use super::outlook::Outlook;
use crate::books::circuit::{CircuitSettings, Standing};
use crate::books::failures::Risk;
use crate::books::headroom::{Allowance, Allowed, Headroom};
use crate::books::keeping::Keeps;
use crate::books::quality::{Count, Quality};
use crate::books::rest::Rest;
use crate::books::stats::{Forecast, SIZES};
use crate::books::{CLASSES, View};
use crate::request::Demand;

/// No moment: nothing is posted, or what is posted no longer holds.
const NEVER: u64 = u64::MAX;

/// An outlook that is posted. On cache lines of its own: the endpoint's lock and
/// state beside it change with every answer. What every reader needs comes first.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Board {
    version: AtomicU32,
    /// Whether something has changed since it was posted.
    changed: AtomicBool,
    /// Nanoseconds since the process started; [`NEVER`] where nothing holds.
    at: AtomicU64,
    standing: AtomicU64,
    rest: AtomicU64,
    keeps: [AtomicU64; 3],
    itl: [AtomicU64; 6],
    risk: [AtomicU64; 3],
    model: AtomicU64,
    deviation: AtomicU64,
    judged: AtomicBool,
    unusable: [AtomicU64; Demand::COUNT],
    /// Nanoseconds; 0 where nothing is known of limits.
    limits_at: AtomicU64,
    requests: Limit,
    tokens: Limit,
    ttft: [[AtomicU64; 6]; SIZES.len() + 1],
    by_class: [AtomicU64; CLASSES],
    ease: [AtomicU32; CLASSES],
}

impl Default for Board {
    fn default() -> Self {
        fn none<const N: usize>() -> [AtomicU64; N] {
            std::array::from_fn(|_| AtomicU64::new(0))
        }
        Board {
            version: AtomicU32::new(0),
            changed: AtomicBool::new(false),
            at: AtomicU64::new(NEVER),
            standing: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            keeps: none(),
            itl: none(),
            risk: none(),
            model: AtomicU64::new(0),
            deviation: AtomicU64::new(0),
            judged: AtomicBool::new(false),
            unusable: none(),
            limits_at: AtomicU64::new(0),
            requests: Limit::default(),
            tokens: Limit::default(),
            ttft: std::array::from_fn(|_| none()),
            by_class: none(),
            ease: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

/// One limit: what is left and the most, and in how many nanoseconds it is full.
#[derive(Debug, Default)]
struct Limit {
    left: [AtomicU64; 2],
    full_in: AtomicU64,
}

impl Board {
    /// Posts `outlook`. Whoever calls holds the lock on the endpoint's state.
    pub(super) fn post(&self, outlook: &Outlook) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.changed.store(false, Ordering::Relaxed);
        self.at.store(nanos(outlook.at), Ordering::Relaxed);
        self.standing.store(outlook.standing.packed(), Ordering::Relaxed);
        self.rest.store(outlook.rest.packed(), Ordering::Relaxed);
        let Keeps { long, short, written } = outlook.keeps;
        put(&self.keeps, [long, short, written]);
        put(&self.itl, numbers(&outlook.itl));
        put(&self.risk, [outlook.risk.share, outlook.risk.seconds, outlook.risk.attempts]);
        put(&self.unusable, outlook.unusable);
        self.deviation.store(packed(outlook.deviation), Ordering::Relaxed);
        let (allowed, at) = outlook.headroom.told_last();
        self.limits_at.store(if allowed == Allowed::default() { 0 } else { nanos(at) }, Ordering::Relaxed);
        for (words, allowance) in [(&self.requests, allowed.requests), (&self.tokens, allowed.tokens)] {
            let Allowance { left, most, full_in } = allowance.unwrap_or_default();
            put(&words.left, [left, most]);
            words.full_in.store(nanos(full_in), Ordering::Relaxed);
        }
        for (words, forecast) in self.ttft.iter().zip(&outlook.ttft) {
            put(words, numbers(forecast));
        }
        for (number, (own, ease)) in (0..).zip(self.by_class.iter().zip(&self.ease)) {
            let quality = outlook.judged.of(number, outlook.deviation);
            own.store(packed(quality.class), Ordering::Relaxed);
            ease.store(quality.ease.to_bits(), Ordering::Relaxed);
            self.model.store(packed(quality.model), Ordering::Relaxed);
            self.judged.store(quality.judged, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// What is posted holds no longer. Likewise.
    pub(super) fn clear(&self) {
        self.at.store(NEVER, Ordering::Relaxed);
    }

    /// The endpoint as it is posted, for a prompt of class `size` and a task of
    /// `class`; circuits, rests and limits as of `now`. `None` where what is posted
    /// is too old by then, or was written while it was read.
    #[inline]
    pub(super) fn read(
        &self,
        (size, class): (usize, u8),
        now: Duration,
        settings: &CircuitSettings,
        in_flight: u32,
    ) -> Option<View> {
        let version = self.version.load(Ordering::Acquire);
        let at = self.at.load(Ordering::Relaxed);
        let most = if self.changed.load(Ordering::Relaxed) { BUSY } else { CALM };
        // A clock that went back gives no age, and neither does what holds no longer.
        if nanos(now).checked_sub(at)? >= nanos(most) {
            return None;
        }
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let [long, short, written] = get(&self.keeps);
        let [share, seconds, attempts] = get(&self.risk);
        let (own, ease) = (self.by_class.get(usize::from(class)), self.ease.get(usize::from(class)));
        let view = View {
            ttft: forecast(get(self.ttft.get(size)?)),
            itl: forecast(get(&self.itl)),
            risk: Risk { share, seconds, attempts },
            in_flight,
            circuit: Standing::unpacked(word(&self.standing)).circuit(now, settings),
            resting: Rest::unpacked(word(&self.rest)).resting(now),
            quality: Quality {
                model: unpacked(word(&self.model)),
                class: own.map_or_else(Count::default, |own| unpacked(word(own))),
                ease: ease.map_or(0.0, |ease| f32::from_bits(ease.load(Ordering::Relaxed))),
                judged: self.judged.load(Ordering::Relaxed),
                deviation: unpacked(word(&self.deviation)),
            },
            unusable: get(&self.unusable),
            keeps: Keeps { long, short, written },
            left: self.headroom().and_then(|headroom| headroom.left(now)),
        };
        fence(Ordering::Acquire);
        let whole = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        whole.then_some(view)
    }

    #[inline]
    fn headroom(&self) -> Option<Headroom> {
        let at = self.limits_at.load(Ordering::Relaxed);
        if at == 0 {
            return None;
        }
        let [requests, tokens] = [&self.requests, &self.tokens].map(|limit| {
            let ([left, most], full_in) = (get(&limit.left), limit.full_in.load(Ordering::Relaxed));
            // What is full already is as good as not said.
            (full_in > 0).then(|| Allowance { left, most, full_in: Duration::from_nanos(full_in) })
        });
        let mut headroom = Headroom::default();
        headroom.told(Allowed { requests, tokens }, Duration::from_nanos(at));
        Some(headroom)
    }

    /// Something has changed; what is posted may be read a while longer. Likewise.
    pub(super) fn note_change(&self) {
        // A line that is written to is taken from all who read it.
        if !self.changed.load(Ordering::Relaxed) {
            self.changed.store(true, Ordering::Relaxed);
        }
    }
}

/// What is posted may be this old while nothing has changed: within it what fades
/// fades by less than half a percent.
pub(super) const CALM: Duration = Duration::from_millis(250);
/// And this old when something has: five milliseconds of news are a few answers
/// of many.
pub(super) const BUSY: Duration = Duration::from_millis(5);

/// Nanoseconds since the process started, as far as 64 bits go: 584 years.
fn nanos(at: Duration) -> u64 {
    at.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(at.subsec_nanos()))
}

fn put<const N: usize>(words: &[AtomicU64; N], numbers: [f64; N]) {
    for (word, number) in words.iter().zip(numbers) {
        word.store(number.to_bits(), Ordering::Relaxed);
    }
}

fn get<const N: usize>(words: &[AtomicU64; N]) -> [f64; N] {
    words.each_ref().map(|word| f64::from_bits(word.load(Ordering::Relaxed)))
}

fn numbers(forecast: &Forecast) -> [f64; 6] {
    let Forecast { seconds, mean_ln, variance_ln, spread, samples, age } = *forecast;
    [seconds, mean_ln, variance_ln, spread, samples, age]
}

fn forecast([seconds, mean_ln, variance_ln, spread, samples, age]: [f64; 6]) -> Forecast {
    Forecast { seconds, mean_ln, variance_ln, spread, samples, age }
}

fn packed(count: Count) -> u64 {
    u64::from(count.n.to_bits()) << 32 | u64::from(count.sum.to_bits())
}

fn unpacked(word: u64) -> Count {
    let half = |bits: u64| f32::from_bits(u32::try_from(bits & 0xFFFF_FFFF).unwrap_or(0));
    Count { n: half(word >> 32), sum: half(word) }
}
