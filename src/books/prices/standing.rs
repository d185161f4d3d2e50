//! Whether what the lists say by now may take the place of the price in force.
//!
//! A published list is edited by people and scrapers, and some day it will say ten
//! times the price, or nothing. So a price that differs by more than a factor of
//! three from the one in force needs a second list that says the same, and a price
//! that is in no list any more stays. What an entry says of other times counts
//! from the day it says so: a price that is announced for next year is judged
//! now, and is no surprise then.

use std::sync::Arc;

use super::Found;
use super::list::Quote;
use crate::catalog::{Held, HeldReason, PriceSource};
use crate::units::PicoUsd;

/// A price may rise to this many times what it was, or fall to that part of it,
/// on one list's word.
const MOST: u64 = 3;

/// What the lists come to for one model.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) found: Found,
    /// The list that speaks.
    pub(super) list: String,
    /// All that it says.
    pub(super) quote: Quote,
}

/// The answer that holds when `fresh` comes after `before`. `confirmed` tells
/// whether another list than that of an answer states a price.
pub(super) fn judged(
    before: Option<Answer>,
    fresh: Option<Answer>,
    now_unix_s: u64,
    confirmed: impl Fn(&Answer, [PicoUsd; 3]) -> bool,
) -> Option<Answer> {
    let Some(before) = before else { return fresh };
    let Some(fresh) = fresh else {
        let list = before.list.clone();
        let gone = Held { reason: HeldReason::Gone, list, input_pico_usd: None, output_pico_usd: None };
        return Some(held(before, gone, now_unix_s));
    };
    let known = before.quote.prices();
    let far = |price: &[PicoUsd; 3]| !known.iter().any(|known| within_reach(*price, *known));
    // An entry that says what it said is believed at every time of day.
    let same = before.quote == fresh.quote;
    if same || !fresh.quote.prices().iter().any(|price| far(price) && !confirmed(&fresh, *price)) {
        return Some(fresh);
    }
    let jump = Held {
        reason: HeldReason::Jump,
        list: fresh.list,
        input_pico_usd: Some(fresh.found.rates.input),
        output_pico_usd: Some(fresh.found.rates.output),
    };
    Some(held(before, jump, now_unix_s))
}

/// The answer goes on to hold, at the times that it told.
fn held(mut answer: Answer, by: Held, now_unix_s: u64) -> Answer {
    if let Some(rates) = answer.quote.rates_at(now_unix_s) {
        answer.found.rates = Arc::new(rates);
    }
    if let PriceSource::Book { held, low_confidence, .. } = &mut answer.found.source {
        (*held, *low_confidence) = (Some(by), true);
    }
    answer
}

/// Whether each of two prices is at most three times the other.
fn within_reach(a: [PicoUsd; 3], b: [PicoUsd; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| {
        let (low, high) = (a.get().min(b.get()), a.get().max(b.get()));
        high <= low.saturating_mul(MOST)
    })
}
