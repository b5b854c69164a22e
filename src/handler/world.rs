//! What the event loop needs of the world around it, and what the world tells it. The threads
//! ([`super::threads`]) are one world, the tests' virtual time is another.

use std::sync::Arc;

use crate::drain::ask::{Answer, Job, PodRef};
use crate::drain::machine::Drain;
use crate::drain::pod::{OwnPod, PodNews};
use crate::moment::{Moment, Reading};
use crate::node::NodeAnswer;
use crate::node::marks::Patch;
use crate::notice::Polled;
use crate::report::fact::Fact;

/// Everything outside the event loop.
pub trait World {
    /// Both clocks.
    fn read_clock(&self) -> Reading;
    /// The next news; `None` if there was none by `until`. Without `until`, waits for ever.
    fn wait(&mut self, until: Option<Moment>) -> Option<News>;
    /// Shows how far the drain is to an operator who watches, before the loop waits.
    fn show(&mut self, drain: Option<&Drain>, now: Moment);
    /// How many requests could be sent at once now.
    fn free(&self) -> usize;
    /// Starts what was ordered. Its outcome comes as news.
    fn carry_out(&mut self, order: Order);
    /// Passes a fact on to those who report. Never waits.
    fn tell(&mut self, fact: Fact);
}

/// What the event loop orders. Each order is answered by the news named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// See whether address, roots and token are there: [`News::Credentials`].
    CheckCredentials,
    /// Find the node of the handler's own pod: [`News::NodeFound`].
    FindNode,
    /// Read the Node of this name: [`News::Node`].
    ReadNode(Arc<str>),
    /// Change the Node of this name: [`News::Node`].
    PatchNode(Arc<str>, Patch),
    /// List and follow the pods of the node of this name, until [`Order::Disconnect`]:
    /// [`News::Pods`].
    FollowPods(Arc<str>),
    /// One request about one pod: [`News::Answered`].
    Ask(Job),
    /// Wait no longer for the answer about this pod, and let the API server know: [`News::Answered`]
    /// comes at once.
    GiveUp(Arc<PodRef>),
    /// Nothing is asked for now: close every connection and end every thread that a drain needed.
    Disconnect,
}

impl Order {
    /// Whether a connection to the API server may be open after it.
    pub fn connects(&self) -> bool {
        !matches!(self, Self::CheckCredentials | Self::Disconnect)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A path of the metadata service was asked.
    Polled(Polled),
    /// The metadata service offers no IMDSv2; it is asked without a token from now on.
    WithoutToken {
        /// Status of the token request: 404 or 405.
        status: u16,
    },
    /// The own pod, as far as the token tells; or what is missing to reach the API server, in words.
    Credentials(Result<OwnPod, String>),
    /// The node on which the own pod runs.
    NodeFound(Result<String, String>),
    /// The answer to a [`Order::ReadNode`] or [`Order::PatchNode`].
    Node(NodeAnswer),
    /// An event of the watch.
    Pods(PodNews),
    /// The answer to an [`Order::Ask`].
    Answered {
        /// About which pod.
        pod: Arc<PodRef>,
        /// What came.
        answer: Answer,
    },
    /// SIGTERM.
    Terminate,
}
