//! The loop. What happens to a notice, from the poll to the verdict:
//!
//! 1. **Observe** ([`observe`](super::observe)): what each path of the metadata service says, the Node, the drain.
//! 2. **Plan** ([`plan()`](crate::plan::plan())): the marks that the Node is to bear, and the limit of the drain.
//! 3. **Cordon** ([`NodePatcher`]): one patch makes the Node bear these marks.
//! 4. **Evict** ([`Drain`]): the pods are listed and followed, evicted, and deleted when their time is up.
//! 5. **Verdict**: what became of each pod.
//!
//! It is level-triggered: whatever comes only makes it plan again, and then it does what differs between the plan and
//! what is. [`crate::command`]`::run` starts the threads that poll; their answers come through
//! [`threads`](super::threads).

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::drain::machine::{Drain, LastWord, LoadBalancers, Presence, Step};
use crate::drain::verdict::{Occasion, Verdict};
use crate::handler::by_hand::{ByHand, Success};
use crate::handler::config::Config;
use crate::handler::facts::facts;
use crate::handler::node_patcher::{NodePatcher, PatcherStep};
use crate::handler::retry::Retry;
use crate::handler::world::{Order, World};
use crate::moment::{Moment, Reading};
use crate::node::FieldManager;
use crate::plan::memory::Done;
use crate::plan::observed::{DrainStatus, Observed};
use crate::plan::{Plan, PlanConfig, Target, plan};
use crate::report::fact::{Fact, Purpose};

/// Runs until SIGTERM, or until what the operator asked for has come to its end.
pub fn run(goal: Goal, config: Config, world: &mut impl World) -> Ended {
    let mut handler = Handler::new(goal, config);
    loop {
        match handler.work(world) {
            ControlFlow::Continue(until) => {
                if let Some(news) = world.wait(until) {
                    handler.observe(news, world);
                }
            }
            ControlFlow::Break(ended) => return ended,
        }
    }
}

/// What the loop works for.
#[derive(Debug)]
pub enum Goal {
    /// What the notices ask for.
    Notices,
    /// What an operator's command asks for.
    ByHand(Box<ByHand>),
}

/// How it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Of an operator's command: what became of every pod, if one was to go.
    pub verdict: Option<Box<Verdict>>,
    /// Of an operator's command: how far it came.
    pub success: Success,
}

/// What the loop knows.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) goal: Goal,
    pub(super) config: Config,
    pub(super) plan_config: PlanConfig,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    /// Something was observed that the plan does not know.
    pub(super) is_stale: bool,
    /// The name of the Node.
    pub(super) name: Option<Arc<str>>,
    pub(super) credentials: Retry,
    pub(super) node_search: Retry,
    pub(super) patcher: NodePatcher,
    /// Whether there is a Node of that name.
    pub(super) presence: Presence,
    /// How the Node stood to load balancers when it last bore the marks that were wanted.
    pub(super) settled: Option<LoadBalancers>,
    /// The failure to read or patch the Node that was reported last: its purpose, and whether there is no such Node.
    pub(super) node_fails: Option<(Purpose, bool)>,
    /// SIGTERM has come: the process ends when no drain is under way.
    pub(super) is_terminated: bool,
    pub(super) drain: Option<Box<Drain>>,
    /// Its pods are listed and followed.
    pub(super) is_following: bool,
    /// There may be a connection to the API server.
    pub(super) is_connected: bool,
    pub(super) jitter: fastrand::Rng,
}

