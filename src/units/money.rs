//! Pico-USD for prices, nano-USD for amounts.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// Pico-USD (10⁻¹² USD) for one token: the unit of prices. 1 USD per million
/// tokens is 1,000,000; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsd(u64);

impl PicoUsd {
    /// The dearest price accepted: 1,000,000 USD per million tokens, far above
    /// any real one and small enough that no product with a token count
    /// overflows 128 bits.
    pub const MAX: PicoUsd = PicoUsd(1_000_000_000_000);

    /// From pico-USD per token.
    #[must_use]
    pub const fn new(pico: u64) -> Self {
        PicoUsd(pico)
    }

    /// From USD per million tokens, as price lists state it. `None` when it is
    /// negative, not finite or above [`PicoUsd::MAX`].
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the range is checked"
    )]
    pub fn from_usd_per_mtok(usd: f64) -> Option<Self> {
        let pico = (usd * 1e6).round();
        (usd >= 0.0 && pico <= Self::MAX.0 as f64).then_some(PicoUsd(pico as u64))
    }

    /// Pico-USD per token.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// USD per token, for scores and displays only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "scores are approximate")]
    pub fn usd_per_token(self) -> f64 {
        self.0 as f64 * 1e-12
    }

    /// USD per million tokens, for displays and metrics only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "displays are approximate")]
    pub fn usd_per_mtok(self) -> f64 {
        // Divided, not multiplied: 0.14 is to be read as 0.14.
        self.0 as f64 / 1e6
    }
}

/// An amount in nano-USD (10⁻⁹ USD): the unit of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// Nothing.
    pub const ZERO: NanoUsd = NanoUsd(0);

    /// From nano-USD.
    #[must_use]
    pub const fn new(nano: i64) -> Self {
        NanoUsd(nano)
    }

    /// From pico-USD, rounded half up; the largest amount when it is out of
    /// range.
    #[must_use]
    pub fn from_pico(pico: i128) -> Self {
        let nano = (pico + 500).div_euclid(1000);
        NanoUsd(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
    }

    /// From USD, for worst cases that are computed in floats; rounded up, the
    /// largest amount when it is out of range or not a number.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to integer casts saturate, which is what is wanted"
    )]
    pub fn from_usd(usd: f64) -> Self {
        NanoUsd(if usd.is_nan() { i64::MAX } else { (usd * 1e9).ceil() as i64 })
    }

    /// From USD as somebody else states an amount; to the nearest nano-USD, the
    /// largest amount when it is out of range.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to integer casts saturate, which is what is wanted"
    )]
    pub fn nearest(usd: f64) -> Self {
        NanoUsd((usd * 1e9).round() as i64)
    }

    /// Nano-USD.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// USD, for scores and displays only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "displays are approximate")]
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for NanoUsd {
    type Output = NanoUsd;

    fn add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: NanoUsd) {
        *self = *self + other;
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = NanoUsd>>(amounts: I) -> NanoUsd {
        amounts.fold(NanoUsd::ZERO, Add::add)
    }
}

/// Writes USD with all nine decimals, exactly: `0.000123450`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", amount / 1_000_000_000, amount % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_lists_become_whole_pico_dollars() {
        assert_eq!(PicoUsd::from_usd_per_mtok(0.15), Some(PicoUsd(150_000)));
        assert_eq!(PicoUsd::from_usd_per_mtok(0.0), Some(PicoUsd(0)));
        for usd in [0.14, 0.28, 0.1, 2.675] {
            assert_eq!(PicoUsd::from_usd_per_mtok(usd).unwrap().usd_per_mtok().to_string(), usd.to_string());
        }
        for bad in [-0.01, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(PicoUsd::from_usd_per_mtok(bad), None, "{bad}");
        }
    }

    #[test]
    fn rounds_half_up_once() {
        assert_eq!(NanoUsd::from_pico(499), NanoUsd(0));
        assert_eq!(NanoUsd::from_pico(500), NanoUsd(1));
        assert_eq!(NanoUsd::from_pico(1_499), NanoUsd(1));
        assert_eq!(NanoUsd::from_pico(i128::MAX - 500), NanoUsd(i64::MAX));
    }

    #[test]
    fn writes_every_digit() {
        assert_eq!(NanoUsd(123_450).to_string(), "0.000123450");
        assert_eq!(NanoUsd(-2_000_000_001).to_string(), "-2.000000001");
    }
}
