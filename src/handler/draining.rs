//! The drain of this node, for a notice. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::Plan;
use crate::drain::limit::Limit;
use crate::drain::machine::{self, Drain, LastWord, LoadBalancers, Presence};
use crate::drain::pod::OwnPod;
use crate::drain::verdict::Verdict;
use crate::handler::config::Config;
use crate::handler::entry::Item;
use crate::handler::step::Step;
use crate::handler::world::{News, Order};
use crate::moment::Moment;
use crate::node::NodeAnswer;
use crate::report::fact::{Fact, Occasion};

/// A drain under way.
#[derive(Debug)]
pub struct Draining {
    /// For which notice; `None`: an operator wants it.
    item: Option<Item>,
    /// The notice is older than this process, and what the Node remembers of it is not known: it may
    /// have been drained for already. Not asked any more once a pod was told to go.
    undecided: bool,
    following: Following,
    drain: Drain,
    /// What is still to be reported, once it is called off.
    called_off: Option<VecDeque<Step>>,
}

/// What an answer about the Node shows; `None`: nothing.
pub fn presence(answer: &NodeAnswer) -> Option<Presence> {
    match answer {
        NodeAnswer::Is(_) => Some(Presence::Present),
        NodeAnswer::Missing(_) => Some(Presence::Absent),
        NodeAnswer::Conflict | NodeAnswer::Forbidden(_) | NodeAnswer::Failed(_) => None,
    }
}

/// Whether the pods of the node are listed and followed.
#[derive(Clone, Copy, Debug)]
enum Following {
    /// It begins at that moment.
    From(Moment),
    /// It is under way.
    Now,
}

/// A notice that is older than this process may have been drained for: the Node tells. No
/// longer than this is that waited for.
const NODE_WAIT: Duration = Duration::from_secs(1);

/// Two readings of one time differ by fractions of a second.
const SAME: Duration = Duration::from_secs(1);

impl Draining {
    /// A drain begins. `undecided`: it may have been done before; the Node tells.
    pub fn begin(
        now: Moment,
        config: &Config,
        item: Option<Item>,
        limit: Limit,
        undecided: bool,
    ) -> Self {
        let excludes = config.marks.exclude_from_load_balancers;
        let plan = Plan {
            limit,
            margin: config.margin,
            rules: config.rules.clone(),
            longest_grace: config.longest_grace,
            budget_override: config.budget_override,
            load_balancer_hold: excludes.then_some(config.load_balancer_hold),
            dry: config.dry,
            seed: config.seed,
        };
        Self {
            item,
            undecided,
            following: Following::From(if undecided { now + NODE_WAIT } else { now }),
            drain: Drain::begin(now, plan),
            called_off: None,
        }
    }

    /// Whether there is a Node of this name was found out.
    pub fn node_is(&mut self, presence: Presence) {
        self.drain.node_is(presence);
    }

    /// For which notice, if it is for one.
    pub fn item(&self) -> Option<&Item> {
        self.item.as_ref()
    }

    /// Whether it may turn out to have been done before.
    pub fn is_undecided(&self) -> bool {
        self.undecided
    }

    /// What the Node remembers is known, or not waited for any more: the drain goes on.
    pub fn decided(&mut self, now: Moment) {
        self.undecided = false;
        if let Following::From(due) = &mut self.following {
            *due = now.min(*due);
        }
    }

    /// Another notice takes over: what is gone stays gone, grace and budgets are decided anew. True
    /// if the instance goes earlier than was said.
    pub fn taken_over(&mut self, now: Moment, item: Item, limit: Limit) -> bool {
        self.item = Some(item);
        self.decided(now);
        self.retarget(self.limit().tighten(limit))
    }

    /// The instance goes earlier than was said; true if that is news.
    pub fn pull_in(&mut self, deadline: Moment) -> bool {
        self.retarget(self.limit().with_end(deadline.min(self.limit().end())))
    }

    fn retarget(&mut self, limit: Limit) -> bool {
        let before = self.limit().end();
        if self.called_off.is_none() {
            self.drain.retarget(limit);
        }
        self.limit().end() + SAME <= before
    }

    /// What was noticed will not happen.
    pub fn call_off(&mut self, now: Moment) {
        if self.called_off.is_some() {
            return;
        }
        let told = self.drain.take_told().map(|it| Step::Tell(Fact::Drain(it)));
        let mut steps: VecDeque<Step> = told.collect();
        if !self.drain.is_emptied() {
            let verdict = Box::new(self.drain.call_off(now));
            steps.push_back(Step::Tell(Fact::Verdict(Occasion::CalledOff, verdict)));
        }
        self.called_off = Some(steps);
    }

