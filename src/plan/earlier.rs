//! How a restart goes on: what an earlier process, or an earlier boot of the machine, left in the annotation on the
//! Node, and what that says of the notices that stand.
//!
//! The Node is read once, when the process starts. A notice that was in the first answer of its path may be one that the
//! annotation knows; [`NoticeRecord::judge`] then takes over how far it was dealt with, by when its drain was to end, and
//! how long its marks last. A notice that the annotation knows and no path states is waited for until each path that may
//! state it has answered ([`Observed::denies`](crate::plan::observed::Observed::denies)). Until then its marks stay.

use crate::drain::limit::Limit;
use crate::moment::{Moment, Reading, WallTime};
use crate::node::Node;
use crate::node::state::{Known, Occurrence, Progress, Remembered};
use crate::notice::{NoticeId, When};
use crate::plan::kinds::{AfterBoot, Basis, NEAREST, traits};
use crate::plan::memory::{Done, NoticeRecord};

/// What an earlier process left on the Node, as far as its notices have not appeared since.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// There was an annotation.
    pub found: bool,
    /// For which notice the Node bears marks, as the annotation has it.
    pub notice: Option<String>,
    /// The annotation cannot be read.
    pub unreadable: bool,
    /// It was written in this boot.
    pub same_boot: bool,
    cordoned: bool,
    /// What the marks were for when it was read.
    pub found_marked: Option<Marked>,
    /// What the marks are for.
    pub marked: Option<Marked>,
    known: Vec<(NoticeId, Known)>,
}

/// What the Node bears marks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The notice.
    pub id: NoticeId,
    /// When the marks end by themselves.
    pub until: Option<Moment>,
    /// It is certain that no path says it; the marks stay for a while.
    pub gone: bool,
}

impl Earlier {
    pub(super) fn read(node: &Node, boot_id: &str, t: Reading) -> Self {
        let Some(state) = node.state.state() else {
            let unreadable = node.state == Remembered::Unreadable;
            return Self { unreadable, ..Self::default() };
        };
        let known = state.notices.iter();
        let known: Vec<(NoticeId, Known)> = known
            .filter_map(|known| Some((Occurrence::notice(&known.notice)?, known.clone())))
            .collect();
        let marked = state.notice.as_deref().and_then(NoticeId::parse).map(|id| {
            let known = known.iter().find(|(known, _)| *known == id);
            let until = known.and_then(|(_, known)| time(known.marks_until.as_deref()));
            let until = until.map(|until| t.moment_of(until).unwrap_or(t.now));
            Marked { id, until, gone: false }
        });
        Self {
            found: true,
            notice: state.notice.clone(),
            unreadable: false,
            same_boot: state.boot_id == boot_id,
            cordoned: node.unschedulable,
            found_marked: marked.clone(),
            marked,
            known,
        }
    }

    pub(super) fn is_marked_for(&self, id: &NoticeId) -> bool {
        self.marked.as_ref().is_some_and(|marked| marked.id == *id)
    }

    /// The notices that have not appeared yet, and are not known to be gone.
    pub(super) fn unconfirmed(&self) -> Vec<NoticeId> {
        let marked = self.marked.iter().filter(|marked| !marked.gone).map(|marked| &marked.id);
        let known = self.known.iter().map(|(id, _)| id).filter(|id| !self.is_marked_for(id));
        marked.chain(known).cloned().collect()
    }

    /// What holds in this boot.
    pub(super) fn known(&self) -> impl Iterator<Item = Known> {
        let holds =
            |id: &NoticeId| self.same_boot || traits(id).after_boot == AfterBoot::SameInstance;
        self.known.iter().filter(move |(id, _)| holds(id)).map(|(_, known)| known.clone())
    }

    /// This notice has appeared, or is known to be gone.
    pub(super) fn forget(&mut self, id: &NoticeId) {
        self.marked.take_if(|marked| marked.id == *id);
        self.known.retain(|(known, _)| known != id);
    }

