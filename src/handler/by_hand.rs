//! What an operator asked for: a drain of a node, or that is taken back what was done to it. The same
//! marks and the same drain as for a notice, and then an end. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::limit::Limit;
use crate::drain::machine::LoadBalancers;
use crate::drain::verdict::{Outcome, Reason as Why, Verdict};
use crate::handler::config::Config;
use crate::handler::draining::{Draining, presence};
use crate::handler::marker::{Event, Marker, Move};
use crate::handler::step::Step;
use crate::handler::world::{News, Order, World};
use crate::moment::Moment;
use crate::node::marks::{Cause, Change, MarkSet, Marks, Reason};
use crate::node::state::Remembered;
use crate::node::{Hand, Node, NodeAnswer};
use crate::report::fact::{Fact, Purpose};

/// How it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What became of every pod, if one was to go.
    pub verdict: Option<Box<Verdict>>,
    /// How far it came.
    pub success: Success,
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

/// Before a failed request about the Node is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often somebody who watches is told how far it is.
const TICK: Duration = Duration::from_secs(1);

/// The boot that the annotation names: a drain by hand outlives the boots of its machine.
const NO_BOOT: &str = "by-hand";

/// Does what was asked, to its end. `show` is told how far it is, for somebody who watches.
pub fn run(mut by_hand: ByHand, world: &mut impl World, mut show: impl FnMut(&str)) -> Ended {
    loop {
        let now = world.read_clock().now;
        match by_hand.next(now, world.free()) {
            Step::Do(order) => world.carry_out(order),
            Step::Tell(Fact::Verdict(_, verdict)) => by_hand.verdict = Some(verdict),
            Step::Tell(fact) => world.tell(fact),
            Step::Wait(until) => {
                show(&by_hand.status(now));
                let tick = now + TICK;
                if let Some(news) = world.wait(Some(until.map_or(tick, |until| until.min(tick)))) {
                    by_hand.observe(world.read_clock().now, news);
                }
            }
            Step::End => return by_hand.ended(),
        }
    }
}

/// What an operator asked for.
#[derive(Debug)]
pub struct ByHand {
    node: Arc<str>,
    purpose: Purpose,
    dry: bool,
    marker: Marker,
    /// What the Node is to bear after what it is to bear now.
    then: VecDeque<Marks>,
    draining: Option<Box<Draining>>,
    verdict: Option<Box<Verdict>>,
    until: Moment,
    contact: Contact,
    /// Something about the Node is different.
    changed: bool,
    /// Something is left that was to be taken back.
    left: bool,
    success: Option<Success>,
    jitter: fastrand::Rng,
    todo: VecDeque<Step>,
}

/// Whether the Node can be read and changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    /// It was not read yet: maybe there is no such node.
    NotYet,
    Good,
    /// It fails, and that was told.
    Failing,
}

impl ByHand {
    /// A drain of the node; where the operator wants marks only, just these.
    pub fn drain(now: Moment, config: &Config, node: Arc<str>, limit: Limit) -> Self {
        let set = MarkSet {
            cordon: true,
            taint: None,
            exclusion: config.marks.exclude_from_load_balancers,
        };
        let marks = marks(Hand::Operator, Some(Reason { cause: Cause::ByHand, set }));
        let mut drain = Self::new(now, config, node, Purpose::Drain, [marks], limit.end());
        if !config.policy.marks_only {
            let draining = Draining::begin(now, config, None, limit, false);
            drain.draining = Some(Box::new(draining));
        }
        drain
    }

    /// Takes back what a drain by hand has done to the node, and what the handler has; gives up at
    /// `until`.
    pub fn restore(now: Moment, config: &Config, node: Arc<str>, until: Moment) -> Self {
        let all = [Hand::Operator, Hand::Handler].map(|hand| marks(hand, None));
        Self::new(now, config, node, Purpose::TakeBack, all, until)
    }

    fn new(
        now: Moment,
        config: &Config,
        node: Arc<str>,
        purpose: Purpose,
        marks: impl Into<VecDeque<Marks>>,
        until: Moment,
    ) -> Self {
        let mut then = marks.into();
        let mut marker = Marker::new(config.dry);
        marker.want(now, then.pop_front());
        // Also in a dry run, which would not look for what is only noted.
        marker.renew(now);
        Self {
            node,
            purpose,
            dry: config.dry,
            marker,
            then,
            draining: None,
            verdict: None,
            until,
            contact: Contact::NotYet,
            changed: false,
            left: false,
            success: None,
            jitter: fastrand::Rng::with_seed(config.seed),
            // Whose token it is tells which pod is the own one.
            todo: VecDeque::from([Step::Do(Order::CheckCredentials)]),
        }
    }

