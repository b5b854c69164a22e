//! What an operator's command asks for: a drain of a node, or to take back what was done to it. It plans the same
//! marks and the same drain as notices do, and then it ends. Pure.

use crate::drain::limit::Limit;
use crate::drain::verdict::Verdict;
use crate::handler::config::Config;
use crate::moment::Moment;
use crate::node::marks::{MarkCause, MarkReason, MarkSet, Marks};
use crate::node::state::Remembered;
use crate::node::{FieldManager, Node};
use crate::plan::kinds::Basis;
use crate::plan::{MarksPlan, Plan, Renewal, Target};
use crate::report::fact::Purpose;

/// What an operator asked for, and how far it is.
#[derive(Debug)]
pub struct ByHand {
    wanted: Wanted,
    /// When it is given up.
    until: Moment,
    exclude_from_load_balancers: bool,
    /// The Node, as last read.
    node: Option<Box<Node>>,
    /// Of the marks that are wanted one after the other, the Node bears the first so many.
    settled: u32,
    /// Something about the Node is different.
    pub(super) changed: bool,
    /// Something is left that was to be taken back.
    pub(super) left: bool,
    /// What became of every pod.
    pub(super) verdict: Option<Box<Verdict>>,
    /// The drain has ended; whether nothing is left that was to go.
    pub(super) drained: Option<bool>,
    /// It has come to its end.
    pub(super) success: Option<Success>,
}

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Drain(Limit),
    /// No pod is to go.
    Cordon,
    Restore,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Success {
    /// All the way. `changed`: something about the Node is different now.
    Whole {
        /// Whether anything was to be done to the Node.
        changed: bool,
    },
    /// Something that was to go is left, or the Node is not as it is to be.
    Partial,
    /// It could not be begun with: why, in words.
    None(String),
}

/// The boot that the annotation names: a drain by hand outlives the boots of its machine.
const NO_BOOT: &str = "by-hand";

impl ByHand {
    /// A drain of the node; where the operator wants marks only, just these.
    pub fn drain(config: &Config, limit: Limit) -> Self {
        let marks_only = config.policy.marks_only;
        let wanted = if marks_only { Wanted::Cordon } else { Wanted::Drain(limit) };
        Self::new(config, wanted, limit.end())
    }

    /// Takes back what a drain by hand has done to the node, and what the handler has; gives up at `until`.
    pub fn restore(config: &Config, until: Moment) -> Self {
        Self::new(config, Wanted::Restore, until)
    }

    fn new(config: &Config, wanted: Wanted, until: Moment) -> Self {
        Self {
            wanted,
            until,
            exclude_from_load_balancers: config.marks.exclude_from_load_balancers,
            node: None,
            settled: 0,
            changed: false,
            left: false,
            verdict: None,
            drained: None,
            success: None,
        }
    }

    /// What should be.
    pub(super) fn plan(&self, now: Moment) -> Plan {
        // A pod that is evicted from a node that is not cordoned comes back. An instance that goes waits for nothing
        // but to be found.
        let drain = match self.wanted {
            Wanted::Drain(limit)
                if self.drained.is_none()
                    && self.node.is_some()
                    && (self.settled > 0 || limit.instance_goes()) =>
            {
                let basis = Basis::NoDeadline;
                Some(Target {
                    drain: 1,
                    key: None,
                    among: 0,
                    limit,
                    basis,
                    annotation_awaited_until: None,
                })
            }
            _ => None,
        };
        let renewal =
            Renewal { drain: self.settled.min(self.last()) + 1, notice: None, reissued: 0 };
        Plan {
            drain,
            marks: MarksPlan {
                wanted: Some(self.marks()),
                // Also in a dry run, which would not look for what is only noted.
                renew_for: Some(renewal),
                ..MarksPlan::default()
            },
            look_again: Some(self.until).filter(|until| now < *until),
            ..Plan::default()
        }
    }

    fn marks(&self) -> Marks {
        let marks = |manager, reason| Marks {
            manager,
            reason,
            boot_id: NO_BOOT.to_owned(),
            notices: Vec::new(),
        };
        match self.wanted {
            Wanted::Drain(_) | Wanted::Cordon => {
                let exclusion = self.exclude_from_load_balancers;
                let set = MarkSet { cordon: true, taint: None, exclusion };
                marks(FieldManager::Operator, Some(MarkReason { cause: MarkCause::ByHand, set }))
            }
            Wanted::Restore if self.settled == 0 => marks(FieldManager::Operator, None),
            Wanted::Restore => {
                let mut marks = marks(FieldManager::Handler, None);
                // Which notices it has dealt with the handler is to go on knowing.
                if let Some(state) = self.node.as_ref().and_then(|node| node.state.state()) {
                    marks.boot_id.clone_from(&state.boot_id);
                    marks.notices.clone_from(&state.notices);
                }
                marks
            }
        }
    }

    /// Of how many marks one after the other the last is wanted.
    fn last(&self) -> u32 {
        u32::from(self.wanted == Wanted::Restore)
    }

    /// What the Node is read or changed for.
    pub(super) fn purpose(&self) -> Purpose {
        match self.wanted {
            Wanted::Drain(_) | Wanted::Cordon => Purpose::Drain,
            Wanted::Restore => Purpose::TakeBack,
        }
    }

    /// The Node was read. True if it bears something that cannot be read, and is to be taken back.
    pub(super) fn read(&mut self, node: Box<Node>) -> bool {
        let is_unreadable =
            |manager: &FieldManager| *node.remembered(*manager) == Remembered::Unreadable;
        let leaves = self.wanted == Wanted::Restore
            && [FieldManager::Operator, FieldManager::Handler].iter().any(is_unreadable)
            && !self.left;
        self.left |= leaves;
        self.node = Some(node);
        leaves
    }

    /// The Node bears the marks that were wanted.
    pub(super) fn settled(&mut self, changed: bool) {
        self.changed |= changed;
        self.settled += 1;
    }

    /// Whether it leads nowhere to try again what has failed: there is no such node, or the right is missing. An
    /// instance that goes is drained all the same.
    pub(super) fn is_hopeless(&self, is_forbidden: bool) -> bool {
        let goes = matches!(self.wanted, Wanted::Drain(limit) if limit.instance_goes());
        self.node.is_none() || is_forbidden && !goes
    }

    /// How it has ended; `None`: it goes on. `is_draining`: pods are being asked.
    pub(super) fn success(
        &self,
        now: Moment,
        is_draining: bool,
        is_unsettled: bool,
    ) -> Option<Success> {
        let is_late = self.until <= now;
        let whole = || {
            if self.left { Success::Partial } else { Success::Whole { changed: self.changed } }
        };
        match (&self.success, self.drained) {
            (Some(success), _) => Some(success.clone()),
            (None, Some(false)) => Some(Success::Partial),
            // Every pod was quick to go; the cordon is still to come.
            (None, Some(true)) if is_unsettled => is_late.then_some(Success::Partial),
            (None, Some(true)) => Some(Success::Whole { changed: true }),
            (None, None) if is_draining => None,
            (None, None) => match self.wanted {
                Wanted::Drain(_) => is_late.then(|| {
                    let why = "the node could not be cordoned, so nobody was evicted";
                    Success::None(why.to_owned())
                }),
                Wanted::Cordon | Wanted::Restore if self.settled > self.last() => Some(whole()),
                Wanted::Cordon | Wanted::Restore => is_late.then_some(Success::Partial),
            },
        }
    }
}

#[cfg(test)]
mod tests;
