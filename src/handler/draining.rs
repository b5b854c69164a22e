//! The drain of this node, for a notice. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::Plan;
use crate::drain::machine::{self, Drain};
use crate::drain::pod::OwnPod;
use crate::drain::pod_news::PodNews;
use crate::drain::timing::Timing;
use crate::drain::verdict::{End, Verdict};
use crate::handler::config::Config;
use crate::handler::entry::Item;
use crate::handler::marker::Exclusion;
use crate::handler::step::Step;
use crate::handler::world::{News, Order};
use crate::intent::Limit;
use crate::moment::Moment;
use crate::node::NodeAnswer;
use crate::report::fact::{Fact, Occasion};

/// A drain under way.
#[derive(Debug)]
pub struct Draining {
    /// For which notice; `None`: an operator wants it.
    item: Option<Item>,
    /// Of the notices that it was for so far, the limit that counts; its end may have moved since.
    limit: Limit,
    dry: bool,
    /// The notice is older than this process, and what the Node remembers of it is not known: it may
    /// have been drained for already. Not asked any more once a pod was told to go.
    undecided: bool,
    /// Evictions wait for load balancers so long, once the node is out of them.
    hold: Duration,
    /// The node is marked for it.
    marked: bool,
    drain: Drain,
    following: Following,
    /// Whether there is a Node of this name, as far as is known.
    sight: Sight,
    emptied: Emptied,
    /// When this process was told to end, if it was.
    told_to_end: Option<Moment>,
}

/// What a table told, as far as it can change: rows, pods that could not be read, and whether the node is
/// there.
type Table = (usize, u32, Sight);

/// Whether nothing was left, at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptied {
    /// Not yet.
    No,
    /// No pod was found. It is told once it is known whether there is a Node of this name.
    Unsaid,
    /// This table told so.
    Said(Table),
}

/// Whether there is a Node of the name by which pods are asked for. Where there is none, nobody can say
/// that its pods are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It could not be read yet.
    Unknown,
    /// It was read.
    Seen,
    /// The API server says that there is none.
    Missing,
}

