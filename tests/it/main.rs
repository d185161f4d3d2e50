//! What is seen from outside, as stories, and the rules of the house.
//!
//! One binary: a second one would be linked for minutes. `make test` installs
//! what the stories need; without it they fail and say so.

mod admin;
mod anthropic;
mod bad_input;
mod bedrock;
#[cfg(test)]
#[path = "../chaos/all.rs"]
mod chaos;
mod carried;
mod commands;
mod competition;
mod counter;
mod credentials;
mod drain;
mod failover;
mod gemini;
mod house;
mod keys;
mod limits;
#[expect(
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "tables of a test: what is missing fails it"
)]
mod matrix;
mod mistakes;
mod oracles;
mod parts;
mod pass_through;
mod published;
mod records;
mod reload;
mod routes;
mod selling;
mod signals;
mod slowness;
mod support;
mod warmth;
mod watching;
