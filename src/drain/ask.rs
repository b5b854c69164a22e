//! What the drain asks about a pod, and the answers. The edge turns an [`Ask`]
//! into a request and a reply into an [`Answer`].

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// One pod, and no other of the same name: namespace, name and UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: goes with every request as a precondition.
    pub uid: String,
}

impl fmt::Display for PodRef {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Seconds a pod is given to end. Never 0, which would mean force deletion.
pub type Grace = NonZeroU32;

/// What a pod is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// An Eviction: budgets have their say.
    Evict {
        /// Sent as `deleteOptions.gracePeriodSeconds`.
        grace: Grace,
        /// Only asked, not done (`dryRun: ["All"]`).
        dry: bool,
    },
    /// The condition `DisruptionTarget`, as an eviction sets it, before a deletion: a Job's
    /// `podFailurePolicy` then does not count the loss. Best effort.
    MarkDisrupted,
    /// A deletion, past the budgets, or to shorten the grace of a pod that already terminates.
    Delete {
        /// Sent as `gracePeriodSeconds`.
        grace: Grace,
    },
}

/// One request about one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whom it is about.
    pub pod: Arc<PodRef>,
    /// What is asked.
    pub ask: Ask,
    /// How long to wait for an answer before it is [`Answer::Broken`].
    pub timeout: Duration,
}

/// What came back, classified once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, or for a dry run: would have been done.
    Accepted,
    /// There is no such pod (404).
    Gone,
    /// Another pod has the name (409 for the UID precondition).
    Replaced,
    /// A disruption budget says no (429 with cause `DisruptionBudget`; 500 where several budgets
    /// cover the pod).
    Blocked(Budget),
    /// The API server tried, and something has failed: an admission webhook that does not answer, a
    /// policy that cannot be evaluated, or the server itself (500), with its message.
    Failed(String),
    /// Not now: overloaded, or a conflict that passes (408, 409, 429, other 5xx).
    Busy {
        /// The server's `Retry-After`, if it gave one.
        retry_after: Option<Duration>,
        /// Status and message, for people.
        why: String,
    },
    /// The namespace is being deleted, and the pod with it (403 with cause `NamespaceTerminating`).
    NamespaceTerminating,
    /// The API server does not know who asks (401): what it does not accept, in a sentence ("the token").
    Unauthorized(&'static str),
    /// The API server forbids it (any other 403), with its message.
    Forbidden(String),
    /// No usable answer: no connection, cut off, timed out, not understood, or refused as invalid.
    Broken(String),
}

/// A disruption budget that stands in the way of an eviction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget {
    /// Namespace of pod and budget.
    pub namespace: String,
    /// Its name, or, where the server does not name it, its message.
    pub name: String,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
