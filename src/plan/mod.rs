//! What should be: the marks of the Node and the drain, worked out from what is ([`observed`]) and from the plan
//! before. Pure, and level-triggered: a restart, a lost answer or a doubled one is nothing special, and to plan again
//! from the same observations changes nothing.

pub mod earlier;
pub mod kinds;
pub mod memory;
pub mod observed;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::drain::limit::Limit;
use crate::moment::{Moment, Reading, WallTime};
use crate::node::marks::{MarkCause, MarkReason, Marks};
use crate::node::{FieldManager, MarkPolicy};
use crate::notice::NoticeId;
use crate::plan::kinds::{Basis, Policy, mark_set, traits};
use crate::plan::memory::{Done, Key, Memory, NoticeRecord};
use crate::plan::observed::Observed;

/// What the plan is made by.
#[derive(Clone, Debug)]
pub struct PlanConfig {
    /// What is done about notices.
    pub policy: Policy,
    /// How the node is marked.
    pub marks: MarkPolicy,
    /// This boot of the machine.
    pub boot: Boot,
}

/// One boot of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Differs from boot to boot (`/proc/sys/kernel/random/boot_id`).
    pub id: String,
    /// When it began (by `/proc/uptime`), if that is known.
    pub began: Option<WallTime>,
}

/// What should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is known of the notices.
    pub memory: Memory,
    /// The drain that is to be under way.
    pub drain: Option<Target>,
    /// The marks of the Node.
    pub marks: MarksPlan,
    /// When to plan again, if nothing happens before.
    pub look_again: Option<Moment>,
}

/// The marks of the Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarksPlan {
    /// What the Node is to bear; `None`: it stays as it is.
    pub wanted: Option<Marks>,
    /// The notice for which it bears marks, those of an earlier process included.
    pub notice: Option<NoticeId>,
    /// When these marks end by themselves.
    pub until: Option<Moment>,
    /// Why marks that others have removed are set again: others did not know of it.
    pub renew_for: Option<Renewal>,
}

/// What a drain is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The drains of this process, numbered from 1: another notice may take over the same drain.
    pub drain: u32,
    /// The notice; `None`: an operator wants it.
    pub key: Option<Key>,
    /// How many notices had appeared when it was chosen: a later one may take its place.
    pub among: u32,
    /// What limits it: of all notices that it was for, what comes first.
    pub limit: Limit,
    /// Where `limit` comes from.
    pub basis: Basis,
    /// The notice may be older than this process, and its drain over: until the annotation is read, but no later
    /// than this, no pod is asked. `None`: that is decided.
    pub annotation_awaited_until: Option<Moment>,
}

impl Target {
    /// Whether it is for this notice, in whichever appearance.
    pub fn serves(&self, id: &NoticeId) -> bool {
        self.key.as_ref().is_some_and(|key| key.id == *id)
    }

    /// This limit holds, too.
    fn tighten(&mut self, limit: Limit, basis: Basis) {
        let tightened = self.limit.tighten(limit);
        if tightened != self.limit {
            (self.limit, self.basis) = (tightened, basis);
        }
    }

    /// Whether it is for this appearance of a notice.
    pub fn is_for(&self, key: &Key) -> bool {
        self.key.as_ref() == Some(key)
    }
}

/// Why marks that others have removed are set again, once for each reason: they did not know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The number of a drain; 0 without one.
    pub drain: u32,
    /// The notice; `None`: an operator's command.
    pub notice: Option<NoticeId>,
    /// How often it was made anew.
    pub reissued: u32,
}

/// How long the annotation is waited for before a drain that may be over.
const ANNOTATION_WAIT: Duration = Duration::from_secs(1);

/// A drain that is to begin so much later is not called off: it would begin again at once.
const SHORT_WHILE: Duration = Duration::from_mins(1);

/// Two readings of one time differ by less: such moments are the same.
pub const SAME: Duration = Duration::from_secs(1);

/// Works out what should be.
pub fn plan(seen: &Observed, before: &Plan, config: &PlanConfig, t: Reading) -> Plan {
    let mut memory = before.memory.clone();
    let running = before.drain.as_ref().filter(|_| seen.drain.is_none_or(|it| !it.ended));
    memory.adopt(seen, running, &config.boot, t);
    memory.take_in(seen, running, config, t);
    if let Some((target, status)) = before.drain.as_ref().zip(seen.drain.filter(|it| it.ended)) {
        // Pods that were never seen were not drained: another process is to try again.
        memory.drained(target, status.listed, t.now);
    }
    let drain = target(&memory, running, t.now);
    memory.expire(drain.as_ref(), t.now);
    if let Some(target) = &drain {
        memory.drains = target.drain;
    }
    announce(&mut memory, drain.as_ref(), t.now);
    let marks = marks(&mut memory, drain.as_ref(), config, t.now);
    let awaited = drain.as_ref().and_then(|target| target.annotation_awaited_until);
    let look_again = memory.next(t.now).into_iter().chain(awaited.filter(|it| t.now < *it)).min();
    Plan { memory, drain, marks, look_again }
}