impl Handler {
    pub(super) fn new(goal: Goal, config: Config) -> Self {
        let plan_config = PlanConfig {
            policy: config.policy.clone(),
            marks: config.marks,
            boot: config.boot.clone(),
        };
        Self {
            // An operator's command is planned at once.
            is_stale: matches!(goal, Goal::ByHand(_)),
            goal,
            plan_config,
            observed: Observed::new(&config.paths),
            plan: Plan::default(),
            name: config.node.clone(),
            credentials: Retry::due(),
            node_search: if config.node.is_some() { Retry::done() } else { Retry::due() },
            patcher: NodePatcher::new(config.dry),
            presence: Presence::Unknown,
            settled: None,
            node_fails: None,
            is_terminated: false,
            drain: None,
            is_following: false,
            is_connected: false,
            jitter: fastrand::Rng::with_seed(config.seed),
            config,
        }
    }

    /// Does everything that is due. Returns when to look again at the latest, or how the run has ended.
    pub(super) fn work(&mut self, world: &mut impl World) -> ControlFlow<Ended, Option<Moment>> {
        loop {
            let reading = world.read_clock();
            let now = reading.now;
            if let Some(ended) = self.has_ended(now) {
                return ControlFlow::Break(ended);
            }
            if self.is_stale || self.plan.look_again.is_some_and(|at| at <= now) {
                self.plan(reading, world);
                continue;
            }
            let is_over = self.drain.as_ref().is_some_and(|drain| drain.is_over(now));
            if !is_over && (self.prepare(now, world) || self.cordon(now, world)) {
                continue;
            }
            let done = match &self.drain {
                Some(_) => self.evict(now, world),
                None => self.idle(now, world),
            };
            if let ControlFlow::Break(until) = done {
                world.show(self.drain.as_deref(), now);
                return ControlFlow::Continue(until);
            }
        }
    }

    /// Whether there is nothing more to do.
    fn has_ended(&mut self, now: Moment) -> Option<Ended> {
        let is_draining = self.drain.is_some();
        match &mut self.goal {
            Goal::Notices if self.is_terminated && !is_draining => {
                Some(Ended { verdict: None, success: Success::Partial })
            }
            Goal::Notices => None,
            Goal::ByHand(by_hand) => {
                let success = by_hand.success(now, is_draining, self.patcher.is_unsettled())?;
                Some(Ended { verdict: by_hand.verdict.take(), success })
            }
        }
    }

    /// Works out what should be, reports what is new, and brings the drain in line. The marks follow in
    /// [`Handler::cordon`].
    fn plan(&mut self, reading: Reading, world: &mut impl World) {
        let now = reading.now;
        self.is_stale = false;
        if let Some(drain) = &self.drain {
            self.observed.drain = Some(DrainStatus {
                ended: false,
                listed: drain.has_listed(),
                asked: drain.has_asked(),
            });
        }
        let next = match &self.goal {
            Goal::Notices => plan(&self.observed, &self.plan, &self.plan_config, reading),
            Goal::ByHand(by_hand) => by_hand.plan(now),
        };
        let before = std::mem::replace(&mut self.plan, next);
        self.patcher.want(now, self.plan.marks.wanted.clone(), self.plan.marks.renew_for.clone());
        let facts = facts(&before, &self.plan, now);
        let taken_over = facts.iter().any(|fact| matches!(fact, Fact::TakenOver { .. }));
        for fact in facts {
            world.tell(fact);
        }
        match (&mut self.drain, &self.plan.drain) {
            (Some(drain), Some(target)) => {
                drain.retarget(target.limit);
                if let Some(left) = drain.ends_within(now).filter(|_| taken_over) {
                    world.tell(Fact::EndsAfterDrain(left));
                }
            }
            (None, Some(target)) => {
                let target = target.clone();
                self.begin(now, &target);
            }
            (Some(_), None) => self.call_off(now, before.drain.as_ref(), world),
            (None, None) => {}
        }
        // The plan knows of its end.
        self.observed.drain.take_if(|drain| drain.ended || self.drain.is_none());
        #[cfg(test)]
        self.stays_so(reading);
    }