    /// This notice is not stated any more. Marks of this boot for an interruption stay for a while: the metadata
    /// service may be wrong.
    pub(super) fn withdrawn(&mut self, id: &NoticeId, until: Moment, is_replaced: bool) {
        if is_replaced || !self.same_boot || !traits(id).lingers {
            return self.forget(id);
        }
        if let Some(marked) = self.marked.as_mut().filter(|marked| marked.id == *id) {
            (marked.until, marked.gone) = (Some(until), true);
        }
        self.known.retain(|(known, _)| known != id);
    }
}

impl NoticeRecord {
    /// Takes over what an earlier process did about it, or what the boot of the machine did. `is_served`: a drain
    /// for it has begun all the same.
    pub(super) fn judge(&mut self, earlier: &Earlier, is_served: bool, t: Reading) {
        let occurrence = Occurrence::of(&self.notice);
        let mut known = earlier.known.iter().map(|(_, known)| known);
        let known = known.find(|known| known.notice == occurrence.as_str());
        let marked = earlier.is_marked_for(&self.key.id);
        let after_boot = traits(&self.key.id).after_boot;
        if !earlier.same_boot && after_boot != AfterBoot::SameInstance {
            let is_over = after_boot == AfterBoot::OverOnceBegun || self.notice.when.is_over(t);
            if is_over && (marked || known.is_some()) && !is_served {
                self.done = Done::Over;
            }
            return;
        }
        let Some(known) = known else { return };
        let is_ahead =
            traits(&self.key.id).exclusive && matches!(self.schedule.basis, Basis::Stated(_));
        self.done = match known.progress {
            _ if is_served => Done::No,
            // A node that somebody has uncordoned since is in use again.
            Progress::Drained if is_ahead && marked && !earlier.cordoned => Done::No,
            // That one had come with a boot.
            Progress::Over if is_ahead => Done::No,
            Progress::Open => Done::No,
            Progress::Drained => Done::Drained { noted: true, drain: None },
            Progress::Over => Done::Over,
        };
        // What was done was done for that one; whether there is a later one its path says.
        if let Some(made) = time(known.made.as_deref()) {
            self.notice.when = When::At(made);
        }
        // What was promised before is not put off.
        if let Some(end) = time(known.end.as_deref()).filter(|_| self.done == Done::No) {
            self.end_by(end, t);
        }
        if let Some(until) = time(known.marks_until.as_deref()) {
            self.marks_end = Some(self.marks_end.map_or(until, |own| own.min(until)));
            let until = t.moment_of(until).unwrap_or(t.now);
            let own = self.schedule.marks_until;
            self.schedule.marks_until = Some(own.map_or(until, |own| own.min(until)));
            if until <= t.now && self.bears_marks(t.now) {
                self.done = Done::Over;
            }
        }
    }

    /// Its drain was to end then. A time-out that is over is over; a deadline that is over without the instance
    /// being gone was none.
    fn end_by(&mut self, end: WallTime, t: Reading) {
        let Some(own) = self.schedule.limit else { return };
        let is_ahead = |moment: &Moment| t.now.until(*moment) >= NEAREST;
        match (own, t.moment_of(end).filter(is_ahead)) {
            (_, Some(moment)) => {
                let limit = own.with_end(own.end().min(moment));
                if limit != own && matches!(limit, Limit::Deadline(_)) {
                    self.schedule.basis = Basis::Remembered;
                }
                self.schedule.limit = Some(limit);
            }
            (Limit::Timeout(_), None) => {
                self.schedule.limit = Some(Limit::Timeout(t.now));
                self.done = Done::Drained { noted: true, drain: None };
                return;
            }
            (Limit::Deadline(_) | Limit::AtOnce { .. }, None) => return,
        }
        self.end = self.end.map(|own| own.min(end));
    }
}

fn time(text: Option<&str>) -> Option<WallTime> {
    text.and_then(WallTime::parse)
}