/// The drain that is to be under way. `running`: what the one under way is for.
fn target(memory: &Memory, running: Option<&Target>, now: Moment) -> Option<Target> {
    let due = memory.records.iter().filter_map(|record| {
        let limit = record.schedule.limit.filter(|limit| now < limit.end())?;
        record.has_come(now).then_some((record, limit))
    });
    let first = due.clone().min_by_key(|(record, limit)| (limit.urgency(), &record.key.id));
    let Some(running) = running else {
        let (record, limit) = first?;
        let undecided = record.first_answer && !memory.is_adopted();
        return Some(Target {
            drain: memory.drains + 1,
            key: Some(record.key.clone()),
            among: memory.appearances(),
            limit,
            basis: record.schedule.basis,
            annotation_awaited_until: undecided.then(|| now + ANNOTATION_WAIT),
        });
    };
    let key = running.key.as_ref()?;
    // Withdrawn, and it does not linger: the drain is called off.
    let served = memory.record(&key.id)?;
    let is_done = served.key == *key && served.done != Done::No && served.gone_until.is_none();
    if is_done || now.until(served.schedule.begins) > SHORT_WHILE {
        return None;
    }
    let is_exclusive = |record: &NoticeRecord| traits(&record.key.id).exclusive;
    let replaces = |record: &NoticeRecord| {
        is_exclusive(served)
            && is_exclusive(record)
            && record.key.id != key.id
            && running.among < record.key.appearance()
    };
    let mut target = running.clone();
    if memory.is_adopted() {
        target.annotation_awaited_until = None;
    }
    // What it has promised holds, whichever notice takes over.
    if let Some(limit) = served.schedule.limit.filter(|_| served.gone_until.is_none()) {
        target.tighten(limit, served.schedule.basis);
    }
    let successor = due.clone().find(|(record, _)| replaces(record));
    let is_more_urgent = |limit: Limit| limit.urgency() < target.limit.urgency();
    let other = successor
        .or_else(|| first.filter(|(record, limit)| record.key != *key && is_more_urgent(*limit)));
    let Some((record, limit)) = other else { return Some(target) };
    target.tighten(limit, record.schedule.basis);
    target.key = Some(record.key.clone());
    target.among = memory.appearances();
    target.basis = record.schedule.basis;
    target.annotation_awaited_until = None;
    if successor.is_some() {
        // A third notice may be more urgent still.
        return self::target(memory, Some(&target), now);
    }
    Some(target)
}

/// Notes which notices have come beside the one that is drained for: each is reported once.
fn announce(memory: &mut Memory, drain: Option<&Target>, now: Moment) {
    for record in &mut memory.records {
        let is_beside = drain.is_none_or(|target| !target.serves(&record.key.id));
        let is_it = drain.is_some_and(|target| target.is_for(&record.key));
        record.announced |= is_it || is_beside && record.has_come(now);
    }
}

/// The marks that the Node is to bear.
fn marks(
    memory: &mut Memory,
    drain: Option<&Target>,
    config: &PlanConfig,
    now: Moment,
) -> MarksPlan {
    let notice = marked(memory, drain, now).map(|record| record.key.id.clone());
    memory.renew_only(notice.as_ref());
    let marked = notice.as_ref().and_then(|id| memory.record(id));
    let renew_for = match (drain, marked) {
        (Some(Target { drain, key, .. }), _) => {
            let notice = key.as_ref().map(|key| key.id.clone());
            Some(Renewal { drain: *drain, notice, reissued: 0 })
        }
        (None, Some(NoticeRecord { key, reissued, .. })) if *reissued > 0 => {
            Some(Renewal { drain: 0, notice: Some(key.id.clone()), reissued: *reissued })
        }
        (None, _) => None,
    };
    if earlier_marks_stay(memory, marked, drain) {
        let earlier = memory.earlier.as_ref().and_then(|earlier| earlier.marked.as_ref());
        return MarksPlan {
            wanted: None,
            notice: earlier.map(|marked| marked.id.clone()),
            until: earlier.and_then(|marked| marked.until),
            renew_for,
        };
    }
    let until = marked.and_then(|record| record.schedule.marks_until);
    let reason = marked.map(|record| MarkReason {
        cause: MarkCause::Notice(record.key.id.clone()),
        set: mark_set(&record.key.id, record.schedule.limit, config.marks),
    });
    memory.touched |= reason.is_some();
    let wanted = memory.touched.then(|| Marks {
        manager: FieldManager::Handler,
        reason,
        boot_id: config.boot.id.clone(),
        notices: memory.known(),
    });
    MarksPlan { wanted, notice, until, renew_for }
}

/// The notice that the marks are for: of all that asks for some, what is most certain to come.
fn marked<'a>(memory: &'a Memory, drain: Option<&Target>, now: Moment) -> Option<&'a NoticeRecord> {
    let marked = memory.records.iter().filter(|record| {
        let is_drained = drain.is_some_and(|target| target.serves(&record.key.id));
        let is_decided = memory.is_adopted() || !record.first_answer;
        is_drained || record.bears_marks(now) && is_decided
    });
    marked.min_by_key(|record| record.precedence(drain))
}

/// Whether the marks of an earlier process stay: it is not certain yet that their notice is over, and nothing that is as
/// certain to come asks for some.
fn earlier_marks_stay(
    memory: &Memory,
    marked: Option<&NoticeRecord>,
    drain: Option<&Target>,
) -> bool {
    let earlier = memory.earlier.as_ref().and_then(|earlier| earlier.marked.as_ref());
    match (marked, earlier) {
        (None, earlier) => earlier.is_some() || !memory.is_adopted(),
        (Some(record), Some(earlier)) => {
            let certainty = |id| traits(id).uncertainty;
            drain.is_none() && certainty(&earlier.id) < certainty(&record.key.id)
        }
        (Some(_), None) => false,
    }
}
