//! What the handler received, ordered and reported in one run, with times.

use serde_json::Value;

use crate::handler::tests::node::Object;
use crate::handler::tests::pods::Pods;
use crate::handler::world::{News, Order};
use crate::moment::Moment;
use crate::report::fact::Fact;

/// One run, from the start of the process to its end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) timeline: Vec<(Moment, Entry)>,
    pub(super) ended: Moment,
    pub(super) node: Object,
    /// As they are in the end.
    pub(super) pods: Pods,
    pods_left: Vec<String>,
    /// The transcript begins here.
    pub(super) shown_since: Moment,
}

/// One thing that went into the handler or came out of it.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// It waited and this came; `None`: nothing, until the moment it had named.
    Came(Option<News>),
    Ordered(Order),
    Told(Fact),
    /// Beside what was told: our annotation at the API server at that moment.
    NodeIs {
        annotation: Option<String>,
    },
    /// The process has ended before its time, and another one begins.
    BeginsAnew {
        /// In another boot of the machine.
        rebooted: bool,
    },
}

impl Run {
    pub(super) fn new(
        timeline: Vec<(Moment, Entry)>,
        ended: Moment,
        node: Object,
        pods: Pods,
    ) -> Self {
        let pods_left = pods.list().iter().map(|pod| pod.reference.name.clone()).collect();
        Self { timeline, ended, node, pods, pods_left, shown_since: Moment::START }
    }

    /// How many pods are still there.
    pub(super) fn pods_left(&self) -> usize {
        self.pods_left.len()
    }

    /// How everything is in the end: the Node, and the pods that are left.
    pub(super) fn end(&self) -> (Value, &[String]) {
        (self.node.what_it_is(), &self.pods_left)
    }

    /// The Node is as if this handler did not exist.
    pub(super) fn is_restored(&self) -> bool {
        self.node.is_as_others_want_it() && self.node.annotation().is_none()
    }

    pub(super) fn news(&self) -> impl Iterator<Item = (Moment, &News)> {
        self.timeline.iter().filter_map(|(at, entry)| match entry {
            Entry::Came(Some(news)) => Some((*at, news)),
            _ => None,
        })
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = (Moment, &Fact)> {
        self.timeline.iter().filter_map(|(at, entry)| match entry {
            Entry::Told(fact) => Some((*at, fact)),
            _ => None,
        })
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = (Moment, &Order)> {
        self.timeline.iter().filter_map(|(at, entry)| match entry {
            Entry::Ordered(order) => Some((*at, order)),
            _ => None,
        })
    }
}
