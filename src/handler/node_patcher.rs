//! Gives the Node the marks that are wanted: reads it, patches what was read, and begins anew when
//! it was changed in between. Pure.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::drain::machine::LoadBalancers;
use crate::moment::Moment;
use crate::node::marks::{Change, Draft, Marks, Patch};
use crate::node::{Node, NodeAnswer};
use crate::plan::Renewal;

/// What the Node is to bear, and how far that has come.
#[derive(Debug)]
pub struct NodePatcher {
    /// Nothing is written.
    dry: bool,
    /// `None`: the Node stays as it is.
    wanted: Option<Marks>,
    /// For whose sake marks that others have taken off were to be set again last.
    renewed_for: Option<Renewal>,
    /// They are still to be.
    renew: bool,
    phase: Phase,
    backoff: Backoff,
    failed: u32,
    /// Patches that came too late: the Node had been changed in between.
    conflicts: u32,
    /// A patch was sent that takes the node out of load balancers, and may have been accepted
    /// whatever came of its answer.
    excluding: bool,
    taints: Taints,
}

/// Whether the patch changes taints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taints {
    Tried,
    /// They may not be: that was refused.
    Forbidden,
}

#[derive(Debug)]
enum Phase {
    ToRead(Moment),
    Reading,
    Read(Box<Node>),
    Patching(Draft),
    /// The patch was accepted.
    Patched(Draft),
    /// A patch for earlier marks is under way: whatever comes of it, the Node is read again.
    Outdated,
    /// The Node bears what is wanted.
    Settled,
}

/// What the marker does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatcherStep {
    /// The Node is to be read.
    Read,
    /// The Node is to be changed.
    Patch(Patch),
    /// The Node bears what is wanted.
    Settled {
        /// What that has changed.
        changes: Vec<Change>,
        /// Whether it is out of load balancers.
        load_balancers: LoadBalancers,
        /// It had failed so many times before.
        failed: u32,
    },
}

/// What an answer has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatcherEvent {
    /// The Node was read, as asked.
    Read(Box<Node>),
    /// It fails, and is tried again.
    Failing(String),
    /// Taints may not be changed; the other marks are set without one.
    TaintForbidden(String),
}

/// So many conflicts may be chance; more are a controller that keeps changing the Node, or refuses it.
const CHANCE: u32 = 2;

/// The longest pause after that. The server is well, and whether a change gets in between two of
/// another's is a matter of how often it is tried.
const CONFLICT_PAUSE: Duration = Duration::from_secs(2);

const RETRIES: Backoff = Backoff::from_millis(200, 30_000);

impl NodePatcher {
    /// The Node is to be read once, whatever is wanted then: what an earlier process did stands there.
    pub fn new(dry: bool) -> Self {
        Self {
            dry,
            wanted: None,
            renewed_for: None,
            renew: false,
            phase: Phase::ToRead(Moment::START),
            backoff: RETRIES,
            failed: 0,
            conflicts: 0,
            excluding: false,
            taints: Taints::Tried,
        }
    }

    /// Whether marks are wanted: else only what an earlier process did is looked up.
    pub fn wants_marks(&self) -> bool {
        self.wanted.as_ref().is_some_and(|marks| marks.reason.is_some())
    }

    /// These marks are wanted from now on. A request under way is waited for: its answer must not be taken for that
    /// to a later one. Marks that others have taken off are set again once for each `renew_for`.
    pub fn want(&mut self, now: Moment, marks: Option<Marks>, renew_for: Option<Renewal>) {
        let renews = renew_for.is_some() && renew_for != self.renewed_for;
        let reason = |marks: &Option<Marks>| marks.as_ref().and_then(|marks| marks.reason.clone());
        // What is only noted is of no interest where nothing is written.
        let differs = self.wanted != marks && (!self.dry || reason(&self.wanted) != reason(&marks));
        self.wanted = marks;
        self.renew |= renews;
        self.renewed_for = renew_for;
        if renews {
            self.taints = Taints::Tried;
        }
        if renews || differs {
            self.begin(now);
        }
    }

    /// Marks that others have taken off stay off.
    pub fn keep(&mut self) {
        self.renew = false;
    }

    fn begin(&mut self, now: Moment) {
        self.backoff.reset();
        self.phase = match std::mem::replace(&mut self.phase, Phase::Settled) {
            Phase::Patching(_) | Phase::Outdated => Phase::Outdated,
            Phase::Reading => Phase::Reading,
            Phase::Read(node) => Phase::Read(node),
            Phase::ToRead(_) | Phase::Patched(_) | Phase::Settled => Phase::ToRead(now),
        };
    }

