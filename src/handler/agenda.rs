//! What is to be done about each notice that stands, and what is done with: which of them the node is
//! drained for next, and which the marks on the Node are for. Pure.

use std::time::Duration;

use crate::drain::limit::Limit;
use crate::handler::config::Boot;
use crate::handler::entry::{Entry, Item, Plan, Stage};
use crate::handler::entry::{doubt, is_newer, is_planned, outlives_its_notice};
use crate::handler::recall::{Ending, Memory};
use crate::intent::{Effect, Intent, Policy};
use crate::moment::{Moment, Reading};
use crate::node::marks::{Cause, MarkSet, Marks, Reason};
use crate::node::state::Known;
use crate::node::{Hand, MarkPolicy, Node};
use crate::notice::{Notice, NoticeId, When};

/// The notices that stand.
#[derive(Debug)]
pub struct Agenda {
    policy: Policy,
    marks: MarkPolicy,
    boot: Boot,
    entries: Vec<Entry>,
    memory: Memory,
    /// Numbers the entries: a notice that comes back is another one.
    numbered: u32,
    /// Drains that are over.
    drains: u32,
    /// There may be marks or memories of ours on the Node.
    touched: bool,
}

/// An interruption that no path says any more while its instance is still there did not come. The
/// marks stay so long, whether or not the node was drained, for a metadata service that falls silent
/// while the instance goes.
const LINGER: Duration = Duration::from_secs(30);

impl Agenda {
    /// Nothing stands, and what an earlier process did is not known yet.
    pub fn new(policy: Policy, marks: MarkPolicy, boot: Boot) -> Self {
        Self {
            policy,
            marks,
            boot,
            entries: Vec::new(),
            memory: Memory::unread(),
            numbered: 0,
            drains: 0,
            touched: false,
        }
    }

    /// A notice has appeared.
    pub fn appeared(&mut self, reading: Reading, notice: Notice, from_the_start: bool) -> Plan {
        self.numbered += 1;
        let mut entry = Entry::new(notice, reading, &self.policy, from_the_start, self.numbered);
        if from_the_start && self.memory.is_read() {
            entry.judge(self.memory.judge(&entry, reading), reading);
        }
        if is_of_an_earlier_boot(&entry.notice, &self.boot) {
            entry.stage = Stage::Over;
        }
        self.memory.forget(&entry.notice.id);
        let plan = entry.plan(reading.now);
        self.entries.retain(|other| other.notice.id != entry.notice.id);
        self.entries.push(entry);
        plan
    }

    /// A notice that stands has another time.
    pub fn updated(&mut self, reading: Reading, notice: Notice) -> Plan {
        let intent = Intent::of(&notice, reading, &self.policy);
        let Some(entry) = self.entry_mut(&notice.id) else {
            return self.appeared(reading, notice, false);
        };
        let is_ahead = match (entry.notice.when, notice.when) {
            (When::At(before), When::At(time)) => before < time && !notice.when.is_over(reading),
            _ => false,
        };
        let is_new = match entry.stage {
            _ if notice.id == NoticeId::Rebalance => is_newer(entry.notice.when, notice.when),
            Stage::Open => is_planned(&notice.id),
            // What was done was done for another time.
            Stage::Drained { .. } => is_ahead && is_planned(&notice.id),
            Stage::Over => is_ahead,
        };
        if is_new {
            entry.stage = Stage::Open;
            entry.remake(reading, intent);
            if notice.id == NoticeId::Rebalance {
                (entry.from_the_start, entry.spoken) = (false, false);
            }
        } else if intent.effect.end() < entry.intent.effect.end() {
            let marks_until = entry.intent.marks_until;
            entry.remake(reading, Intent { marks_until, ..intent });
        }
        // A recommendation is remembered by the latest time that it had.
        let is_older = notice.id == NoticeId::Rebalance && is_newer(notice.when, entry.notice.when);
        if !is_older {
            entry.notice = notice;
        }
        entry.plan(reading.now)
    }

    /// The calendar may have been set since a planned notice was first read.
    pub fn read_calendar(&mut self, reading: Reading) {
        for entry in &mut self.entries {
            if entry.stage == Stage::Open && entry.intent.from > reading.now {
                let intent = Intent::of(&entry.notice, reading, &self.policy);
                entry.remake(reading, intent);
            }
        }
    }

    /// No path says it any more. `draining`: a drain for it goes on.
    pub fn withdrawn(&mut self, now: Moment, id: &NoticeId, draining: bool) {
        // Of an interruption whose action has changed, the other one is waited for.
        let is_replaced = self.stands_otherwise(id);
        if is_replaced {
            self.memory.forget(id);
        } else {
            self.memory.withdrawn(id, now + LINGER);
        }
        let Some(entry) = self.entry_mut(id) else { return };
        let bears_marks = match entry.stage {
            Stage::Open => !is_replaced,
            Stage::Drained { .. } => true,
            Stage::Over => false,
        };
        if outlives_its_notice(id) && (draining || bears_marks) {
            entry.withdrawn = Some(now + LINGER);
        } else {
            self.entries.retain(|entry| entry.notice.id != *id);
        }
    }

