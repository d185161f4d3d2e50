//! Money and tokens, exact.
//!
//! Prices are integers of pico-USD per token, amounts are integers of nano-USD;
//! floats appear only in scores, where a rounding error cannot become a bill.

pub mod money;
pub mod rates;
pub mod usage;

pub use money::{NanoUsd, PicoUsd};
pub use rates::{Rates, Tier};
pub use usage::Usage;
