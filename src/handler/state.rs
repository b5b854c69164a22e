//! What the handler is doing, and what follows from what it is told. Pure.

mod heard;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::limit::Limit;
use crate::drain::machine::Presence;
use crate::drain::pod::OwnPod;
use crate::drain::pod_news::PodNews;
use crate::handler::agenda::Agenda;
use crate::handler::config::Config;
use crate::handler::draining::{Draining, presence};
use crate::handler::entry::Entry;
use crate::handler::marker::{Event, Marker, Move};
use crate::handler::notices::{Notices, WITHDRAWN_AFTER};
use crate::handler::recall::Ending;
use crate::handler::retry::{Retry, Transition};
use crate::handler::step::Step;
use crate::handler::world::{News, Order};
use crate::intent::Effect;
use crate::moment::{Moment, Reading};
use crate::node::state::Remembered;
use crate::node::{Hand, Node, NodeAnswer};
use crate::report::fact::{Fact, Purpose};

/// The handler.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    notices: Notices,
    agenda: Agenda,
    marker: Marker,
    draining: Option<Box<Draining>>,
    node: Option<Arc<str>>,
    credentials: Retry,
    node_search: Retry,
    /// The Node can not be read or changed, and that was told with what it was wanted for, and whether
    /// there is none.
    node_fails: Option<(Purpose, bool)>,
    /// Whether there is a Node of that name.
    presence: Presence,
    /// From when on something else may be to be done than was planned.
    plan_from: Option<Moment>,
    /// There may be a connection to the API server.
    connected: bool,
    /// SIGTERM has come.
    ending: bool,
    jitter: fastrand::Rng,
    todo: VecDeque<Step>,
}

impl Handler {
    /// A handler that has done nothing yet.
    pub fn new(config: Config) -> Self {
        let node_search = match config.node {
            Some(_) => Retry::done(),
            None => Retry::due(),
        };
        Self {
            notices: Notices::new(&config.paths),
            agenda: Agenda::new(config.policy.clone(), config.marks, config.boot.clone()),
            marker: Marker::new(config.dry),
            draining: None,
            node: config.node.clone(),
            credentials: Retry::due(),
            node_search,
            node_fails: None,
            presence: Presence::Unknown,
            plan_from: None,
            connected: false,
            ending: false,
            jitter: fastrand::Rng::with_seed(config.seed),
            todo: VecDeque::new(),
            config,
        }
    }

    /// What to do next; `free`: how many requests about pods could be sent at once. There is always room for one
    /// about the Node.
    pub fn next(&mut self, now: Moment, free: usize) -> Step {
        let step = self.choose(now, free);
        match &step {
            Step::Do(Order::Disconnect) => {
                // The answers go with the connection.
                self.node_search.lost(now);
                self.marker.lost(now);
                self.connected = false;
            }
            Step::Do(order) => self.connected |= order.connects(),
            Step::Tell(_) | Step::Wait(_) | Step::End => {}
        }
        step
    }

    fn choose(&mut self, now: Moment, free: usize) -> Step {
        loop {
            if let Some(step) = self.todo.pop_front() {
                return step;
            }
            if self.ending && self.draining.is_none() {
                return Step::End;
            }
            if self.plan_from.is_some_and(|from| from <= now) {
                self.plan(now);
                continue;
            }
            let over = self.draining.as_ref().is_some_and(|draining| draining.is_over(now));
            if !over && let Some(order) = self.prerequisite(now) {
                return Step::Do(order);
            }
            if !over && let Some(step) = self.mark(now) {
                return step;
            }
            let Some(draining) = &mut self.draining else { return self.idle() };
            let Some(step) = draining.next(now, free, self.node.as_ref(), &mut self.todo) else {
                self.drained(now);
                continue;
            };
            return match step {
                Step::Wait(until) => Step::Wait(earliest([until, self.wake()])),
                other => other,
            };
        }
    }

    /// No drain is under way.
    fn idle(&self) -> Step {
        let marks = self.marker.is_busy() && self.may_mark();
        let busy = marks || self.node_search.is_under_way();
        if self.connected && !busy {
            return Step::Do(Order::Disconnect);
        }
        Step::Wait(self.wake())
    }

    /// When something beside a drain is due.
    fn wake(&self) -> Option<Moment> {
        let find = self.node_search.wake();
        let mark = self.marker.wake().filter(|_| self.may_mark());
        earliest([self.credentials.wake(), find, mark, self.plan_from])
    }

