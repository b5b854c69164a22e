//! One path: how it is asked, what its answer means, and when it is due again. No I/O: the exchange
//! and the time are arguments.

use std::time::Duration;

use crate::moment::Moment;
use crate::notice::{Answer, NoticePath, Polled};
use crate::source::aws::{Unreadable, interruption, lifecycle, maintenance, rebalance};
use crate::source::failure::{Cause, Failure};
use crate::source::http::{NoResponse, Reply, Request};
use crate::source::imds::Client;
use crate::source::pace::{Health, Pace};
use crate::source::url::Address;

/// A path that is polled.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) path: NoticePath,
    address: Address,
    /// Given to each notice.
    window: Duration,
    pub(super) pace: Pace,
    due: Moment,
    history: Option<History>,
}

/// Where maintenance that is over stands.
#[derive(Clone, Debug)]
struct History {
    address: Address,
    /// Something was planned at the poll before.
    is_of_interest: bool,
}

impl Lane {
    /// A lane that is due at once.
    pub(super) fn new(path: NoticePath, address: Address, window: Duration, pace: Pace) -> Self {
        Self { path, address, window, pace, due: Moment::START, history: None }
    }

    /// Looks at `address`, too, when there is maintenance.
    pub(super) fn with_history(self, address: Address) -> Self {
        Self { history: Some(History { address, is_of_interest: false }), ..self }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn interval(&self) -> Duration {
        self.pace.interval()
    }

    /// When the next poll begins.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// One poll.
    pub(super) fn poll(
        &mut self,
        client: &mut Client,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Polled {
        let outcome = self.ask(client, now, send);
        let health = match &outcome {
            Ok(_) => Health::Answering,
            // Something stands there. Slowing down would only lose time.
            Err(failure) if failure.status() == Some(200) => Health::Answering,
            Err(_) => Health::Failing,
        };
        self.due = self.pace.next(now, health);
        let (status, outcome) = match outcome {
            Ok((status, answer)) => (Some(status), Ok(answer)),
            Err(failure) => (failure.status(), Err(failure.to_string())),
        };
        Polled { path: self.path, status, outcome }
    }

    /// The status, and what it says.
    fn ask(
        &mut self,
        client: &mut Client,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Result<(u16, Answer), Failure> {
        let body = client.read(&self.address, now, send)?;
        let status = if body.is_some() { 200 } else { 404 };
        let answer = match (&mut self.history, &body) {
            (Some(history), body) => {
                let scheduled = maintenance::scheduled(body.as_deref().unwrap_or_default());
                scheduled.map(|scheduled| {
                    let past = history.read(!scheduled.is_empty(), client, now, send);
                    maintenance::answer(scheduled, past, self.window)
                })
            }
            (None, None) => Ok(Answer::default()),
            (None, Some(body)) => meaning(self.path, body, self.window),
        };
        answer.map(|answer| (status, answer)).map_err(|why| {
            let length = body.as_ref().map_or(0, Vec::len);
            let asked = format!("GET {}", self.address);
            Failure { asked, cause: Cause::Unreadable { length, why } }
        })
    }
}

impl History {
    /// What is over. It is asked while something is planned, and once after: a node without
    /// maintenance costs no request more. What cannot be read hides nothing that is planned.
    fn read(
        &mut self,
        is_planned: bool,
        client: &mut Client,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Vec<maintenance::Entry> {
        let was_planned = std::mem::replace(&mut self.is_of_interest, is_planned);
        if !is_planned && !was_planned {
            return Vec::new();
        }
        let body = client.read(&self.address, now, send).ok().flatten();
        body.map_or_else(Vec::new, |body| maintenance::history(&body))
    }
}

/// What a body with status 200 says.
fn meaning(path: NoticePath, body: &[u8], window: Duration) -> Result<Answer, Unreadable> {
    let notice = match path {
        NoticePath::InstanceAction => interruption::instance_action(body, window).map(Some),
        NoticePath::TerminationTime => interruption::termination_time(body, window),
        NoticePath::NoticeUrl => interruption::notice_url(body, window).map(Some),
        NoticePath::Rebalance => rebalance::rebalance(body, window).map(Some),
        NoticePath::Lifecycle => lifecycle::lifecycle(body, window),
        NoticePath::Maintenance => {
            let scheduled = maintenance::scheduled(body)?;
            return Ok(maintenance::answer(scheduled, Vec::new(), window));
        }
    };
    notice.map(Answer::from)
}

#[cfg(test)]
mod tests;