    /// The Node was read: what an earlier process did is known. Tells what is done with; a drain for
    /// `draining` has begun all the same.
    pub fn recall(
        &mut self,
        reading: Reading,
        node: &Node,
        draining: Option<&Item>,
    ) -> Vec<NoticeId> {
        if self.memory.is_read() {
            return Vec::new();
        }
        self.memory = Memory::read(reading, node, &self.boot.id);
        self.touched |= !self.memory.is_empty();
        let mut done = Vec::new();
        for entry in &mut self.entries {
            let begun = draining == Some(&entry.item());
            if entry.from_the_start && entry.stage == Stage::Open {
                let judgement = self.memory.judge(entry, reading);
                entry.judge(if begun { judgement.still_open() } else { judgement }, reading);
                if entry.stage != Stage::Open && !begun {
                    done.push(entry.notice.id.clone());
                }
            }
            self.memory.forget(&entry.notice.id);
        }
        done
    }

    /// What an earlier process did, as far as its notices have not been heard of yet.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The notice that is to be drained for now: of several the one whose instance goes first.
    pub fn due(&self, now: Moment) -> Option<&Entry> {
        let due = self.entries.iter().filter(|entry| {
            entry.has_come(now) && entry.intent.effect.end().is_some_and(|end| now < end)
        });
        due.min_by_key(|entry| (entry.intent.effect.urgency(), entry.notice.id.clone()))
    }

