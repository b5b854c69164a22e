//! What this process knows of each notice beyond what is stated now: its schedule, and how far it has been dealt with.
//! The annotation on the Node is its projection, so that the next process can go on ([`earlier`](super::earlier)).

use std::cmp::Reverse;
use std::time::Duration;

use crate::drain::limit::Limit;
use crate::moment::{Moment, Reading, WallTime};
use crate::node::state::{Known, Occurrence, Progress};
use crate::notice::{Notice, NoticeId, When};
use crate::plan::earlier::Earlier;
use crate::plan::kinds::{AfterBoot, Basis, Policy, Schedule, traits};
use crate::plan::observed::{Observed, StatedNotice, WITHDRAWN_AFTER, is_later};
use crate::plan::{Boot, PlanConfig, SAME, Target};

/// What is known of the notices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// One for each notice that stands, or stood a moment ago.
    pub records: Vec<NoticeRecord>,
    /// What an earlier process left on the Node, once that was read.
    pub earlier: Option<Earlier>,
    /// How many notices have appeared.
    appearances: u32,
    /// How many drains have begun.
    pub(super) drains: u32,
    /// There may be marks or an annotation of ours on the Node.
    pub(super) touched: bool,
}

/// Which appearance of which notice: one that comes back is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The notice.
    pub id: NoticeId,
    appearance: u32,
}

impl Key {
    /// The number of its appearance among those of all notices.
    pub fn appearance(&self) -> u32 {
        self.appearance
    }
}

/// What is known of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRecord {
    /// Which appearance of it.
    pub key: Key,
    /// As last stated. Of a recommendation that an earlier process dealt with, the time is that of the annotation.
    pub notice: Notice,
    /// It was in the first answer of its path: an earlier process may know it.
    pub first_answer: bool,
    /// What is made of it.
    pub schedule: Schedule,
    /// The end of its drain, where the notice does not state it: for the annotation, the same at every plan.
    pub(super) end: Option<WallTime>,
    /// The end of its marks, for the annotation.
    pub(super) marks_end: Option<WallTime>,
    /// How far it has been dealt with.
    pub done: Done,
    /// No path says it any more; its marks stay until then.
    pub gone_until: Option<Moment>,
    /// Its time has come, and that was reported.
    pub announced: bool,
    /// How often it was made anew.
    pub reissued: u32,
}

/// How far a notice has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is waited for, or being dealt with.
    No,
    /// Its drain is over, and the marks stay while it stands.
    Drained {
        /// The annotation is to say so: otherwise another process drains again.
        noted: bool,
        /// The number of the drain that was for it; `None`: it was for another notice, or there was none.
        drain: Option<u32>,
    },
    /// It is done with, and asks for no marks.
    Over,
}

/// The marks of an interruption stay so long after the last answer with it, and after its drain: a metadata
/// service may fall silent while the instance goes.
pub const LINGERS: Duration = Duration::from_secs(30);

impl Memory {
    /// How many notices have appeared.
    pub fn appearances(&self) -> u32 {
        self.appearances
    }

    /// Whether the annotation was read.
    pub fn is_adopted(&self) -> bool {
        self.earlier.is_some()
    }

    /// The record of this notice.
    pub fn record(&self, id: &NoticeId) -> Option<&NoticeRecord> {
        self.records.iter().find(|record| record.key.id == *id)
    }

    /// Whether an interruption stands in the place of this one.
    pub fn is_replaced(&self, id: &NoticeId) -> bool {
        let mut others =
            self.records.iter().filter(|it| it.key.id != *id && it.gone_until.is_none());
        traits(id).exclusive && others.any(|it| traits(&it.key.id).exclusive)
    }

