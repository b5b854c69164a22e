//! A drain and the marks that go with it. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::Plan;
use crate::drain::machine::{self, Drain};
use crate::drain::pod::OwnPod;
use crate::drain::pod_news::PodNews;
use crate::drain::timing::Timing;
use crate::drain::verdict::Verdict;
use crate::handler::config::Config;
use crate::handler::marking::{self, Marking};
use crate::handler::step::Step;
use crate::handler::world::{News, Order};
use crate::intent::{Basis, Intent};
use crate::moment::Moment;
use crate::node::{Node, NodeAnswer, Remembered};
use crate::notice::NoticeId;
use crate::report::fact::{Cordon, Fact, Occasion};

/// A drain under way.
#[derive(Debug)]
pub struct Draining {
    notice: NoticeId,
    boot_id: String,
    dry: bool,
    /// The notice is older than this process: it may have been drained for already. Not
    /// asked any more once a pod was told to go.
    from_the_start: bool,
    /// Where its deadline came from at first.
    basis: Basis,
    /// `None` once the node is marked, or in a dry run looked at.
    marking: Option<Marking>,
    drain: Drain,
    following: Following,
    /// The table that was told when nothing was left.
    emptied: Option<Table>,
    /// When this process was told to end, if it was.
    told_to_end: Option<Moment>,
}

/// What a table told, as far as it can change: rows, and pods that could not be read.
type Table = (usize, u32);

/// Whether the pods of the node are listed and followed.
#[derive(Clone, Copy, Debug)]
enum Following {
    /// It begins at that moment.
    From(Moment),
    /// It is under way.
    Now,
    /// It could not be started, and is tried again at that moment.
    Again(Moment),
}

/// How it goes on after something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// As before.
    Continue,
    /// Not at all: the Node says that this notice was drained for before this process started.
    Abandon,
}

