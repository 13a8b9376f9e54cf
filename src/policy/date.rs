//! Dates of a policy: the forms of ISO 8601 that the W3C names, and seconds since
//! 1970.

use super::decision::{Truth, Until};
use crate::clock::days_to;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1000;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

impl Order {
    /// Whether `left` stands so to `right`.
    pub fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equals => left == right,
            Self::LessThan => left < right,
            Self::LessThanEquals => left <= right,
            Self::GreaterThan => left > right,
            Self::GreaterThanEquals => left >= right,
        }
    }
}

/// A moment: milliseconds since 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    /// The second that this time falls into, which is as exact as requests are.
    pub fn second_of(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => {
                let until = before.duration();
                let whole = i64::try_from(until.as_secs()).unwrap_or(i64::MAX);
                -whole - i64::from(until.subsec_nanos() > 0)
            }
        };
        Self(seconds.saturating_mul(SECOND))
    }

    /// What a policy or a request calls a moment. Four digits are a year, other
    /// digits are seconds.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if text.len() != 4 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return text.parse::<i64>().ok()?.checked_mul(SECOND).map(Self);
        }
        let (date, time) = match text.split_once('T') {
            None => (text, 0),
            Some((date, time)) => (date, milliseconds(time).filter(|_| date.len() == 10)?),
        };
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4)?;
        let month = parts.next().map_or(Some(1), |month| number(month, 2))?;
        let day = parts.next().map_or(Some(1), |day| number(day, 2))?;
        if parts.next().is_some() {
            return None;
        }
        let days = days_to(year.into(), month.into(), day.into())?;
        Some(Self(i64::try_from(days).ok()? * 86_400 * SECOND + time))
    }

    /// The moment so many seconds after 1970. Whatever lies between two seconds is as
    /// good as their middle: requests come at whole ones.
    #[allow(clippy::cast_possible_truncation, reason = "what is too far away is at the end")]
    pub fn at_seconds(seconds: f64) -> Self {
        let whole = (seconds.floor() as i64).saturating_mul(SECOND);
        Self(if seconds.fract() == 0.0 { whole } else { whole.saturating_add(SECOND / 2) })
    }

    /// Whole seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The moment; what the system cannot express is 1970.
    pub fn time(self) -> SystemTime {
        self.checked_time().unwrap_or(UNIX_EPOCH)
    }

    fn checked_time(self) -> Option<SystemTime> {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
    }

    /// Whether this moment, which passes second by second, stands so to another;
    /// and until when.
    pub fn passes(self, order: Order, other: Self) -> Truth {
        // The first second that is not before the other moment, the first after it.
        let reached = other.0.checked_add(SECOND - 1).map(|up| up - up.rem_euclid(SECOND));
        let passed = other.0.checked_sub(other.0.rem_euclid(SECOND) - SECOND);
        let turns = match order {
            Order::LessThan | Order::GreaterThanEquals => [reached, None],
            Order::LessThanEquals | Order::GreaterThan => [passed, None],
            Order::Equals => [reached, passed],
        };
        let next = turns.into_iter().flatten().filter(|turn| *turn > self.0).min();
        let until = next.and_then(|next| Self(next).checked_time());
        Truth {
            holds: order.holds(self, other),
            until: until.map_or(Until::Changed, Until::Instant),
        }
    }
}

/// A number of so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let sound = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.s…`, with `Z` or `±hh:mm` behind: milliseconds
/// since midnight in UTC.
fn milliseconds(text: &str) -> Option<i64> {
    let (clock, offset) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let (clock, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let minutes = minutes(zone.get(1..)?)?;
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            (clock, sign * minutes)
        }
    };
    let (whole, fraction) = clock.split_once('.').map_or((clock, None), |(w, f)| (w, Some(f)));
    let (seconds, milli) = match (whole.get(5..)?, fraction) {
        ("", None) => (0, 0),
        (seconds, fraction) => {
            (number(seconds.strip_prefix(':')?, 2)?, fraction.map_or(Some(0), thousandths)?)
        }
    };
    if seconds > 59 {
        return None;
    }
    Some((minutes(&whole[..5])? - offset) * 60 * SECOND + seconds * SECOND + milli)
}

