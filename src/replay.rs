//! Replay: the production rule on a virtual clock, against recorded markets.
//!
//! A rule for choosing endpoints is only as good as what it would have saved.
//! So the very code that decides in the gateway (the [`books`](crate::books) it
//! learns in and the [`market`](crate::market) it decides with, both of which
//! take the time as an argument) is run here against what endpoints charged and
//! how they did, next to the rules of others and to an oracle. *Regret* is what
//! a rule cost more than the oracle.

pub mod cache;
pub mod curve;
pub mod decisions;
pub mod generate;
pub mod grid;
pub mod history;
pub mod market;
pub mod merit;
pub mod policy;
pub mod quality;
pub mod random;
pub mod rivals;
pub mod run;
pub mod table;
pub mod trace;
pub mod world;

pub use history::History;
pub use market::{Figures, Settings};
pub use table::Problem;

#[cfg(test)]
mod tests;
