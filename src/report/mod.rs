//! What happened, as typed facts, and who says it: the log, Kubernetes Events, webhooks, metrics and
//! probes. Nothing here can hold up or end a drain.

use std::io;
use std::sync::Arc;

use crate::report::fact::Fact;

pub mod channel;
pub mod envelope;
pub mod events;
pub mod fact;
pub mod health;
pub(crate) mod json;
pub mod log;
mod meter;
pub mod metrics;
mod queue;
pub mod rehearsal;
pub mod reporters;
#[cfg(test)]
mod samples;
pub mod server;
pub mod webhook;
mod words;

/// Where those who report say how they fare.
pub type FactSink = Arc<dyn Fn(Fact) + Send + Sync>;

/// Starts the thread of one who reports. It is called again where the system had none to give.
pub type Starter = Box<dyn Fn() -> io::Result<()>>;