    /// The node is marked.
    pub fn marked(&mut self, now: Moment, load_balancers: LoadBalancers) {
        self.drain.marked(now, load_balancers);
    }

    /// Whether the node is marked.
    pub fn is_marked(&self) -> bool {
        self.drain.is_marked()
    }

    /// More is known of the own pod than at the beginning.
    pub fn own_pod(&mut self, own: OwnPod) {
        self.drain.own_pod(own);
    }

    /// The limit that holds.
    pub fn limit(&self) -> Limit {
        self.drain.limit()
    }

    /// Whether its instance goes.
    pub fn has_deadline(&self) -> bool {
        self.limit().has_deadline()
    }

    /// This process has to end; see [`Drain::stop`].
    pub fn stop(&mut self, now: Moment, shutdown_grace: Duration) -> Duration {
        self.drain.stop(now, shutdown_grace)
    }

    /// How long it goes on, if this process was told to end.
    pub fn ends_within(&self, now: Moment) -> Option<Duration> {
        self.drain.ends_within(now)
    }

    /// Whether nothing is left that is to go, and the table that said so has not changed since.
    pub fn is_emptied(&self) -> bool {
        self.drain.is_emptied()
    }

    /// What has become of every pod so far.
    pub fn so_far(&self, now: Moment) -> Verdict {
        self.drain.verdict(now)
    }

    /// Whether it has come to its end, or this process must end.
    pub fn is_over(&self, now: Moment) -> bool {
        self.called_off.is_some() || self.drain.is_over(now)
    }

    /// Whether what was noticed will not happen.
    pub fn is_called_off(&self) -> bool {
        self.called_off.is_some()
    }

    /// Whether the node's pods are known, so that it can be said what became of them.
    pub fn has_listed(&self) -> bool {
        self.drain.has_listed()
    }

    /// Whether all went by now that was to go.
    pub fn is_clean(&self, now: Moment) -> bool {
        self.drain.is_clean(now)
    }

    /// The next step; `None`: the drain is over, and said so in `todo`.
    pub fn next(
        &mut self,
        now: Moment,
        free: usize,
        node: Option<&Arc<str>>,
        todo: &mut VecDeque<Step>,
    ) -> Option<Step> {
        if let Some(steps) = &mut self.called_off {
            todo.append(steps);
            return None;
        }
        if let Some(node) = node
            && !self.is_over(now)
            && self.wake().is_some_and(|due| due <= now)
        {
            self.following = Following::Now;
            todo.push_back(Step::Do(Order::FollowPods(node.clone())));
            return Some(Step::Tell(Fact::DrainBegins(node.clone())));
        }
        let verdict = |occasion, verdict| Step::Tell(Fact::Verdict(occasion, Box::new(verdict)));
        match self.drain.next(now, free) {
            machine::Step::Tell(progress) => Some(Step::Tell(Fact::Drain(progress))),
            machine::Step::Ask(job) => {
                self.undecided = false;
                Some(Step::Do(Order::Ask(job)))
            }
            machine::Step::GiveUp(pod) => Some(Step::Do(Order::GiveUp(pod))),
            machine::Step::Wait(until) => {
                let following = self.wake().filter(|_| node.is_some());
                Some(Step::Wait(Some(following.map_or(until, |wake| wake.min(until)))))
            }
            machine::Step::Verdict(occasion, it) => Some(verdict(occasion, it)),
            machine::Step::Done(last_word) => {
                match last_word {
                    LastWord::Verdict(occasion, it) => todo.push_back(verdict(occasion, it)),
                    LastWord::DeadlineReached => todo.push_back(Step::Tell(Fact::DeadlineReached)),
                    LastWord::Nothing => {}
                }
                None
            }
        }
    }

    /// When the watch is to be started.
    fn wake(&self) -> Option<Moment> {
        match self.following {
            Following::From(due) => Some(due),
            Following::Now => None,
        }
    }

    /// Something happened.
    pub fn observe(&mut self, now: Moment, news: News) {
        match news {
            News::Pods(news) => self.drain.observe(now, news),
            News::Answered { pod, answer } => self.drain.answered(now, &pod.uid, answer),
            _ => {}
        }
    }
}
