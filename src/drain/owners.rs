//! Controllers whose pods come back. A pod that tolerates the cordon may be started on this very node
//! again as often as it is evicted. The first goes at once, for it may have been bound before the
//! cordon; after that each is left to run longer, and after a handful of evictions only its own time
//! ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::drain::pod::Controller;
use crate::moment::Moment;

/// The controllers of which pods are terminating, by UID, each with the highest round of those. The
/// pods that were there first are round 0, who is started in their place round 1, and so on.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<Box<str>, u32>);

/// When a pod is evicted first, for its controller's sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// As soon as may be.
    AtOnce,
    /// At that moment, or at its own time if that comes first.
    Rests(Moment),
    /// At its own time.
    OwnTime,
    /// At that moment: its own time was over when it came.
    Late(Moment),
    /// Not any more.
    Never,
}

/// The last round that goes at once.
const LAST_AT_ONCE: u32 = 1;
/// How long the pods of the rounds after that run.
const RESTS: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(45)];
/// The last round of which a pod is evicted that came back after its own time.
const LAST_ROUND: u32 = 5;
/// With less time left no pod is evicted that came back after its own time.
const LEAST_LEFT: Duration = Duration::from_secs(20);

impl Owners {
    /// A pod of this controller that belongs to `round` is terminating.
    pub(super) fn told_to_end(&mut self, controller: Option<&Controller>, round: u32) {
        if let Some(Controller::Other(uid)) = controller
            && !uid.is_empty()
        {
            let highest = self.0.entry(uid.clone()).or_insert(round);
            *highest = round.max(*highest);
        }
    }

    /// To which round a pod of this controller belongs that comes now.
    pub(super) fn round(&self, controller: Option<&Controller>) -> u32 {
        match controller {
            Some(Controller::Other(uid)) => self.0.get(uid).map_or(0, |it| it.saturating_add(1)),
            Some(Controller::DaemonSet(_)) | None => 0,
        }
    }

    /// Whether pods of this round go only because the instance does.
    pub(super) fn is_let_be(round: u32) -> bool {
        round > LAST_AT_ONCE && rest(round).is_none()
    }
}

/// How long the pods of this round run at most.
fn rest(round: u32) -> Option<Duration> {
    let number = usize::try_from(round.checked_sub(LAST_AT_ONCE + 1)?).ok()?;
    RESTS.get(number).copied()
}

impl Turn {
    /// Of a pod of this round that comes now. Its own time comes at `own_time`, and the last own
    /// time of all pods is `last_own_time`; `None`: nothing happens to the instance.
    pub(super) fn of(
        now: Moment,
        round: u32,
        own_time: Option<Moment>,
        last_own_time: Option<Moment>,
    ) -> Self {
        if round <= LAST_AT_ONCE {
            return Self::AtOnce;
        }
        let left = last_own_time.map_or(Duration::ZERO, |end| now.until(end));
        if own_time.is_none_or(|own_time| now < own_time) {
            rest(round).map_or(Self::OwnTime, |rest| Self::Rests(now + rest))
        } else if round <= LAST_ROUND && left >= LEAST_LEFT {
            // Half of what is left to run, and the rest to end.
            Self::Late(now + left / 2)
        } else {
            Self::Never
        }
    }

    /// When that is; `None`: not as things stand.
    pub(super) fn due(self, own_time: Option<Moment>) -> Option<Moment> {
        match self {
            Self::AtOnce => Some(Moment::START),
            Self::Rests(until) => Some(own_time.map_or(until, |own_time| own_time.min(until))),
            Self::OwnTime => own_time,
            Self::Late(at) => Some(at),
            Self::Never => None,
        }
    }
}
