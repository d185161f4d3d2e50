//! The price book as the configuration asks it.

use crate::books::prices::PriceBook;
use crate::config::{Listed, ModelFacts, PriceLookup};

/// Looks prices up in a book, as of now.
#[derive(Debug)]
pub struct FromBook {
    book: PriceBook,
    now: u64,
}

impl FromBook {
    /// As of now.
    #[must_use]
    pub fn new(book: &PriceBook) -> Self {
        FromBook { book: book.for_now(), now: crate::dispatch::ticket::unix_ms() / 1000 }
    }
}

impl PriceLookup for FromBook {
    fn find(&self, provider: &str, vendor: Option<&str>, model: &str) -> Option<Listed> {
        let found = self.book.find(vendor.unwrap_or(provider), model, self.now)?;
        let facts = ModelFacts {
            context: found.facts.context,
            max_output: found.facts.max_output,
            capabilities: found.facts.capabilities,
        };
        Some(Listed { rates: found.rates, source: found.source, facts: Some(facts) })
    }

    fn quality(&self, model: &str) -> Option<f64> {
        self.book.quality(model).map(|(quality, _)| quality)
    }
}
