//! What happened in a drain, each thing when it happens.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Budget, Grace, PodRef};
use crate::drain::pod::Exempt;
use crate::drain::verdict::Obstacle;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainProgress {
    /// The node's pods are known: the first set was read to its end.
    Listed {
        /// Those that are to go; some may be gone already.
        to_go: Vec<Arc<PodRef>>,
        /// How many are left alone.
        left_alone: usize,
    },
    /// A pod stays, for a reason of its own.
    LeftAlone(Arc<PodRef>, Exempt),
    /// A pod came after the first set was complete, and goes too.
    Late(Arc<PodRef>),
    /// A pod came whose controller had others on this node, so often in a row that this drain has
    /// evicted. It goes too, later each time.
    Returned {
        /// Which.
        pod: Arc<PodRef>,
        /// How many were evicted before it.
        times: u32,
    },
    /// An eviction was accepted.
    Evicted {
        /// Whose.
        pod: Arc<PodRef>,
        /// What it got.
        grace: Grace,
        /// What it would have got, had there been time.
        wanted: Grace,
    },
    /// A budget refused an eviction, for the first time for this pod.
    Blocked {
        /// Whose.
        pod: Arc<PodRef>,
        /// Which refused.
        budget: Arc<Budget>,
        /// How long it is until the pod is deleted instead; `None`: that will not be.
        deleted_in: Option<Duration>,
    },
    /// A pod was deleted, for its time was up and its eviction was not accepted.
    Deleted {
        /// Which.
        pod: Arc<PodRef>,
        /// What it got; `None`: the answer was lost, and it was seen to end.
        grace: Option<Grace>,
        /// What stood in the way.
        obstacle: Obstacle,
    },
    /// The condition `DisruptionTarget` could not be set before a deletion. Said for the first pod
    /// only.
    NotMarked {
        /// Which pod.
        pod: Arc<PodRef>,
        /// What came.
        why: String,
    },
    /// A pod that was already ending, with more time than there is, got less.
    Shortened {
        /// Which.
        pod: Arc<PodRef>,
        /// What it got.
        grace: Grace,
    },
    /// A pod is gone.
    Gone {
        /// Which.
        pod: Arc<PodRef>,
        /// How long after the beginning of the drain.
        after: Duration,
    },
    /// A dry run: the eviction would have been accepted.
    WouldEvict(Arc<PodRef>),
    /// A dry run: this budget would have refused it.
    WouldBlock(Arc<PodRef>, Arc<Budget>),
    /// The namespace is being deleted, and its pods with it.
    NamespaceTerminating {
        /// Whose.
        pod: Arc<PodRef>,
        /// How long it is until the pod is deleted; `None`: that will not be.
        deleted_in: Option<Duration>,
    },
    /// The API server forbids something. Said for the first pod only; the table names all.
    Forbidden {
        /// About which pod.
        pod: Arc<PodRef>,
        /// Its answer.
        message: String,
        /// How long it is until that pod is deleted instead; `None`: that will not be.
        deleted_in: Option<Duration>,
    },
    /// Requests begin to fail. Said once for each kind of failure, until [`DrainProgress::Recovered`].
    Failing {
        /// About which pod it was first.
        pod: Arc<PodRef>,
        /// What came.
        why: String,
        /// How long it is until that pod is deleted instead; `None`: that will not be.
        deleted_in: Option<Duration>,
    },
    /// No pod's request fails any more.
    Recovered {
        /// How many requests had failed.
        failed: u32,
    },
    /// A pod could not be read from the watch: it is in no table.
    Unread {
        /// Why.
        why: String,
    },
    /// The watch was lost, and is opened again.
    WatchLost {
        /// Why.
        why: String,
    },
}
