//! When a listed price is in force: from a day on, or at a time of day (UTC).

use serde::Deserialize;

const DAY_S: u64 = 24 * 60 * 60;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Span {
    /// Every day from `start` to before `end`, in minutes after midnight; over
    /// midnight when `end` is not after `start`.
    Daily {
        /// Inclusive.
        start: u16,
        /// Exclusive.
        end: u16,
    },
    /// From the beginning of a day on.
    From {
        /// That day.
        from: Date,
    },
}

/// A day, in seconds since 1970; written `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Date(u64);

impl Span {
    /// Whether a time is within it.
    pub(super) fn holds_at(self, now_unix_s: u64) -> bool {
        match self {
            Span::From { from } => now_unix_s >= from.0,
            Span::Daily { start, end } => {
                let minute = now_unix_s % DAY_S / 60;
                let (start, end) = (u64::from(start), u64::from(end));
                if start < end { (start..end).contains(&minute) } else { minute >= start || minute < end }
            }
        }
    }

    /// The next moment after `now_unix_s` at which it begins or ends; `None`
    /// when there is none.
    pub(super) fn border_after(self, now_unix_s: u64) -> Option<u64> {
        match self {
            Span::From { from } => (from.0 > now_unix_s).then_some(from.0),
            Span::Daily { start, end } => {
                let midnight = now_unix_s - now_unix_s % DAY_S;
                let today = [start, end].map(|minute| midnight.saturating_add(u64::from(minute) * 60));
                let later =
                    |border: u64| if border > now_unix_s { border } else { border.saturating_add(DAY_S) };
                today.into_iter().map(later).min()
            }
        }
    }
}

impl TryFrom<String> for Date {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        unix_midnight(&text).map(Date).ok_or("not a date such as 2026-09-01")
    }
}

/// The day of a time in seconds since 1970, as `YYYY-MM-DD` (UTC).
pub(super) fn day_of(unix_s: u64) -> String {
    let mut days = unix_s / DAY_S;
    let mut year = 1970;
    // A clock that is wrong by millennia must not count through them.
    while year < 9999 {
        let length = month_lengths(year).iter().sum();
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 1;
    for length in month_lengths(year) {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

/// The beginning of a day (`YYYY-MM-DD`, UTC) in seconds since 1970, by counting
/// years and months: exact in the proleptic
/// Gregorian calendar, and fast enough for the dozen dates there are.
pub(crate) fn unix_midnight(date: &str) -> Option<u64> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let (year, month, day): (u64, usize, u64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let months = month_lengths(year);
    let length = *months.get(month.checked_sub(1)?)?;
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    let years: u64 = (1970..year).map(|year| month_lengths(year).iter().sum::<u64>()).sum();
    let before: u64 = months.iter().take(month - 1).sum();
    Some((years + before + day - 1) * DAY_S)
}

fn month_lengths(year: u64) -> [u64; 12] {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        for (date, days) in
            [("1970-01-01", 0), ("2000-03-01", 11_017), ("2025-06-10", 20_249), ("2026-09-01", 20_697)]
        {
            assert_eq!(unix_midnight(date), Some(days * DAY_S), "{date}");
            assert_eq!(day_of(days * DAY_S + 86_399), date);
        }
        for bad in ["", "2026-13-01", "2026-02-29", "2026-00-01", "2026-1-1", "1969-12-31", "2026-01-01-01"] {
            assert_eq!(unix_midnight(bad), None, "{bad}");
        }
    }

    #[test]
    fn borders_are_told_before_they_come() {
        let midnight = 20_000 * DAY_S;
        let day = Span::Daily { start: 30, end: 990 };
        assert_eq!(day.border_after(midnight), Some(midnight + 30 * 60));
        assert_eq!(day.border_after(midnight + 30 * 60), Some(midnight + 990 * 60));
        assert_eq!(day.border_after(midnight + 990 * 60), Some(midnight + DAY_S + 30 * 60));
        let from = Span::From { from: Date(midnight) };
        assert_eq!((from.border_after(midnight - 1), from.border_after(midnight)), (Some(midnight), None));
    }

    #[test]
    fn a_time_of_day_may_span_midnight() {
        let at = |hour: u64, minute: u64| 20_000 * DAY_S + hour * 3600 + minute * 60;
        let day = Span::Daily { start: 30, end: 990 };
        assert!(!day.holds_at(at(0, 29)) && day.holds_at(at(0, 30)) && day.holds_at(at(16, 29)));
        assert!(!day.holds_at(at(16, 30)));
        let night = Span::Daily { start: 990, end: 30 };
        assert!(night.holds_at(at(23, 0)) && night.holds_at(at(0, 29)) && !night.holds_at(at(12, 0)));
    }
}
