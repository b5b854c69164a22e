//! Plain values of time. Nothing here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// A point on the monotonic clock: the time since the process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The start of the process.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment that lies `since_start` after the start of the process.
    pub const fn at(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long `earlier` was ago; zero if it is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// How long it is until `later`; zero if that is over.
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Later by `span`; stops at the end of the range instead of overflowing.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    /// Earlier by `span`; stops at [`Moment::START`].
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

/// A point in calendar time, as EC2 and Kubernetes write it: UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(OffsetDateTime);

impl WallTime {
    /// Reads an RFC 3339 time such as `2017-09-18T08:22:00Z`, white space around it allowed.
    /// `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let read = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
        read.checked_to_offset(UtcOffset::UTC).map(Self)
    }

    /// Reads a time such as `21 Jan 2019 09:00:43 GMT`, as e-mail has it (RFC 2822) and EC2 writes
    /// it for planned maintenance. `None` if it is anything else.
    pub fn parse_rfc2822(text: &str) -> Option<Self> {
        let read = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
        read.checked_to_offset(UtcOffset::UTC).map(Self)
    }

    /// Milliseconds since 1970; 0 before.
    pub fn unix_milliseconds(self) -> u64 {
        u64::try_from(self.0.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
    }

    /// How long it is until `later`; `None` if that is over.
    pub fn until(self, later: Self) -> Option<Duration> {
        Duration::try_from(later.0 - self.0).ok()
    }

    /// Seconds since the beginning of 1970, as Prometheus has times.
    pub fn unix_seconds(self) -> f64 {
        (self.0 - OffsetDateTime::UNIX_EPOCH).as_seconds_f64()
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    /// Later by `span`; stops at the end of the calendar instead of overflowing.
    fn add(self, span: Duration) -> Self {
        let span = time::Duration::try_from(span).unwrap_or(time::Duration::MAX);
        Self(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for WallTime {
    type Output = Self;

    /// Earlier by `span`; stops at the beginning of the calendar.
    fn sub(self, span: Duration) -> Self {
        let span = time::Duration::try_from(span).unwrap_or(time::Duration::MAX);
        Self(self.0.saturating_sub(span))
    }
}

impl From<std::time::SystemTime> for WallTime {
    fn from(system: std::time::SystemTime) -> Self {
        Self(system.into())
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 to the millisecond: `2026-11-23T09:00:00.123Z`, whole seconds without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(f, "{date}T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        match time.millisecond() {
            0 => write!(f, "Z"),
            milliseconds => write!(f, ".{milliseconds:03}Z"),
        }
    }
}

/// Both clocks, read together, so that a calendar time can be turned into a [`Moment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The monotonic clock.
    pub now: Moment,
    /// The calendar at the same instant.
    pub wall: WallTime,
}

impl Reading {
    /// The moment at which it will be `time`; `None` if that is over.
    pub fn moment_of(&self, time: WallTime) -> Option<Moment> {
        self.wall.until(time).map(|ahead| self.now + ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> WallTime {
        WallTime::parse(text).unwrap()
    }

    #[test]
    fn moments_stop_at_both_ends_instead_of_overflowing() {
        let start = Moment::START;
        assert_eq!(start - Duration::from_secs(1), start);
        assert_eq!(start + Duration::MAX + Duration::MAX, Moment::at(Duration::MAX));
        assert_eq!(start.since(start + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn a_time_is_read_with_white_space_and_in_any_zone() {
        assert_eq!(wall("2017-09-18T08:22:00Z\n"), wall(" 2017-09-18T10:22:00+02:00"));
        assert_eq!(wall("2017-09-18T10:22:00+02:00").to_string(), "2017-09-18T08:22:00Z");
        assert_eq!(wall("2017-09-18T08:22:00.5Z").to_string(), "2017-09-18T08:22:00.500Z");
    }

    #[test]
    fn a_time_counts_seconds_from_1970() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2017-09-18T10:22:00.5+02:00", 1_505_722_920.5),
            ("1969-12-31T23:59:59Z", -1.0),
        ] {
            assert!((wall(text).unix_seconds() - seconds).abs() < 1e-6, "{text}");
        }
    }

    #[test]
    fn no_prefix_of_a_time_is_a_time() {
        let whole = "2017-09-18T08:22:00Z";
        for end in 0..whole.len() {
            assert_eq!(WallTime::parse(&whole[..end]), None, "{}", &whole[..end]);
        }
        assert_eq!(WallTime::parse("soon"), None);
        // Read well, these lie beyond the calendar in UTC.
        assert_eq!(WallTime::parse("9999-12-31T23:59:59-01:00"), None);
        assert_eq!(WallTime::parse_rfc2822("31 Dec 9999 23:59:59 -0100"), None);
    }

    #[test]
    fn a_time_of_e_mail_is_read_with_and_without_its_weekday() {
        for same in [
            "21 Jan 2019 09:00:43 GMT",
            " 21 Jan 2019 09:00:43 GMT\n",
            "Mon, 21 Jan 2019 09:00:43 +0000",
            "21 Jan 2019 11:00:43 +0200",
        ] {
            let read = WallTime::parse_rfc2822(same);
            assert_eq!(read, Some(wall("2019-01-21T09:00:43Z")), "{same}");
        }
        assert!(WallTime::parse_rfc2822("5 Dec 2026 00:00:00 GMT").is_some());
        for other in ["", "soon", "2019-01-21T09:00:43Z", "32 Jan 2019 09:00:43 GMT"] {
            assert_eq!(WallTime::parse_rfc2822(other), None, "{other}");
        }
        let whole = "21 Jan 2019 09:00:43 GMT";
        for end in 0.."21 Jan 2019 09:00:43 ".len() {
            assert_eq!(WallTime::parse_rfc2822(&whole[..end]), None, "{}", &whole[..end]);
        }
    }

    #[test]
    fn a_calendar_time_becomes_a_moment_only_while_it_lies_ahead() {
        let reading =
            Reading { now: Moment::at(Duration::from_secs(5)), wall: wall("2017-09-18T08:20:00Z") };
        assert_eq!(
            reading.moment_of(wall("2017-09-18T08:22:00Z")),
            Some(Moment::at(Duration::from_secs(125)))
        );
        assert_eq!(reading.moment_of(wall("2017-09-18T08:19:59Z")), None);
    }
}