    /// What is to be done now. A request is under way from now on.
    pub fn next(&mut self, now: Moment) -> Option<PatcherStep> {
        match std::mem::replace(&mut self.phase, Phase::Settled) {
            Phase::ToRead(due) if due <= now => {
                self.phase = Phase::Reading;
                Some(PatcherStep::Read)
            }
            Phase::Read(node) => {
                let draft = self.wanted.as_ref().map(|marks| match self.taints {
                    Taints::Tried => marks.draft(&node, self.renew),
                    Taints::Forbidden => marks.draft_without_taints(&node, self.renew),
                });
                let draft = draft.unwrap_or_default();
                match draft.patch.clone().filter(|_| !self.dry) {
                    Some(patch) => {
                        self.excluding |= draft.changes.contains(&Change::Excluded);
                        self.phase = Phase::Patching(draft);
                        Some(PatcherStep::Patch(patch))
                    }
                    None => Some(self.settled(draft)),
                }
            }
            Phase::Patched(draft) => Some(self.settled(draft)),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// When to ask [`NodePatcher::next`] again; `None`: not before an answer.
    pub fn wake(&self) -> Option<Moment> {
        match self.phase {
            Phase::ToRead(due) => Some(due),
            Phase::Read(_) | Phase::Patched(_) => Some(Moment::START),
            Phase::Reading | Phase::Patching(_) | Phase::Outdated | Phase::Settled => None,
        }
    }

    /// Whether a request is under way, or one is to be sent.
    pub fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Settled)
    }

    /// Whether the Node does not bear yet what is wanted.
    pub fn is_unsettled(&self) -> bool {
        !self.dry && self.wanted.is_some() && self.is_busy()
    }

    /// The API server answers: what waits to be tried again is tried now.
    pub fn hurry(&mut self, now: Moment) {
        if let Phase::ToRead(due) = &mut self.phase {
            *due = now.min(*due);
        }
    }

    /// The connections were closed: no answer will come to what is under way.
    pub fn lost(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Reading | Phase::Patching(_) | Phase::Outdated) {
            self.phase = Phase::ToRead(now);
        }
    }

    /// An answer came; after a failure it is tried again no later than after `longest_pause`.
    pub fn observe(
        &mut self,
        now: Moment,
        answer: NodeAnswer,
        longest_pause: Duration,
        jitter: &mut fastrand::Rng,
    ) -> Option<PatcherEvent> {
        match (answer, std::mem::replace(&mut self.phase, Phase::Settled)) {
            (NodeAnswer::Is(node), Phase::Reading) => {
                let read = PatcherEvent::Read(node.clone());
                self.phase = Phase::Read(node);
                Some(read)
            }
            (NodeAnswer::Is(_), Phase::Patching(draft)) => {
                self.phase = Phase::Patched(draft);
                None
            }
            (_, Phase::Outdated) => {
                self.phase = Phase::ToRead(now);
                None
            }
            // What changed the Node is done with it, as a rule.
            (NodeAnswer::Conflict, Phase::Patching(_)) if self.conflicts < CHANCE => {
                self.conflicts += 1;
                self.phase = Phase::ToRead(now);
                None
            }
            (NodeAnswer::Conflict, _) => {
                let why = "each change of the Node is refused, for it was changed in between (409)";
                self.conflicts = 0;
                let longest_pause = longest_pause.min(CONFLICT_PAUSE);
                Some(self.failed(now, why.to_owned(), longest_pause, jitter))
            }
            // A right of its own: without it the rest of the marks is set all the same.
            (NodeAnswer::Forbidden(why), Phase::Patching(draft))
                if draft.taints() && self.taints == Taints::Tried =>
            {
                self.taints = Taints::Forbidden;
                self.phase = Phase::ToRead(now);
                Some(PatcherEvent::TaintForbidden(why))
            }
            (
                NodeAnswer::Missing(why) | NodeAnswer::Forbidden(why) | NodeAnswer::Failed(why),
                _,
            ) => Some(self.failed(now, why, longest_pause, jitter)),
            (NodeAnswer::Is(_), phase) => {
                self.phase = phase;
                None
            }
        }
    }
}

impl NodePatcher {
    /// The Node is as it is to be.
    fn settled(&mut self, Draft { changes, excluded, .. }: Draft) -> PatcherStep {
        let load_balancers = match excluded {
            true if self.excluding => LoadBalancers::LeftNow,
            true => LoadBalancers::LeftBefore,
            false => LoadBalancers::Stay,
        };
        self.excluding = false;
        (self.phase, self.renew, self.conflicts) = (Phase::Settled, false, 0);
        self.backoff.reset();
        PatcherStep::Settled { changes, load_balancers, failed: std::mem::take(&mut self.failed) }
    }

