//! What there is to report of a plan: its differences from the one before. Pure.

use crate::moment::Moment;
use crate::notice::NoticeId;
use crate::plan::earlier::Marked;
use crate::plan::kinds::traits;
use crate::plan::memory::{Done, Key, NoticeRecord};
use crate::plan::observed::is_later;
use crate::plan::{Plan, SAME, Target};
use crate::report::fact::{Fact, Withdrawal};

/// What there is to report of `after`, which follows `before`.
pub fn facts(before: &Plan, after: &Plan, now: Moment) -> Vec<Fact> {
    let mut facts = Vec::new();
    adopted(before, after, now, &mut facts);
    withdrawn(before, after, now, &mut facts);
    scheduled(before, after, now, &mut facts);
    ended(before, after, now, &mut facts);
    drain(before, after, now, &mut facts);
    announced(before, after, &mut facts);
    facts
}

/// The annotation was read.
fn adopted(before: &Plan, after: &Plan, now: Moment, facts: &mut Vec<Fact>) {
    if before.memory.is_adopted() {
        return;
    }
    let Some(earlier) = &after.memory.earlier else { return };
    if earlier.unreadable {
        facts.push(Fact::MarksUnreadable);
    }
    if let Some(notice) = earlier.notice.clone() {
        facts.push(Fact::MarksFound { notice, same_boot: earlier.same_boot });
    }
    for (record, old) in pairs(before, after) {
        if old.is_some_and(|old| old.done == Done::No) && record.done != Done::No {
            facts.push(Fact::DrainedBefore(record.key.id.clone()));
        }
    }
    if let Some(until) = after.marks.until.filter(|_| after.drain.is_none()) {
        facts.push(Fact::MarksLast(now.until(until)));
    }
}

/// Each record with the one of the same appearance before.
fn pairs<'a>(
    before: &'a Plan,
    after: &'a Plan,
) -> impl Iterator<Item = (&'a NoticeRecord, Option<&'a NoticeRecord>)> {
    let old =
        |record: &NoticeRecord| before.memory.records.iter().find(|old| old.key == record.key);
    after.memory.records.iter().map(move |record| (record, old(record)))
}

/// No path says a notice any more.
fn withdrawn(before: &Plan, after: &Plan, now: Moment, facts: &mut Vec<Fact>) {
    let (old, new) = (&before.memory, &after.memory);
    let stands = |id| new.record(id).is_some_and(|record| record.gone_until.is_none());
    let gone = old.records.iter().filter(|record| record.gone_until.is_none());
    for id in gone.map(|record| &record.key.id).filter(|id| !stands(id)) {
        let is_served = before.drain.as_ref().is_some_and(|target| target.serves(id));
        let withdrawal = match (is_served, traits(id).lingers) {
            (false, _) => Withdrawal::Quiet,
            (true, true) => Withdrawal::DrainGoesOn,
            (true, false) => Withdrawal::DrainCalledOff,
        };
        // Of an interruption whose action has changed, the other one is reported.
        if withdrawal == Withdrawal::DrainCalledOff || !old.is_replaced(id) {
            facts.push(Fact::NoticeWithdrawn(id.clone(), withdrawal));
        }
    }
    let (Some(old), Some(earlier)) = (&old.earlier, &new.earlier) else { return };
    let Some(marked) = old.marked.as_ref().filter(|marked| !marked.gone) else { return };
    let is_known = earlier.marked.as_ref().is_some_and(|marked| !marked.gone);
    let has_ended = marked.until.is_some_and(|until| until <= now);
    if !is_known && !has_ended && new.record(&marked.id).is_none() && !new.is_replaced(&marked.id) {
        facts.push(Fact::NoticeWithdrawn(marked.id.clone(), Withdrawal::Quiet));
    }
}

/// What an earlier process left marks for, as it was known before, or as it was just read.
fn left<'a>(before: &'a Plan, after: &'a Plan) -> Option<&'a Marked> {
    match (&before.memory.earlier, &after.memory.earlier) {
        (Some(earlier), _) => earlier.marked.as_ref(),
        (None, Some(earlier)) => earlier.found_marked.as_ref(),
        (None, None) => None,
    }
}

/// A notice is there that is to be acted upon later, or was dealt with before.
fn scheduled(before: &Plan, after: &Plan, now: Moment, facts: &mut Vec<Fact>) {
    // A drain for it that goes on, for it or for another notice, says enough.
    let goes_on = |record: &NoticeRecord| {
        let served = before.drain.as_ref().filter(|target| target.serves(&record.key.id));
        served.is_some_and(|old| after.drain.as_ref().is_some_and(|new| new.drain == old.drain))
    };
    for (record, old) in pairs(before, after) {
        let moved = old.is_some_and(|old| {
            traits(&record.key.id).planned && old.notice.when != record.notice.when
        });
        if old.is_some() && (!moved || goes_on(record)) {
            continue;
        }
        let (notice, basis) = (Box::new(record.notice.clone()), record.schedule.basis);
        if record.done != Done::No {
            facts.push(Fact::DrainedBefore(notice.id));
        } else if record.schedule.begins > now {
            let ahead = now.until(record.schedule.begins);
            facts.push(Fact::NoticeScheduled { notice, basis, ahead, moved });
        }
    }
}

