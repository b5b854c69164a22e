//! What happened in a drain, each thing when it happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Budget, Grace, PodRef};
use crate::drain::pod::Exempt;
use crate::drain::verdict::{Failed, Obstacle};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
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
        /// What it said.
        message: String,
        /// How long it is until that pod is deleted instead; `None`: that will not be.
        deleted_in: Option<Duration>,
    },
    /// Requests begin to fail. Said once for each kind of failure, until [`Progress::Recovered`].
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

/// What comes next for a pod that is not gone: it is deleted so long from now, if at all.
struct Then(Option<Duration>);

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(left) if left < Duration::from_secs(1) => {
                f.write_str("its time is up: it is deleted next")
            }
            Some(left) => write!(f, "retried for {} s, then it is deleted", left.as_secs()),
            None => f.write_str("retried until the drain ends"),
        }
    }
}

/// Seconds by which a grace may be cut without a word.
const SLIGHT_CUT: u32 = 5;

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { to_go, left_alone } => {
                write!(f, "of this node's pods {} are to go", to_go.len())?;
                write!(f, "; left alone: {left_alone}")
            }
            Self::LeftAlone(pod, why) => write!(f, "{pod}: left alone ({why})"),
            Self::Late(pod) => write!(f, "{pod}: arrived late, goes too"),
            Self::Returned { pod, times } => write!(
                f,
                "{pod}: its controller started it on this node though the node is drained; it is \
                 evicted later ({times} before it)"
            ),
            Self::Evicted { pod, grace, wanted } if wanted.get() - grace.get() > SLIGHT_CUT => {
                write!(
                    f,
                    "{pod}: eviction accepted, {grace} s to end instead of {wanted} s: no more \
                     time is left"
                )
            }
            Self::Evicted { pod, grace, .. } => {
                write!(f, "{pod}: eviction accepted, {grace} s to end")
            }
            Self::Blocked { pod, budget, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: eviction refused by disruption budget {budget}; {then}")
            }
            Self::Deleted { pod, grace, obstacle } => {
                match grace {
                    Some(grace) => write!(f, "{pod}: deleted, {grace} s to end")?,
                    None => write!(f, "{pod}: deleted, though the answer was lost")?,
                }
                f.write_str(": its time was up and ")?;
                match obstacle {
                    Obstacle::Budget(budget) => {
                        write!(f, "disruption budget {budget} had not let it go")
                    }
                    Obstacle::Failed(Failed { why, .. }) => {
                        write!(f, "it could not be evicted ({why})")
                    }
                }
            }
            Self::NotMarked { pod, why } => write!(
                f,
                "{pod}: the condition DisruptionTarget could not be set, so a Job may count the \
                 deletion as a failure: {why}"
            ),
            Self::Shortened { pod, grace } => write!(
                f,
                "{pod}: was already ending, with more time than is left: {grace} s to end now"
            ),
            Self::Gone { pod, after } => {
                write!(f, "{pod}: gone after {:.1} s", after.as_secs_f64())
            }
            Self::WouldEvict(pod) => write!(f, "{pod}: would be evicted"),
            Self::WouldBlock(pod, budget) => {
                write!(f, "{pod}: disruption budget {budget} would refuse its eviction now")
            }
            Self::NamespaceTerminating { pod, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: its namespace is being deleted, and the pod with it; {then}")
            }
            Self::Forbidden { pod, message, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: the API server forbids it: {message}. Other pods go on; {then}")
            }
            Self::Failing { pod, why, deleted_in } => {
                let then = Then(*deleted_in);
                write!(f, "{pod}: {why}; {then}")
            }
            Self::Recovered { failed } => {
                write!(f, "the API server answers again, after {failed} failed requests")
            }
            Self::Unread { why } => {
                write!(f, "a pod could not be read and is not in the table: {why}")
            }
            Self::WatchLost { why } => {
                write!(f, "the watch of this node's pods was lost and is opened again: {why}")
            }
        }
    }
}
