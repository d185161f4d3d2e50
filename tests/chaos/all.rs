//! Every fault of the plan against the real gateway.
//!
//! The upstreams are the simulator's, and its journal is the oracle: it was
//! written by the side that the gateway cannot fool. The caller is a small HTTP
//! client that checks every byte of framing itself. `docs/reliability.md` says
//! which fault is covered where.

mod breaker;
mod budget;
mod caller;
mod cancel;
mod canon;
mod expected;
mod hold;
mod keys;
mod matrix;
mod metrics;
mod reuse;
mod slow;
mod soak;
mod stage;