    /// What has to be there before anything can be done at the API server, and is due.
    fn prerequisite(&mut self, now: Moment) -> Option<Order> {
        if self.credentials.take(now) {
            Some(Order::CheckCredentials)
        } else if self.node_search.take(now) {
            Some(Order::FindNode)
        } else {
            None
        }
    }

    /// Whether the Node can be asked for. What is missing for the API server is said once, by what
    /// looks for it, unless a drain cannot wait.
    fn may_mark(&self) -> bool {
        self.node.is_some() && (self.credentials.is_done() || self.draining.is_some())
    }

    /// Gives the Node the marks that are wanted.
    fn mark(&mut self, now: Moment) -> Option<Step> {
        let node = self.node.clone().filter(|_| self.may_mark())?;
        match self.marker.next(now)? {
            Move::Read => Some(Step::Do(Order::ReadNode(node))),
            Move::Patch(patch) => Some(Step::Do(Order::PatchNode(node, patch))),
            Move::Settled { changes, load_balancers, failed } => {
                if failed > 0 {
                    self.node_fails = None;
                    self.tell(Fact::NodeRecovered(failed));
                }
                if let Some(draining) = &mut self.draining {
                    draining.marked(now, load_balancers);
                }
                let dry = self.config.dry;
                let draining = self.draining.as_ref().and_then(|draining| draining.item());
                let until = self.agenda.marks_until(now, draining);
                let until = until.filter(|_| !dry && !changes.is_empty());
                let changes = changes.into_iter().map(Box::new);
                let by = Hand::Handler;
                let facts = changes.map(|change| Fact::Marks { change, dry, by });
                self.todo.extend(facts.map(Step::Tell));
                if let Some(until) = until {
                    self.tell(Fact::MarksLast(now.until(until)));
                }
                self.todo.pop_front()
            }
        }
    }

    /// Something happened.
    pub fn observe(&mut self, reading: Reading, news: News) {
        let now = reading.now;
        if news.may_change_plans() {
            self.plan_from = Some(now);
        }
        match news {
            News::Polled(polled) => self.polled(reading, polled),
            News::WithoutToken { status } => self.tell(Fact::WithoutToken(status)),
            News::Credentials(found) => self.credentials_read(now, found),
            News::NodeFound(found) => self.node_found(now, found),
            News::Terminate => self.terminate(now),
            News::Node(answer) => self.node_answered(reading, answer),
            News::Pods(_) | News::Answered { .. } => {
                if news == News::Pods(PodNews::SetBegins) {
                    // After an outage: a cordon that came later than the first evictions would let
                    // replacements of these pods come back to this node.
                    self.marker.hurry(now);
                }
                if let Some(draining) = &mut self.draining {
                    draining.observe(now, news);
                }
            }
        }
    }
}

/// What is to be done, by what stands.
impl Handler {
    fn plan(&mut self, now: Moment) {
        let draining = self.draining.as_ref().and_then(|draining| draining.item());
        match self.agenda.expire(now, draining) {
            Some(Ending::Expired(id)) => self.tell(Fact::MarksExpired(id)),
            Some(Ending::Gone(id)) => self.tell(Fact::StaysWithdrawn(id)),
            None => {}
        }
        if let Some(entry) = self.agenda.due(now).cloned() {
            self.drain_for(now, &entry);
        }
        self.speak_of_others(now);
        let draining = self.draining.as_ref().and_then(|draining| draining.item());
        let marks = self.agenda.marks(now, draining);
        self.marker.want(now, marks);
        self.plan_from = self.agenda.wake(now);
    }

    /// Begins a drain for this notice, or has it take over the one under way if its instance goes
    /// earlier.
    fn drain_for(&mut self, now: Moment, entry: &Entry) {
        let Effect::Drain(limit) = entry.intent.effect else { return };
        match &self.draining {
            None if self.ending => {}
            None => self.begin(now, entry, limit),
            Some(draining) if draining.item() == Some(&entry.item()) => {}
            // It is over with the next step.
            Some(draining) if draining.is_called_off() => {}
            Some(draining) if draining.limit().urgency() <= limit.urgency() => {}
            Some(_) => self.take_over(now, entry, limit),
        }
    }