    /// To plan again from the same observations changes nothing, and there is nothing to report.
    #[cfg(test)]
    fn stays_so(&self, reading: Reading) {
        if matches!(self.goal, Goal::Notices) && (self.drain.is_some() || !self.is_stale) {
            let again = plan(&self.observed, &self.plan, &self.plan_config, reading);
            assert_eq!(again, self.plan, "another plan of the same at {:?}", reading.now);
            assert_eq!(facts(&self.plan, &again, reading.now), []);
        }
    }

    fn begin(&mut self, now: Moment, target: &Target) {
        self.credentials.hurry(now);
        self.node_search.hurry(now);
        let mut drain = Drain::begin(now, self.config.drain(target.limit));
        if self.presence == Presence::Present {
            drain.node_is(Presence::Present);
        }
        if let (None, Some(load_balancers)) = (&target.key, self.settled) {
            drain.marked(now, load_balancers);
        }
        (self.drain, self.is_following) = (Some(Box::new(drain)), false);
    }

    /// What the drain was for will not happen, or an earlier process has dealt with it.
    fn call_off(&mut self, now: Moment, target: Option<&Target>, world: &mut impl World) {
        let Some(mut drain) = self.drain.take() else { return };
        let mut records = self.plan.memory.records.iter();
        let is_done_before = records
            .any(|it| it.done != Done::No && target.is_some_and(|target| target.is_for(&it.key)));
        if !is_done_before && !drain.is_emptied() {
            for progress in drain.take_progress() {
                world.tell(Fact::Drain(progress));
            }
            let verdict = Box::new(drain.call_off(now));
            world.tell(Fact::Verdict(Occasion::CalledOff, verdict));
        }
        self.patcher.keep();
        self.disconnect(now, world);
        self.is_stale = true;
    }

    /// What has to be there before anything can be done at the API server. True if something was begun.
    fn prepare(&mut self, now: Moment, world: &mut impl World) -> bool {
        if self.credentials.take(now) {
            self.order(Order::CheckCredentials, world);
        } else if self.node_search.take(now) {
            self.order(Order::FindNode, world);
        } else {
            return false;
        }
        true
    }

    /// Gives the Node the marks that are wanted. True if something was done.
    fn cordon(&mut self, now: Moment, world: &mut impl World) -> bool {
        let Some(name) = self.name.clone().filter(|_| self.may_mark()) else { return false };
        match self.patcher.next(now) {
            None => return false,
            Some(PatcherStep::Read) => self.order(Order::ReadNode(name), world),
            Some(PatcherStep::Patch(patch)) => {
                if let Goal::ByHand(by_hand) = &mut self.goal {
                    by_hand.changed = true;
                }
                self.order(Order::PatchNode(name, patch), world);
            }
            Some(PatcherStep::Settled { changes, load_balancers, failed }) => {
                if failed > 0 {
                    self.node_fails = None;
                    world.tell(Fact::NodeRecovered(failed));
                }
                self.settled = Some(load_balancers);
                if let Some(drain) = &mut self.drain {
                    drain.marked(now, load_balancers);
                }
                let mut by = FieldManager::Handler;
                if let Goal::ByHand(by_hand) = &mut self.goal {
                    by = FieldManager::Operator;
                    by_hand.settled(!changes.is_empty());
                    self.is_stale = true;
                }
                let dry = self.config.dry;
                let until = self.plan.marks.until.filter(|_| !dry && !changes.is_empty());
                for change in changes.into_iter().map(Box::new) {
                    world.tell(Fact::Marks { change, dry, by });
                }
                if let Some(until) = until {
                    world.tell(Fact::MarksLast(now.until(until)));
                }
            }
        }
        true
    }

    /// Whether the Node can be asked for. What is missing for the API server is reported once, by what looks for it,
    /// unless a drain or an operator cannot wait.
    fn may_mark(&self) -> bool {
        let is_asked = self.drain.is_some() || matches!(self.goal, Goal::ByHand(_));
        self.name.is_some() && (self.credentials.is_done() || is_asked)
    }