    /// The Node was read for the first time: goes on from what its annotation says.
    pub(super) fn adopt(
        &mut self,
        seen: &Observed,
        draining: Option<&Target>,
        boot: &Boot,
        t: Reading,
    ) {
        let Some(node) = seen.node.as_ref().filter(|_| self.earlier.is_none()) else { return };
        let mut earlier = Earlier::read(node, &boot.id, t);
        self.touched |= earlier.found;
        for record in &mut self.records {
            // A drain that has asked a pod to go is not undone.
            let asked = seen.drain.is_some_and(|drain| drain.asked);
            let is_served = draining.is_some_and(|it| {
                it.is_for(&record.key) && (it.annotation_awaited_until.is_none() || asked)
            });
            if record.first_answer && record.done == Done::No {
                record.judge(&earlier, is_served, t);
            }
            earlier.forget(&record.key.id);
        }
        self.earlier = Some(earlier);
    }

    /// Records what the paths state, and no longer state.
    pub(super) fn take_in(
        &mut self,
        seen: &Observed,
        draining: Option<&Target>,
        config: &PlanConfig,
        t: Reading,
    ) {
        self.drop_withdrawn(seen, draining, t.now);
        for stated in seen.notices() {
            let stands = self
                .records
                .iter_mut()
                .find(|record| record.key.id == stated.notice.id && record.gone_until.is_none());
            match stands {
                Some(record) => record.follow(stated, &config.policy, t),
                None => self.appears(stated, config, t),
            }
        }
        // The calendar may have been set since a notice was read whose time is yet to come.
        for record in &mut self.records {
            if record.done == Done::No && record.schedule.begins > t.now {
                record.reschedule(Schedule::of(&record.notice, t, &config.policy), t);
            }
        }
    }

    fn drop_withdrawn(&mut self, seen: &Observed, draining: Option<&Target>, now: Moment) {
        let withdrawn = self
            .records
            .iter()
            .filter(|record| record.gone_until.is_none() && !seen.says(&record.key.id));
        let withdrawn: Vec<NoticeId> = withdrawn.map(|record| record.key.id.clone()).collect();
        for id in withdrawn {
            let is_replaced = self.is_replaced(&id);
            let is_served = draining.is_some_and(|target| target.serves(&id));
            self.records.retain_mut(|record| {
                let bears_marks = match record.done {
                    Done::No => !is_replaced,
                    Done::Drained { .. } => true,
                    Done::Over => false,
                };
                let lingers = traits(&id).lingers && (is_served || bears_marks);
                let is_it = record.key.id == id;
                if is_it && lingers {
                    record.gone_until = Some(now + LINGERS);
                }
                !is_it || lingers
            });
        }
        let Some(earlier) = &self.earlier else { return };
        let answers = if earlier.same_boot { WITHDRAWN_AFTER } else { 1 };
        for id in earlier.unconfirmed() {
            if seen.denies(&id, answers) {
                let is_replaced = self.is_replaced(&id);
                if let Some(earlier) = &mut self.earlier {
                    earlier.withdrawn(&id, now + LINGERS, is_replaced);
                }
            }
        }
    }

    fn appears(&mut self, stated: &StatedNotice, config: &PlanConfig, t: Reading) {
        let id = &stated.notice.id;
        self.appearances += 1;
        let key = Key { id: id.clone(), appearance: self.appearances };
        let mut record = NoticeRecord::new(key, stated, &config.policy, t);
        if let Some(earlier) = &mut self.earlier {
            if stated.first_answer {
                record.judge(earlier, false, t);
            }
            earlier.forget(id);
        }
        if is_done_by_boot(&stated.notice, &config.boot) {
            record.done = Done::Over;
        }
        self.records.retain(|other| other.key.id != *id);
        self.records.push(record);
    }