    /// What stands beside the drain that is under way, or asks for marks only.
    fn speak_of_others(&mut self, now: Moment) {
        let draining = self.draining.as_ref().and_then(|draining| draining.item());
        while let Some(entry) = self.agenda.unspoken(now, draining) {
            let (notice, basis) = (Box::new(entry.notice.clone()), entry.intent.basis);
            let marks_only = entry.intent.effect == Effect::Mark;
            self.agenda.spoken_of(&notice.id);
            self.todo.push_back(Step::Tell(if marks_only {
                Fact::NoticeMarks { notice, basis }
            } else {
                Fact::NoticeBeside { notice, basis }
            }));
        }
    }

    fn begin(&mut self, now: Moment, entry: &Entry, limit: Limit) {
        self.credentials.hurry(now);
        self.node_search.hurry(now);
        let undecided = entry.from_the_start && !self.agenda.memory().is_read();
        let mut draining = Draining::begin(now, &self.config, Some(entry.item()), limit, undecided);
        if self.presence == Presence::Present {
            draining.node_is(Presence::Present);
        }
        self.draining = Some(Box::new(draining));
        self.marker.renew(now);
        self.agenda.spoken_of(&entry.notice.id);
        let (notice, basis) = (Box::new(entry.notice.clone()), entry.intent.basis);
        self.tell(Fact::NoticeSeen { notice, basis, left: now.until(limit.end()) });
    }

    fn take_over(&mut self, now: Moment, entry: &Entry, limit: Limit) {
        let Some(draining) = &mut self.draining else { return };
        let same = draining.item().is_some_and(|item| item.id == entry.notice.id);
        let had_deadline = draining.has_deadline();
        let earlier = draining.taken_over(now, entry.item(), limit);
        let ends_within = draining.ends_within(now);
        self.agenda.spoken_of(&entry.notice.id);
        let (basis, left) = (entry.intent.basis, now.until(draining.limit().end()));
        if !same {
            self.marker.renew(now);
            self.tell(Fact::TakenOver { notice: Box::new(entry.notice.clone()), basis, left });
        }
        if earlier && had_deadline {
            self.tell(Fact::DeadlineMoved { basis, left });
        }
        if let Some(left) = ends_within.filter(|_| !same) {
            self.tell(Fact::EndsAfterDrain(left));
        }
    }
}

/// What the API server says of the Node.
impl Handler {
    fn node_answered(&mut self, reading: Reading, answer: NodeAnswer) {
        let longest = self.longest_pause();
        let missing = matches!(answer, NodeAnswer::Missing(_));
        if let Some(presence) = presence(&answer) {
            self.node_is(presence);
        }
        match self.marker.observe(reading.now, answer, longest, &mut self.jitter) {
            Some(Event::Read(node)) => self.node_read(reading, &node),
            Some(Event::TaintForbidden(why)) => self.tell(Fact::TaintForbidden(why)),
            Some(Event::Failing(why)) => {
                let purpose = match (&self.draining, self.marker.wants_marks()) {
                    (Some(draining), _) if !draining.is_marked() => Purpose::Drain,
                    (Some(_), _) | (None, true) => Purpose::Mark,
                    (None, false) if self.agenda.memory().is_read() => Purpose::TakeBack,
                    (None, false) => Purpose::Recall,
                };
                let is_told =
                    self.node_fails.replace((purpose, missing)) == Some((purpose, missing));
                match self.node.clone().filter(|_| missing) {
                    _ if is_told => {}
                    Some(name) => self.tell(Fact::NodeMissing { name, purpose, why }),
                    None => self.tell(Fact::NodeFailing(purpose, why)),
                }
            }
            None => {}
        }
    }

    /// Whether there is such a Node was found out.
    fn node_is(&mut self, presence: Presence) {
        let before = std::mem::replace(&mut self.presence, presence);
        if let Some(draining) = &mut self.draining {
            draining.node_is(presence);
        }
        if let (Presence::Absent, Presence::Present, Some(name)) =
            (before, presence, self.node.clone())
        {
            self.tell(Fact::NodeThere(name));
        }
    }

