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
//! The operator's own prices outrank the book; that is `config`'s business.
//! `docs/prices.md` describes the sources, the format and the rules.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use flate2::read::GzDecoder;

use crate::catalog::{Capabilities, PriceSource};
use crate::units::Rates;

mod bounds;
mod list;
mod pattern;
mod quality;
mod span;
#[cfg(test)]
mod tests;

use list::{Lists, Quote};
use quality::Quality;

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
    /// Empty stands for the embedded lists, which are unpacked when first asked.
    lists: OnceLock<Arc<Lists>>,
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
    list: usize,
    /// Whether the list names the model, rather than a pattern that it fits.
    literal: bool,
    quote: &'b Quote,
    /// `None` when the figures cannot be right.
    rates: Option<Rates>,
}

impl PriceBook {
    /// The lists that are compiled in. Costs nothing until it is asked.
    #[must_use]
    pub fn embedded() -> Self {
        PriceBook { lists: OnceLock::new() }
    }

    /// Price lists in the format of `docs/prices.md`, gzipped. Lines that are
    /// not understood are left out.
    ///
    /// # Errors
    /// When they cannot be unpacked or the header is not understood.
    pub fn from_gzip(packed: &[u8]) -> Result<Self, BookError> {
        Ok(PriceBook { lists: OnceLock::from(Arc::new(unpack(packed)?)) })
    }

    /// The same book for one occasion: what is unpacked for it goes with it. Prices
    /// are asked for when a configuration is loaded, which is rare, and the lists
    /// take more memory than the rest of an idle gateway.
    #[must_use]
    pub fn for_now(&self) -> Self {
        PriceBook { lists: self.lists.clone() }
    }

    /// What `vendor` (its slug or another of its names) charges for `model` at
    /// `now_unix_s` (seconds since 1970), which matters for prices that are
    /// dated or depend on the time of day. `None` when no list has a price
    /// that can be believed.
    #[must_use]
    pub fn find(&self, vendor: &str, model: &str, now_unix_s: u64) -> Option<Found> {
        let lists = self.lists();
        let mut heard: Vec<Heard<'_>> = lists
            .quotes(vendor, model)
            .map(|(list, literal, quote)| Heard { list, literal, quote, rates: quote.rates_at(now_unix_s) })
            .collect();
        drop_unconfirmed_gifts(&mut heard);
        let chosen = choose(&heard)?;
        let rates = heard.get(chosen)?.rates.as_ref()?;
        let origin = lists.origins.get(heard.get(chosen)?.list)?;
        Some(Found {
            source: PriceSource::Book {
                list: origin.name.clone(),
                date: origin.date.clone(),
                low_confidence: !confirmed(&heard, chosen),
            },
            facts: facts(&heard),
            rates: Arc::new(rates.clone()),
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
        self.lists.get_or_init(unpack_embedded)
    }
}

fn unpack_embedded() -> Arc<Lists> {
    Arc::new(unpack(LISTS).unwrap_or_else(|error| {
        // Cannot happen to a binary that passed its tests; without a book,
        // endpoints need configured prices, which is better than no gateway.
        tracing::error!(%error, "the embedded price lists are damaged");
        Lists::default()
    }))
}

fn unpack(packed: &[u8]) -> Result<Lists, BookError> {
    let mut text = String::new();
    GzDecoder::new(packed).take(MOST_BYTES).read_to_string(&mut text).map_err(BookError::Unreadable)?;
    Lists::parse(&text).map_err(BookError::Header)
}

/// A price of nothing wins every request, so one list's word is not enough for it.
fn drop_unconfirmed_gifts(heard: &mut [Heard<'_>]) {
    let free = |one: &Heard<'_>| one.rates.as_ref().is_some_and(bounds::is_free);
    if heard.iter().filter(|one| free(one)).count() < 2 {
        for one in heard.iter_mut().filter(|one| free(one)) {
            one.rates = None;
        }
    }
}

/// The first list that has a price, unless it has it only by a pattern and one
/// that names the model disagrees: then that one.
fn choose(heard: &[Heard<'_>]) -> Option<usize> {
    let first = heard.iter().position(|one| one.rates.is_some())?;
    if heard.get(first)?.literal {
        return Some(first);
    }
    let named = heard.iter().position(|one| one.literal && one.rates.is_some());
    named.filter(|&named| !agree(heard, first, named)).or(Some(first))
}

fn confirmed(heard: &[Heard<'_>], chosen: usize) -> bool {
    (0..heard.len()).any(|other| other != chosen && agree(heard, chosen, other))
}

/// Whether two lists state the same prices for input and output, within 2 %.
fn agree(heard: &[Heard<'_>], a: usize, b: usize) -> bool {
    let rates = |index| heard.get(index).and_then(|one: &Heard<'_>| one.rates.as_ref());
    let near = |a: u64, b: u64| a.abs_diff(b).saturating_mul(AGREEMENT) <= a.max(b);
    rates(a)
        .zip(rates(b))
        .is_some_and(|(a, b)| near(a.input.get(), b.input.get()) && near(a.output.get(), b.output.get()))
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
