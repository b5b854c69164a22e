//! The cloud as a source of notices: the EC2 instance metadata service.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`url`] | URLs that can be asked | none |
//! | `http` | one exchange | HTTP |
//! | `aws` | paths, and bodies → [`PathAnswer`](crate::notice::PathAnswer) | none |
//! | `imds` | tokens, what a status means, what went wrong | none |
//! | `poller` | paths, polled for ever | its thread |
//! | `instance` | what the instance is, asked once | none |
//! | `fuzzing` | polls without a connection, for `fuzz/` alone | none |
//!
//! Each uses only what stands before it.

pub mod url;
mod http;
mod aws;
mod imds;
mod poller;
mod instance;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod stand_in;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::clock::Clock;
use crate::notice::{NoticePath, Polled};
use crate::source::imds::ImdsClient;
use crate::source::poller::{PollSchedule, PolledPath};
use crate::source::url::{MetadataUrl, NoticeUrl};

pub use crate::source::instance::InstanceSource;
pub use crate::source::poller::Poller;

/// Between polls that fail, of paths that are not in a hurry.
const CALM_LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between polls that fail, of the others. An interruption may be announced at any moment, and gives two
/// minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What comes of polling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A path was polled.
    Polled(Polled),
    /// The metadata service offers no IMDSv2; it is asked without a token from now on.
    WithoutToken {
        /// Status of the token request: 404 or 405.
        status: u16,
    },
}

/// Where notices are looked for, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The metadata service.
    pub metadata_url: MetadataUrl,
    /// One more address that is polled. Gets a token if it is on the metadata service. If its path
    /// is that of EC2's `spot/termination-time`, it is polled in place of that, and read as that.
    pub notice_url: Option<NoticeUrl>,
    /// From the start of one poll of an interruption's path to the start of the next.
    pub interval: Duration,
    /// The same of the paths that are not in a hurry.
    pub calm_interval: Duration,
    /// Whether to ask without a token where none is offered (IMDSv1).
    pub v1_fallback: bool,
    /// Which kinds of notices are looked for.
    pub watched: Watched,
    /// Given to each notice as its window, unless it is of the lifecycle.
    pub window: Duration,
    /// Given to each notice of the lifecycle as its window.
    pub lifecycle_window: Duration,
}

/// What came of asking everything once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCheck {
    /// Of asking for a token.
    pub token: TokenCheck,
    /// Of polling each path; `None`: it was not polled, for want of a token.
    pub paths: Vec<(NoticePath, Option<Polled>)>,
}

/// How the metadata service answers a request for a token (IMDSv2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// It gives one, after this time.
    Given(Duration),
    /// It offers none, with this status (404 or 405); it is asked without.
    NotOffered(u16),
    /// None came.
    Failed {
        /// What came instead.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// Which kinds of notices are looked for at the metadata service.
#[expect(clippy::struct_excessive_bools, reason = "one switch for each kind, as the settings have")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// A spot instance is taken back.
    pub interruption: bool,
    /// A spot instance is at risk.
    pub rebalance: bool,
    /// Maintenance is planned.
    pub maintenance: bool,
    /// The Auto Scaling group takes the instance out of service.
    pub lifecycle: bool,
}

impl Source {
    /// Which paths are polled.
    pub fn paths(&self) -> Vec<NoticePath> {
        self.polled().map(|polled| polled.path).collect()
    }

    /// What is polled, each as a URL with its interval.
    pub fn addresses(&self) -> Vec<(String, Duration)> {
        self.polled().map(|polled| (polled.url().to_string(), polled.interval())).collect()
    }

    /// What polls them: one for each path whose seconds count, and one for all others, since each
    /// thread takes memory on every node.
    pub fn pollers(&self) -> Vec<Poller> {
        let fallback_reported = Arc::new(AtomicBool::new(false));
        let poller = |name, paths| Poller {
            name,
            client: ImdsClient::new(self.metadata_url.clone(), self.v1_fallback),
            paths,
            fallback_reported: Arc::clone(&fallback_reported),
        };
        let pressing = self.pressing().map(|polled| match polled.path {
            NoticePath::InstanceAction => poller("instance-action", vec![polled]),
            _ => poller("notice-url", vec![polled]),
        });
        let calm: Vec<_> = self.calm().collect();
        let calm = (!calm.is_empty()).then(|| poller("metadata", calm));
        pressing.chain(calm).collect()
    }

    /// Asks for a token, then for each path once. A request takes a second at most.
    pub fn check(&self, clock: Clock) -> SourceCheck {
        let mut client = ImdsClient::new(self.metadata_url.clone(), self.v1_fallback);
        let began = clock.now();
        let opened = client.open(began, &mut http::send);
        let token = match (opened, client.take_fallback()) {
            (Err(failure), _) => {
                let (found, remedy) = failure.with_remedy();
                TokenCheck::Failed { found, remedy }
            }
            (Ok(()), Some(status)) => TokenCheck::NotOffered(status),
            (Ok(()), None) => TokenCheck::Given(clock.now().since(began)),
        };
        let is_closed = matches!(token, TokenCheck::Failed { .. });
        let paths = self.polled().map(|mut polled| {
            let is_in_vain = is_closed && polled.url().is_on(&self.metadata_url);
            let mut poll = || polled.poll(&mut client, clock.now(), &mut http::send);
            let answer = (!is_in_vain).then(&mut poll);
            (polled.path, answer)
        });
        SourceCheck { token, paths: paths.collect() }
    }

    fn polled(&self) -> impl Iterator<Item = PolledPath> {
        self.pressing().chain(self.calm())
    }

    /// An interruption's own path, and the operator's address.
    fn pressing(&self) -> impl Iterator<Item = PolledPath> {
        let schedule = PollSchedule::new(self.interval, LONGEST_WAIT);
        let action = self.watched.interruption.then(|| {
            let url = self.metadata_url.at(aws::INSTANCE_ACTION);
            PolledPath::new(NoticePath::InstanceAction, url, self.window, schedule.clone())
        });
        let more = self.notice_url.as_ref().map(|NoticeUrl(url)| {
            let path = if self.replaces_termination_time() {
                NoticePath::TerminationTime
            } else {
                NoticePath::NoticeUrl
            };
            PolledPath::new(path, url.clone(), self.window, schedule)
        });
        action.into_iter().chain(more)
    }

    fn calm(&self) -> impl Iterator<Item = PolledPath> {
        let watched = self.watched;
        let old = watched.interruption && !self.replaces_termination_time();
        let polled = |path, below, window| {
            let schedule = PollSchedule::new(self.calm_interval, CALM_LONGEST_WAIT);
            PolledPath::new(path, self.metadata_url.at(below), window, schedule)
        };
        let all = [
            old.then(|| polled(NoticePath::TerminationTime, aws::TERMINATION_TIME, self.window)),
            watched
                .maintenance
                .then(|| polled(NoticePath::Maintenance, aws::SCHEDULED, self.window))
                .map(|scheduled| scheduled.with_history(self.metadata_url.at(aws::HISTORY))),
            watched.rebalance.then(|| polled(NoticePath::Rebalance, aws::REBALANCE, self.window)),
            watched
                .lifecycle
                .then(|| polled(NoticePath::Lifecycle, aws::LIFECYCLE, self.lifecycle_window)),
        ];
        all.into_iter().flatten()
    }

    fn replaces_termination_time(&self) -> bool {
        let url = self.notice_url.as_ref();
        url.is_some_and(|NoticeUrl(url)| aws::is_termination_time(url.path()))
    }
}

#[cfg(test)]
mod tests;
