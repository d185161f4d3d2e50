//! Amounts as the admin API writes and reads them: USD with nine decimals, as
//! text, so that no float comes between an operator and a bill.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::units::NanoUsd;

/// USD; written as text with nine decimals, read from text or a number with at
/// most nine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ToSchema)]
#[schema(value_type = String, example = "5.000000000")]
pub struct Usd(pub NanoUsd);

/// Decimals of a USD that are kept.
const DECIMALS: usize = 9;

impl Usd {
    /// An amount from its decimal text; `None` when it is none, has more than
    /// nine decimals, or is beyond some nine billion USD.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || decimals.len() > DECIMALS || !all_digits(whole) || !all_digits(decimals) {
            return None;
        }
        let nano: i64 = format!("{whole}{decimals:0<DECIMALS$}").parse().ok()?;
        Some(Usd(NanoUsd::new(sign * nano)))
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = match &value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let wrong = || {
            serde::de::Error::custom(format!(
                "{value} is no amount of USD: a decimal number with at most nine decimals, as in \"5.25\""
            ))
        };
        Usd::parse(&text).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        let nano = |text: &str| Usd::parse(text).map(|usd| usd.0.get());
        assert_eq!(nano("5"), Some(5_000_000_000));
        assert_eq!(nano("0.000000001"), Some(1));
        assert_eq!(nano("-2.5"), Some(-2_500_000_000));
        for wrong in
            ["", ".", ".5", "1e3", "0.0000000001", "9223372037", "NaN", "1,5", " 1", "--1", "+1", "1.2.3"]
        {
            assert_eq!(nano(wrong), None, "{wrong}");
        }
        let read = |text: &str| serde_json::from_str::<Usd>(text).map(|usd| usd.0.get());
        assert_eq!(read("5.1").unwrap(), 5_100_000_000);
        assert_eq!(read("\"0.1\"").unwrap(), 100_000_000);
        assert!(read("1e308").is_err() && read("true").is_err() && read("null").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(nano in any::<i64>().prop_filter("its negative exists", |n| *n != i64::MIN)) {
            let usd = Usd(NanoUsd::new(nano));
            let text = serde_json::to_string(&usd).unwrap();
            prop_assert_eq!(serde_json::from_str::<Usd>(&text).unwrap(), usd);
        }
    }
}