    fn entry_mut(&mut self, id: &NoticeId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.notice.id == *id)
    }

    /// This notice was spoken of.
    pub fn spoken_of(&mut self, id: &NoticeId) {
        if let Some(entry) = self.entry_mut(id) {
            entry.spoken = true;
        }
    }

    /// A notice whose time has come and that was not spoken of yet.
    pub fn unspoken(&self, now: Moment, draining: Option<&Item>) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.has_come(now)
                && !entry.spoken
                && draining.is_none_or(|item| item.id != entry.notice.id)
        })
    }

    /// Whether an interruption stands that is another one than this.
    pub fn stands_otherwise(&self, id: &NoticeId) -> bool {
        let is_interruption = |id: &NoticeId| matches!(id, NoticeId::Interruption(_));
        let mut others = self.entries.iter().filter(|entry| entry.notice.id != *id);
        is_interruption(id)
            && others.any(|it| is_interruption(&it.notice.id) && it.withdrawn.is_none())
    }

    /// The entry of this notice.
    pub fn entry(&self, id: &NoticeId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.notice.id == *id)
    }

    /// A drain for `item` is over, whose limit was `limit`: it was one for every notice whose time
    /// has come with it. `noted`: the Node is to remember that.
    pub fn drained(&mut self, now: Moment, item: &Item, limit: Limit, noted: bool) {
        self.drains += 1;
        let (end, had_deadline) = (limit.end(), limit.has_deadline());
        for entry in &mut self.entries {
            let covered = match entry.intent.effect {
                Effect::Drain(Limit::Deadline(at) | Limit::AtOnce { until: at, .. }) => {
                    entry.intent.from <= now && at <= end + SAME
                }
                // A wish that a deadline has gone beyond.
                Effect::Drain(Limit::Timeout(_)) => had_deadline && entry.intent.from <= now,
                Effect::Mark => false,
            };
            let is_gone = entry.withdrawn.is_some() && entry.notice.id == item.id;
            let is_it = entry.item() == *item || is_gone;
            let undone = matches!(entry.stage, Stage::Open | Stage::Drained { noted: false, .. });
            if undone && (covered || is_it) {
                let rank = if is_it { self.drains } else { 0 };
                entry.stage = Stage::Drained { noted, rank };
                entry.withdrawn = entry.withdrawn.map(|_| now + LINGER);
            }
        }
    }

    /// Ends what ends by itself. Tells how that for which the Node bears marks has ended, if it has.
    pub fn expire(&mut self, now: Moment, draining: Option<&Item>) -> Option<Ending> {
        let marked = self.marked(now, draining).map(|entry| entry.notice.id.clone());
        let keeps_earlier = self.keeps_earlier(marked.as_ref(), draining);
        let mut ending = None;
        self.entries.retain_mut(|entry| {
            let id = &entry.notice.id;
            if draining.is_some_and(|item| item.id == *id) {
                return true;
            }
            let is_marked = marked.as_ref() == Some(id);
            if entry.withdrawn.is_some_and(|until| until <= now) {
                ending = is_marked.then(|| Ending::Gone(id.clone())).or(ending.take());
                return false;
            }
            let missed = entry.intent.effect.end().is_some_and(|end| end <= now);
            if missed && entry.stage == Stage::Open && entry.withdrawn.is_none() {
                entry.stage = Stage::Drained { noted: false, rank: 0 };
            }
            let ends = entry.intent.marks_until.is_some_and(|until| until <= now);
            if ends && entry.bears_marks(now) {
                entry.stage = Stage::Over;
                ending = is_marked.then(|| Ending::Expired(id.clone())).or(ending.take());
            }
            true
        });
        self.memory.expire(now).filter(|_| keeps_earlier).or(ending)
    }

    /// When something begins or ends by itself next.
    pub fn wake(&self, now: Moment) -> Option<Moment> {
        let entries = self.entries.iter().flat_map(|entry| {
            let begins = Some(entry.intent.from).filter(|_| entry.stage == Stage::Open);
            let ends = entry.intent.marks_until.filter(|_| entry.stage != Stage::Over);
            let missed = entry.intent.effect.end().filter(|_| entry.stage == Stage::Open);
            [begins, ends, missed, entry.withdrawn]
        });
        entries.chain([self.memory.ends()]).flatten().filter(|moment| now < *moment).min()
    }

    /// The marks that the Node is to bear; `None`: it stays as it is. `draining`: a drain for it is
    /// under way, and not only rehearsed.
    pub fn marks(&mut self, now: Moment, draining: Option<&Item>) -> Option<Marks> {
        let reason = self.reason(now, draining);
        let asks = self.marked(now, draining).map(|entry| &entry.notice.id);
        if self.keeps_earlier(asks, draining) {
            return None;
        }
        self.touched |= reason.is_some();
        self.touched.then(|| Marks {
            hand: Hand::Handler,
            reason,
            boot_id: self.boot.id.clone(),
            notices: self.known(),
        })
    }

    /// Whether the marks of an earlier process stay: it is not known yet what they are for, or that
    /// this is over, and nothing that is as certain to come asks for some.
    fn keeps_earlier(&self, asks: Option<&NoticeId>, draining: Option<&Item>) -> bool {
        match (asks, self.memory.marked()) {
            (None, marked) => marked.is_some() || !self.memory.is_read(),
            (Some(asks), Some(marked)) => draining.is_none() && doubt(marked) < doubt(asks),
            (Some(_), None) => false,
        }
    }

    /// What the Node bears marks for: of all that asks for some, what is most certain to come.
    fn marked(&self, now: Moment, draining: Option<&Item>) -> Option<&Entry> {
        let marked = self.entries.iter().filter(|entry| {
            let is_drained = draining.is_some_and(|item| item.id == entry.notice.id);
            let bears = entry.bears_marks(now) && (self.memory.is_read() || !entry.from_the_start);
            is_drained || bears
        });
        marked.min_by_key(|entry| entry.precedence(draining))
    }

    /// Whether the Node bears marks for this notice, without a drain under way.
    pub fn is_marked_for(&self, now: Moment, id: &NoticeId) -> bool {
        self.marked(now, None).is_some_and(|entry| entry.notice.id == *id)
    }

    /// When the marks that the Node bears end by themselves.
    pub fn marks_until(&self, now: Moment, draining: Option<&Item>) -> Option<Moment> {
        match self.marked(now, draining) {
            Some(entry) if !self.keeps_earlier(Some(&entry.notice.id), draining) => {
                entry.intent.marks_until
            }
            _ => self.memory.ends(),
        }
    }

    fn reason(&self, now: Moment, draining: Option<&Item>) -> Option<Reason> {
        let entry = self.marked(now, draining)?;
        Some(Reason {
            cause: Cause::Notice(entry.notice.id.clone()),
            set: MarkSet::of(&entry.notice.id, entry.intent.effect, self.marks),
        })
    }

    /// What is to be remembered of the notices that stand, or may.
    fn known(&self) -> Vec<Known> {
        let known = self.entries.iter().filter_map(Entry::known);
        known.chain(self.memory.unheard().cloned()).collect()
    }
}

/// Two readings of one time differ by fractions of a second.
const SAME: Duration = Duration::from_secs(1);

/// Maintenance that starts the machine anew, for a time before the machine was started: the
/// metadata service has not noticed yet that it is done.
fn is_of_an_earlier_boot(notice: &Notice, boot: &Boot) -> bool {
    match (&notice.id, notice.when, boot.began) {
        (NoticeId::Maintenance(event), When::At(time), Some(began)) => {
            event.code.ends_with_reboot() && time <= began
        }
        _ => false,
    }
}
