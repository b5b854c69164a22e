//! Polls paths for ever, in a thread: one poll after the other, each path when it is due. Paths whose
//! seconds count have a thread of their own, so that nothing else delays them.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::moment::Moment;
use crate::notice::{NoticePath, PathAnswer, Polled};
use crate::source::Report;
use crate::source::aws::{Unreadable, interruption, lifecycle, maintenance, rebalance};
use crate::source::http::{self, SendFn};
use crate::source::imds::{ImdsCause, ImdsClient, ImdsError};
use crate::source::url::Url;

/// Deep enough for an exchange in a debug build; what is not touched takes no memory.
const STACK_BYTES: usize = 128 * 1024;

/// Paths, to be polled in one thread.
pub struct Poller {
    /// The thread's name.
    pub(super) name: &'static str,
    pub(super) client: ImdsClient,
    pub(super) paths: Vec<PolledPath>,
    /// Whether any poller of this source has reported the fallback to IMDSv1: they all fall back.
    pub(super) fallback_reported: Arc<AtomicBool>,
}

impl Poller {
    /// Polls in a new thread until `report` breaks. Each poll gives one [`Report::Polled`]; the first fallback to
    /// IMDSv1 of all pollers of a source one [`Report::WithoutToken`] before it.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(
        self,
        clock: Clock,
        report: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new()
            .name(self.name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || self.poll_for_ever(clock, report))
            .map(drop)
    }

    fn poll_for_ever(mut self, clock: Clock, mut report: impl FnMut(Report) -> ControlFlow<()>) {
        while let Some(due) = self.due() {
            clock.sleep_until(due);
            let Some((fallback, polled)) = self.poll(clock.now(), &mut http::send) else { return };
            let fallback = fallback.map(|status| Report::WithoutToken { status });
            let polled = Report::Polled(polled);
            if fallback.into_iter().chain([polled]).try_for_each(&mut report).is_break() {
                return;
            }
        }
    }

    /// When the next poll begins.
    fn due(&self) -> Option<Moment> {
        self.paths.iter().map(|path| path.due).min()
    }

    /// One poll of the path that has been due for the longest. The status of the token's request, if
    /// this poll led to the first fallback; and what the poll gave.
    fn poll(&mut self, now: Moment, send: &mut SendFn<'_>) -> Option<(Option<u16>, Polled)> {
        let path = self.paths.iter_mut().min_by_key(|path| path.due)?;
        let polled = path.poll(&mut self.client, now, send);
        let reported = &self.fallback_reported;
        let fallback = self.client.take_fallback();
        Some((fallback.filter(|_| !reported.swap(true, Ordering::Relaxed)), polled))
    }
}

/// A path that is polled.
#[derive(Clone, Debug)]
pub(super) struct PolledPath {
    pub(super) path: NoticePath,
    url: Url,
    /// Given to each notice.
    window: Duration,
    pub(super) schedule: PollSchedule,
    due: Moment,
    history: Option<History>,
}

/// Where maintenance that is over stands.
#[derive(Clone, Debug)]
struct History {
    url: Url,
    /// Something was planned at the poll before.
    is_of_interest: bool,
}

impl PolledPath {
    /// Due at once.
    pub(super) fn new(
        path: NoticePath,
        url: Url,
        window: Duration,
        schedule: PollSchedule,
    ) -> Self {
        Self { path, url, window, schedule, due: Moment::START, history: None }
    }

    /// Reads this, too, when there is maintenance.
    pub(super) fn with_history(self, url: Url) -> Self {
        Self { history: Some(History { url, is_of_interest: false }), ..self }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn interval(&self) -> Duration {
        self.schedule.interval
    }

    /// One poll.
    pub(super) fn poll(
        &mut self,
        client: &mut ImdsClient,
        now: Moment,
        send: &mut SendFn<'_>,
    ) -> Polled {
        let outcome = self.ask(client, now, send);
        let (status, outcome) = match outcome {
            Ok((status, answer)) => (Some(status), Ok(answer)),
            Err(failure) => (failure.status(), Err(failure.to_string())),
        };
        // A 200 that cannot be read is an answer: to slow down would only lose time.
        let is_answering = outcome.is_ok() || status == Some(200);
        self.due = self.schedule.next(now, is_answering);
        Polled { path: self.path, status, outcome }
    }

    /// The status, and what it says.
    fn ask(
        &mut self,
        client: &mut ImdsClient,
        now: Moment,
        send: &mut SendFn<'_>,
    ) -> Result<(u16, PathAnswer), ImdsError> {
        let body = client.read(&self.url, now, send)?;
        let status = if body.is_some() { 200 } else { 404 };
        let answer = match (&mut self.history, &body) {
            (Some(history), body) => {
                let scheduled = maintenance::scheduled(body.as_deref().unwrap_or_default());
                scheduled.map(|scheduled| {
                    let past = history.read(!scheduled.is_empty(), client, now, send);
                    maintenance::answer(scheduled, past, self.window)
                })
            }
            (None, None) => Ok(PathAnswer::default()),
            (None, Some(body)) => meaning(self.path, body, self.window),
        };
        answer.map(|answer| (status, answer)).map_err(|why| {
            let length = body.as_ref().map_or(0, Vec::len);
            let asked = format!("GET {}", self.url);
            ImdsError { asked, cause: Box::new(ImdsCause::Unreadable { length, why }) }
        })
    }
}

impl History {
    /// What is over. It is asked while something is planned, and once after: a node without
    /// maintenance costs no request more. What cannot be read hides nothing that is planned.
    fn read(
        &mut self,
        is_planned: bool,
        client: &mut ImdsClient,
        now: Moment,
        send: &mut SendFn<'_>,
    ) -> Vec<maintenance::ListedEvent> {
        let was_planned = std::mem::replace(&mut self.is_of_interest, is_planned);
        if !is_planned && !was_planned {
            return Vec::new();
        }
        let body = client.read(&self.url, now, send).ok().flatten();
        body.map_or_else(Vec::new, |body| maintenance::history(&body))
    }
}

/// What a body with status 200 says.
fn meaning(path: NoticePath, body: &[u8], window: Duration) -> Result<PathAnswer, Unreadable> {
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
    notice.map(PathAnswer::from)
}

/// Between polls that fail, whatever the interval.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// When the next poll begins: an interval after this one began; while polls fail, longer and
/// longer after, from the interval to the longest wait. An interval that is longer stays.
#[derive(Clone, Debug)]
pub(super) struct PollSchedule {
    interval: Duration,
    longest_wait: Duration,
    /// After the next failure.
    wait: Duration,
}

impl PollSchedule {
    pub(super) fn new(interval: Duration, longest_wait: Duration) -> Self {
        Self { interval, longest_wait, wait: interval.max(SHORTEST_WAIT) }
    }

    /// May lie in the past, if the poll that began at `began` took longer: then it begins at once.
    fn next(&mut self, began: Moment, is_answering: bool) -> Moment {
        if is_answering {
            *self = Self::new(self.interval, self.longest_wait);
            return began + self.interval;
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(self.longest_wait.max(self.interval));
        began + wait
    }
}

#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;
