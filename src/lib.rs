//! Merit: an OpenAI-compatible gateway in which providers compete for every
//! request on live price, latency and quality.
#![forbid(unsafe_code)]

pub mod json;
pub mod units;
pub mod catalog;
pub mod request;
pub mod outcome;
pub mod dialect;
pub mod telemetry;
pub mod books;
pub mod market;
pub mod accounts;
pub mod dispatch;
pub mod config;
pub mod app;
pub mod api;
pub mod admin;
pub mod sim;
pub mod cli;
