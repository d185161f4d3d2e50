//! Merit: an OpenAI-compatible gateway in which providers compete for every
//! request on live price, latency and quality.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod admin;
pub mod api;
pub mod app;
pub mod books;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod dispatch;
pub mod json;
pub mod market;
pub mod outcome;
pub mod request;
pub mod sim;
pub mod telemetry;
pub mod units;
