//! The price book: what vendors are said to charge, when nobody has configured it.
//!
//! Public price lists disagree about one common model in five, so the book
//! keeps what each list says and judges when it is asked: figures that cannot
//! be right are dropped, the list of highest precedence speaks, and whether
//! another one confirms it within 2 % is part of the answer. A price that no
//! list states is unknown, never zero: an endpoint at zero would win every
//! request. The lists are compiled in, so that the first request of a fresh
//! installation has prices without asking anybody.
//!
//! Lists that are fetched while the gateway runs come before those that are
//! compiled in. A fetched list that says something quite different from the price
//! in force is not believed on its own word (`standing`): the book then goes on
//! with what it had, and says so with the price.
//!
//! The operator's own prices outrank the book; that is `config`'s business.
//! `docs/prices.md` describes the sources, the format and the rules.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use flate2::read::GzDecoder;

use crate::catalog::{Capabilities, PriceSource};
use crate::units::{PicoUsd, Rates};

mod bounds;
mod fetched;
mod list;
mod pattern;
mod quality;
pub mod sources;
mod span;
mod standing;
#[cfg(test)]
mod tests;

use fetched::Fetched;
use list::{Lists, Quote};
use quality::Quality;
use standing::Answer;

pub(crate) use span::unix_midnight;

pub use fetched::{Refused, Updated};
pub use sources::{SourceError, SourceKind};

/// Built by `config/books/build_prices.py`.
const LISTS: &[u8] = include_bytes!("../../config/books/prices.jsonl.gz");

/// Largest price lists accepted, unpacked: the embedded ones are 1 MB, so more
/// than this is damaged or hostile.
const MOST_BYTES: u64 = 64 << 20;

/// Two lists agree when their prices differ by at most one part in this many: 2 %.
const AGREEMENT: u64 = 50;

/// Looks up what a vendor charges for a model, and how good a model is said to be.
#[derive(Debug)]
pub struct PriceBook {
    /// The lists it began with, packed; `None` stands for the embedded ones.
    packed: Option<Arc<[u8]>>,
    /// All lists, unpacked when first asked.
    lists: OnceLock<Lists>,
    /// Shared by all that were made by [`PriceBook::for_now`].
    fetched: Arc<Fetched>,
}

/// Why price lists were refused.
#[derive(Debug)]
pub enum BookError {
    /// They could not be unpacked, or are no text.
    Unreadable(std::io::Error),
    /// The first line does not describe lists in a format that is understood.
    Header(serde_json::Error),
}

impl std::fmt::Display for BookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BookError::Unreadable(error) => write!(f, "price lists cannot be unpacked: {error}"),
            BookError::Header(error) => write!(f, "the first line of the price lists is no header: {error}"),
        }
    }
}

impl std::error::Error for BookError {}

/// What the book knows about one model of one vendor.
#[derive(Debug, Clone)]
pub struct Found {
    /// The prices in force at the time asked for.
    pub rates: Arc<Rates>,
    /// The list they come from, and whether another confirms them.
    pub source: PriceSource,
    /// What the model can do.
    pub facts: Facts,
}

/// What the lists say about a model besides its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Tokens of input and output together.
    pub context: Option<u32>,
    /// Most output tokens.
    pub max_output: Option<u32>,
    /// All that any list grants it, and what no list speaks of;
    /// [`Capabilities::ALL`] when none says anything.
    pub capabilities: Capabilities,
}

/// What one list says about the model asked for.
struct Heard<'b> {
    origin: &'b list::Origin,
    /// Whether the list names the model, rather than a pattern that it fits.
    literal: bool,
    quote: &'b Quote,
    /// `None` when the figures cannot be right.
    rates: Option<Rates>,
}

/// What the lists say about a model, in order of precedence.
fn hear<'b>(
    lists: &'b Lists,
    vendor: &str,
    model: &str,
    now_unix_s: u64,
    counts: impl Fn(bool) -> bool,
) -> Vec<Heard<'b>> {
    let quotes = lists.quotes(vendor, model).filter_map(|(list, literal, quote)| {
        let origin = lists.origins.get(list).filter(|origin| counts(origin.live))?;
        Some(Heard { origin, literal, quote, rates: quote.rates_at(now_unix_s) })
    });
    let mut heard: Vec<Heard<'b>> = quotes.collect();
    drop_unconfirmed_gifts(&mut heard);
    heard
}

