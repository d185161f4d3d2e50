//! Who is asking: keys, and the stages that hold and settle money.

pub mod keys;
pub mod reserve;

pub use keys::{Caller, Expose, KeyTable, Pepper, Presented};
pub use reserve::Reservation;
