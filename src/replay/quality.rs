//! `merit replay quality`: prompts whose answers by many models are known.
//!
//! *Offline* a rule learns from some of the prompts and routes the others. *Online*
//! it starts with little, is told of some answers how good they were, and one
//! model may silently become worse on the way.

pub mod data;
pub mod hull;
pub mod merit;
pub mod offline;
pub mod online;
pub mod rivals;
pub mod text;

use serde::Serialize;

pub use data::Data;

/// How all rules did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Learn first, then route.
    pub offline: Vec<offline::Figures>,
    /// Learn while routing.
    pub online: Vec<online::Figures>,
}

/// Runs all rules on `data`; another `seed` divides and shuffles otherwise.
/// `progress` is told what is being done.
pub fn replay(data: &Data, seed: u64, mut progress: impl FnMut(&str)) -> Report {
    let offline = offline::replay(data, seed, |number| {
        progress(&format!("offline: division {}/{}", number + 1, offline::SPLITS));
    });
    let online = online::replay(data, seed, |case, of| progress(&format!("online: case {}/{of}", case + 1)));
    Report { offline, online }
}

#[cfg(test)]
mod tests;
