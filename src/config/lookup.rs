//! What the configuration asks of the price and quality books, which it does
//! not know otherwise.

use std::sync::Arc;

use crate::catalog::{Capabilities, PriceSource};
use crate::units::Rates;

/// A model as price lists know it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its prices.
    pub rates: Arc<Rates>,
    /// Which list they are from.
    pub source: PriceSource,
    /// What else is known of it.
    pub facts: Option<ModelFacts>,
}

/// What price lists tell of a model beside its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts {
    /// Tokens of input and output together.
    pub context: Option<u32>,
    /// Most output tokens.
    pub max_output: Option<u32>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Looks up what the configuration does not say.
pub trait PriceLookup {
    /// The price of a model by what its provider calls it. Without a vendor the
    /// provider's own name may be a vendor's.
    fn find(&self, provider: &str, vendor: Option<&str>, model: &str) -> Option<Listed>;

    /// The prior quality of a model, 0..1.
    fn quality(&self, model: &str) -> Option<f64>;
}

/// Knows no price: for checks that need none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrices;

impl PriceLookup for NoPrices {
    fn find(&self, _: &str, _: Option<&str>, _: &str) -> Option<Listed> {
        None
    }

    fn quality(&self, _: &str) -> Option<f64> {
        None
    }
}
