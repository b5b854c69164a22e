//! Controllers whose pods come back. A pod that tolerates the cordon may be started on this very node
//! again as often as it is evicted. Each time it is left to run longer, and after a handful of
//! evictions only its own time ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::drain::pod::Controller;
use crate::moment::Moment;

/// The controllers of which pods were told to end, by UID.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<Box<str>, Owner>);

/// What is known of one controller.
#[derive(Debug)]
struct Owner {
    /// The highest round of its pods that were told to end; the pods that were there first are round 0.
    round: u32,
    /// When the last of them was.
    last: Moment,
}

/// How long the pods of a round run, counted from the last eviction of the round before: those of
/// round 1 first.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(45)];

/// When a pod that has come back is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// At that moment.
    At(Moment),
    /// At its own time, and not before.
    OwnTime,
    /// Not any more.
    Never,
}

impl Owners {
    /// A pod of this controller that belongs to `round` was told to end.
    pub(super) fn told_to_end(&mut self, now: Moment, controller: Option<&Controller>, round: u32) {
        let Some(Controller::Other(uid)) = controller else { return };
        if uid.is_empty() {
            return;
        }
        let owner = self.0.entry(uid.clone()).or_insert(Owner { round, last: now });
        owner.round = owner.round.max(round);
        owner.last = owner.last.max(now);
    }

    /// To which round a pod of this controller belongs that comes now.
    pub(super) fn round(&self, controller: Option<&Controller>) -> u32 {
        self.owner(controller).map_or(0, |owner| owner.round.saturating_add(1))
    }

    /// When the eviction of a pod is due that belongs to `round`, for its controller's sake.
    /// `own_time`: the last moment at which it can be asked and has all of its grace.
    pub(super) fn turn(
        &self,
        controller: Option<&Controller>,
        round: u32,
        own_time: Option<Moment>,
    ) -> Turn {
        let Some(before) = round.checked_sub(1) else { return Turn::At(Moment::START) };
        let Some(owner) = self.owner(controller) else { return Turn::At(Moment::START) };
        // Whoever came back after its own time has no other that it could wait for.
        let ahead = own_time.is_some_and(|own_time| owner.last < own_time);
        match usize::try_from(before).ok().and_then(|before| PAUSES.get(before)) {
            Some(pause) => {
                let due = owner.last + *pause;
                Turn::At(own_time.filter(|_| ahead).map_or(due, |own_time| due.min(own_time)))
            }
            None if ahead => Turn::OwnTime,
            None => Turn::Never,
        }
    }

    /// Whether pods of this round go only because the instance does.
    pub(super) fn is_let_be(round: u32) -> bool {
        usize::try_from(round).is_ok_and(|round| round > PAUSES.len())
    }

    fn owner(&self, controller: Option<&Controller>) -> Option<&Owner> {
        match controller? {
            Controller::Other(uid) => self.0.get(uid),
            Controller::DaemonSet(_) => None,
        }
    }
}
