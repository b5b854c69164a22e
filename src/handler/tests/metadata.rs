//! The metadata service: what a path says when it is polled.

use std::time::{Duration, SystemTime};

use crate::drain::tests::cluster::secs;
use crate::handler::tests::script::{Says, Script};
use crate::moment::{Moment, WallTime};
use crate::notice::{Action, Kind, Notice, NoticePath, Polled, When};

/// The calendar at the start: 2026-11-23T09:00:00Z, in seconds since 1970.
const START: u64 = 1_795_424_400;
/// What EC2 gives.
pub(super) const WINDOW: Duration = secs(120);
/// Between two polls of one path.
pub(super) const INTERVAL: Duration = secs(1);

/// The calendar, so many milliseconds after the start.
pub(super) fn calendar(milliseconds: i64) -> WallTime {
    let since_1970 = (i64::try_from(START).unwrap() * 1000 + milliseconds).unsigned_abs();
    WallTime::from(SystemTime::UNIX_EPOCH + Duration::from_millis(since_1970))
}

pub(super) fn milliseconds(now: Moment) -> i64 {
    i64::try_from(now.since(Moment::START).as_millis()).unwrap()
}

/// What comes of a poll.
pub(super) fn poll(script: &Script, path: NoticePath, now: Moment) -> Polled {
    let since_start = now.since(Moment::START);
    let said = script.paths[&path].iter().rev().find(|(from, _)| *from <= since_start);
    let at = |second: i64| When::At(calendar(second * 1000));
    let (status, outcome) = match said.map_or(Says::Nothing, |(_, says)| *says) {
        Says::Nothing => (Some(404), Ok(None)),
        Says::Fails => (None, Err("no answer".to_owned())),
        Says::At(action, second) => (Some(200), Ok(Some(notice(action, at(second))))),
        Says::In(action, seconds) => {
            let when = When::At(calendar(milliseconds(now) + seconds * 1000));
            (Some(200), Ok(Some(notice(action, when))))
        }
        Says::Soon(action) => (Some(200), Ok(Some(notice(action, When::Unstated)))),
    };
    Polled { path, status, outcome }
}

fn notice(action: Action, when: When) -> Notice {
    let wording = format!("{action}");
    Notice { kind: Kind::SpotInterruption, action, when, window: WINDOW, wording }
}