    /// What to do next; `free`: how many requests about pods could be sent at once. There is always room for one
    /// about the Node.
    pub fn next(&mut self, now: Moment, free: usize) -> Step {
        loop {
            if let Some(step) = self.todo.pop_front() {
                return step;
            }
            if self.success.is_some() {
                return Step::End;
            }
            match self.marker.next(now) {
                Some(Move::Read) => {
                    return Step::Do(Order::ReadNode(Arc::clone(&self.node)));
                }
                Some(Move::Patch(patch)) => {
                    self.changed = true;
                    return Step::Do(Order::PatchNode(Arc::clone(&self.node), patch));
                }
                Some(Move::Settled { changes, load_balancers, failed }) => {
                    self.settled(now, changes, load_balancers, failed);
                    continue;
                }
                None => {}
            }
            let begun = self.has_begun();
            let Some(draining) = self.draining.as_mut().filter(|_| begun) else {
                if self.until <= now {
                    self.success = Some(self.too_late());
                    continue;
                }
                return Step::Wait(Some(self.wake(self.until)));
            };
            match draining.next(now, free, Some(&self.node), &mut self.todo) {
                Some(Step::Wait(until)) => {
                    let until = until.unwrap_or(self.until);
                    return Step::Wait(Some(self.wake(until)));
                }
                Some(Step::Tell(Fact::Verdict(occasion, verdict))) => {
                    self.drained(now);
                    return Step::Tell(Fact::Verdict(occasion, verdict));
                }
                Some(step) => return step,
                None => self.drained(now),
            }
        }
    }

    /// Whether pods may be asked to go. First it is seen whether there is such a node, and that it is
    /// cordoned: else the pods that are evicted would come back. An instance that goes does not wait for
    /// that.
    fn has_begun(&self) -> bool {
        self.contact != Contact::NotYet
            && self.draining.as_ref().is_some_and(|it| it.is_marked() || it.has_deadline())
    }

    fn wake(&self, until: Moment) -> Moment {
        let mark = self.marker.wake();
        mark.map_or(until, |mark| mark.min(until))
    }

    /// The time is over, and nothing was begun, or the Node is not as it is to be.
    fn too_late(&self) -> Success {
        match &self.draining {
            Some(_) => {
                Success::None("the node could not be cordoned, so nobody was evicted".to_owned())
            }
            None => Success::Partial,
        }
    }

    /// Nothing is left that was to go, or the time is over.
    fn drained(&mut self, now: Moment) {
        let Some(draining) = self.draining.take() else { return };
        let clean = draining.is_clean(now) && !draining.is_called_off();
        // Whoever was quick to go has left before the node could be cordoned.
        if clean && self.marker.is_unsettled() && now < self.until {
            return;
        }
        let whole = clean && !self.marker.is_unsettled();
        self.success =
            Some(if whole { Success::Whole { changed: true } } else { Success::Partial });
    }

    /// The Node bears what it is to bear.
    fn settled(
        &mut self,
        now: Moment,
        changes: Vec<Change>,
        load_balancers: LoadBalancers,
        failed: u32,
    ) {
        if failed > 0 {
            self.contact = Contact::Good;
            self.todo.push_back(Step::Tell(Fact::NodeRecovered(failed)));
        }
        self.changed |= !changes.is_empty();
        let dry = self.dry;
        let by = Hand::Operator;
        let fact = |change| Step::Tell(Fact::Marks { change: Box::new(change), dry, by });
        self.todo.extend(changes.into_iter().map(fact));
        match (&mut self.draining, self.then.pop_front()) {
            (Some(draining), _) => draining.marked(now, load_balancers),
            (None, Some(next)) => {
                self.marker.want(now, Some(next));
                self.marker.renew(now);
            }
            (None, None) if self.left => self.success = Some(Success::Partial),
            (None, None) => self.success = Some(Success::Whole { changed: self.changed }),
        }
    }

