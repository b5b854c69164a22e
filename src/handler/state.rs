//! What the handler is doing, and what follows from what it is told. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::pod::OwnPod;
use crate::handler::after_drain::AfterDrain;
use crate::handler::config::Config;
use crate::handler::draining::{Draining, Flow};
use crate::handler::notices::{Change, Health, Notices};
use crate::handler::retry::{Retry, Transition};
use crate::handler::step::Step;
use crate::handler::world::{News, Order};
use crate::intent::Intent;
use crate::moment::{Moment, Reading};
use crate::notice::{Notice, Polled};
use crate::report::fact::Fact;

/// The handler.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    state: State,
    /// A new notice, of the same words as that of the drain under way, which is over. It waits for
    /// the end of that drain, whose deadline cannot move later.
    waiting: Option<(Notice, Intent)>,
    notices: Notices,
    node: Option<Arc<str>>,
    credentials: Retry,
    node_search: Retry,
    /// SIGTERM has come.
    ending: bool,
    jitter: fastrand::Rng,
    todo: VecDeque<Step>,
}

/// What it is doing.
#[derive(Debug)]
enum State {
    /// No notice is active that is not done with.
    Watching,
    /// A drain is under way.
    Draining(Box<Draining>),
    /// The notice that was drained for may still be active.
    AfterDrain(Box<AfterDrain>),
}

impl Handler {
    /// A handler that has done nothing yet.
    pub fn new(config: Config) -> Self {
        let node_search = match config.node {
            Some(_) => Retry::done(),
            None => Retry::due(),
        };
        Self {
            state: State::Watching,
            waiting: None,
            notices: Notices::default(),
            node: config.node.clone(),
            credentials: Retry::due(),
            node_search,
            ending: false,
            jitter: fastrand::Rng::with_seed(config.seed),
            todo: VecDeque::new(),
            config,
        }
    }

    /// What to do next; `free`: how many requests could be sent at once.
    pub fn next(&mut self, now: Moment, free: usize) -> Step {
        let step = self.choose(now, free);
        if step == Step::Do(Order::Disconnect) {
            // The answer goes with the connection.
            self.node_search.lost(now);
        }
        step
    }

    fn choose(&mut self, now: Moment, free: usize) -> Step {
        if let Some(step) = self.todo.pop_front() {
            return step;
        }
        if let Some(order) = self.prerequisite(now, free) {
            return Step::Do(order);
        }
        let find = self.node_search.wake().filter(|_| free > 0);
        let retry_at = earliest(self.credentials.wake(), find);
        match &mut self.state {
            State::Draining(draining) => {
                let node = self.node.as_ref();
                if let Some(step) = draining.next(now, free, node, &mut self.todo) {
                    return wait_no_longer_than(step, retry_at);
                }
                self.drained(now);
                self.choose(now, free)
            }
            State::Watching | State::AfterDrain(_) if self.ending => Step::End,
            State::Watching => Step::Wait(retry_at),
            State::AfterDrain(after_drain) => {
                let step = after_drain.next(now, free, self.node.as_ref());
                wait_no_longer_than(step, retry_at)
            }
        }
    }

    /// What has to be there before anything can be drained, and is due.
    fn prerequisite(&mut self, now: Moment, free: usize) -> Option<Order> {
        let over = match &self.state {
            State::Draining(draining) => draining.is_over(now),
            State::Watching | State::AfterDrain(_) => self.ending,
        };
        if over {
            None
        } else if self.credentials.take(now) {
            Some(Order::CheckCredentials)
        } else if free > 0 && self.node_search.take(now) {
            Some(Order::FindNode)
        } else {
            None
        }
    }

    /// Something happened.
    pub fn observe(&mut self, reading: Reading, news: News) {
        let now = reading.now;
        match news {
            News::Polled(polled) => self.polled(reading, polled),
            News::WithoutToken { status } => self.tell(Fact::WithoutToken(status)),
            News::Credentials(found) => self.credentials_read(now, found),
            News::NodeFound(found) => self.node_found(now, found),
            News::Terminate => self.terminate(now),
            News::Node(_) | News::Pods(_) | News::NotFollowing { .. } | News::Answered { .. } => {
                match &mut self.state {
                    State::Draining(draining) => {
                        let flow = draining.observe(now, news, &mut self.jitter, &mut self.todo);
                        if flow == Flow::Abandon {
                            self.abandon(now);
                        }
                    }
                    State::AfterDrain(after_drain) => {
                        after_drain.observe(now, news, &mut self.jitter);
                    }
                    State::Watching => {}
                }
            }
        }
    }
}

/// What the paths say.
impl Handler {
    fn polled(&mut self, reading: Reading, polled: Polled) {
        let path = polled.path;
        if self.config.verbose {
            self.tell(Fact::Polled(path, polled.status));
        }
        let (health, change) = self.notices.observe(polled);
        match health {
            Some(Health::Failing(why)) => self.tell(Fact::MetadataFailing(path, why)),
            Some(Health::Recovered(failed)) => self.tell(Fact::MetadataRecovered(path, failed)),
            None => {}
        }
        match change {
            Some(Change::Appeared { notice, from_the_start }) => {
                self.appeared(reading, notice, from_the_start);
            }
            Some(Change::Updated(notice)) => self.pull_in(reading, &notice),
            Some(Change::Withdrawn(notice)) => match &self.state {
                State::Draining(draining) if draining.notice() == notice => {
                    self.tell(Fact::NoticeWithdrawn { notice, draining: true });
                }
                State::AfterDrain(after_drain) if after_drain.notice() == notice => {
                    self.tell(Fact::NoticeWithdrawn { notice, draining: false });
                }
                _ => {}
            },
            None => {}
        }
    }

