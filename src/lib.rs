//! Merit: an OpenAI-compatible gateway in which providers compete for every
//! request on live price, latency and quality.
//!
//! # The whole on one page
//! A caller speaks OpenAI's Chat Completions to us. The name it asks for stands
//! for one or more *endpoints* (one model as offered by one provider). Each is
//! scored for this very request: expected dollars, plus seconds of waiting,
//! failure and lacking quality, all turned into dollars. The cheapest sum wins,
//! the others in order are its fallback, and as long as no content has gone to
//! the caller, another can take over unseen.
//!
//! A request passes nine stages, in this order, all visible in [`api::chat`]:
//!
//! | # | stage | what happens | where |
//! |---|---|---|---|
//! | 1 | authenticate | headers become a caller | [`accounts::keys`] |
//! | 2 | read | bytes become a request; the bytes are kept | [`request`] |
//! | 3 | gather | endpoints become candidates and rejects | [`market::gather()`] |
//! | 4 | score | each candidate gets its price in USD, term by term | [`market::score()`] |
//! | 5 | decide | scored candidates become an order | [`market::decide()`] |
//! | 6 | reserve | the worst case is held | [`accounts::reserve`] |
//! | 7 | attempt | the order becomes first content, or the last failure | [`dispatch::run()`] |
//! | 8 | relay | upstream bytes become the caller's, watched | [`dispatch::relay`] |
//! | 9 | settle | how it went teaches books, metrics, log; exactly once | [`dispatch::ticket`] |
//!
//! # Tenets, in order
//! Correct, legible, fast, small, many features. When two conflict the earlier
//! wins.
//!
//! # Invariants (each has a test)
//! - A module uses only those above it in the list below.
//! - [`market`] is pure: no clock, no I/O, no lock, no `async`.
//! - [`dialect`] does no I/O and knows no vendor's address, key or price.
//! - Only [`dispatch::attempt`] sends callers' requests upstream.
//! - Only [`config`] reads the environment and configuration files.
//! - After the first content the answer comes from one attempt only.
//! - A stream without its terminal marker never ends like a good one.
//! - Every request settles exactly once, also when the caller hangs up.
//! - Labels of metrics come from sets closed per configuration generation.
//! - A vendor that speaks a known dialect is a TOML file and no Rust.
#![forbid(unsafe_code)]

pub mod json;
pub mod units;
pub mod catalog;
pub mod request;
pub mod outcome;
pub mod dialect;
pub mod credential;
pub mod telemetry;
pub mod books;
pub mod market;
pub mod store;
pub mod accounts;
pub mod dispatch;
pub mod config;
pub mod app;
pub mod api;
pub mod admin;
pub mod sim;
pub mod replay;
pub mod cli;
