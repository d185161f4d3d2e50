//! When budgets begin anew: at full hours, midnights and firsts of months in
//! UTC, where no hour is skipped or repeated.

use crate::store::Window;

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// When the window that `now` is in began; both in seconds since 1970.
#[must_use]
pub fn start(window: Window, now: u64) -> u64 {
    match window {
        Window::Hour => now - now % HOUR,
        Window::Day => now - now % DAY,
        Window::Month => (now / DAY + 1 - day_of_month(now / DAY)) * DAY,
        Window::Total => 0,
    }
}

/// When the window that began at `start` ends; `None` is never.
#[must_use]
pub fn end(window: Window, start: u64) -> Option<u64> {
    match window {
        Window::Hour => Some(start + HOUR),
        Window::Day => Some(start + DAY),
        // No month is longer than 31 days or shorter than 28.
        Window::Month => Some(self::start(Window::Month, start + 31 * DAY)),
        Window::Total => None,
    }
}

/// 1 to 31. After Howard Hinnant's `civil_from_days`: years begin in March, so
/// that the leap day is their last.
fn day_of_month(days: u64) -> u64 {
    let shifted = days + 719_468;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn months_begin_on_the_first() {
        // 2024-02-29T12:00:00Z and 2026-11-25T00:30:00Z.
        assert_eq!(start(Window::Month, 1_709_208_000), 1_706_745_600);
        assert_eq!(end(Window::Month, 1_706_745_600), Some(1_709_251_200));
        assert_eq!(start(Window::Month, 1_795_566_600), 1_793_491_200);
        assert_eq!(start(Window::Month, 0), 0);
        assert_eq!(start(Window::Day, 1_709_208_000), 1_709_164_800);
        assert_eq!(start(Window::Hour, 1_709_208_001), 1_709_208_000);
        assert_eq!((start(Window::Total, 5), end(Window::Total, 0)), (0, None));
    }

    proptest! {
        #[test]
        fn every_instant_is_in_exactly_one_window(now in 0..7_000_000_000_u64) {
            for window in [Window::Hour, Window::Day, Window::Month] {
                let began = start(window, now);
                let ends = end(window, began).unwrap();
                prop_assert!(began <= now && now < ends, "{window:?}");
                prop_assert_eq!(start(window, ends), ends, "{:?}: the next begins where this ends", window);
                prop_assert_eq!(start(window, ends - 1), began);
            }
        }
    }
}