    fn appeared(&mut self, reading: Reading, notice: Notice, from_the_start: bool) {
        let intent = Intent::of(&notice, reading);
        match &mut self.state {
            State::Watching => self.begin(reading.now, notice, intent, from_the_start),
            State::AfterDrain(_) => {
                self.todo.push_back(Step::Do(Order::Disconnect));
                self.begin(reading.now, notice, intent, from_the_start);
            }
            State::Draining(draining) => {
                self.waiting = None;
                if draining.notice() == notice.id() {
                    self.waiting = Some((notice.clone(), intent));
                } else {
                    draining.taken_over(reading.now, &self.config, notice.id());
                    self.todo.push_back(Step::Tell(Fact::TakenOver(Box::new(notice.clone()))));
                }
                self.pull_in(reading, &notice);
            }
        }
    }

    fn begin(&mut self, now: Moment, notice: Notice, intent: Intent, from_the_start: bool) {
        let Intent { deadline, basis } = intent;
        self.credentials.hurry(now);
        self.node_search.hurry(now);
        let draining = Draining::begin(now, &self.config, notice.id(), intent, from_the_start);
        let left = now.until(deadline);
        self.tell(Fact::NoticeSeen { notice: Box::new(notice), basis, left });
        self.state = State::Draining(Box::new(draining));
    }

    /// What is said of a time in a drain can only move its deadline earlier.
    fn pull_in(&mut self, reading: Reading, notice: &Notice) {
        let State::Draining(draining) = &mut self.state else { return };
        let intent = Intent::of(notice, reading);
        if let Some((_, waiting)) = &mut self.waiting
            && intent.deadline < waiting.deadline
        {
            *waiting = intent;
        }
        if draining.pull_in(intent.deadline) {
            let left = reading.now.until(intent.deadline);
            self.tell(Fact::DeadlineMoved { basis: intent.basis, left });
        }
    }
}

/// The ends of things.
impl Handler {
    fn terminate(&mut self, now: Moment) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        let fact = match &mut self.state {
            State::Draining(draining) if !draining.is_emptied(now) => {
                Fact::EndsAfterDrain(draining.stop(now, self.config.shutdown_grace))
            }
            State::Draining(_) => {
                self.state = State::Watching;
                Fact::EndsDrained
            }
            State::Watching | State::AfterDrain(_) => Fact::Ends,
        };
        self.tell(fact);
    }

    /// The drain is over; what became of every pod is told, or about to be.
    fn drained(&mut self, now: Moment) {
        let State::Draining(draining) = &self.state else { return };
        if self.ending {
            self.state = State::Watching;
            return;
        }
        self.state = State::AfterDrain(Box::new(AfterDrain::of(now, draining, &self.config)));
        self.todo.push_back(Step::Do(Order::Disconnect));
        self.begin_waiting(now);
    }

    /// The drain turned out to have been done before this process started.
    fn abandon(&mut self, now: Moment) {
        let State::Draining(draining) = &self.state else { return };
        let notice = draining.notice();
        self.state = State::AfterDrain(Box::new(AfterDrain::idle(notice)));
        self.todo.clear();
        self.tell(Fact::DrainedBefore(notice));
        self.todo.push_back(Step::Do(Order::Disconnect));
        self.begin_waiting(now);
    }

    /// Drains for the notice that waited, if it is still active and leaves time.
    fn begin_waiting(&mut self, now: Moment) {
        let Some((notice, intent)) = self.waiting.take() else { return };
        if now < intent.deadline && self.notices.is_active(notice.id()) {
            self.begin(now, notice, intent, false);
        }
    }

    fn credentials_read(&mut self, now: Moment, read: Result<OwnPod, String>) {
        let longest = self.longest_pause();
        let transition = self.credentials.finished(now, read.is_ok(), longest, &mut self.jitter);
        match read {
            Ok(own) => {
                if let State::Draining(draining) = &mut self.state {
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
                if !matches!(self.state, State::Draining(_)) {
                    self.todo.push_back(Step::Do(Order::Disconnect));
                }
            }
            Err(why) if transition == Transition::Failing => self.tell(Fact::NodeUnknown(why)),
            Err(_) => {}
        }
    }

    /// Before what is missing is looked for again.
    fn longest_pause(&self) -> Duration {
        match self.state {
            State::Draining(_) => Duration::from_secs(2),
            State::Watching | State::AfterDrain(_) => Duration::from_secs(30),
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.todo.push_back(Step::Tell(fact));
    }
}

fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn wait_no_longer_than(step: Step, moment: Option<Moment>) -> Step {
    match step {
        Step::Wait(until) => Step::Wait(earliest(until, moment)),
        other => other,
    }
}
