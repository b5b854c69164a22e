//! Sets marks on the Node: read it, patch what was read, and begin anew when somebody changed it in
//! between. Pure.

use std::sync::Arc;

use crate::drain::timing::Backoff;
use crate::handler::world::Order;
use crate::moment::Moment;
use crate::node::{Marks, Node, NodeAnswer, Patch, Remembered};

/// Marks on their way to the Node.
#[derive(Debug)]
pub struct Marking {
    marks: Marks,
    phase: Phase,
    backoff: Backoff,
    failed: u32,
    /// Patches that came too late: somebody had changed the Node in between.
    conflicts: u32,
}

#[derive(Debug)]
enum Phase {
    ToRead(Moment),
    Reading,
    ToPatch(Node, Patch),
    Patching(Node),
    /// A patch for an earlier notice is under way: whatever comes of it, the Node is read again.
    Outdated,
    Set,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeRequest {
    /// The Node is to be read.
    Read,
    /// The Node is to be changed.
    Patch(Patch),
}

impl NodeRequest {
    /// As an order about the Node of this name.
    pub fn order(self, node: &Arc<str>) -> Order {
        match self {
            Self::Read => Order::ReadNode(node.clone()),
            Self::Patch(patch) => Order::PatchNode(node.clone(), patch),
        }
    }
}

/// What an answer has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The Node was read, as told.
    Read(Node),
    /// The marks are there.
    Set {
        /// The node was cordoned before.
        was_unschedulable: bool,
        /// By us, for an earlier notice or in an earlier process.
        ours: bool,
    },
    /// It begins to fail, and is tried again.
    Failing(String),
    /// Nothing to tell.
    Nothing,
}

/// So many conflicts may be chance; more are somebody who keeps changing the Node, or refuses it.
const CHANCE: u32 = 2;

const RETRIES: Backoff = Backoff::from_millis(200, 2000);

impl Marking {
    /// Marks to be set as soon as possible.
    pub fn begin(now: Moment, marks: Marks) -> Self {
        Self { marks, phase: Phase::ToRead(now), backoff: RETRIES, failed: 0, conflicts: 0 }
    }

    /// Other marks are wanted. What is under way is waited for: its answer must not be taken for
    /// that to a later request.
    pub fn change(&mut self, now: Moment, marks: Marks) {
        self.marks = marks;
        self.phase = match std::mem::replace(&mut self.phase, Phase::ToRead(now)) {
            Phase::Patching(_) | Phase::Outdated => Phase::Outdated,
            Phase::Reading => Phase::Reading,
            Phase::ToRead(_) | Phase::ToPatch(..) | Phase::Set => Phase::ToRead(now),
        };
    }

    /// What is to be sent now, and is under way from now on.
    pub fn next(&mut self, now: Moment) -> Option<NodeRequest> {
        match &self.phase {
            Phase::ToRead(due) if *due <= now => {
                self.phase = Phase::Reading;
                Some(NodeRequest::Read)
            }
            Phase::ToPatch(node, patch) => {
                let (request, node) = (NodeRequest::Patch(patch.clone()), node.clone());
                self.phase = Phase::Patching(node);
                Some(request)
            }
            Phase::ToRead(_)
            | Phase::Reading
            | Phase::Patching(_)
            | Phase::Outdated
            | Phase::Set => None,
        }
    }

    /// When to ask [`Marking::next`] again; `None`: not before an answer.
    pub fn wake(&self) -> Option<Moment> {
        match self.phase {
            Phase::ToRead(due) => Some(due),
            Phase::ToPatch(..) => Some(Moment::START),
            Phase::Reading | Phase::Patching(_) | Phase::Outdated | Phase::Set => None,
        }
    }

    /// The API server answers: what waits to be tried again is tried now.
    pub fn hurry(&mut self, now: Moment) {
        if let Phase::ToRead(due) = &mut self.phase {
            *due = now.min(*due);
        }
    }

    /// Whether the marks are there.
    pub fn is_set(&self) -> bool {
        matches!(self.phase, Phase::Set)
    }

    /// An answer came.
    pub fn observe(
        &mut self,
        now: Moment,
        answer: NodeAnswer,
        jitter: &mut fastrand::Rng,
    ) -> Event {
        match (answer, &self.phase) {
            (NodeAnswer::Is(node), Phase::Reading) => {
                let read = Event::Read(node.clone());
                self.phase = match self.marks.patch(&node) {
                    Some(patch) => Phase::ToPatch(node, patch),
                    None => Phase::Set,
                };
                read
            }
            (NodeAnswer::Is(_), Phase::Patching(before)) => {
                let was_unschedulable = before.unschedulable;
                let ours = matches!(&before.state, Remembered::State(state) if state.cordoned);
                self.phase = Phase::Set;
                Event::Set { was_unschedulable, ours }
            }
            (_, Phase::Outdated) => {
                self.phase = Phase::ToRead(now);
                Event::Nothing
            }
            // Whoever changed the Node is done with it, as a rule.
            (NodeAnswer::Conflict, Phase::Patching(_)) if self.conflicts < CHANCE => {
                self.conflicts += 1;
                self.phase = Phase::ToRead(now);
                Event::Nothing
            }
            (NodeAnswer::Conflict, _) => {
                let why = "each change of the Node is refused, for it was changed in between (409)";
                self.failed(now, why.to_owned(), jitter)
            }
            (NodeAnswer::Failed(why), _) => self.failed(now, why, jitter),
            (NodeAnswer::Is(_), _) => Event::Nothing,
        }
    }

    fn failed(&mut self, now: Moment, why: String, jitter: &mut fastrand::Rng) -> Event {
        self.phase = Phase::ToRead(now + self.backoff.next(jitter));
        self.failed += 1;
        if self.failed == 1 { Event::Failing(why) } else { Event::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::notice::{Action, Kind, Notice, When};

    #[test]
    fn a_pause_after_a_failure_ends_when_the_server_is_heard_of() {
        let at = |millis| Moment::at(Duration::from_millis(millis));
        let notice = Notice {
            kind: Kind::SpotInterruption,
            action: Action::Terminate,
            when: When::Unstated,
            window: Duration::from_mins(2),
            wording: String::new(),
        };
        let marks = Marks { notice: notice.id(), boot_id: "boot".to_owned(), drained: false };
        let mut jitter = fastrand::Rng::with_seed(1);
        let mut marking = Marking::begin(at(0), marks);
        assert_eq!(marking.next(at(0)), Some(NodeRequest::Read));
        marking.observe(at(0), NodeAnswer::Failed("away".to_owned()), &mut jitter);
        assert_eq!(marking.next(at(10)), None);
        marking.hurry(at(10));
        assert_eq!(marking.next(at(10)), Some(NodeRequest::Read));
        marking.hurry(at(20));
        assert_eq!(marking.next(at(20)), None, "one is under way");
    }
}
