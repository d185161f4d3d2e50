//! What stories are told with: the real gateway, real upstreams, real clients.
//!
//! Every process is a child of the test, is watched until it answers, and is
//! ended by its own id when the story is over, whatever the story's end.

pub(crate) mod accounts;
pub(crate) mod chat;
pub(crate) mod clients;
pub(crate) mod command;
pub(crate) mod fake;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod installed;
pub(crate) mod keys;
pub(crate) mod market;
pub(crate) mod process;
pub(crate) mod shelf;
pub(crate) mod upstream;

/// Stories end with the first thing that cannot go on.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error>>;