impl Sight {
    /// What an answer about the Node shows; `None`: nothing.
    pub fn by(answer: &NodeAnswer) -> Option<Self> {
        match answer {
            NodeAnswer::Is(_) => Some(Self::Seen),
            NodeAnswer::Missing(_) => Some(Self::Missing),
            NodeAnswer::Conflict | NodeAnswer::Forbidden(_) | NodeAnswer::Failed(_) => None,
        }
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

/// Between the verdict of a stopped drain and the kubelet's SIGKILL.
const TIME_TO_SAY: Duration = Duration::from_secs(2);

impl Draining {
    /// A drain begins. `undecided`: it may have been done before; the Node tells.
    pub fn begin(
        now: Moment,
        config: &Config,
        item: Option<Item>,
        limit: Limit,
        undecided: bool,
    ) -> Self {
        let plan = Plan {
            timing: timing(now, limit, config.margin),
            rules: config.rules.clone(),
            longest_grace: config.longest_grace,
            budget_override: budget_override(limit, config),
            dry: config.dry,
            seed: config.seed,
        };
        let mut drain = Drain::begin(now, plan);
        if config.marks.exclude_from_load_balancers {
            // Until it is known whether the node leaves them.
            drain.hold_evictions_until(now + config.load_balancer_hold);
        }
        Self {
            item,
            limit,
            dry: config.dry,
            undecided,
            hold: config.load_balancer_hold,
            marked: false,
            drain,
            following: Following::From(if undecided { now + NODE_WAIT } else { now }),
            sight: Sight::Unknown,
            emptied: Emptied::No,
            told_to_end: None,
        }
    }

    /// Whether there is a Node of this name was found out.
    pub fn sees(&mut self, sight: Sight) {
        self.sight = sight;
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
    pub fn taken_over(&mut self, now: Moment, config: &Config, item: Item, limit: Limit) -> bool {
        self.item = Some(item);
        self.decided(now);
        if limit.urgency() < self.limit().urgency() {
            self.limit = limit;
        }
        self.drain.retime(timing(now, limit, config.margin), budget_override(limit, config))
    }

    /// What was noticed will not happen.
    pub fn call_off(&mut self) {
        self.drain.call_off();
    }

    /// The node is marked.
    pub fn marked(&mut self, now: Moment, exclusion: Exclusion) {
        self.marked = true;
        self.drain.release(now);
        match exclusion {
            Exclusion::Now => self.drain.hold_evictions_until(now + self.hold),
            // They had the time since the drain began, or longer.
            Exclusion::Before => {}
            Exclusion::None => self.drain.hold_evictions_until(now),
        }
    }

    /// Whether the node is marked.
    pub fn is_marked(&self) -> bool {
        self.marked
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

    /// The limit that holds.
    pub fn limit(&self) -> Limit {
        self.limit.with_end(self.drain.timing().end())
    }

    /// Whether its instance goes.
    pub fn has_deadline(&self) -> bool {
        self.limit.has_deadline()
    }

    /// This process has to end, within its own pod's grace or, as long as that is not known,
    /// `patience`. Tells how long it goes on.
    pub fn stop(&mut self, now: Moment, patience: Duration) -> Duration {
        let grace = self.drain.own_grace().unwrap_or(patience);
        self.told_to_end = Some(now);
        self.drain.stop_at(now + grace.saturating_sub(TIME_TO_SAY));
        now.until(self.drain.end())
    }

    /// How long it goes on, if this process was told to end.
    pub fn ends_within(&self, now: Moment) -> Option<Duration> {
        self.told_to_end.map(|_| now.until(self.drain.end()))
    }

    /// The own pod was seen, and has less time than was thought when this process was told to end.
    fn stop_earlier(&mut self) {
        if let (Some(told), Some(grace)) = (self.told_to_end, self.drain.own_grace()) {
            self.drain.stop_at(told + grace.saturating_sub(TIME_TO_SAY));
        }
    }

    /// Whether nothing is left that is to go, and the table that said so has not changed since.
    pub fn is_emptied(&self, now: Moment) -> bool {
        self.drain.is_empty() && self.emptied == Emptied::Said(self.table(&self.drain.verdict(now)))
    }

    /// What has become of every pod so far.
    pub fn so_far(&self, now: Moment) -> Verdict {
        self.drain.verdict(now)
    }

    /// Whether it has come to its end, or this process must end.
    pub fn is_over(&self, now: Moment) -> bool {
        match self.drain.ended(now) {
            Some(End::Empty) if self.emptied == Emptied::Unsaid && !self.drain.is_stopping() => {
                self.limit().end() <= now
            }
            end => end.is_some(),
        }
    }

    /// Whether what was noticed will not happen.
    pub fn is_called_off(&self, now: Moment) -> bool {
        self.drain.ended(now) == Some(End::CalledOff)
    }

    /// Whether the node's pods are known, so that it can be said what became of them.
    pub fn has_listed(&self, now: Moment) -> bool {
        self.drain.has_listed() && self.sight_by(&self.drain.verdict(now)) == Sight::Seen
    }

    /// Whether all went by now that was to go.
    pub fn is_clean(&self, now: Moment) -> bool {
        self.drain.verdict(now).is_clean() && self.has_listed(now)
    }

    /// A pod that is bound to the node shows, too, that its name is right.
    fn sight_by(&self, verdict: &Verdict) -> Sight {
        let has_pods = !verdict.rows.is_empty() || verdict.unread > 0;
        if has_pods { Sight::Seen } else { self.sight }
    }

    fn table(&self, verdict: &Verdict) -> Table {
        (verdict.rows.len(), verdict.unread, self.sight_by(verdict))
    }

    /// What a verdict on this occasion is of a node that was not seen.
    fn occasion(&self, occasion: Occasion, verdict: &Verdict) -> Occasion {
        match self.sight_by(verdict) {
            _ if occasion == Occasion::CalledOff => occasion,
            Sight::Seen => occasion,
            Sight::Missing => Occasion::NoNode,
            // The list itself tells that nothing is known.
            Sight::Unknown if !verdict.listed => occasion,
            Sight::Unknown => Occasion::NodeUnknown,
        }
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
            && self.wake().is_some_and(|due| due <= now)
        {
            self.following = Following::Now;
            todo.push_back(Step::Do(Order::FollowPods(node.clone())));
            return Some(Step::Tell(Fact::DrainBegins(node.clone())));
        }
        if self.emptied == Emptied::Unsaid {
            let verdict = self.drain.verdict(now);
            if self.sight_by(&verdict) != Sight::Unknown {
                self.emptied = Emptied::No;
                if verdict.listed && self.drain.is_empty() {
                    return Some(self.empty(verdict));
                }
            } else if !self.is_over(now) && verdict.end == Some(End::Empty) {
                return Some(Step::Wait(Some(self.limit().end())));
            }
        }
        match self.drain.next(now, free) {
            machine::Step::Tell(progress) => Some(Step::Tell(Fact::Drain(progress))),
            machine::Step::Ask(job) => {
                self.undecided = false;
                Some(Step::Do(Order::Ask(job)))
            }
            machine::Step::GiveUp(pod) => Some(Step::Do(Order::GiveUp(pod))),
            machine::Step::Wait(_) if self.drain.is_stopping() && self.drain.is_empty() => {
                if !self.is_emptied(now) {
                    let verdict = Box::new(self.drain.verdict(now));
                    let occasion = self.occasion(Occasion::Stopped, &verdict);
                    todo.push_back(Step::Tell(Fact::Verdict(occasion, verdict)));
                }
                None
            }
            machine::Step::Wait(until) => {
                let following = self.wake().filter(|_| node.is_some());
                Some(Step::Wait(Some(following.map_or(until, |wake| wake.min(until)))))
            }
            machine::Step::Empty(verdict) if self.sight_by(&verdict) == Sight::Unknown => {
                // The Node's answer is still to come.
                self.emptied = Emptied::Unsaid;
                self.next(now, free, node, todo)
            }
            machine::Step::Empty(verdict) => Some(self.empty(verdict)),
            machine::Step::Done(verdict) => {
                todo.extend(self.last_word(verdict).map(Step::Tell));
                None
            }
        }
    }

    /// Nothing is left that was to go.
    fn empty(&mut self, verdict: Verdict) -> Step {
        self.emptied = Emptied::Said(self.table(&verdict));
        let occasion = if self.dry { Occasion::Rehearsed } else { Occasion::Empty };
        Step::Tell(Fact::Verdict(self.occasion(occasion, &verdict), Box::new(verdict)))
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
            News::Pods(PodNews::SetBegins) => self.drain.set_begins(),
            News::Pods(PodNews::SetComplete) => self.drain.set_complete(now),
            News::Pods(PodNews::Seen(pod)) => {
                self.drain.pod_seen(now, pod);
                self.stop_earlier();
            }
            News::Pods(PodNews::Gone { uid }) => self.drain.pod_gone(now, &uid),
            News::Pods(PodNews::Unread { pod, why }) => self.drain.pod_unread(pod, why),
            News::Pods(PodNews::Lost { why }) => self.drain.watch_lost(why),
            News::Answered { pod, answer } => self.drain.answered(now, &pod.uid, answer),
            _ => {}
        }
    }

    /// `None`: everything was said when nothing was left, and there was nothing to wait for.
    fn last_word(&self, verdict: Verdict) -> Option<Fact> {
        let said = self.emptied == Emptied::Said(self.table(&verdict)) && self.drain.is_empty();
        let occasion = match verdict.end {
            Some(End::Stopped) => Occasion::Stopped,
            Some(End::Empty | End::CalledOff) if said => return None,
            Some(End::CalledOff) => Occasion::CalledOff,
            Some(End::Deadline) | None if said => return Some(Fact::DeadlineReached),
            Some(End::Patience | End::Empty) => Occasion::PatienceOver,
            Some(End::Deadline) | None => Occasion::Deadline,
        };
        Some(Fact::Verdict(self.occasion(occasion, &verdict), Box::new(verdict)))
    }
}

fn timing(now: Moment, limit: Limit, margin: Duration) -> Timing {
    match limit {
        Limit::Deadline(at) => Timing::deadline(at, margin),
        Limit::AtOnce(end) => Timing::at_once(end, now),
        Limit::Patience(until) => Timing::patience(until),
    }
}

/// Where nothing happens to the instance, nobody is deleted against a budget.
fn budget_override(limit: Limit, config: &Config) -> BudgetOverride {
    match limit {
        Limit::Deadline(_) | Limit::AtOnce(_) => config.budget_override,
        Limit::Patience(_) => BudgetOverride::Never,
    }
}