    fn failed(
        &mut self,
        now: Moment,
        why: String,
        longest_pause: Duration,
        jitter: &mut fastrand::Rng,
    ) -> PatcherEvent {
        self.phase = Phase::ToRead(now + self.backoff.next_within(longest_pause, jitter));
        self.failed += 1;
        PatcherEvent::Failing(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::marks::{MarkCause, MarkReason, MarkSet};
    use crate::node::{FieldManager, Taint, TaintEffect};
    use crate::notice::NoticeId;

    fn at(milliseconds: u64) -> Moment {
        Moment::at(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_pause_after_a_failure_ends_when_the_server_is_heard_of() {
        let mut jitter = fastrand::Rng::with_seed(1);
        let mut marker = NodePatcher::new(false);
        assert_eq!(marker.next(at(0)), Some(PatcherStep::Read));
        let failed = NodeAnswer::Failed("away".to_owned());
        let told = marker.observe(at(0), failed, Duration::MAX, &mut jitter);
        assert_eq!(told, Some(PatcherEvent::Failing("away".to_owned())));
        assert_eq!(marker.next(at(10)), None);
        marker.hurry(at(10));
        assert_eq!(marker.next(at(10)), Some(PatcherStep::Read));
        marker.hurry(at(20));
        assert_eq!(marker.next(at(20)), None, "one is under way");
        marker.lost(at(30));
        assert_eq!(marker.next(at(30)), Some(PatcherStep::Read), "its answer will not come");
    }

    #[test]
    fn whoever_keeps_changing_the_node_is_raced_every_few_seconds_however_long_it_lasts() {
        let mut jitter = fastrand::Rng::with_seed(1);
        let mut marker = NodePatcher::new(false);
        let mut now = at(0);
        for _ in 0..20 {
            assert_eq!(marker.next(now), Some(PatcherStep::Read));
            let told = marker.observe(now, NodeAnswer::Conflict, Duration::MAX, &mut jitter);
            assert!(matches!(told, Some(PatcherEvent::Failing(_))), "{told:?}");
            let next = marker.wake().unwrap();
            assert!(next > now && next <= now + CONFLICT_PAUSE, "{now:?} {next:?}");
            now = next;
        }
    }

    #[test]
    fn where_taints_may_not_be_changed_the_rest_is_set_without_one() {
        let mut jitter = fastrand::Rng::with_seed(1);
        let mut marker = NodePatcher::new(false);
        let set = MarkSet {
            cordon: true,
            taint: Some(Taint::of(&NoticeId::Rebalance, TaintEffect::NoSchedule)),
            exclusion: true,
        };
        let cause = MarkCause::Notice(NoticeId::Rebalance);
        let reason = Some(MarkReason { cause, set });
        let (boot_id, notices) = (String::new(), Vec::new());
        let renewal = Renewal { drain: 1, notice: None, reissued: 0 };
        let marks = Marks { manager: FieldManager::Handler, reason, boot_id, notices };
        marker.want(at(0), Some(marks), Some(renewal));
        let mut patched = |marker: &mut NodePatcher| {
            assert_eq!(marker.next(at(0)), Some(PatcherStep::Read));
            let node = Box::new(Node::bare());
            marker.observe(at(0), NodeAnswer::Is(node), Duration::MAX, &mut jitter);
            match marker.next(at(0)) {
                Some(PatcherStep::Patch(patch)) => patch,
                other => panic!("{other:?}"),
            }
        };
        assert!(patched(&mut marker).taints);
        let mut jitter = fastrand::Rng::with_seed(1);
        let refused = NodeAnswer::Forbidden("403".to_owned());
        let told = marker.observe(at(0), refused.clone(), Duration::MAX, &mut jitter);
        assert_eq!(told, Some(PatcherEvent::TaintForbidden("403".to_owned())));
        let patch = patched(&mut marker);
        assert!(!patch.taints && patch.text.contains("unschedulable"), "{patch:?}");
        assert!(patch.text.contains("exclude-from-external-load-balancers"), "{patch:?}");
        // If that is forbidden, too, it is retried like any other failure.
        let told = marker.observe(at(0), refused, Duration::MAX, &mut jitter);
        assert_eq!(told, Some(PatcherEvent::Failing("403".to_owned())));
    }
}
