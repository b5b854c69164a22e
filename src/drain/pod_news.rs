//! What a drain is told of the pods. Whoever lists and follows them, it is said in these values.

use crate::drain::pod::Pod;

/// What the watch of the node's pods said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodNews {
    /// A complete set of pods begins.
    SetBegins,
    /// The set is complete: a pod not seen since it began is gone.
    SetComplete,
    /// A pod is there, as described.
    Seen(Pod),
    /// The pod with this UID is gone.
    Gone {
        /// Its UID.
        uid: String,
    },
    /// A pod could not be read, and was skipped.
    Unread {
        /// Its UID, or else its namespace and name, as far as known.
        pod: Option<String>,
        /// Why, in words.
        why: String,
    },
    /// The watch ended, and is opened again.
    Lost {
        /// Why, in words.
        why: String,
    },
}