    /// The drain for `target` has ended: it was one for each notice whose time has come with it. `noted`: its pods
    /// are known, so that the Node may remember it.
    pub(super) fn drained(&mut self, target: &Target, noted: bool, now: Moment) {
        let limit = target.limit;
        for record in &mut self.records {
            let schedule = &record.schedule;
            let covered = schedule.begins <= now
                && match schedule.limit {
                    // The drain for an instance that goes does whatever a drain without a deadline would.
                    Some(Limit::Timeout(_)) => limit.instance_goes(),
                    Some(own) => own.end() <= limit.end() + SAME,
                    None => false,
                };
            let is_gone = record.gone_until.is_some() && target.serves(&record.key.id);
            let is_it = target.is_for(&record.key) || is_gone;
            let undone = matches!(record.done, Done::No | Done::Drained { noted: false, .. });
            if undone && (covered || is_it) {
                record.done = Done::Drained { noted, drain: is_it.then_some(target.drain) };
                record.gone_until = record.gone_until.map(|_| now + LINGERS);
            }
        }
    }

    /// Marks are renewed for the sake of a reissued notice only if they are for this one: whoever removes the marks of
    /// another one knows of it.
    pub(super) fn renew_only(&mut self, marked: Option<&NoticeId>) {
        for record in self.records.iter_mut().filter(|record| marked != Some(&record.key.id)) {
            record.reissued = 0;
        }
    }

    /// Ends what ends by itself.
    pub(super) fn expire(&mut self, draining: Option<&Target>, now: Moment) {
        self.records.retain_mut(|record| {
            if draining.is_some_and(|target| target.serves(&record.key.id)) {
                return true;
            }
            if record.gone_until.is_some_and(|until| until <= now) {
                return false;
            }
            let end = record.schedule.limit.map(Limit::end);
            if end.is_some_and(|end| end <= now)
                && record.done == Done::No
                && record.gone_until.is_none()
            {
                record.done = Done::Drained { noted: false, drain: None };
            }
            let ends = record.schedule.marks_until.is_some_and(|until| until <= now);
            if ends && record.bears_marks(now) {
                record.done = Done::Over;
            }
            true
        });
        if let Some(earlier) = &mut self.earlier {
            earlier.marked.take_if(|marked| marked.until.is_some_and(|until| until <= now));
        }
    }

    /// When something begins or ends by itself next.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        let records = self.records.iter().flat_map(|record| {
            let schedule = &record.schedule;
            let end = schedule.limit.map(Limit::end);
            [Some(schedule.begins), end, schedule.marks_until, record.gone_until]
        });
        let marked = self.earlier.as_ref().and_then(|earlier| earlier.marked.as_ref());
        let moments = records.chain([marked.and_then(|marked| marked.until)]).flatten();
        moments.filter(|moment| now < *moment).min()
    }

    /// What the annotation is to hold of the notices that stand, or may.
    pub(super) fn known(&self) -> Vec<Known> {
        let known = self.records.iter().filter_map(NoticeRecord::known);
        known.chain(self.earlier.iter().flat_map(Earlier::known)).collect()
    }
}

impl NoticeRecord {
    fn new(key: Key, stated: &StatedNotice, policy: &Policy, t: Reading) -> Self {
        let schedule = Schedule::of(&stated.notice, t, policy);
        Self {
            key,
            notice: stated.notice.clone(),
            first_answer: stated.first_answer,
            end: unstated_end(&schedule, t),
            marks_end: wall(schedule.marks_until, t),
            schedule,
            done: Done::No,
            gone_until: None,
            announced: false,
            reissued: 0,
        }
    }

    fn reschedule(&mut self, schedule: Schedule, t: Reading) {
        self.end = unstated_end(&schedule, t);
        self.marks_end = wall(schedule.marks_until, t);
        self.schedule = schedule;
    }

