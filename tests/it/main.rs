//! What is seen from outside, as stories, and the rules of the house.
//!
//! One binary: a second one would be linked for minutes. `make test` installs
//! what the stories need; without it they fail and say so.

mod house;
mod parts;
#[expect(dead_code, reason = "the stories that start a gateway come with the gateway")]
mod support;
