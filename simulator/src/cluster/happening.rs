//! What comes to pass in the cluster, in the order in which it does.

use std::fmt;
use std::time::Duration;

/// Something that came to pass, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When, on the journal's clock.
    pub at: Duration,
    /// What.
    pub what: Happening,
}

/// Something that comes to pass. Pods are named `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The Node became unschedulable.
    Cordoned,
    /// The Node became schedulable again.
    Uncordoned,
    /// An eviction was accepted, with so many seconds of grace.
    Evicted {
        /// The pod.
        pod: String,
        /// Seconds.
        grace: u64,
    },
    /// An eviction was refused by a budget.
    Refused {
        /// The pod.
        pod: String,
        /// The budget.
        budget: String,
    },
    /// A pod got the condition `DisruptionTarget` without an eviction.
    Marked {
        /// The pod.
        pod: String,
        /// The condition's reason.
        reason: String,
    },
    /// A deletion was accepted, with so many seconds of grace.
    Deleted {
        /// The pod.
        pod: String,
        /// Seconds.
        grace: u64,
    },
    /// A pod that was already terminating got less time.
    Hurried {
        /// The pod.
        pod: String,
        /// Seconds.
        grace: u64,
    },
    /// A pod is gone.
    Gone {
        /// The pod.
        pod: String,
        /// Whether it stopped by itself; otherwise it was killed.
        by_itself: bool,
    },
    /// Another pod is ready elsewhere in the place of one that went.
    Replaced {
        /// The budget that counts it.
        budget: String,
    },
}

impl Happening {
    /// The pod it is about.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        match self {
            Self::Evicted { pod, .. }
            | Self::Refused { pod, .. }
            | Self::Marked { pod, .. }
            | Self::Deleted { pod, .. }
            | Self::Hurried { pod, .. }
            | Self::Gone { pod, .. } => Some(pod),
            Self::Cordoned | Self::Uncordoned | Self::Replaced { .. } => None,
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cordoned => f.write_str("the node is cordoned"),
            Self::Uncordoned => f.write_str("the node is schedulable again"),
            Self::Evicted { pod, grace } => write!(f, "{pod}: evicted, {grace} s to stop"),
            Self::Refused { pod, budget } => {
                write!(f, "{pod}: not evicted, budget {budget} says no")
            }
            Self::Marked { pod, reason } => write!(f, "{pod}: DisruptionTarget ({reason})"),
            Self::Deleted { pod, grace } => write!(f, "{pod}: deleted, {grace} s to stop"),
            Self::Hurried { pod, grace } => write!(f, "{pod}: hurried, {grace} s to stop"),
            Self::Gone { pod, by_itself: true } => write!(f, "{pod}: stopped and gone"),
            Self::Gone { pod, by_itself: false } => write!(f, "{pod}: killed and gone"),
            Self::Replaced { budget } => write!(f, "{budget}: a replacement is ready elsewhere"),
        }
    }
}
