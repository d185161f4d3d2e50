//! The decision: pure functions from what is known to who is asked first.
