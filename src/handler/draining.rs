//! A drain and the marks that go with it, and what remains of it afterwards. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::Plan;
use crate::drain::machine::{self, Drain};
use crate::drain::pod::OwnPod;
use crate::drain::timing::Timing;
use crate::drain::verdict::Verdict;
use crate::handler::marking::{self, Marking};
use crate::handler::state::{Config, Step};
use crate::handler::world::{News, Order, PodNews};
use crate::moment::Moment;
use crate::node::{Marks, Node, Remembered};
use crate::notice::NoticeId;
use crate::report::fact::{Cordon, Fact, Occasion};

/// A drain under way.
#[derive(Debug)]
pub struct Draining {
    notice: NoticeId,
    boot_id: String,
    dry: bool,
    /// The notice stood there before this process did: it may have been drained for already.
    from_the_start: bool,
    drained_before: bool,
    notice_over: bool,
    /// `None` once the node is marked, or in a dry run looked at.
    marking: Option<Marking>,
    drain: Drain,
    /// When to begin to follow the pods; `None` once that has begun.
    follow: Option<Moment>,
    begun: bool,
    /// How many rows the table had that was told when nothing was left.
    emptied: Option<usize>,
    ending: bool,
}

/// A notice that stood there before this process may have been drained for: the Node tells. No
/// longer than this is that waited for.
const NODE_WAIT: Duration = Duration::from_secs(1);

/// Before the watch is started again, where that failed.
const FOLLOW_AGAIN: Duration = Duration::from_millis(500);

/// Between the verdict of a stopped drain and the kubelet's SIGKILL.
const TIME_TO_SAY: Duration = Duration::from_secs(2);

impl Draining {
    /// A drain begins.
    pub fn begin(
        now: Moment,
        config: &Config,
        notice: NoticeId,
        deadline: Moment,
        from_the_start: bool,
    ) -> Self {
        let plan = Plan {
            timing: Timing::new(deadline, config.margin),
            rules: config.rules.clone(),
            longest_grace: config.longest_grace,
            budget_override: config.budget_override,
            dry: config.dry,
            seed: config.seed,
        };
        Self {
            notice,
            boot_id: config.boot_id.clone(),
            dry: config.dry,
            from_the_start,
            drained_before: false,
            notice_over: false,
            marking: Some(Marking::begin(now, marks(config, notice, false))),
            drain: Drain::begin(now, plan),
            follow: Some(if from_the_start { now + NODE_WAIT } else { now }),
            begun: false,
            emptied: None,
            ending: false,
        }
    }

    /// For which notice.
    pub fn notice(&self) -> NoticeId {
        self.notice
    }

    /// The notice stands no more. The drain goes on.
    pub fn notice_over(&mut self) {
        self.notice_over = true;
    }

    /// Another notice takes over: what is gone stays gone, and the Node is to say so.
    pub fn taken_over(&mut self, now: Moment, config: &Config, notice: NoticeId) {
        self.notice = notice;
        self.notice_over = false;
        self.from_the_start = false;
        self.marking = Some(Marking::begin(now, marks(config, notice, false)));
    }

    /// More is known of the own pod than at the beginning.
    pub fn own_pod(&mut self, own: OwnPod) {
        self.drain.own_pod(own);
    }

    /// The instance goes earlier than was said; true if that is news.
    pub fn pull_in(&mut self, deadline: Moment) -> bool {
        self.drain.pull_in(deadline)
    }

    /// This process has to end, within its own pod's grace or, as long as that is not known,
    /// `patience`. Tells how long it goes on.
    pub fn stop(&mut self, now: Moment, patience: Duration) -> Duration {
        let grace = self.drain.own_grace().unwrap_or(patience);
        let left = grace.saturating_sub(TIME_TO_SAY);
        self.ending = true;
        self.drain.stop_at(now + left);
        left.min(now.until(self.drain.deadline()))
    }

    /// Whether nothing is left that is to go, and that was said.
    pub fn is_emptied(&self) -> bool {
        self.emptied.is_some() && self.drain.is_empty()
    }

    /// Whether the Node says that this notice was drained for before this process started.
    pub fn was_drained_before(&self) -> bool {
        self.drained_before
    }