/// Marks have ended by themselves.
fn ended(before: &Plan, after: &Plan, now: Moment, facts: &mut Vec<Fact>) {
    if let Some(id) = before.marks_expired_for(after, now) {
        facts.push(Fact::MarksExpired(id.clone()));
    } else if let Some(id) = before.stays_withdrawn(after) {
        facts.push(Fact::StaysWithdrawn(id.clone()));
    }
}

/// A drain is to begin, is taken over, or has to end earlier.
fn drain(before: &Plan, after: &Plan, now: Moment, facts: &mut Vec<Fact>) {
    let Some(target) = &after.drain else { return };
    let notice = |target: &Target| {
        let record = after.memory.records.iter().find(|record| target.is_for(&record.key));
        record.map(|record| Box::new(record.notice.clone()))
    };
    let (basis, left) = (target.basis, now.until(target.limit.end()));
    let Some(old) = before.drain.as_ref().filter(|old| old.drain == target.drain) else {
        facts.extend(notice(target).map(|notice| Fact::NoticeSeen { notice, basis, left }));
        return;
    };
    let is_another = |key: &Key| !old.serves(&key.id);
    if target.key.as_ref().is_some_and(is_another) {
        facts.extend(notice(target).map(|notice| Fact::TakenOver { notice, basis, left }));
    }
    // What was no deadline is none that moves.
    let compares = old.limit.instance_goes() || !target.limit.instance_goes();
    if compares && target.limit.end() + SAME <= old.limit.end() {
        facts.push(Fact::DeadlineMoved { basis, left });
    }
}

/// A notice has come beside the one that is drained for, or only marks the node.
fn announced(before: &Plan, after: &Plan, facts: &mut Vec<Fact>) {
    for (record, old) in pairs(before, after) {
        let is_reissued = |old: &NoticeRecord| {
            traits(&record.key.id).reissued && is_later(old.notice.when, record.notice.when)
        };
        let is_new = old.is_none_or(|old| !old.announced || is_reissued(old));
        if !is_new
            || !record.announced
            || after.drain.as_ref().is_some_and(|target| target.is_for(&record.key))
        {
            continue;
        }
        let (notice, basis) = (Box::new(record.notice.clone()), record.schedule.basis);
        facts.push(if record.schedule.limit.is_none() {
            Fact::NoticeMarks { notice, basis }
        } else {
            Fact::NoticeBeside { notice, basis }
        });
    }
}

impl Plan {
    /// The notice whose marks the Node bore, if they have ended by themselves since.
    fn marks_expired_for<'a>(&'a self, after: &'a Self, now: Moment) -> Option<&'a NoticeId> {
        let left = left(self, after);
        let marked = self.marks.notice.as_ref().filter(|_| self.memory.is_adopted());
        let id = marked.or(left.map(|left| &left.id))?;
        let is_over = |until: Option<Moment>| until.is_some_and(|until| until <= now);
        let expired = match (self.memory.record(id), after.memory.record(id)) {
            (Some(old), Some(new)) => {
                let ends = is_over(new.schedule.marks_until) && new.done == Done::Over;
                old.key == new.key && old.done != Done::Over && ends
            }
            (None, None) => {
                let is_over = |left: &Marked| left.id == *id && !left.gone && is_over(left.until);
                left.is_some_and(is_over) && !after.is_marked_before(id)
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        expired.then_some(id)
    }

    /// The notice whose marks the Node bore, if it was withdrawn a while ago and they are taken back now.
    fn stays_withdrawn(&self, after: &Self) -> Option<&NoticeId> {
        let id = self.marks.notice.as_ref()?;
        let was_gone = match self.memory.record(id) {
            Some(record) => record.gone_until.is_some(),
            None => self.memory.earlier.as_ref()?.marked.as_ref()?.gone,
        };
        // Of a drain that an interruption with another action has taken over, that is reported.
        let is_served = self.drain.as_ref().is_some_and(|target| target.serves(id));
        let stands = after.memory.record(id).is_some()
            || is_served && after.memory.is_replaced(id)
            || after.is_marked_before(id);
        (was_gone && !stands).then_some(id)
    }

    /// Whether an earlier process left marks for this notice that still stand.
    fn is_marked_before(&self, id: &NoticeId) -> bool {
        let marked = self.memory.earlier.as_ref().and_then(|earlier| earlier.marked.as_ref());
        marked.is_some_and(|marked| marked.id == *id)
    }
}