    /// Something happened.
    pub fn observe(&mut self, now: Moment, news: News) {
        match news {
            News::Credentials(Err(why)) => self.success = Some(Success::None(why)),
            News::Credentials(Ok(own)) => {
                if let Some(draining) = &mut self.draining {
                    draining.own_pod(own);
                }
            }
            News::Node(answer) => {
                let forbidden = matches!(answer, NodeAnswer::Forbidden(_));
                if let (Some(draining), Some(presence)) = (&mut self.draining, presence(&answer)) {
                    draining.node_is(presence);
                }
                match self.marker.observe(now, answer, LONGEST_PAUSE, &mut self.jitter) {
                    Some(Event::Read(node)) => self.read(now, &node),
                    Some(Event::TaintForbidden(why)) => {
                        self.left = true;
                        self.todo.push_back(Step::Tell(Fact::TaintForbidden(why)));
                    }
                    Some(Event::Failing(why)) if self.is_hopeless(forbidden) => {
                        self.success = Some(Success::None(why));
                    }
                    Some(Event::Failing(why)) if self.contact == Contact::Good => {
                        self.contact = Contact::Failing;
                        self.todo.push_back(Step::Tell(Fact::NodeFailing(self.purpose, why)));
                    }
                    Some(Event::Failing(_)) | None => {}
                }
            }
            News::Terminate => {
                let begun = self.has_begun();
                match self.draining.as_mut().filter(|_| begun) {
                    Some(draining) => draining.call_off(now),
                    None => self.success = Some(Success::Partial),
                }
            }
            news => {
                if let Some(draining) = &mut self.draining {
                    draining.observe(now, news);
                }
            }
        }
    }

    /// Whether trying again leads nowhere: there is no such node, or the right is missing. An instance that
    /// goes is drained all the same.
    fn is_hopeless(&self, forbidden: bool) -> bool {
        let goes = self.draining.as_ref().is_some_and(|draining| draining.has_deadline());
        self.contact == Contact::NotYet || forbidden && !goes
    }

    fn read(&mut self, now: Moment, node: &Node) {
        if self.contact == Contact::NotYet {
            self.contact = Contact::Good;
        }
        if self.purpose != Purpose::TakeBack {
            return;
        }
        let hands = [Hand::Operator, Hand::Handler];
        if !self.left && hands.iter().any(|hand| *node.remembered(*hand) == Remembered::Unreadable)
        {
            self.left = true;
            self.todo.push_back(Step::Tell(Fact::MarksUnreadable));
        }
        // Which notices it has dealt with the handler is to go on knowing.
        if let Some(state) = node.state.state().filter(|_| self.then.is_empty()) {
            let (boot_id, notices) = (state.boot_id.clone(), state.notices.clone());
            self.marker
                .want(now, Some(Marks { hand: Hand::Handler, reason: None, boot_id, notices }));
        }
    }

    /// How far it is, in less than a line.
    fn status(&self, now: Moment) -> String {
        let Some(draining) = &self.draining else { return String::new() };
        Status::of(&draining.so_far(now)).in_words(now.until(self.until))
    }

    fn ended(self) -> Ended {
        Ended { verdict: self.verdict, success: self.success.unwrap_or(Success::Partial) }
    }
}

fn marks(hand: Hand, reason: Option<Reason>) -> Marks {
    Marks { hand, reason, boot_id: NO_BOOT.to_owned(), notices: Vec::new() }
}

/// What somebody who watches a drain wants to know.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    listed: bool,
    to_go: usize,
    gone: usize,
    ending: usize,
    failing: usize,
    held: BTreeMap<String, usize>,
}

impl Status {
    fn of(verdict: &Verdict) -> Self {
        let mut status = Self { listed: verdict.listed, ..Self::default() };
        for row in &verdict.rows {
            status.to_go += 1;
            match &row.outcome {
                Outcome::LeftAlone(_) => status.to_go -= 1,
                Outcome::StillThere(Why::Blocked(budget)) => {
                    *status.held.entry(budget.to_string()).or_default() += 1;
                }
                Outcome::StillThere(Why::Ending { .. }) => status.ending += 1,
                Outcome::StillThere(Why::Failed(_)) => status.failing += 1,
                Outcome::StillThere(_) => {}
                _ => status.gone += 1,
            }
        }
        status
    }

    /// `87 of 110 gone; 11 ending, 12 held by disruption budget shop/web; 98 s left`
    fn in_words(&self, left: Duration) -> String {
        if !self.listed {
            return format!("the pods of the node are being read; {} s left", left.as_secs());
        }
        let held: usize = self.held.values().sum();
        let holders = match self.held.keys().next() {
            Some(budget) if self.held.len() == 1 => format!("held by disruption budget {budget}"),
            _ => format!("held by {} disruption budgets", self.held.len()),
        };
        let waits = [
            (self.ending, "ending"),
            (held, holders.as_str()),
            (self.failing, "cannot be asked: see above"),
        ];
        let mut words = format!("{} of {} gone", self.gone, self.to_go);
        let mut before = ';';
        for (count, what) in waits.into_iter().filter(|(count, _)| *count > 0) {
            // Writing to a String does not fail.
            let _ = write!(words, "{before} {count} {what}");
            before = ',';
        }
        let _ = write!(words, "; {} s left", left.as_secs());
        words
    }
}

#[cfg(test)]
mod tests;