    /// The next step; `None`: the drain is over, and said so in `todo`.
    pub fn next(
        &mut self,
        now: Moment,
        free: usize,
        node: Option<&Arc<str>>,
        todo: &mut VecDeque<Step>,
    ) -> Option<Step> {
        if let Some(node) = node {
            if free > 0
                && let Some(marking) = &mut self.marking
                && let Some(ask) = marking.next(now)
            {
                return Some(Step::Do(node_order(node, ask)));
            }
            if self.follow.take_if(|due| *due <= now).is_some() {
                if !std::mem::replace(&mut self.begun, true) {
                    todo.push_back(Step::Tell(Fact::DrainBegins(node.clone())));
                }
                return Some(Step::Do(Order::FollowPods(node.clone())));
            }
        }
        if self.ending && self.is_emptied() {
            return None;
        }
        match self.drain.next(now, free) {
            machine::Step::Tell(progress) => Some(Step::Tell(Fact::Drain(progress))),
            machine::Step::Ask(job) => Some(Step::Do(Order::Ask(job))),
            machine::Step::Wait(until) => Some(Step::Wait(Some(
                self.wake(free, node.is_some()).map_or(until, |w| w.min(until)),
            ))),
            machine::Step::Empty(verdict) => {
                self.emptied = Some(verdict.rows.len());
                let occasion = if self.dry { Occasion::Rehearsed } else { Occasion::Empty };
                Some(Step::Tell(Fact::Verdict(occasion, Box::new(verdict))))
            }
            machine::Step::Done(verdict) => {
                todo.push_back(Step::Tell(self.last_word(now, verdict)));
                None
            }
        }
    }

    /// Something happened.
    pub fn observe(
        &mut self,
        now: Moment,
        news: News,
        jitter: &mut fastrand::Rng,
        todo: &mut VecDeque<Step>,
    ) {
        match news {
            News::Node(answer) => {
                let Some(marking) = &mut self.marking else { return };
                match marking.observe(now, answer, jitter) {
                    marking::Progress::Read(node) => self.node_read(now, &node, todo),
                    marking::Progress::Set { was_unschedulable, ours } => {
                        self.cordoned(
                            now,
                            todo,
                            match (was_unschedulable, ours) {
                                (false, _) => Cordon::Done,
                                (true, true) => Cordon::Kept,
                                (true, false) => Cordon::Foreign,
                            },
                        );
                    }
                    marking::Progress::Failing(why) => {
                        todo.push_back(Step::Tell(Fact::CordonFailing(why)));
                    }
                    marking::Progress::Nothing => {}
                }
            }
            News::Pods(PodNews::SetBegins) => self.drain.set_begins(),
            News::Pods(PodNews::SetComplete) => self.drain.set_complete(now),
            News::Pods(PodNews::Seen(pod)) => self.drain.pod_seen(pod),
            News::Pods(PodNews::Gone { uid }) => self.drain.pod_gone(now, &uid),
            News::Pods(PodNews::Unread { why }) => self.drain.pod_unread(why),
            News::Pods(PodNews::Lost { why }) => self.drain.watch_lost(why),
            News::NotFollowing { why } => {
                self.follow = Some(now + FOLLOW_AGAIN);
                self.drain.watch_lost(why);
            }
            News::Answered { pod, answer } => self.drain.answered(now, &pod.uid, answer),
            _ => {}
        }
    }

    /// When something beside the drain is due.
    fn wake(&self, free: usize, node_known: bool) -> Option<Moment> {
        let marking = self.marking.as_ref().and_then(Marking::wake).filter(|_| free > 0);
        let wakes = [marking, self.follow].into_iter().flatten();
        wakes.min().filter(|_| node_known)
    }

