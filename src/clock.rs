//! What time it is: passed in, so that tests set the time instead of waiting
//! for it.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// The time of day. It can step backwards when an administrator sets it.
    fn now(&self) -> SystemTime;
}

/// The operating system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until it is told otherwise, for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    /// A clock that shows `time`.
    #[must_use]
    pub const fn new(time: SystemTime) -> Self {
        Self(Mutex::new(time))
    }

    /// Shows `time` from now on.
    pub fn set(&self, time: SystemTime) {
        *self.0.lock() = time;
    }

    /// Moves on by `step`.
    pub fn advance(&self, step: Duration) {
        *self.0.lock() += step;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock()
    }
}

/// Prints a time in UTC as RFC 3339 §5.6 has it, with milliseconds:
/// `2026-01-31T12:34:56.789Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i128 = 86_400_000;
        let millis = match self.0.duration_since(UNIX_EPOCH) {
            Ok(since) => i128::from(since.as_secs()) * 1000 + i128::from(since.subsec_millis()),
            Err(before) => {
                let until = before.duration();
                -(i128::from(until.as_secs()) * 1000 + i128::from(until.subsec_millis()))
            }
        };
        let (days, of_day) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from March, so that the leap day comes last and the
/// lengths of the months before it repeat every five months (153 days).
fn civil(days: i128) -> (i128, i128, i128) {
    const FOUR_CENTURIES: i128 = 146_097;
    const FROM_MARCH_OF_YEAR_0: i128 = 719_468;
    let days = days + FROM_MARCH_OF_YEAR_0;
    let (era, day_of_era) = (days.div_euclid(FOUR_CENTURIES), days.rem_euclid(FOUR_CENTURIES));
    // Whole years so far: drop the leap days of 4 and 400 years, put back those of 100.
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i128::from(month <= 2);
    (year, month, day)
}

/// How many days after 1970-01-01 this day of the Gregorian calendar comes; `None` if
/// there is no such day.
#[must_use]
pub fn days_to(year: i128, month: i128, day: i128) -> Option<i128> {
    const FROM_YEAR_0: i128 = 719_528;
    // Leap years and short months put this off by a few days.
    let guess = year * 146_097 / 400 - FROM_YEAR_0 + (month - 1) * 153 / 5 + day - 1;
    (guess - 4..=guess + 4).find(|days| civil(*days) == (year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        Timestamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    }

    #[test]
    fn times_are_printed_in_utc() {
        // Reference: `date -u -d @N +%FT%T.000Z`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (68_169_599, "1972-02-28T23:59:59.000Z"),
            (68_169_600, "1972-02-29T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (978_307_199, "2000-12-31T23:59:59.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(at(seconds), expected);
        }
    }

    #[test]
    fn times_before_the_epoch_count_backwards() {
        let before = UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(Timestamp(before).to_string(), "1969-12-31T23:59:59.999Z");
        let century = UNIX_EPOCH - Duration::from_secs(2_208_988_800);
        assert_eq!(Timestamp(century).to_string(), "1900-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut previous = civil(-1);
        for days in 0..146_097 {
            let (year, month, day) = civil(days);
            let (last_year, last_month, last_day) = previous;
            let next_day = (year, month, day) == (last_year, last_month, last_day + 1);
            let next_month = (year, month, day) == (last_year, last_month + 1, 1);
            let next_year = (year, month, day) == (last_year + 1, 1, 1) && last_month == 12;
            assert!(next_day || next_month || next_year, "{previous:?} then {year}-{month}-{day}");
            assert!(day <= 31 && (1..=12).contains(&month));
            assert_eq!(days_to(year, month, day), Some(days));
            previous = (year, month, day);
        }
        assert_eq!(previous, (2369, 12, 31));
    }

    #[test]
    fn a_day_that_is_not_in_the_calendar_is_none() {
        for (year, month, day) in
            [(2026, 2, 29), (2100, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0)]
        {
            assert_eq!(days_to(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(days_to(2026, 1, 1), Some(20_454));
        assert_eq!(days_to(0, 3, 1), Some(-719_468));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(UNIX_EPOCH);
        assert_eq!(clock.now(), UNIX_EPOCH);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(2));
        clock.set(UNIX_EPOCH);
        assert_eq!(clock.now(), UNIX_EPOCH);
    }

    #[test]
    fn the_system_clock_runs() {
        assert!(SystemClock.now() > UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    }
}
