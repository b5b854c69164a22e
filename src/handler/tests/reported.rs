//! What the handler has said that it is doing.

use crate::handler::tests::timeline::Entry;
use crate::handler::world::Order;
use crate::moment::Moment;
use crate::notice::NoticeId;
use crate::plan::kinds::Basis;
use crate::report::fact::{Fact, Occasion, Withdrawal};

/// The drain that is under way, by what was told.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// For which notice.
    pub(super) draining: Option<NoticeId>,
    /// When its instance goes; `None`: it does not.
    pub(super) deadline: Option<Moment>,
    /// When it is over, come what may.
    pub(super) end: Option<Moment>,
    /// SIGTERM was spoken of.
    pub(super) ending: bool,
    /// It was said that nothing is left.
    emptied: bool,
    /// It was said that what was noticed will not happen.
    called_off: bool,
}

/// What an entry of the timeline has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    Begins,
    IsTakenOver,
    Ends,
}

impl Reported {
    pub(super) fn observe(&mut self, at: Moment, entry: &Entry) -> Option<Transition> {
        let fact = match entry {
            Entry::Told(fact) => fact,
            Entry::BeginsAnew { .. } => {
                let ends = self.draining.is_some().then_some(Transition::Ends);
                *self = Self::default();
                return ends;
            }
            // Of a node that was told to be empty nothing more is to be said.
            Entry::Ordered(Order::Disconnect) if self.called_off && self.emptied => {
                return self.ends();
            }
            _ => return None,
        };
        match fact {
            Fact::NoticeSeen { notice, basis, left } | Fact::TakenOver { notice, basis, left } => {
                self.draining = Some(notice.id.clone());
                self.end = Some(at + *left);
                self.deadline = self.end.filter(|_| *basis != Basis::NoDeadline);
                let begins = matches!(fact, Fact::NoticeSeen { .. });
                self.emptied &= !begins;
                return Some(if begins { Transition::Begins } else { Transition::IsTakenOver });
            }
            Fact::DeadlineMoved { basis, left } => {
                self.end = Some(at + *left);
                self.deadline = self.end.filter(|_| *basis != Basis::NoDeadline);
            }
            Fact::Verdict(Occasion::Empty | Occasion::Rehearsed, _) => self.emptied = true,
            Fact::NoticeWithdrawn(_, Withdrawal::DrainCalledOff) => self.called_off = true,
            Fact::NoticeScheduled { notice, moved: true, .. } => {
                self.called_off |= self.draining.as_ref() == Some(&notice.id);
            }
            Fact::Ends { .. } | Fact::EndsDrained | Fact::EndsAfterDrain(_) => self.ending = true,
            _ => {}
        }
        let ends = match fact {
            Fact::DrainedBefore(id) => self.draining.as_ref() == Some(id),
            Fact::Verdict(Occasion::Empty | Occasion::Rehearsed, _) => self.deadline.is_none(),
            Fact::Verdict(..) | Fact::DeadlineReached | Fact::EndsDrained => true,
            _ => false,
        };
        if ends { self.ends() } else { None }
    }

    fn ends(&mut self) -> Option<Transition> {
        (self.deadline, self.end, self.called_off) = (None, None, false);
        self.draining.take().map(|_| Transition::Ends)
    }
}
