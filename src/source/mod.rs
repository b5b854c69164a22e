//! The cloud as a source of notices: the EC2 instance metadata service.
//!
//! | File | What it is | I/O |
//! |---|---|---|
//! | [`url`] | addresses that can be asked | none |
//! | `aws` | paths, and bodies → [`Notice`](crate::notice::Notice) | none |
//! | `imds` | tokens, and what a status means | none |
//! | `failure` | what went wrong, in words | none |
//! | `http` | one exchange | HTTP |
//! | `poller` | one path, asked for ever | its thread |

mod aws;
mod failure;
mod http;
mod imds;
mod poller;
#[cfg(test)]
mod stand_in;
pub mod url;

use std::time::Duration;

use crate::notice::{NoticePath, Polled};
use crate::source::imds::Client;
use crate::source::url::{MetadataUrl, NoticeUrl};

pub use crate::source::poller::Poller;

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
    /// One more address that is polled. Gets a token if it is on the metadata service.
    pub notice_url: Option<NoticeUrl>,
    /// From the start of one poll of a path to the start of the next.
    pub interval: Duration,
    /// Whether to ask without a token where none is offered (IMDSv1).
    pub v1_fallback: bool,
    /// Given to each notice as its window.
    pub window: Duration,
}

impl Source {
    /// What is polled, each as a URL.
    pub fn addresses(&self) -> Vec<String> {
        let action = self.metadata_url.at(aws::INSTANCE_ACTION).to_string();
        [action].into_iter().chain(self.notice_url.iter().map(NoticeUrl::to_string)).collect()
    }

    /// One poller for each path.
    pub fn pollers(&self) -> impl Iterator<Item = Poller> {
        let action = self.metadata_url.at(aws::INSTANCE_ACTION);
        let more = self.notice_url.iter().map(|url| (NoticePath::NoticeUrl, url.0.clone()));
        [(NoticePath::InstanceAction, action)].into_iter().chain(more).map(|(path, address)| {
            Poller {
                path,
                client: Client::new(&self.metadata_url, address, self.v1_fallback),
                interval: self.interval,
                window: self.window,
            }
        })
    }
}