/// `hh:mm` in minutes.
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// The digits behind the point, as far as milliseconds; less than one is one, so that
/// it is not taken for the whole second.
fn thousandths(digits: &str) -> Option<i64> {
    let sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let milli: i64 = format!("{digits:0<3}").get(..3).filter(|_| sound)?.parse().ok()?;
    let is_whole = digits.bytes().all(|byte| byte == b'0');
    Some(if is_whole { 0 } else { milli.max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_in_every_form() {
        for (text, expected) in [
            ("2026", "2026-01-01T00:00:00.000Z"),
            ("2026-07", "2026-07-01T00:00:00.000Z"),
            ("2028-02-29", "2028-02-29T00:00:00.000Z"),
            ("2026-07-01T12:34Z", "2026-07-01T12:34:00.000Z"),
            ("2026-07-01T12:34:56Z", "2026-07-01T12:34:56.000Z"),
            ("2026-07-01T12:34:56.7Z", "2026-07-01T12:34:56.700Z"),
            ("2026-07-01T12:34:56.78912Z", "2026-07-01T12:34:56.789Z"),
            ("2026-07-01T12:34:56.0004Z", "2026-07-01T12:34:56.001Z"),
            ("2026-07-01T12:34:56.0000Z", "2026-07-01T12:34:56.000Z"),
            ("2026-07-01T00:30+01:00", "2026-06-30T23:30:00.000Z"),
            ("2026-07-01T23:30:00-01:15", "2026-07-02T00:45:00.000Z"),
            ("1767225600", "2026-01-01T00:00:00.000Z"),
            ("0", "1970-01-01T00:00:00.000Z"),
            ("26", "1970-01-01T00:00:26.000Z"),
            ("-86400", "1969-12-31T00:00:00.000Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000Z"),
        ] {
            let moment = Moment::parse(text);
            let shown = moment.map(|moment| Timestamp(moment.time()).to_string());
            assert_eq!(shown.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "-",
            "x",
            "--1",
            "2026-7",
            "2026-02-29",
            "2026-13-01",
            "2026-07-01-01",
            "2026-07T12:34Z",
            "2026-07-01T12:34",
            "2026-07-01T12Z",
            "2026-07-01T24:00Z",
            "2026-07-01T12:60Z",
            "2026-07-01T12:34:60Z",
            "2026-07-01T12:34:5Z",
            "2026-07-01T12:34.5Z",
            "2026-07-01T12:34:56.Z",
            "2026-07-01T12:34:56+1:00",
            "2026-07-01T12:34:56 Z",
            "2026-07-01t12:34:56z",
            "+026-07-01",
            "2026-07-01T12:34\u{e9}01:00",
            "99999999999999999999",
            "9223372036854775807",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn requests_are_exact_to_the_second() {
        let time = UNIX_EPOCH + Duration::from_millis(1999);
        assert_eq!(Moment::second_of(time), Moment(1000));
        assert_eq!(Moment::second_of(UNIX_EPOCH - Duration::from_millis(1)), Moment(-1000));
        assert_eq!(Moment(-1).seconds(), -1);
        assert_eq!(Moment::at_seconds(2.0), Moment(2000));
        assert_eq!(Moment::at_seconds(1.0004), Moment(1500));
        assert_eq!(Moment::at_seconds(-0.25), Moment(-500));
        assert_eq!(Moment::at_seconds(1e300), Moment(i64::MAX));
    }

    const ORDERS: [Order; 5] = [
        Order::Equals,
        Order::LessThan,
        Order::LessThanEquals,
        Order::GreaterThan,
        Order::GreaterThanEquals,
    ];

    #[test]
    fn the_turn_of_a_comparison_is_the_second_at_which_it_turns() {
        let at = |second| Until::Instant(UNIX_EPOCH + Duration::from_secs(second));
        for (order, now, then, holds, until) in [
            (Order::LessThan, 4, 5_000, true, at(5)),
            (Order::LessThan, 5, 5_000, false, Until::Changed),
            (Order::LessThanEquals, 5, 5_000, true, at(6)),
            (Order::LessThanEquals, 5, 5_500, true, at(6)),
            (Order::GreaterThan, 5, 5_000, false, at(6)),
            (Order::GreaterThanEquals, 4, 5_000, false, at(5)),
            (Order::GreaterThanEquals, 5, 5_000, true, Until::Changed),
            (Order::Equals, 4, 5_000, false, at(5)),
            (Order::Equals, 5, 5_000, true, at(6)),
            (Order::Equals, 6, 5_000, false, Until::Changed),
        ] {
            let truth = Moment(now * SECOND).passes(order, Moment(then));
            assert_eq!(truth, Truth { holds, until }, "{now} {order:?} {then}");
        }
        for order in ORDERS {
            for far in [i64::MIN, i64::MAX] {
                let _ = Moment(0).passes(order, Moment(far));
            }
        }
    }

    proptest! {
        #[test]
        fn a_comparison_with_the_time_holds_until_it_says(
            order in prop::sample::select(&ORDERS[..]),
            then in -3000_i64..3000, now in -4_i64..4, later in 0_i64..8,
        ) {
            let truth = Moment(now * SECOND).passes(order, Moment(then));
            let later = Moment((now + later) * SECOND);
            if Until::Instant(later.time()) < truth.until {
                prop_assert_eq!(order.holds(later, Moment(then)), truth.holds);
            }
        }

        #[test]
        fn seconds_with_a_fraction_compare_as_numbers(
            order in prop::sample::select(&ORDERS[..]), then in -4000_i32..4000, now in -4_i32..4,
        ) {
            let then = f64::from(then) / 1000.0;
            let truth = Moment(i64::from(now) * SECOND).passes(order, Moment::at_seconds(then));
            prop_assert_eq!(truth.holds, order.holds(f64::from(now), then));
        }

        #[test]
        fn any_text_is_a_date_or_not(text in "[-0-9T:.Z+é]{0,30}") {
            let _ = Moment::parse(&text);
        }
    }
}