    /// It is stated, perhaps with another time.
    fn follow(&mut self, stated: &StatedNotice, policy: &Policy, t: Reading) {
        let (before, when) = (self.notice.when, stated.notice.when);
        let traits = traits(&self.key.id);
        if before == when || traits.reissued && (!stated.confirmed || is_later(when, before)) {
            return;
        }
        let schedule = Schedule::of(&stated.notice, t, policy);
        let is_ahead = match (before, when) {
            (When::At(before), When::At(time)) => before < time && !when.is_over(t),
            _ => false,
        };
        let is_new = match self.done {
            _ if traits.reissued => is_later(before, when),
            Done::No => traits.planned,
            // What was done was done for another time.
            Done::Drained { .. } => is_ahead && traits.planned,
            Done::Over => is_ahead,
        };
        if is_new {
            self.done = Done::No;
            self.reschedule(schedule, t);
            if traits.reissued {
                (self.first_answer, self.announced) = (false, false);
                self.reissued += 1;
            }
        } else if schedule.limit.map(Limit::end) < self.schedule.limit.map(Limit::end) {
            let marks_until = self.schedule.marks_until;
            self.reschedule(Schedule { marks_until, ..schedule }, t);
        }
        self.notice = stated.notice.clone();
    }

    /// Whether it stands, its time has come, and it is not dealt with.
    pub(super) fn has_come(&self, now: Moment) -> bool {
        self.done == Done::No && self.gone_until.is_none() && self.schedule.begins <= now
    }

    /// Whether the Node bears marks for it, without a drain under way.
    pub(super) fn bears_marks(&self, now: Moment) -> bool {
        match self.done {
            // What was withdrawn before its drain began keeps its marks for a while, too.
            Done::No => {
                let marks = self.schedule.limit.is_none() || self.gone_until.is_some();
                marks && self.schedule.begins <= now
            }
            Done::Drained { .. } => true,
            Done::Over => false,
        }
    }

    /// Of several, the marks are for the first: what is more certain to come, then what the node is drained for, or
    /// was drained for last.
    pub(super) fn precedence(&self, draining: Option<&Target>) -> impl Ord {
        let drain = match self.done {
            _ if draining.is_some_and(|target| target.serves(&self.key.id)) => Some(u32::MAX),
            Done::Drained { drain, .. } => drain,
            Done::No | Done::Over => None,
        };
        (traits(&self.key.id).uncertainty, Reverse(drain), self.key.id.clone())
    }

    /// What the annotation is to hold of it, if anything.
    fn known(&self) -> Option<Known> {
        let progress = match self.done {
            Done::No | Done::Drained { noted: false, .. } => Progress::Open,
            Done::Drained { noted: true, .. } => Progress::Drained,
            Done::Over => Progress::Over,
        };
        let end = self.end.filter(|_| progress == Progress::Open);
        let is_new = progress == Progress::Open && end.is_none() && self.marks_end.is_none();
        (!is_new && self.gone_until.is_none()).then(|| Known {
            notice: Occurrence::of(&self.notice).as_str().to_owned(),
            progress,
            end: end.map(|end| end.to_string()),
            marks_until: self.marks_end.map(|until| until.to_string()),
            made: match self.notice.when {
                When::At(made) if traits(&self.key.id).reissued => Some(made.to_string()),
                When::At(_) | When::Unstated => None,
            },
        })
    }
}

/// Maintenance that starts the machine anew, for a time before the machine was started: the metadata service has
/// not noticed yet that it is done.
fn is_done_by_boot(notice: &Notice, boot: &Boot) -> bool {
    match (notice.when, boot.began) {
        (When::At(time), Some(began)) => {
            traits(&notice.id).after_boot == AfterBoot::OverOnceBegun && time <= began
        }
        _ => false,
    }
}

/// The end of a drain that the notice itself does not state.
fn unstated_end(schedule: &Schedule, t: Reading) -> Option<WallTime> {
    let stated = matches!(schedule.basis, Basis::Stated(_));
    wall(schedule.limit.map(Limit::end).filter(|_| !stated), t)
}

fn wall(moment: Option<Moment>, t: Reading) -> Option<WallTime> {
    moment.map(|moment| t.wall + t.now.until(moment))
}
