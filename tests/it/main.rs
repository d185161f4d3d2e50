//! What is seen from outside, as stories, and the rules of the house.
//!
//! One binary: a second one would be linked for minutes. `make test` installs
//! what the stories need; without it they fail and say so.

mod anthropic;
mod bad_input;
mod bedrock;
#[cfg(test)]
#[path = "../chaos/all.rs"]
mod chaos;
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
mod mistakes;
mod parts;
mod pass_through;
mod published;
mod records;
mod reload;
mod routes;
mod signals;
mod slowness;
mod support;
mod warmth;
mod watching;
