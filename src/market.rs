//! The market: who gets a request, and why.
//!
//! Pure: no clock, no I/O, no lock, no `async`. The same views and the same
//! draw give the same decision, which is what makes replay exact.
//!
//! Every candidate gets a score: what an answer from it is expected to cost in
//! USD, counting the caller's waiting, the answer's quality and the risk of
//! failing. No term depends on the other candidates, so an endpoint that is
//! added or removed never changes the order of the others.

pub mod again;
pub mod cost;
pub mod decide;
pub mod explain;
pub mod explore;
pub mod gather;
pub mod kept;
mod lateness;
pub mod objective;
pub mod regret;
pub mod reject;
pub mod score;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod story;

pub use decide::{Decision, Emptiness, decide};
pub use explain::{Explanation, explain};
pub use explore::{Draw, Explore};
pub use gather::{Ask, Candidate, Evidence, Facts, Gathered, Offer, gather};
pub use kept::Kept;
pub use regret::{Hindsight, regret};
pub use reject::{Reject, Rejected};
pub use score::{Leaves, Score, Scored, score};