    fn node_read(&mut self, reading: Reading, node: &Node) {
        if self.agenda.memory().is_read() {
            return;
        }
        if node.state == Remembered::Unreadable {
            self.tell(Fact::MarksUnreadable);
        }
        let decided = self.draining.as_ref().filter(|draining| !draining.is_undecided());
        let done = self.agenda.recall(reading, node, decided.and_then(|draining| draining.item()));
        let memory = self.agenda.memory();
        if !memory.is_empty() {
            let same_boot = memory.is_of_this_boot();
            let answers = if same_boot { WITHDRAWN_AFTER } else { 1 };
            let open = memory.open();
            if let Some(state) = node.state.state()
                && let Some(notice) = state.notice.clone()
            {
                self.tell(Fact::MarksFound { notice, same_boot });
            }
            for id in open {
                if !self.notices.recall(&id, answers) {
                    self.agenda.withdrawn(reading.now, &id, false);
                }
            }
        }
        for id in done {
            if self.is_draining_for(&id) {
                self.draining = None;
                self.marker.keep();
                self.todo.push_back(Step::Do(Order::Disconnect));
            }
            self.tell(Fact::DrainedBefore(id));
        }
        if self.draining.is_some() {
            self.go_on_with_drain(reading.now);
        } else if let Some(until) = self.agenda.marks_until(reading.now, None) {
            self.tell(Fact::MarksLast(reading.now.until(until)));
        }
    }

    /// The drain under way goes on, for it was not done before or has begun anew. An earlier process
    /// may have set its end.
    fn go_on_with_drain(&mut self, now: Moment) {
        let Some(draining) = &mut self.draining else { return };
        draining.decided(now);
        let entry = draining.item().and_then(|item| self.agenda.entry(&item.id));
        let Some(Entry { intent, .. }) = entry else { return };
        let (basis, end) = (intent.basis, intent.effect.end());
        if let Some(end) = end.filter(|end| draining.pull_in(*end)) {
            self.tell(Fact::DeadlineMoved { basis, left: now.until(end) });
        }
    }
}

/// The ends of things.
impl Handler {
    fn terminate(&mut self, now: Moment) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        let fact = match &mut self.draining {
            Some(draining) if !draining.is_emptied() => {
                Fact::EndsAfterDrain(draining.stop(now, self.config.shutdown_grace))
            }
            Some(draining) => {
                let drained = draining.is_clean(now);
                self.draining = None;
                let unsettled = self.marker.is_unsettled();
                if drained { Fact::EndsDrained } else { Fact::Ends { unsettled } }
            }
            None => Fact::Ends { unsettled: self.marker.is_unsettled() },
        };
        self.tell(fact);
    }

    /// The drain is over; what became of every pod is told, or about to be.
    fn drained(&mut self, now: Moment) {
        let Some(draining) = self.draining.take() else { return };
        if self.ending {
            return;
        }
        if draining.is_called_off() {
            self.marker.keep();
        } else if let Some(item) = draining.item() {
            // Pods that were never seen were not drained: a restart is to try again.
            self.agenda.drained(now, item, draining.limit(), draining.has_listed());
        }
        self.plan_from = Some(now);
        self.todo.push_back(Step::Do(Order::Disconnect));
    }

    fn credentials_read(&mut self, now: Moment, read: Result<OwnPod, String>) {
        let longest = self.longest_pause();
        let transition = self.credentials.finished(now, read.is_ok(), longest, &mut self.jitter);
        match read {
            Ok(own) => {
                if let Some(draining) = &mut self.draining {
                    draining.own_pod(own.clone());
                }
                self.config.rules.own.complete(own);
                if transition == Transition::Recovered {
                    self.tell(Fact::CredentialsFound);
                }
            }
            Err(why) if transition == Transition::Failing => {
                self.tell(Fact::CredentialsMissing(why));
            }
            Err(_) => {}
        }
    }

    fn node_found(&mut self, now: Moment, found: Result<String, String>) {
        let longest = self.longest_pause();
        let transition = self.node_search.finished(now, found.is_ok(), longest, &mut self.jitter);
        match found {
            Ok(name) => {
                self.node = Some(Arc::from(name.as_str()));
                self.tell(Fact::NodeFound(name));
            }
            Err(why) if transition == Transition::Failing => self.tell(Fact::NodeUnknown(why)),
            Err(_) => {}
        }
    }

    /// Before what is missing is looked for again.
    fn longest_pause(&self) -> Duration {
        match self.draining {
            Some(_) => Duration::from_secs(2),
            None => Duration::from_secs(30),
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.todo.push_back(Step::Tell(fact));
    }
}

fn earliest<const N: usize>(moments: [Option<Moment>; N]) -> Option<Moment> {
    moments.into_iter().flatten().min()
}
