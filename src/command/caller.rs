//! Asks the API server, and waits for what comes. Workers ask, so that nothing waits longer than it says:
//! the system may take its time to resolve a name.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::ask::{Job, PodRef};
use crate::kube::access::Access;
use crate::kube::reply::Reply;
use crate::kube::request::Request;
use crate::kube::trouble::Trouble;
use crate::kube::workers::{Task, Workers};
use crate::moment::Moment;

/// Who asks.
pub(super) struct Caller {
    clock: Clock,
    workers: Workers,
    inbox: Arc<Inbox>,
}

/// What came, and what it is the answer to.
pub(super) struct Came {
    /// About a pod, if it was.
    pub(super) job: Option<Job>,
    /// What was asked.
    pub(super) request: Request,
    /// The answer.
    pub(super) reply: Result<Reply, Trouble>,
}

/// Not the standard library's channel, which is 7 kB of code for each type that goes through one.
#[derive(Default)]
struct Inbox {
    came: Mutex<Vec<Came>>,
    bell: Condvar,
}

impl Caller {
    pub(super) fn new(clock: Clock, workers: Workers) -> Self {
        Self { clock, workers, inbox: Arc::default() }
    }

    /// The way to the API server, for what is not asked by a worker.
    pub(super) fn access(&mut self) -> Arc<Access> {
        self.workers.access()
    }

    /// How many requests could be sent at once.
    pub(super) fn free(&self) -> usize {
        self.workers.free()
    }

    /// Asks one thing, while nothing else is asked, and waits for the answer.
    pub(super) fn ask(&mut self, request: &Request, patience: Duration) -> Result<Reply, Trouble> {
        self.send(None, request.clone(), patience);
        match self.next(self.clock.now() + patience) {
            Some(came) => came.reply,
            None => Err(Trouble::TimedOut { asked: request.to_string(), patience }),
        }
    }

    /// Waits no longer for the answer about this pod: it comes as a failure.
    pub(super) fn give_up(&mut self, pod: &PodRef) {
        self.workers.give_up(pod);
    }

    /// Asks without waiting.
    pub(super) fn send(&mut self, job: Option<Job>, request: Request, patience: Duration) {
        let inbox = Arc::clone(&self.inbox);
        let about = job.as_ref().map(|job| Arc::clone(&job.pod));
        let asked = request.clone();
        let done = Box::new(move |reply| {
            let mut came = inbox.came.lock().unwrap_or_else(PoisonError::into_inner);
            came.push(Came { job, request: asked, reply });
            inbox.bell.notify_one();
        });
        self.workers.submit(Task { request, patience, about, done });
    }

    /// What comes next; `None`: nothing before `until`.
    pub(super) fn next(&self, until: Moment) -> Option<Came> {
        let mut came = self.inbox.came.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = self.clock.now().until(until);
            if !came.is_empty() || left.is_zero() {
                return came.pop();
            }
            let waited = self.inbox.bell.wait_timeout(came, left);
            (came, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
