//! How long an upstream asks to wait, in all the ways that is said.
//!
//! Needs no clock: a date is measured against the response's own `Date`, which
//! also makes the upstream's clock irrelevant.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

/// Longer waits are all the same to a router.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait that headers and error body ask for; the most explicit word wins.
pub(super) fn wait(headers: &HeaderMap, body: &Value) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let milliseconds = text("retry-after-ms").and_then(|text| seconds(text).map(|wait| wait / 1000));
    milliseconds
        .or_else(|| text("retry-after").and_then(|wait| seconds(wait).or_else(|| until(wait, text("date")))))
        .or_else(|| limits(headers, text("date")))
        .or_else(|| in_body(body))
        .map(|wait| wait.min(LONGEST))
}

/// `x-ratelimit-reset-requests` and its kin. A limit of which something remains
/// is not the one that was hit.
fn limits(headers: &HeaderMap, date: Option<&str>) -> Option<Duration> {
    let resets = headers.iter().filter_map(|(name, value)| {
        let (before, after) = name.as_str().split_once("ratelimit-")?;
        let which = after.strip_prefix("reset").or_else(|| after.strip_suffix("-reset"))?;
        let remaining = match after.starts_with("reset") {
            true => format!("{before}ratelimit-remaining{which}"),
            false => format!("{before}ratelimit-{which}-remaining"),
        };
        let left = headers.get(remaining).and_then(|left| left.to_str().ok());
        let none = |left: &str| left.trim().parse::<f64>().is_ok_and(|left| left <= 0.0);
        let hit = left.is_none_or(none);
        let text = value.to_str().ok()?.trim();
        let wait = duration(text).or_else(|| until(text, date))?;
        hit.then_some(wait)
    });
    resets.max()
}

/// Gemini's `RetryInfo`, and what OpenAI writes into its message.
fn in_body(body: &Value) -> Option<Duration> {
    let error = body.get("error").unwrap_or(body);
    let details = error.get("details").and_then(Value::as_array);
    let delay =
        details.and_then(|details| details.iter().find_map(|detail| detail.get("retryDelay")?.as_str()));
    delay.and_then(duration).or_else(|| {
        let message = error.get("message")?.as_str()?;
        let (_, after) = message.split_once("try again in ")?;
        duration(after.split([' ', ',']).next()?.trim_end_matches('.'))
    })
}

/// A plain number of seconds.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// `1s`, `6m0s`, `2m59.56s`, `120ms`, `1h2m`, or a plain number of seconds.
/// Numbers that can only be a date are none of these.
pub(in crate::dialect) fn duration(text: &str) -> Option<Duration> {
    if let Some(wait) = seconds(text) {
        return (wait < LONGEST * 365).then_some(wait);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok()).flatten()
}

/// A moment: an HTTP date, RFC 3339 in UTC, or seconds or milliseconds since
/// 1970; as seen from `date`. A moment that has passed is no wait at all.
pub(in crate::dialect) fn until(text: &str, date: Option<&str>) -> Option<Duration> {
    let now = httpdate::parse_http_date(date?).ok()?;
    let at = httpdate::parse_http_date(text).ok().or_else(|| epoch(text)).or_else(|| rfc3339(text))?;
    Some(at.duration_since(now).unwrap_or_default())
}

fn epoch(text: &str) -> Option<SystemTime> {
    let number: u64 = text.parse().ok()?;
    let since =
        if number >= 100_000_000_000 { Duration::from_millis(number) } else { Duration::from_secs(number) };
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// `2026-11-22T10:00:00Z`, with or without a fraction of a second.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<[u64; 3]> {
        let numbers: Option<Vec<u64>> = text.split(by).map(|number| number.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let [year, month, day] = numbers(day, '-')?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    // 719,468 days from 1 March of the year 0 to 1 January 1970.
    let days = days.checked_sub(719_468)?;
    (hour < 24 && minute < 60 && second <= 60).then_some(())?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn milliseconds(pairs: &[(&'static str, &'static str)]) -> Option<u128> {
        wait(&headers(pairs), &Value::Null).map(|wait| wait.as_millis())
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(milliseconds(&[]), None);
        assert_eq!(milliseconds(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(milliseconds(&[("retry-after", "7"), ("retry-after-ms", "6900")]), Some(6_900));
        let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
        assert_eq!(milliseconds(&[date, ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]), Some(30_000));
        assert_eq!(milliseconds(&[date, ("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")]), Some(0));
        assert_eq!(milliseconds(&[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]), None);
        assert_eq!(milliseconds(&[("x-ratelimit-reset-tokens", "6m0s")]), Some(360_000));
        assert_eq!(milliseconds(&[("x-ratelimit-reset-tokens", "2m59.56s")]), Some(179_560));
        assert_eq!(milliseconds(&[("x-ratelimit-reset-requests", "120ms")]), Some(120));
        assert_eq!(milliseconds(&[date, ("x-ratelimit-reset", "1795341660000")]), Some(60_000));
        let claude = ("anthropic-ratelimit-requests-reset", "2026-11-22T10:00:09Z");
        assert_eq!(milliseconds(&[date, claude]), Some(9_000));
        assert_eq!(milliseconds(&[("retry-after", "soon")]), None);
        assert_eq!(milliseconds(&[("retry-after", "-1")]), None);
        assert_eq!(milliseconds(&[("retry-after", "1e300")]), None);
        assert_eq!(milliseconds(&[("retry-after", "9999999")]), Some(LONGEST.as_millis()));
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        let seconds =
            |text| rfc3339(text)?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs());
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:00.5Z"), Some(951_825_600));
        assert_eq!(seconds("2026-11-22T10:00:09Z"), Some(1_795_341_609));
        assert_eq!(seconds("1969-12-31T23:59:59Z"), None);
        assert_eq!(seconds("2026-13-01T00:00:00Z"), None);
    }

    #[test]
    fn a_limit_with_something_left_was_not_hit() {
        let both = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2s"),
            ("x-ratelimit-remaining-tokens", "1000"),
            ("x-ratelimit-reset-tokens", "60s"),
        ];
        assert_eq!(milliseconds(&both), Some(2_000));
    }

    #[test]
    fn reads_bodies() {
        let gemini = json!({"error": {"details": [{"@type": "x"}, {"retryDelay": "34.4s"}]}});
        assert_eq!(wait(&HeaderMap::new(), &gemini), Some(Duration::from_millis(34_400)));
        let openai = json!({"error": {"message": "Rate limit reached. Please try again in 1.5s. Visit …"}});
        assert_eq!(wait(&HeaderMap::new(), &openai), Some(Duration::from_millis(1_500)));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,30}") {
            let _ = (duration(&text), until(&text, Some("Sun, 22 Nov 2026 10:00:00 GMT")));
        }

        #[test]
        fn gos_durations_read_back(minutes in 0..600_u64, ms in 0..60_000_u64) {
            let text = format!("{minutes}m{}s", Duration::from_millis(ms).as_secs_f64());
            let expected = Duration::from_millis(minutes * 60_000 + ms);
            let read = duration(&text).unwrap();
            prop_assert!(read.abs_diff(expected) < Duration::from_micros(1));
        }
    }
}
