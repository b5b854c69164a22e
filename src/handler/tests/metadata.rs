//! The metadata service: what a path says when it is polled.

use std::time::{Duration, SystemTime};

use crate::drain::tests::cluster::secs;
use crate::handler::tests::script::{Planned, Says, Script};
use crate::moment::{Moment, WallTime};
use crate::notice::{Event, Notice, NoticeId, NoticePath, PathAnswer, Polled, When};

/// The calendar at the start: 2026-11-23T09:00:00Z, in seconds since 1970.
const START: u64 = 1_795_424_400;
/// What EC2 gives.
pub(super) const WINDOW: Duration = secs(120);
/// What the lifecycle hook gives here.
const LIFECYCLE_WINDOW: Duration = Duration::from_mins(55);
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
    let is_silent = script.silent.iter().any(|silent| silent.contains(&since_start));
    let said = script.paths[&path].iter().rev().find(|(from, _)| *from <= since_start);
    let said = if is_silent { &Says::Fails } else { said.map_or(&Says::Nothing, |(_, says)| says) };
    let at = |second: i64| When::At(calendar(second * 1000));
    let interruption = |action, when| vec![notice(NoticeId::Interruption(action), when, WINDOW)];
    let standing = match said {
        Says::Nothing => Vec::new(),
        Says::Fails => {
            return Polled { path, status: None, outcome: Err("no answer".to_owned()) };
        }
        Says::At(action, second) => interruption(*action, at(*second)),
        Says::In(action, seconds) => {
            let when = When::At(calendar(milliseconds(now) + seconds * 1000));
            interruption(*action, when)
        }
        Says::Soon(action) => interruption(*action, When::Unstated),
        Says::Recommended => vec![notice(NoticeId::Rebalance, When::Unstated, WINDOW)],
        Says::RecommendedAt(second) => vec![notice(NoticeId::Rebalance, at(*second), WINDOW)],
        Says::RecommendedNow => {
            // Whole seconds.
            let made = at(milliseconds(now) / 1000);
            vec![notice(NoticeId::Rebalance, made, WINDOW)]
        }
        Says::Leaves(action) => {
            vec![notice(NoticeId::Lifecycle(*action), When::Unstated, LIFECYCLE_WINDOW)]
        }
        Says::Planned(planned) => {
            let standing = planned.iter().filter(|planned| !planned.over);
            let notices = standing.map(|planned| {
                notice(NoticeId::Maintenance(planned.event()), at(planned.at), WINDOW)
            });
            let over = planned.iter().filter(|planned| planned.over);
            let over = over.map(|planned| planned.event().id).collect();
            let answer = PathAnswer { standing: notices.collect(), over };
            return Polled { path, status: Some(200), outcome: Ok(answer) };
        }
    };
    let status = if standing.is_empty() { 404 } else { 200 };
    Polled { path, status: Some(status), outcome: Ok(PathAnswer { standing, over: Vec::new() }) }
}

fn notice(id: NoticeId, when: When, window: Duration) -> Notice {
    let wording = id.to_string();
    Notice { id, when, until: None, window, wording }
}

impl Planned {
    fn event(&self) -> Event {
        Event { code: self.code, id: self.name.into(), nth: self.nth }
    }
}
