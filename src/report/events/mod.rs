//! Kubernetes Events: what happens to the node, for those who look at the cluster (`kubectl describe
//! node`), and on a pod that it was deleted against its budget, for its owner.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | `event` | a fact → what is to be said, of whom | none |
//! | `series` | what was said before is counted, not said again | none |
//! | `body` | as core/v1 has it | none |
//! | `writer` | to the API server | its thread |

mod body;
mod event;
mod series;
mod writer;

pub use crate::report::events::writer::{Events, Identity};
