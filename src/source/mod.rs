//! The cloud as a source of notices: the EC2 instance metadata service.
//!
//! | File | What it is | I/O |
//! |---|---|---|
//! | [`url`] | addresses that can be asked | none |
//! | `aws` | paths, and bodies → [`Answer`](crate::notice::Answer) | none |
//! | `http` | one exchange | HTTP |
//! | `failure` | what went wrong, in words | none |
//! | `imds` | tokens, and what a status means | none |
//! | `pace` | how often | none |
//! | `lane` | one path: asked, understood, due again | none |
//! | `poller` | paths, asked for ever | its thread |
//! | `instance` | what the instance is, asked once | none |
//! | [`look`] | token and paths, asked once by hand | none |
//!
//! Each uses only what stands before it.

mod aws;
mod failure;
mod http;
mod imds;
mod instance;
mod lane;
pub mod look;
mod pace;
mod poller;
#[cfg(test)]
mod stand_in;
pub mod url;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::notice::{NoticePath, Polled};
use crate::source::imds::Client;
use crate::source::lane::Lane;
use crate::source::pace::Pace;
use crate::source::url::{MetadataUrl, NoticeUrl};

pub use crate::source::instance::InstanceSource;
pub use crate::source::poller::Poller;

/// Between polls of paths that are not in a hurry; AWS advises it (EC2 user guide, "EC2 instance
/// rebalance recommendations").
const CALM_INTERVAL: Duration = Duration::from_secs(5);
/// Between polls that fail, of paths that are not in a hurry.
const CALM_LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between polls that fail, of the others. An interruption may be told at any moment, and gives two
/// minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What polling tells.
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
    /// From the start of one poll of an interruption's path to the start of the next. The other
    /// paths are polled every 5 s, or as seldom as this, if that is longer.
    pub interval: Duration,
    /// Whether to ask without a token where none is offered (IMDSv1).
    pub v1_fallback: bool,
    /// Which kinds of notices are looked for.
    pub watched: Watched,
    /// Given to each notice as its window, unless it is of the lifecycle.
    pub window: Duration,
    /// Given to each notice of the lifecycle as its window.
    pub lifecycle_window: Duration,
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

impl Watched {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.interruption || self.rebalance || self.maintenance || self.lifecycle
    }
}

impl Source {
    /// Which paths are polled.
    pub fn paths(&self) -> Vec<NoticePath> {
        let (pressing, calm) = (self.pressing_lanes(), self.calm_lanes());
        pressing.chain(calm).map(|lane| lane.path).collect()
    }

    /// What is polled, each as a URL with its interval.
    pub fn addresses(&self) -> Vec<(String, Duration)> {
        let lanes = self.pressing_lanes().chain(self.calm_lanes());
        lanes.map(|lane| (lane.address().to_string(), lane.interval())).collect()
    }

    /// What polls them: one for each path whose seconds count, and one for all others, since each
    /// thread takes memory on every node.
    pub fn pollers(&self) -> Vec<Poller> {
        let fallback_told = Arc::new(AtomicBool::new(false));
        let poller = |name, lanes| Poller {
            name,
            client: Client::new(self.metadata_url.clone(), self.v1_fallback),
            lanes,
            fallback_told: Arc::clone(&fallback_told),
        };
        let pressing = self.pressing_lanes().map(|lane| match lane.path {
            NoticePath::InstanceAction => poller("instance-action", vec![lane]),
            _ => poller("notice-url", vec![lane]),
        });
        let calm: Vec<Lane> = self.calm_lanes().collect();
        let calm = (!calm.is_empty()).then(|| poller("metadata", calm));
        pressing.chain(calm).collect()
    }

    /// An interruption's own path, and the operator's address.
    fn pressing_lanes(&self) -> impl Iterator<Item = Lane> {
        let pace = Pace::new(self.interval, LONGEST_WAIT);
        let action = self.watched.interruption.then(|| {
            let address = self.metadata_url.at(aws::INSTANCE_ACTION);
            Lane::new(NoticePath::InstanceAction, address, self.window, pace.clone())
        });
        let more = self.notice_url.as_ref().map(|NoticeUrl(address)| {
            let path = if self.replaces_termination_time() {
                NoticePath::TerminationTime
            } else {
                NoticePath::NoticeUrl
            };
            Lane::new(path, address.clone(), self.window, pace)
        });
        action.into_iter().chain(more)
    }

    fn calm_lanes(&self) -> impl Iterator<Item = Lane> {
        let watched = self.watched;
        let old = watched.interruption && !self.replaces_termination_time();
        let lane = |path, address, window| {
            let interval = self.interval.max(CALM_INTERVAL);
            let pace = Pace::new(interval, CALM_LONGEST_WAIT);
            Lane::new(path, self.metadata_url.at(address), window, pace)
        };
        let lanes = [
            old.then(|| lane(NoticePath::TerminationTime, aws::TERMINATION_TIME, self.window)),
            watched
                .maintenance
                .then(|| lane(NoticePath::Maintenance, aws::SCHEDULED, self.window))
                .map(|lane| lane.with_history(self.metadata_url.at(aws::HISTORY))),
            watched.rebalance.then(|| lane(NoticePath::Rebalance, aws::REBALANCE, self.window)),
            watched
                .lifecycle
                .then(|| lane(NoticePath::Lifecycle, aws::LIFECYCLE, self.lifecycle_window)),
        ];
        lanes.into_iter().flatten()
    }

    fn replaces_termination_time(&self) -> bool {
        let url = self.notice_url.as_ref();
        url.is_some_and(|NoticeUrl(address)| aws::is_termination_time(address.path()))
    }
}

#[cfg(test)]
mod tests;
