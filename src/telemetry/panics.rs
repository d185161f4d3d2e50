//! Panics are counted and logged, wherever they happen.
//!
//! A panic is a defect, but of one request: it is caught where that request is
//! served (`app::listen`), answered with a 500, and the process lives on.

use std::panic;

use super::Metrics;

/// From now on panics are counted in `merit_panics_total` and logged with their
/// place, not with their message: that may contain anything.
pub fn count(metrics: &Metrics) {
    let requests = metrics.panics.with_label_values(&["request"]);
    panic::set_hook(Box::new(move |info| {
        requests.inc();
        let place = info.location().map_or_else(|| "?".to_owned(), ToString::to_string);
        tracing::error!(place, "a panic was caught; please report it");
    }));
}
