//! Stage 6 and the money half of stage 9.
//!
//! Until accounts exist a reservation holds no money: it only counts, so that a
//! leak would be seen in `merit_reservations_open`. Its place is final: after
//! the decision, before anything is sent, resolved exactly once.

use prometheus::IntGauge;

use crate::units::NanoUsd;

/// What one request holds of its caller's budget. Released when dropped.
#[derive(Debug)]
pub struct Reservation {
    open: IntGauge,
    /// The worst case that was reserved.
    pub held: NanoUsd,
}

impl Reservation {
    /// Reserves `worst` for one request.
    #[must_use]
    pub fn open(open: &IntGauge, worst: NanoUsd) -> Self {
        open.inc();
        Reservation { open: open.clone(), held: worst }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.open.dec();
    }
}