    fn node_read(&mut self, now: Moment, node: &Node, todo: &mut VecDeque<Step>) {
        let state = match &node.state {
            Remembered::State(state) => Some(state),
            Remembered::Nothing | Remembered::Unreadable => None,
        };
        if self.from_the_start
            && state.is_some_and(|state| state.has_drained(self.notice, &self.boot_id))
        {
            self.drained_before = true;
            return;
        }
        self.follow = self.follow.map(|due| due.min(now));
        if self.marking.as_ref().is_some_and(Marking::is_set) {
            let ours = state.is_some_and(|state| state.cordoned);
            self.cordoned(now, todo, if ours { Cordon::Kept } else { Cordon::Foreign });
        } else if self.dry {
            let cordon = if node.unschedulable { Cordon::Foreign } else { Cordon::Would };
            self.cordoned(now, todo, cordon);
        }
    }

    fn cordoned(&mut self, now: Moment, todo: &mut VecDeque<Step>, cordon: Cordon) {
        self.marking = None;
        self.drain.release(now);
        todo.push_back(Step::Tell(Fact::Cordon(cordon)));
    }

    fn last_word(&self, now: Moment, verdict: Verdict) -> Fact {
        if now < self.drain.deadline() {
            return Fact::Verdict(Occasion::Stopped, Box::new(verdict));
        }
        if self.emptied == Some(verdict.rows.len()) && self.drain.is_empty() {
            return Fact::DeadlineReached;
        }
        Fact::Verdict(Occasion::Deadline, Box::new(verdict))
    }
}

/// After a drain, while its notice still stands.
#[derive(Debug)]
pub struct Lingering {
    notice: NoticeId,
    over: bool,
    /// The note on the Node that the drain has come to its end, until when it is tried.
    note: Option<(Marking, Moment)>,
    at_rest: bool,
}

/// How long it is tried to note the end of a drain.
const NOTE_PATIENCE: Duration = Duration::from_secs(30);

impl Lingering {
    /// After this drain.
    pub fn after(now: Moment, draining: &Draining, config: &Config) -> Self {
        let marks = marks(config, draining.notice, true);
        let note = (Marking::begin(now, marks), now + NOTE_PATIENCE);
        Self {
            notice: draining.notice,
            over: draining.notice_over,
            note: (!config.dry).then_some(note),
            at_rest: false,
        }
    }

    /// Nothing was drained.
    pub fn idle(notice: NoticeId) -> Self {
        Self { notice, over: false, note: None, at_rest: true }
    }

    /// For which notice.
    pub fn notice(&self) -> NoticeId {
        self.notice
    }

    /// It stands no more: the same words would be a new notice.
    pub fn notice_over(&mut self) {
        self.over = true;
    }

    /// Whether `notice` is the one that was drained for, and still stands.
    pub fn is_for(&self, notice: NoticeId) -> bool {
        !self.over && self.notice == notice
    }

    /// The next step.
    pub fn next(&mut self, now: Moment, free: usize, node: Option<&Arc<str>>) -> Step {
        let (Some((marking, until)), Some(node)) = (&mut self.note, node) else {
            return self.rest();
        };
        if now >= *until || marking.is_set() {
            self.note = None;
            return self.rest();
        }
        if free > 0
            && let Some(ask) = marking.next(now)
        {
            return Step::Do(node_order(node, ask));
        }
        let until = marking.wake().map_or(*until, |wake| wake.max(now).min(*until));
        Step::Wait(Some(until))
    }

    /// Something happened.
    pub fn observe(
        &mut self,
        now: Moment,
        news: News,
        jitter: &mut fastrand::Rng,
        todo: &mut VecDeque<Step>,
    ) {
        let (News::Node(answer), Some((marking, _))) = (news, &mut self.note) else { return };
        if let marking::Progress::Failing(why) = marking.observe(now, answer, jitter) {
            todo.push_back(Step::Tell(Fact::NotNoted(why)));
        }
    }

    fn rest(&mut self) -> Step {
        if std::mem::replace(&mut self.at_rest, true) {
            Step::Wait(None)
        } else {
            Step::Do(Order::Rest)
        }
    }
}

fn marks(config: &Config, notice: NoticeId, drained: bool) -> Marks {
    Marks { notice, boot_id: config.boot_id.clone(), drained }
}

fn node_order(node: &Arc<str>, ask: marking::Ask) -> Order {
    match ask {
        marking::Ask::Read => Order::ReadNode(node.clone()),
        marking::Ask::Patch(patch) => Order::PatchNode(node.clone(), patch),
    }
}