/// What they come to.
fn answer(heard: &[Heard<'_>]) -> Option<Answer> {
    let index = choose(heard)?;
    let chosen = heard.get(index)?;
    let source = PriceSource::Book {
        list: chosen.origin.name.clone(),
        date: chosen.origin.date.clone(),
        low_confidence: !confirmed(heard, index),
        held: None,
    };
    let rates = Arc::new(chosen.rates.clone()?);
    Some(Answer {
        found: Found { rates, source, facts: facts(heard) },
        list: chosen.origin.name.clone(),
        quote: chosen.quote.clone(),
    })
}

impl PriceBook {
    /// The lists that are compiled in. Costs nothing until it is asked.
    #[must_use]
    pub fn embedded() -> Self {
        PriceBook { packed: None, lists: OnceLock::new(), fetched: Arc::default() }
    }

    /// Price lists in the format of `docs/prices.md`, gzipped. Lines that are
    /// not understood are left out.
    ///
    /// # Errors
    /// When they cannot be unpacked or the header is not understood.
    pub fn from_gzip(packed: &[u8]) -> Result<Self, BookError> {
        unpack(packed)?;
        Ok(PriceBook { packed: Some(packed.into()), ..PriceBook::embedded() })
    }

    /// The same book for one occasion: what is unpacked for it goes with it. Prices
    /// are asked for when a configuration is loaded, which is rare, and the lists
    /// take more memory than the rest of an idle gateway.
    #[must_use]
    pub fn for_now(&self) -> Self {
        let packed = self.packed.clone();
        PriceBook { packed, lists: OnceLock::new(), fetched: Arc::clone(&self.fetched) }
    }

    /// Puts a list that was just fetched in the place of the one of the same kind
    /// and vendor, for books that are made by [`PriceBook::for_now`] from now on.
    /// `vendor` is whose prices an OpenRouter-style listing tells.
    ///
    /// # Errors
    /// When it cannot be believed as a whole; the one before stays.
    pub fn update(
        &self,
        kind: SourceKind,
        vendor: &str,
        body: &[u8],
        now_unix_s: u64,
    ) -> Result<Updated, Refused> {
        self.fetched.update(kind, vendor, body, &span::day_of(now_unix_s))
    }

    /// Forgets the fetched lists that are not wanted any more. Returns whether
    /// there were any.
    pub fn keep_only(&self, wanted: impl Fn(SourceKind, &str) -> bool) -> bool {
        self.fetched.keep_only(wanted)
    }

    /// The first moment at which a price that was asked for changes because of the
    /// date or the time of day, in seconds since 1970; `None` when none does. What
    /// is asked for after this call counts for the next one.
    pub fn next_change(&self) -> Option<u64> {
        self.fetched.take_next_change()
    }

    /// What `vendor` (its slug or another of its names) charges for `model` at
    /// `now_unix_s` (seconds since 1970), which matters for prices that are
    /// dated or depend on the time of day. `None` when no list has a price
    /// that can be believed.
    ///
    /// Where lists have been fetched, the answer is remembered: later ones are
    /// judged by it.
    #[must_use]
    pub fn find(&self, vendor: &str, model: &str, now_unix_s: u64) -> Option<Found> {
        let lists = self.lists();
        let heard = hear(lists, vendor, model, now_unix_s, |_| true);
        if let Some(at) = heard.iter().filter_map(|one| one.quote.changes_at(now_unix_s)).min() {
            self.fetched.will_change(at);
        }
        let fresh = answer(&heard);
        if !lists.origins.iter().any(|origin| origin.live) {
            return fresh.map(|answer| answer.found);
        }
        let confirmed = |answer: &Answer, price: [PicoUsd; 3]| {
            let others = heard.iter().filter(|one| one.origin.name != answer.list);
            others.flat_map(|one| one.quote.prices()).any(|other| near(price, other))
        };
        self.fetched.stand(vendor, model, |before| {
            // Before anything was fetched, the lists it began with were in force.
            let before = before.or_else(|| answer(&hear(lists, vendor, model, now_unix_s, |live| !live)));
            standing::judged(before, fresh, now_unix_s, confirmed)
        })
    }

    /// Prior quality of `model`, 0..1, and where that is from. `None` when it
    /// is unknown, which is the configuration's business.
    #[must_use]
    pub fn quality(&self, model: &str) -> Option<(f64, &str)> {
        Quality::embedded().find(model)
    }

    /// How many prices the book holds, over all lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists().len
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lists(&self) -> &Lists {
        self.lists.get_or_init(|| {
            let mut lists = unpack(self.packed.as_deref().unwrap_or(LISTS)).unwrap_or_else(|error| {
                // Cannot happen to a binary that passed its tests; without a book,
                // endpoints need configured prices, which is better than no gateway.
                tracing::error!(%error, "the price lists are damaged");
                Lists::default()
            });
            self.fetched.put_into(&mut lists);
            lists
        })
    }
}

fn unpack(packed: &[u8]) -> Result<Lists, BookError> {
    let mut text = String::new();
    GzDecoder::new(packed).take(MOST_BYTES).read_to_string(&mut text).map_err(BookError::Unreadable)?;
    Lists::parse(&text).map_err(BookError::Header)
}

/// A price of nothing wins every request, so one list's word is not enough for it.
fn drop_unconfirmed_gifts(heard: &mut [Heard<'_>]) {
    let free = |one: &Heard<'_>| one.rates.as_ref().is_some_and(bounds::is_free);
    let mut givers: Vec<&str> =
        heard.iter().filter(|one| free(one)).map(|one| one.origin.name.as_str()).collect();
    givers.dedup();
    if givers.len() < 2 {
        for one in heard.iter_mut().filter(|one| free(one)) {
            one.rates = None;
        }
    }
}

/// The first list that has a price, unless it has it only by a pattern and one
/// that names the model and is no older disagrees: then that one.
fn choose(heard: &[Heard<'_>]) -> Option<usize> {
    let index = heard.iter().position(|one| one.rates.is_some())?;
    let first = heard.get(index)?;
    if first.literal {
        return Some(index);
    }
    let current = |one: &Heard<'_>| one.origin.live || !first.origin.live;
    let named = heard.iter().position(|one| one.literal && one.rates.is_some() && current(one));
    named.filter(|&named| !agree(heard, index, named)).or(Some(index))
}

/// Whether another list states the same; an older edition of the same is none.
fn confirmed(heard: &[Heard<'_>], chosen: usize) -> bool {
    let name = |index: usize| heard.get(index).map(|one| &one.origin.name);
    (0..heard.len()).any(|other| name(other) != name(chosen) && agree(heard, chosen, other))
}

/// Whether two lists state the same prices for input and output, within 2 %.
fn agree(heard: &[Heard<'_>], a: usize, b: usize) -> bool {
    let rates = |index| heard.get(index).and_then(|one: &Heard<'_>| one.rates.as_ref());
    rates(a).zip(rates(b)).is_some_and(|(a, b)| {
        let (a, b) = ([a.input, a.output, PicoUsd::default()], [b.input, b.output, PicoUsd::default()]);
        near(a, b)
    })
}

/// Whether two prices (of input, output and a request) are the same within 2 %.
fn near(a: [PicoUsd; 3], b: [PicoUsd; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| {
        let (a, b) = (a.get(), b.get());
        a.abs_diff(b).saturating_mul(AGREEMENT) <= a.max(b)
    })
}

/// Lists that speak of capabilities are the better source of limits too, so
/// they are asked first.
fn facts(heard: &[Heard<'_>]) -> Facts {
    let (able, other): (Vec<_>, Vec<_>) =
        heard.iter().map(|one| one.quote).partition(|quote| quote.capabilities.is_some());
    let granted = able.iter().filter_map(|quote| quote.capabilities).reduce(Capabilities::with);
    let mut all = able.iter().chain(&other);
    Facts {
        context: all.clone().find_map(|quote| quote.context),
        max_output: all.find_map(|quote| quote.max_output),
        capabilities: granted.map_or(Capabilities::ALL, |granted| granted.with(list::UNLISTED)),
    }
}
