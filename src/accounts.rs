//! The counter, where callers pay: keys, limits, budgets, plans, and the stages
//! that hold and settle money.
//!
//! [`directory`] knows every key of the store, [`vault`] every budget,
//! [`counter`] keeps both in step with the [`store`](crate::store);
//! [`reserve`] is what one request holds of them.

pub mod counter;
pub mod directory;
pub mod keys;
pub mod limiter;
pub mod meter;
pub mod path;
pub mod reserve;
pub mod vault;
pub mod window;

pub use counter::{Counter, Refused};
pub use keys::{Caller, Expose, KeyTable, Pepper, Presented};
pub use path::AccountPath;
pub use reserve::Reservation;