/// A notice that is older than this process may have been drained for: the Node tells. No
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
        intent: Intent,
        from_the_start: bool,
    ) -> Self {
        let plan = Plan {
            timing: Timing::new(intent.deadline, config.margin),
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
            basis: intent.basis,
            from_the_start,
            marking: Some(Marking::begin(now, config.marks(notice, false))),
            drain: Drain::begin(now, plan),
            following: Following::From(if from_the_start { now + NODE_WAIT } else { now }),
            emptied: None,
            told_to_end: None,
        }
    }

    /// For which notice.
    pub fn notice(&self) -> NoticeId {
        self.notice
    }

    /// Another notice takes over: what is gone stays gone, and the Node is to say so.
    pub fn taken_over(&mut self, now: Moment, config: &Config, notice: NoticeId) {
        self.notice = notice;
        self.from_the_start = false;
        let marks = config.marks(notice, false);
        match &mut self.marking {
            Some(marking) => marking.change(now, marks),
            None => self.marking = Some(Marking::begin(now, marks)),
        }
    }

    /// More is known of the own pod than at the beginning.
    pub fn own_pod(&mut self, own: OwnPod) {
        self.drain.own_pod(own);
        self.stop_earlier();
    }

    /// The instance goes earlier than was said; true if that is news.
    pub fn pull_in(&mut self, deadline: Moment) -> bool {
        self.drain.pull_in(deadline)
    }

    /// This process has to end, within its own pod's grace or, as long as that is not known,
    /// `patience`. Tells how long it goes on.
    pub fn stop(&mut self, now: Moment, patience: Duration) -> Duration {
        let grace = self.drain.own_grace().unwrap_or(patience);
        self.told_to_end = Some(now);
        self.drain.stop_at(now + grace.saturating_sub(TIME_TO_SAY));
        now.until(self.drain.end())
    }

    /// The own pod was seen, and has less time than was thought when this process was told to end.
    fn stop_earlier(&mut self) {
        if let (Some(told), Some(grace)) = (self.told_to_end, self.drain.own_grace()) {
            self.drain.stop_at(told + grace.saturating_sub(TIME_TO_SAY));
        }
    }

    /// Whether nothing is left that is to go, and the table that said so has not changed since.
    pub fn is_emptied(&self, now: Moment) -> bool {
        self.drain.is_empty() && self.emptied == Some(table(&self.drain.verdict(now)))
    }

    /// Whether its deadline is there, or the moment at which this process must end.
    pub fn is_over(&self, now: Moment) -> bool {
        now >= self.drain.end()
    }

    /// Whether the node's pods are known, so that it can be said what became of them.
    pub fn has_listed(&self) -> bool {
        self.drain.has_listed()
    }

    /// The next step; `None`: the drain is over, and said so in `todo`.
    pub fn next(
        &mut self,
        now: Moment,
        free: usize,
        node: Option<&Arc<str>>,
        todo: &mut VecDeque<Step>,
    ) -> Option<Step> {
        if let Some(node) = node
            && !self.is_over(now)
        {
            if free > 0
                && let Some(marking) = &mut self.marking
                && let Some(request) = marking.next(now)
            {
                return Some(Step::Do(request.order(node)));
            }
            match self.following {
                Following::From(due) if due <= now => {
                    self.following = Following::Now;
                    todo.push_back(Step::Do(Order::FollowPods(node.clone())));
                    return Some(Step::Tell(Fact::DrainBegins(node.clone())));
                }
                Following::Again(due) if due <= now => {
                    self.following = Following::Now;
                    return Some(Step::Do(Order::FollowPods(node.clone())));
                }
                Following::From(_) | Following::Again(_) | Following::Now => {}
            }
        }
        match self.drain.next(now, free) {
            machine::Step::Tell(progress) => Some(Step::Tell(Fact::Drain(progress))),
            machine::Step::Ask(job) => {
                self.from_the_start = false;
                Some(Step::Do(Order::Ask(job)))
            }
            machine::Step::ReopenWatch => Some(Step::Do(Order::ReopenWatch)),
            machine::Step::Wait(_) if self.drain.is_stopping() && self.drain.is_empty() => {
                if !self.is_emptied(now) {
                    let verdict = Box::new(self.drain.verdict(now));
                    todo.push_back(Step::Tell(Fact::Verdict(Occasion::Stopped, verdict)));
                }
                None
            }
            machine::Step::Wait(until) => Some(Step::Wait(Some(
                self.wake(free, node.is_some()).map_or(until, |w| w.min(until)),
            ))),
            machine::Step::Empty(verdict) => {
                self.emptied = Some(table(&verdict));
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
    ) -> Flow {
        match news {
            News::Node(answer) => return self.node_answered(now, answer, jitter, todo),
            News::Pods(PodNews::SetBegins) => {
                // After an outage: a cordon that came later than the first evictions would let
                // replacements of these pods come back to this node.
                if let Some(marking) = &mut self.marking {
                    marking.hurry(now);
                }
                self.drain.set_begins();
            }
            News::Pods(PodNews::SetComplete) => self.drain.set_complete(now),
            News::Pods(PodNews::Seen(pod)) => {
                self.drain.pod_seen(pod);
                self.stop_earlier();
            }
            News::Pods(PodNews::Gone { uid }) => self.drain.pod_gone(now, &uid),
            News::Pods(PodNews::Unread { why }) => self.drain.pod_unread(why),
            News::Pods(PodNews::Lost { why }) => self.drain.watch_lost(why),
            News::NotFollowing { why } => {
                self.following = Following::Again(now + FOLLOW_AGAIN);
                self.drain.watch_lost(why);
            }
            News::Answered { pod, answer } => self.drain.answered(now, &pod.uid, answer),
            _ => {}
        }
        Flow::Continue
    }

    /// When something beside the drain is due.
    fn wake(&self, free: usize, node_known: bool) -> Option<Moment> {
        let marking = self.marking.as_ref().and_then(Marking::wake).filter(|_| free > 0);
        let following = match self.following {
            Following::From(due) | Following::Again(due) => Some(due),
            Following::Now => None,
        };
        let wakes = [marking, following].into_iter().flatten();
        wakes.min().filter(|_| node_known)
    }

    fn node_answered(
        &mut self,
        now: Moment,
        answer: NodeAnswer,
        jitter: &mut fastrand::Rng,
        todo: &mut VecDeque<Step>,
    ) -> Flow {
        let Some(marking) = &mut self.marking else { return Flow::Continue };
        match marking.observe(now, answer, jitter) {
            marking::Event::Read(node) => return self.node_read(now, &node, todo),
            marking::Event::Set { was_unschedulable, ours } => {
                let cordon = match (was_unschedulable, ours) {
                    (false, _) => Cordon::Done,
                    (true, true) => Cordon::Kept,
                    (true, false) => Cordon::Foreign,
                };
                self.cordoned(now, todo, cordon);
            }
            marking::Event::Failing(why) => {
                todo.push_back(Step::Tell(Fact::CordonFailing(why)));
            }
            marking::Event::Nothing => {}
        }
        Flow::Continue
    }

    fn node_read(&mut self, now: Moment, node: &Node, todo: &mut VecDeque<Step>) -> Flow {
        let state = match &node.state {
            Remembered::State(state) => Some(state),
            Remembered::Nothing | Remembered::Unreadable => None,
        };
        // A node that somebody has uncordoned since, under a time yet to come, is in use again.
        let in_use = !node.unschedulable && matches!(self.basis, Basis::Stated(_));
        if self.from_the_start
            && !in_use
            && state.is_some_and(|state| state.has_drained(self.notice, &self.boot_id))
        {
            return Flow::Abandon;
        }
        if let Following::From(due) = &mut self.following {
            *due = now.min(*due);
        }
        if self.marking.as_ref().is_some_and(Marking::is_set) {
            let ours = state.is_some_and(|state| state.cordoned);
            self.cordoned(now, todo, if ours { Cordon::Kept } else { Cordon::Foreign });
        } else if self.dry {
            let cordon = if node.unschedulable { Cordon::Foreign } else { Cordon::Would };
            self.cordoned(now, todo, cordon);
        }
        Flow::Continue
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
        if self.emptied == Some(table(&verdict)) && self.drain.is_empty() {
            return Fact::DeadlineReached;
        }
        Fact::Verdict(Occasion::Deadline, Box::new(verdict))
    }
}

fn table(verdict: &Verdict) -> Table {
    (verdict.rows.len(), verdict.unread)
}