    /// Does what the drain says next: to list the pods, to evict and to delete them, and to say what became of each.
    /// When to look again, if there is nothing to do now.
    fn evict(&mut self, now: Moment, world: &mut impl World) -> ControlFlow<Option<Moment>> {
        let Some(drain) = &mut self.drain else { return ControlFlow::Continue(()) };
        let annotation_awaited_until =
            self.plan.drain.as_ref().and_then(|target| target.annotation_awaited_until);
        let is_decided = annotation_awaited_until.is_none_or(|moment| moment <= now);
        if let Some(name) = &self.name
            && is_decided
            && !self.is_following
            && !drain.is_over(now)
        {
            self.is_following = true;
            world.tell(Fact::DrainBegins(Arc::clone(name)));
            let order = Order::FollowPods(Arc::clone(name));
            self.order(order, world);
            return ControlFlow::Continue(());
        }
        match drain.next(now, world.free()) {
            Step::Tell(progress) => world.tell(Fact::Drain(progress)),
            Step::Ask(job) => self.order(Order::Ask(job), world),
            Step::GiveUp(pod) => self.order(Order::GiveUp(pod), world),
            Step::Verdict(occasion, verdict) => self.verdict(now, occasion, verdict, world),
            Step::Wait(until) => {
                let wake = self.wake();
                return ControlFlow::Break(Some(wake.map_or(until, |wake| wake.min(until))));
            }
            Step::Done(last) => self.ended(now, last, world),
        }
        ControlFlow::Continue(())
    }

    /// What became of every pod.
    fn verdict(
        &mut self,
        now: Moment,
        occasion: Occasion,
        verdict: Verdict,
        world: &mut impl World,
    ) {
        let verdict = Box::new(verdict);
        let Goal::ByHand(by_hand) = &mut self.goal else {
            return world.tell(Fact::Verdict(occasion, verdict));
        };
        // An operator who waits for the end gets the verdict with it, and waits for no pods that come late.
        by_hand.verdict = Some(verdict);
        let is_clean = |drain: Box<Drain>| drain.is_clean(now) && occasion != Occasion::CalledOff;
        by_hand.drained = self.drain.take().map(is_clean);
        self.is_stale = true;
    }

    /// The drain has come to its end.
    fn ended(&mut self, now: Moment, last: LastWord, world: &mut impl World) {
        match last {
            LastWord::Verdict(occasion, verdict) => self.verdict(now, occasion, verdict, world),
            LastWord::DeadlineReached => world.tell(Fact::DeadlineReached),
            LastWord::Nothing => {}
        }
        let Some(drain) = self.drain.take() else { return };
        let (listed, asked) = (drain.has_listed(), drain.has_asked());
        self.observed.drain = Some(DrainStatus { ended: true, listed, asked });
        self.is_stale = true;
        if !self.is_terminated {
            self.disconnect(now, world);
        }
    }

    /// No drain is under way.
    fn idle(&mut self, now: Moment, world: &mut impl World) -> ControlFlow<Option<Moment>> {
        let marks = self.patcher.is_busy() && self.may_mark();
        if self.is_connected && !marks && !self.node_search.is_under_way() {
            self.disconnect(now, world);
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(self.wake())
    }

    /// When something beside a drain is due.
    fn wake(&self) -> Option<Moment> {
        let mark = self.patcher.wake().filter(|_| self.may_mark());
        let all = [self.credentials.wake(), self.node_search.wake(), mark, self.plan.look_again];
        all.into_iter().flatten().min()
    }

    fn order(&mut self, order: Order, world: &mut impl World) {
        self.is_connected |= order.connects();
        world.carry_out(order);
    }

    /// The answers go with the connection.
    fn disconnect(&mut self, now: Moment, world: &mut impl World) {
        world.carry_out(Order::Disconnect);
        self.node_search.lost(now);
        self.patcher.lost(now);
        self.is_connected = false;
    }
}
