//! Durations and sizes as people write them: `500ms`, `1h30m`, `32MiB`. A
//! number without a unit is refused, for it would be guessed wrong sooner or
//! later.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units of time in milliseconds, longest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of size in bytes, largest first.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

/// A duration: `10s`, `500ms`, `1h30m`; whole milliseconds up to 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of bytes: `32MiB`, `64kB`, `512B`; up to 1 TiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Span, String> {
        let most = 365 * 86_400_000;
        match sum(text, &TIMES) {
            Some(millis) if millis <= most => Ok(Span(Duration::from_millis(millis))),
            Some(_) => Err("longer than 365 days".to_owned()),
            None => {
                Err("not a duration; write for example \"500ms\", \"10s\", \"5m\" or \"1h30m\"".to_owned())
            }
        }
    }
}

impl Bytes {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Bytes, String> {
        match sum(text, &SIZES) {
            Some(bytes) if bytes <= 1 << 40 => Ok(Bytes(bytes)),
            Some(_) => Err("more than 1024GiB".to_owned()),
            None => Err("not a size; write for example \"32MiB\", \"64kB\" or \"512B\"".to_owned()),
        }
    }
}

/// The sum of numbers with units, without spaces between.
fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: Option<u64> = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
        let part = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        total = Some(total.unwrap_or(0).checked_add(part)?);
        rest = tail;
    }
    total
}

/// With the largest unit that leaves a whole number.
fn write(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    let exact = units.iter().find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor));
    match exact {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => f.write_str(zero),
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIMES, "0s")
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, &SIZES, "0B")
    }
}

/// Both are texts in files and in the schema.
macro_rules! text {
    ($name:ident, $kind:literal, $description:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "x-kind": $kind, "description": $description })
            }
        }
    };
}
text!(Span, "duration", "A duration such as 500ms, 10s, 5m or 1h30m.");
text!(Bytes, "size", "A number of bytes such as 32MiB, 64kB or 512B.");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("1h30m", 5_400_000), (" 2d ", 172_800_000), ("0s", 0)]
        {
            assert_eq!(Span::parse(text), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for (text, bytes) in [("32MiB", 33_554_432), ("64kB", 64_000), ("512B", 512), ("1 GB", 1_000_000_000)]
        {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for text in ["", "10", "s", "-1s", "1.5s", "10 parsecs", "10s!", "99999999999999999999s", "366d"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
        for text in ["", "10", "MiB", "32M", "2000000000GiB", "1025GiB"] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(millis in 0_u64..=31_536_000_000, bytes in 0_u64..=(1 << 40)) {
            let span = Span(Duration::from_millis(millis));
            prop_assert_eq!(Span::parse(&span.to_string()), Ok(span));
            prop_assert_eq!(Bytes::parse(&Bytes(bytes).to_string()), Ok(Bytes(bytes)));
        }
    }
}
