//! Asks one path for ever, in a thread of its own: polls of a path cannot overlap, and a path that
//! fails or hangs delays no other.

use std::io;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use super::aws;
use super::failure::{Came, Failure};
use super::http::{self, Reply, Request, Silence};
use super::imds::Client;
use crate::clock::Clock;
use crate::handler::world::{News, NoticePath, Polled};
use crate::moment::Moment;
use crate::notice::Notice;

/// Deep enough for an exchange in a debug build; what is not touched takes no memory.
const STACK_BYTES: usize = 128 * 1024;
/// Between polls that fail. A notice may come at any moment, and gives two minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Between polls that fail, whatever the interval.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// One path, to be polled.
pub struct Poller {
    pub(super) path: NoticePath,
    pub(super) client: Client,
    pub(super) interval: Duration,
    pub(super) window: Duration,
}

impl Poller {
    /// Which path.
    pub fn path(&self) -> NoticePath {
        self.path
    }

    /// Polls in a new thread until `tell` breaks, which says that nobody listens any more. Each
    /// poll gives one [`News::Polled`]; the first fallback to IMDSv1 one [`News::WithoutToken`]
    /// before it.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(
        self,
        clock: Clock,
        tell: impl FnMut(News) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<()> {
        let name = match self.path {
            NoticePath::InstanceAction => "instance-action",
            NoticePath::NoticeUrl => "notice-url",
        };
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || self.poll_for_ever(clock, tell))
            .map(drop)
    }

    fn poll_for_ever(mut self, clock: Clock, mut tell: impl FnMut(News) -> ControlFlow<()>) {
        let mut pace = Pace::new(self.interval);
        loop {
            let began = clock.now();
            let poll = self.poll(began, &mut http::send);
            let fallback = poll.without_token.map(|status| News::WithoutToken { status });
            let polled = News::Polled(poll.polled);
            if fallback.into_iter().chain([polled]).try_for_each(&mut tell).is_break() {
                return;
            }
            clock.sleep_until(pace.next(began, poll.health));
        }
    }

    fn poll(
        &mut self,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, Silence>,
    ) -> Poll {
        let answer = self.client.read(now, send);
        // Two paths on one service fall back together: one of them says it.
        let fallback = self.client.take_fallback();
        let without_token = fallback.filter(|_| self.path == NoticePath::InstanceAction);
        let outcome = answer.and_then(|body| match body {
            None => Ok((404, None)),
            Some(body) => self.notice(&body).map(|notice| (200, notice)),
        });
        let health = match &outcome {
            Ok(_) => Health::Answering,
            // Something stands there. Slowing down would only lose time.
            Err(failure) if failure.status() == Some(200) => Health::Answering,
            Err(_) => Health::Failing,
        };
        let (status, outcome) = match outcome {
            Ok((status, notice)) => (Some(status), Ok(notice)),
            Err(failure) => (failure.status(), Err(failure.to_string())),
        };
        Poll { without_token, health, polled: Polled { path: self.path, status, outcome } }
    }

    fn notice(&self, body: &[u8]) -> Result<Option<Notice>, Failure> {
        let page = self.client.page();
        match self.path {
            NoticePath::InstanceAction => aws::instance_action(body, self.window).map(Some),
            NoticePath::NoticeUrl => aws::notice_url(page.path(), body, self.window),
        }
        .map_err(|why| Failure {
            asked: format!("GET {page}"),
            came: Came::Unreadable { length: body.len(), why },
        })
    }
}

/// What one poll gave.
struct Poll {
    without_token: Option<u16>,
    polled: Polled,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Answering,
    Failing,
}

/// When the next poll begins: an interval after this one began; while polls fail, longer and
/// longer after, from the interval to [`LONGEST_WAIT`]. An interval that is longer stays.
struct Pace {
    interval: Duration,
    /// After the next failure.
    wait: Duration,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval, wait: interval.max(SHORTEST_WAIT) }
    }

    /// May lie in the past, if the poll that began at `began` took longer: then it begins at once.
    fn next(&mut self, began: Moment, health: Health) -> Moment {
        match health {
            Health::Answering => {
                *self = Self::new(self.interval);
                began + self.interval
            }
            Health::Failing => {
                let wait = self.wait;
                self.wait = (wait * 2).min(LONGEST_WAIT.max(self.interval));
                began + wait
            }
        }
    }
}
