//! What is made of a notice: a drain, and by when. Pure.

use std::fmt;
use std::time::Duration;

use crate::moment::{Moment, Reading, WallTime};
use crate::notice::{Notice, When};

/// A drain that has to be over at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// When the instance goes.
    pub deadline: Moment,
    /// Where that comes from.
    pub basis: Basis,
}

/// What a deadline was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The time that the notice states.
    Stated(WallTime),
    /// The notice states a time that is over: the cloud's usual window, from now.
    Over(WallTime, Duration),
    /// The notice states a time too far ahead to be true: the usual window, from now.
    TooFar(WallTime, Duration),
    /// The notice states no time that can be read: the usual window, from now.
    Unstated(Duration),
}

/// EC2 gives an interruption two minutes. A time beyond this is a clock or a text gone wrong, and
/// to believe it would keep pods on the node until it is cut off.
const FARTHEST: Duration = Duration::from_secs(150);

/// With less than this nobody can be asked anything: such a time counts as over.
const NEAREST: Duration = Duration::from_secs(1);

impl Intent {
    /// What is made of `notice`, first read at `reading`.
    pub fn of(notice: &Notice, reading: Reading) -> Self {
        let window = notice.window;
        let from_now = |basis| Self { deadline: reading.now + window, basis };
        match notice.when {
            When::Unstated => from_now(Basis::Unstated(window)),
            When::At(time) => match reading.moment_of(time) {
                Some(deadline) if reading.now.until(deadline) > FARTHEST => {
                    // Whatever is wrong with the time, the instance stays no longer than it says.
                    let window = window.min(reading.now.until(deadline));
                    Self { deadline: reading.now + window, basis: Basis::TooFar(time, window) }
                }
                Some(deadline) if reading.now.until(deadline) >= NEAREST => {
                    Self { deadline, basis: Basis::Stated(time) }
                }
                Some(_) | None => from_now(Basis::Over(time, window)),
            },
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stated(time) => write!(f, "at {time}"),
            Self::Over(time, window) => {
                write!(f, "at {time}, which is over: taken as {} s from now", window.as_secs())
            }
            Self::TooFar(time, window) => write!(
                f,
                "at {time}, which is too far ahead to be true: taken as {} s from now",
                window.as_secs()
            ),
            Self::Unstated(window) => write!(
                f,
                "at a time that it does not tell: taken as {} s from now",
                window.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{Action, Kind};

    const WINDOW: Duration = Duration::from_mins(2);

    fn intent(when: &str) -> Intent {
        let when = WallTime::parse(when).map_or(When::Unstated, When::At);
        let notice = Notice {
            kind: Kind::SpotInterruption,
            action: Action::Terminate,
            when,
            window: WINDOW,
            wording: String::new(),
        };
        let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
        Intent::of(&notice, Reading { now: Moment::at(Duration::from_secs(1000)), wall })
    }

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    #[test]
    fn a_stated_time_is_the_deadline() {
        assert_eq!(intent("2026-11-23T09:01:40Z").deadline, at(1100));
        assert_eq!(intent("2026-11-23T09:02:30Z").deadline, at(1150));
        assert_eq!(intent("2026-11-23T09:00:01Z").deadline, at(1001));
    }

    #[test]
    fn a_time_that_cannot_be_true_starts_the_usual_window() {
        for when in
            ["2026-11-23T08:59:59Z", "2026-11-23T09:00:00.9Z", "2026-11-23T09:02:31Z", "soon"]
        {
            let intent = intent(when);
            assert_eq!(intent.deadline, at(1120), "{when}");
            assert!(!matches!(intent.basis, Basis::Stated(_)), "{when}");
        }
    }
}
